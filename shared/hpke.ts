/**
 * HPKE base mode (RFC 9180; draft-ietf-hpke-pq for X-Wing) with the `hpke` package, in the suites of docs/PROTOCOL.md,
 * "Key package and request". A recipient's private key is kept as parts that IndexedDB can store without their ever being readable.
 */
import {
  AEAD_AES_256_GCM,
  CipherSuite,
  KDF_HKDF_SHA256,
  KEM_DHKEM_P256_HKDF_SHA256,
  KEM_DHKEM_X25519_HKDF_SHA256,
  type KEMFactory,
  type Key,
} from 'hpke'
import { type Bytes } from './bytes.ts'
import { KeyferryError } from './errors.ts'
import { type Suite } from './trust.ts'
import { createXWing, xWingKey, type MlKem, type XWingKey } from './x-wing.ts'

/** Bytes of a public key. */
export const PUBLIC_KEY_LENGTH: Record<Suite, number> = {
  'MLKEM768-X25519': 1_216,
  X25519: 32,
  'P-256': 65,
}
/** HPKE KEM identifiers. */
export const KEM_ID: Record<Suite, number> = {
  'MLKEM768-X25519': 0x647a,
  X25519: 0x0020,
  'P-256': 0x0010,
}

/** The key pair of a key package. */
export interface RecipientKey {
  suite: Suite
  publicKey: Bytes
  /** X-Wing: ML-KEM-768 and X25519; else one key. Structured clone keeps them; WebCrypto keys stay unreadable. */
  privateKeys: unknown[]
}

/** Seals to and opens with keys of one suite. */
export interface Hpke {
  /** A new key pair; with `extractable` false no part of the private key can be read. */
  generate(extractable: boolean): Promise<RecipientKey>
  /** One-shot seal with empty aad. Throws `ERR_KEY_PACKAGE` for a public key that is not one. */
  seal(
    publicKey: Bytes,
    plaintext: Bytes,
    info: Bytes,
  ): Promise<{ encapsulated: Bytes; ciphertext: Bytes }>
  /** One-shot open with empty aad. Throws `ERR_OPEN` whatever failed. */
  open(recipient: RecipientKey, encapsulated: Bytes, ciphertext: Bytes, info: Bytes): Promise<Bytes>
}

const KEMS: Record<Suite, (mlKem?: MlKem) => KEMFactory> = {
  'MLKEM768-X25519': createXWing,
  X25519: () => KEM_DHKEM_X25519_HKDF_SHA256,
  'P-256': () => KEM_DHKEM_P256_HKDF_SHA256,
}

/** HPKE in a suite; `mlKem` does ML-KEM-768 for X-Wing, WebCrypto's by default. */
export function createHpke(suite: Suite, mlKem?: MlKem): Hpke {
  const cipher = new CipherSuite(KEMS[suite](mlKem), KDF_HKDF_SHA256, AEAD_AES_256_GCM)
  return {
    async generate(extractable) {
      const pair = await cipher.GenerateKeyPair(extractable)
      const publicKey = (await cipher.SerializePublicKey(pair.publicKey)) as Bytes
      const halves = (pair.privateKey as XWingKey).halves
      const privateKeys = halves === undefined ? [pair.privateKey] : [halves.mlKem, halves.x25519]
      return { suite, publicKey, privateKeys }
    },
    async seal(publicKey, plaintext, info) {
      try {
        const key = await cipher.DeserializePublicKey(publicKey)
        const { encapsulatedSecret, ciphertext } = await cipher.Seal(key, plaintext, { info })
        return { encapsulated: encapsulatedSecret as Bytes, ciphertext: ciphertext as Bytes }
      } catch (cause) {
        throw new KeyferryError('ERR_KEY_PACKAGE', 'the public key cannot be sealed to', { cause })
      }
    },
    async open({ publicKey, privateKeys }, encapsulated, ciphertext, info) {
      try {
        const [first, second] = privateKeys
        const privateKey =
          second === undefined
            ? (first as Key)
            : xWingKey(publicKey, { mlKem: first, x25519: second as CryptoKey })
        const pair = { privateKey, publicKey: await cipher.DeserializePublicKey(publicKey) }
        return (await cipher.Open(pair, encapsulated, ciphertext, { info })) as Bytes
      } catch (cause) {
        throw new KeyferryError('ERR_OPEN', undefined, { cause })
      }
    },
  }
}
