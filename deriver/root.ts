/**
 * The root of all keys: something that computes HMAC-SHA-256 under the master secret and need not give it out
 * (docs/PROTOCOL.md, "Derivation"); and AES key wrap (RFC 3394) under keys made from it.
 */
import { createCipheriv, createHmac, createSecretKey } from 'node:crypto'
import { concat, type Bytes } from '../shared/bytes.ts'
import { commitInput, type VersionContext } from '../shared/kdf.ts'

/** HMAC-SHA-256 under the master secret. */
export interface Root {
  mac(input: Bytes): Bytes
}

/** HMAC-SHA-256: 32 bytes. A KeyObject keeps node:crypto from importing the key on each call. */
function hmac(key: ReturnType<typeof createSecretKey>, input: Bytes): Bytes {
  return new Uint8Array(createHmac('sha256', key).update(input).digest())
}

/** A root held in memory. `master` is 32 bytes. */
export function createRoot(master: Bytes): Root {
  if (master.length !== 32) throw new RangeError('the master secret has 32 bytes')
  const key = createSecretKey(master)
  return { mac: (input) => hmac(key, input) }
}

/** HMAC-SHA-256 under a derived key. */
export function macWith(key: Bytes, input: Bytes): Bytes {
  return hmac(createSecretKey(key), input)
}

/** The key id of a version secret. */
export function commit(secret: Bytes, context: VersionContext): Bytes {
  return macWith(secret, commitInput(context))
}

const DEFAULT_IV = Buffer.from('a6a6a6a6a6a6a6a6', 'hex')

/** AES-256 key wrap of a multiple of 8 bytes: 8 more come out. */
export function wrapKey(wrapping: Bytes, secret: Bytes): Bytes {
  const cipher = createCipheriv('id-aes256-wrap', wrapping, DEFAULT_IV)
  return concat(cipher.update(secret), cipher.final())
}
