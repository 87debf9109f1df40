/**
 * SHA-256 (FIPS 180-4), synchronous: most inputs here are a few dozen bytes, where a call into WebCrypto costs more than the
 * hash. Inputs of megabytes go through the platform (`crypto.subtle.digest`) at the caller's.
 */
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js'
import type { Bytes } from './bytes.ts'

/** H of docs/PROTOCOL.md over bytes that come one after another; `update` throws `TypeError` for what is no `Uint8Array`. */
export function createSha256(): { update(data: Uint8Array): unknown; digest(): Bytes } {
  return nobleSha256.create()
}

/** H of docs/PROTOCOL.md: 32 bytes. */
export function sha256(data: Uint8Array): Bytes {
  return nobleSha256(data)
}
