/**
 * HPKE's one-shot seal in base mode (RFC 9180 §5.1, §6.1; draft-ietf-hpke-pq for X-Wing) on Node's synchronous crypto, in the suites of
 * docs/PROTOCOL.md, "Key package and request". shared/hpke.ts does the same on WebCrypto, at several times the CPU time: of all that a deriver does,
 * a welcome is the dearest.
 */
import {
  createCipheriv,
  createHmac,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  encapsulate,
  generateKeyPairSync,
  hash,
  type KeyObject,
} from 'node:crypto'
import { concat, u16, utf8, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { KEM_ID, PUBLIC_KEY_LENGTH } from '../shared/suites.ts'
import { type Suite } from '../shared/trust.ts'

const ML_KEM_PUBLIC = 1_184
const LABEL = utf8('\\.//^\\')
const VERSION = utf8('HPKE-v1')
const EMPTY = new Uint8Array()
const NO_SALT = createSecretKey(EMPTY)
const BASE_MODE = Uint8Array.of(0)
const ONE = Uint8Array.of(1)

type Curve = 'X25519' | 'P-256'

/** An encapsulated key and the secret in it. */
interface Encapsulation {
  encapsulated: Uint8Array
  secret: Uint8Array
}

/** HMAC-SHA-256 of parts behind one another. A key is imported once: that takes longer than the HMAC. */
function mac(key: KeyObject, ...parts: readonly Uint8Array[]): Uint8Array {
  return createHmac('sha256', key)
    .update(concat(...parts))
    .digest()
}

/** `LabeledExtract` (RFC 9180 §4): 32 bytes. */
function extract(id: Bytes, salt: KeyObject, label: string, ikm: Uint8Array): Uint8Array {
  return mac(salt, VERSION, id, utf8(label), ikm)
}

/** `LabeledExpand` (RFC 9180 §4) of at most 32 bytes: one block. */
function expand(
  id: Bytes,
  prk: KeyObject,
  label: string,
  info: Uint8Array,
  length: number,
): Uint8Array {
  return mac(prk, u16(length), VERSION, id, utf8(label), info, ONE).subarray(0, length)
}

/** A public key from its bytes. What no type library has yet: Node imports them raw. */
function importRaw(key: Uint8Array, type: Record<string, string>): KeyObject {
  return createPublicKey({ key, format: 'raw-public', ...type } as never)
}

function exportRaw(key: KeyObject, options: Record<string, string> = {}): Uint8Array {
  return key.export({ format: 'raw-public', ...options } as never) as Uint8Array
}

/** A key of one use, and what it agrees on with `peer`: 32 bytes. Throws for a key that is none, and for an X25519 one that contributes nothing. */
function agree(curve: Curve, peer: Uint8Array): Encapsulation {
  if (curve === 'X25519') {
    const { publicKey, privateKey } = generateKeyPairSync('x25519')
    const secret = diffieHellman({
      publicKey: importRaw(peer, { asymmetricKeyType: 'x25519' }),
      privateKey,
    })
    return { encapsulated: exportRaw(publicKey), secret }
  }
  // Node also reads points in other encodings, which HPKE does not have.
  if (peer[0] !== 4) throw new TypeError('not an uncompressed point')
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const type = { asymmetricKeyType: 'ec', namedCurve: 'P-256' }
  const secret = diffieHellman({ publicKey: importRaw(peer, type), privateKey })
  return { encapsulated: exportRaw(publicKey, { type: 'uncompressed' }), secret }
}

/** DHKEM with HKDF-SHA256 (RFC 9180 §4.1). */
function encapsulateTo(curve: Curve, publicKey: Bytes): Encapsulation {
  const { encapsulated, secret } = agree(curve, publicKey)
  const id = concat(utf8('KEM'), u16(KEM_ID[curve]))
  const prk = extract(id, NO_SALT, 'eae_prk', secret)
  secret.fill(0)
  const shared = expand(
    id,
    createSecretKey(prk),
    'shared_secret',
    concat(encapsulated, publicKey),
    32,
  )
  return { encapsulated, secret: shared }
}

/** X-Wing (draft-connolly-cfrg-xwing-kem): ML-KEM-768 and X25519 under one hash. */
function encapsulateXWing(publicKey: Bytes): Encapsulation {
  const peer = publicKey.subarray(ML_KEM_PUBLIC)
  const mlKem = importRaw(publicKey.subarray(0, ML_KEM_PUBLIC), { asymmetricKeyType: 'ml-kem-768' })
  const m = encapsulate(mlKem)
  const x = agree('X25519', peer)
  const input = concat(m.sharedKey, x.secret, x.encapsulated, peer, LABEL)
  const secret = hash('sha3-256', input, 'buffer')
  for (const one of [input, m.sharedKey, x.secret]) one.fill(0)
  return { encapsulated: concat(m.ciphertext, x.encapsulated), secret }
}

/** What is the same in all key schedules of a suite: its id, and the hash of a pre-shared key's name, where there is none. */
const schedules = new Map<Suite, { id: Bytes; noName: Uint8Array }>()

function scheduleOf(suite: Suite): { id: Bytes; noName: Uint8Array } {
  const known = schedules.get(suite)
  if (known !== undefined) return known
  const id = concat(utf8('HPKE'), u16(KEM_ID[suite]), u16(1), u16(2))
  const made = { id, noName: extract(id, NO_SALT, 'psk_id_hash', EMPTY) }
  schedules.set(suite, made)
  return made
}

/** Key and nonce of the first message (RFC 9180 §5.1). Wipes the secret. */
function keySchedule(suite: Suite, shared: Uint8Array, info: Bytes): [Uint8Array, Uint8Array] {
  const { id, noName } = scheduleOf(suite)
  const context = concat(BASE_MODE, noName, extract(id, NO_SALT, 'info_hash', info))
  const secret = extract(id, createSecretKey(shared), 'secret', EMPTY)
  const prk = createSecretKey(secret)
  for (const one of [shared, secret]) one.fill(0)
  return [expand(id, prk, 'key', context, 32), expand(id, prk, 'base_nonce', context, 12)]
}

/** Seals `plaintext` to a public key, with empty aad. Throws `ERR_KEY_PACKAGE` for a key that is not one. */
export function seal(
  suite: Suite,
  publicKey: Bytes,
  plaintext: Bytes,
  info: Bytes,
): { encapsulated: Bytes; ciphertext: Bytes } {
  try {
    if (publicKey.length !== PUBLIC_KEY_LENGTH[suite]) throw new TypeError('another length')
    const { encapsulated, secret } =
      suite === 'MLKEM768-X25519' ? encapsulateXWing(publicKey) : encapsulateTo(suite, publicKey)
    const [key, nonce] = keySchedule(suite, secret, info)
    const cipher = createCipheriv('aes-256-gcm', createSecretKey(key), nonce)
    key.fill(0)
    const parts = [cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]
    return { encapsulated: concat(encapsulated), ciphertext: concat(...parts) }
  } catch (cause) {
    throw new KeyferryError('ERR_KEY_PACKAGE', 'the public key cannot be sealed to', { cause })
  }
}
