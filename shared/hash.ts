/**
 * SHA-256 (FIPS 180-4), synchronous: most inputs here are a few dozen bytes, where a call into WebCrypto costs more than the
 * hash. Inputs of megabytes go through the platform (`crypto.subtle.digest`) at the caller's.
 */
// The class, since its wrapper with options is larger than what it wraps.
import { _SHA256 as Sha256 } from '@noble/hashes/sha2.js'
import type { Bytes } from './bytes.ts'

/** H of docs/PROTOCOL.md over bytes that come one after another; `update` throws `TypeError` for what is no `Uint8Array`. */
export function createSha256(): { update(data: Uint8Array): unknown; digest(): Bytes } {
  return new Sha256()
}

/** H of docs/PROTOCOL.md: 32 bytes. */
export function sha256(data: Uint8Array): Bytes {
  return new Sha256().update(data).digest()
}
