/**
 * HPKE base mode (RFC 9180 §5.1, §6.1; draft-ietf-hpke-pq for X-Wing) with HKDF-SHA256 and AES-256-GCM, one message per encapsulated key, in the suites of
 * docs/PROTOCOL.md, "Key package and request". A recipient's private key is kept as parts that IndexedDB can store without their ever being readable.
 */
import { concat, u16, utf8, type Bytes } from './bytes.ts'
import { createDhKem } from './dh-kem.ts'
import { isKeyferryError, KeyferryError } from './errors.ts'
import { labeledExpand, labeledExtract } from './hkdf.ts'
import type { MlKem } from './ml-kem.ts'
import { subtle } from './platform.ts'
import { KEM_ID } from './suites.ts'
import type { Suite } from './trust.ts'
import { createXWing } from './x-wing.ts'

const KDF_ID = 0x0001
const AEAD_ID = 0x0002
const BASE_MODE = Uint8Array.of(0)
const EMPTY = new Uint8Array()

/** A KEM's key pair. */
export interface KemKey {
  publicKey: Bytes
  /** X-Wing: ML-KEM-768 and X25519; else one key. Structured clone keeps them; WebCrypto keys stay unreadable. */
  privateKeys: unknown[]
}

/** The key pair of a key package. */
export interface RecipientKey extends KemKey {
  suite: Suite
}

/** A key encapsulation mechanism: RFC 9180 §4. Rejects for keys of another length. */
export interface Kem {
  generate(extractable: boolean): Promise<KemKey>
  encapsulate(publicKey: Bytes): Promise<{ encapsulated: Bytes; sharedSecret: Bytes }>
  decapsulate(recipient: KemKey, encapsulated: Bytes): Promise<Bytes>
}

/**
 * Seals to and opens with keys of one suite. `aad` is empty in the protocol. Everything here throws `ERR_UNSUPPORTED` without WebCrypto, and
 * `ERR_IO` when the stand-in for its ML-KEM does not load.
 */
export interface Hpke {
  /** A new key pair; with `extractable` false no part of the private key can be read. */
  generate(extractable: boolean): Promise<RecipientKey>
  /** One-shot seal. Throws `ERR_KEY_PACKAGE` for a public key that is not one. */
  seal(
    publicKey: Bytes,
    plaintext: Bytes,
    info: Bytes,
    aad?: Bytes,
  ): Promise<{ encapsulated: Bytes; ciphertext: Bytes }>
  /** One-shot open. Throws `ERR_OPEN` whatever failed. */
  open(
    recipient: RecipientKey,
    encapsulated: Bytes,
    ciphertext: Bytes,
    info: Bytes,
    aad?: Bytes,
  ): Promise<Bytes>
}

function createKem(suite: Suite, mlKem?: MlKem): Kem {
  return suite === 'MLKEM768-X25519' ? createXWing(mlKem) : createDhKem(suite)
}

/** `KeySchedule` (§5.1) in base mode: what encrypts the first message. Wipes the shared secret. */
async function keySchedule(
  suite: Suite,
  sharedSecret: Bytes,
  info: Bytes,
  usage: 'encrypt' | 'decrypt',
): Promise<{ key: CryptoKey; iv: Bytes }> {
  const id = concat(utf8('HPKE'), u16(KEM_ID[suite]), u16(KDF_ID), u16(AEAD_ID))
  const context = concat(
    BASE_MODE,
    labeledExtract(id, EMPTY, 'psk_id_hash', EMPTY),
    labeledExtract(id, EMPTY, 'info_hash', info),
  )
  const secret = labeledExtract(id, sharedSecret, 'secret', EMPTY)
  const raw = labeledExpand(id, secret, 'key', context, 32)
  const iv = labeledExpand(id, secret, 'base_nonce', context, 12)
  try {
    return { key: await subtle().importKey('raw', raw, 'AES-GCM', false, [usage]), iv }
  } finally {
    for (const one of [sharedSecret, secret, raw]) one.fill(0)
  }
}

/** HPKE in a suite; `mlKem` does ML-KEM-768 for X-Wing, WebCrypto's by default, or the one that stands in for it. */
export function createHpke(suite: Suite, mlKem?: MlKem): Hpke {
  const kem = createKem(suite, mlKem)
  return {
    async generate(extractable) {
      return { suite, ...(await kem.generate(extractable)) }
    },
    async seal(publicKey, plaintext, info, aad = EMPTY) {
      try {
        const { encapsulated, sharedSecret } = await kem.encapsulate(publicKey)
        const { key, iv } = await keySchedule(suite, sharedSecret, info, 'encrypt')
        const options = { name: 'AES-GCM', iv, additionalData: aad }
        const ciphertext = await subtle().encrypt(options, key, plaintext)
        return { encapsulated, ciphertext: new Uint8Array(ciphertext) }
      } catch (cause) {
        if (isKeyferryError(cause)) throw cause
        throw new KeyferryError('ERR_KEY_PACKAGE', 'the public key cannot be sealed to', { cause })
      }
    },
    async open(recipient, encapsulated, ciphertext, info, aad = EMPTY) {
      try {
        const sharedSecret = await kem.decapsulate(recipient, encapsulated)
        const { key, iv } = await keySchedule(suite, sharedSecret, info, 'decrypt')
        const options = { name: 'AES-GCM', iv, additionalData: aad }
        return new Uint8Array(await subtle().decrypt(options, key, ciphertext))
      } catch (cause) {
        if (isKeyferryError(cause)) throw cause
        throw new KeyferryError('ERR_OPEN', undefined, { cause })
      }
    },
  }
}
