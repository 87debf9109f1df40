/**
 * X-Wing (draft-connolly-cfrg-xwing-kem; MLKEM768-X25519, 0x647a of draft-ietf-hpke-pq) as a KEM for `hpke`, out of two separate
 * keys: ML-KEM-768 (FIPS 203) and X25519 (RFC 7748). Their public halves side by side are an ordinary X-Wing public key, so a sender
 * notices no difference, and neither private half need ever be readable.
 */
import { sha3_256 } from '@noble/hashes/sha3.js'
import { type KEM, type Key, type KEMFactory, type KeyPair } from 'hpke'
import { concat, utf8, type Bytes } from './bytes.ts'

const ML_KEM_PUBLIC = 1_184
const ML_KEM_CIPHERTEXT = 1_088
const LABEL = utf8('\\.//^\\')

/** ML-KEM-768: WebCrypto's, or another implementation. A private key is whatever the implementation makes. */
export interface MlKem {
  generate(extractable: boolean): Promise<{ publicKey: Bytes; privateKey: unknown }>
  encapsulate(publicKey: Bytes): Promise<{ ciphertext: Bytes; sharedSecret: Bytes }>
  decapsulate(privateKey: unknown, ciphertext: Bytes): Promise<Bytes>
}

/** The part of WebCrypto's "modern algorithms" used here, which no type library has yet. */
interface KemSubtle {
  generateKey(algorithm: string, extractable: boolean, usages: string[]): Promise<CryptoKeyPair>
  exportKey(format: 'raw-public', key: CryptoKey): Promise<ArrayBuffer>
  importKey(
    format: 'raw-public',
    key: Bytes,
    algorithm: string,
    extractable: boolean,
    usages: string[],
  ): Promise<CryptoKey>
  encapsulateBits(
    algorithm: string,
    key: CryptoKey,
  ): Promise<{ sharedKey: ArrayBuffer; ciphertext: ArrayBuffer }>
  decapsulateBits(algorithm: string, key: CryptoKey, ciphertext: Bytes): Promise<ArrayBuffer>
}

const ALGORITHM = 'ML-KEM-768'

/** ML-KEM-768 of the platform; its private keys are `CryptoKey`s. */
export const webMlKem: MlKem = {
  async generate(extractable) {
    const subtle = crypto.subtle as unknown as KemSubtle
    const pair = await subtle.generateKey(ALGORITHM, extractable, [
      'encapsulateBits',
      'decapsulateBits',
    ])
    return {
      publicKey: new Uint8Array(await subtle.exportKey('raw-public', pair.publicKey)),
      privateKey: pair.privateKey,
    }
  },
  async encapsulate(publicKey) {
    const subtle = crypto.subtle as unknown as KemSubtle
    const key = await subtle.importKey('raw-public', publicKey, ALGORITHM, false, [
      'encapsulateBits',
    ])
    const { ciphertext, sharedKey } = await subtle.encapsulateBits(ALGORITHM, key)
    return { ciphertext: new Uint8Array(ciphertext), sharedSecret: new Uint8Array(sharedKey) }
  },
  async decapsulate(privateKey, ciphertext) {
    const subtle = crypto.subtle as unknown as KemSubtle
    return new Uint8Array(
      await subtle.decapsulateBits(ALGORITHM, privateKey as CryptoKey, ciphertext),
    )
  },
}

/** An X-Wing key as `hpke` passes it around. */
export interface XWingKey extends Key {
  /** 1,216 bytes: ML-KEM-768 and X25519 public keys. */
  readonly publicKey: Bytes
  /** Private halves, absent in a public key. */
  readonly halves?: { mlKem: unknown; x25519: CryptoKey }
}

/** A private X-Wing key of its halves. */
export function xWingKey(publicKey: Bytes, halves?: XWingKey['halves']): XWingKey {
  const key = {
    algorithm: { name: 'MLKEM768-X25519' },
    extractable: halves === undefined,
    publicKey,
  }
  return halves === undefined ? { ...key, type: 'public' } : { ...key, type: 'private', halves }
}

async function x25519(privateKey: CryptoKey, publicKey: Bytes): Promise<Bytes> {
  const key = await crypto.subtle.importKey('raw', publicKey, 'X25519', false, [])
  return new Uint8Array(
    await crypto.subtle.deriveBits({ name: 'X25519', public: key }, privateKey, 256),
  )
}

function combine(
  mlKemSecret: Bytes,
  x25519Secret: Bytes,
  x25519Ciphertext: Bytes,
  x25519Public: Bytes,
): Bytes {
  return sha3_256(concat(mlKemSecret, x25519Secret, x25519Ciphertext, x25519Public, LABEL))
}

async function generateX25519(
  extractable: boolean,
): Promise<{ privateKey: CryptoKey; publicKey: Bytes }> {
  const pair = await crypto.subtle.generateKey('X25519', extractable, ['deriveBits'])
  return {
    privateKey: pair.privateKey,
    publicKey: new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey)),
  }
}

function unsupported(): Promise<never> {
  return Promise.reject(new TypeError('X-Wing keys here have no seed'))
}

/** The KEM for `hpke`'s `CipherSuite`. */
export function createXWing(mlKem: MlKem = webMlKem): KEMFactory {
  const kem: KEM<XWingKey> = {
    id: 0x647a,
    type: 'KEM',
    name: 'MLKEM768-X25519',
    Nsecret: 32,
    Nenc: ML_KEM_CIPHERTEXT + 32,
    Npk: ML_KEM_PUBLIC + 32,
    Nsk: 32,
    DeriveKeyPair: unsupported,
    SerializePrivateKey: unsupported,
    DeserializePrivateKey: unsupported,
    async GenerateKeyPair(extractable): Promise<KeyPair<XWingKey>> {
      const [m, x] = await Promise.all([mlKem.generate(extractable), generateX25519(extractable)])
      const publicKey = concat(m.publicKey, x.publicKey)
      return {
        publicKey: xWingKey(publicKey),
        privateKey: xWingKey(publicKey, { mlKem: m.privateKey, x25519: x.privateKey }),
      }
    },
    SerializePublicKey: (key) => Promise.resolve(key.publicKey),
    DeserializePublicKey: (key) => Promise.resolve(xWingKey(key as Bytes)),
    async Encap(recipient) {
      const m = await mlKem.encapsulate(recipient.publicKey.subarray(0, ML_KEM_PUBLIC))
      const peer = recipient.publicKey.subarray(ML_KEM_PUBLIC)
      const ephemeral = await generateX25519(false)
      const secret = await x25519(ephemeral.privateKey, peer)
      return {
        shared_secret: combine(m.sharedSecret, secret, ephemeral.publicKey, peer),
        enc: concat(m.ciphertext, ephemeral.publicKey),
      }
    },
    async Decap(encapsulated, recipient) {
      const enc = encapsulated as Bytes
      const ciphertext = enc.subarray(ML_KEM_CIPHERTEXT)
      // A public key has none, and is not given here.
      const halves = recipient.halves!
      const [m, x] = await Promise.all([
        mlKem.decapsulate(halves.mlKem, enc.subarray(0, ML_KEM_CIPHERTEXT)),
        x25519(halves.x25519, ciphertext),
      ])
      return combine(m, x, ciphertext, recipient.publicKey.subarray(ML_KEM_PUBLIC))
    },
  }
  return () => kem
}
