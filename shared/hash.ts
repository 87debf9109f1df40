/**
 * SHA-256 (FIPS 180-4), synchronous: most inputs here are a few dozen bytes, where a call into WebCrypto costs more than the
 * hash. Node's own where it is to be had, many times as fast on kilobytes; elsewhere what is large goes through `crypto.subtle.digest` (signature.ts).
 */
// The class, since its wrapper with options is larger than what it wraps.
import { _SHA256 as Sha256 } from '@noble/hashes/sha2.js'
import type { Bytes } from './bytes.ts'

/** What is used of `node:crypto`. */
type OneShot = (name: string, data: Uint8Array, encoding: 'buffer') => Uint8Array
interface Platform {
  process?: { getBuiltinModule?: (name: string) => { hash?: OneShot } | undefined }
}

const hash = (globalThis as Platform).process?.getBuiltinModule?.('node:crypto')?.hash

/** H of docs/PROTOCOL.md over bytes that come one after another; `update` throws `TypeError` for what is no `Uint8Array`. */
export function createSha256(): { update(data: Uint8Array): unknown; digest(): Bytes } {
  return new Sha256()
}

/** H of docs/PROTOCOL.md: 32 bytes. */
export function sha256(data: Uint8Array): Bytes {
  // A Buffer's `slice` and `toString` are others.
  return hash ? new Uint8Array(hash('sha256', data, 'buffer')) : new Sha256().update(data).digest()
}
