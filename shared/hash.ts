/**
 * SHA-256 (FIPS 180-4), synchronous: for derivers, whose transactions wait for nothing, for relays, and for what comes piece by piece. Node's own where it is to be
 * had, many times as fast on kilobytes. What clients hash in one piece is digest.ts.
 */
// The class, since its wrapper with options is larger than what it wraps.
import { _SHA256 as Sha256 } from '@noble/hashes/sha2.js'
import { fromLatin1, type Bytes } from './bytes.ts'
import { nodeHash } from './node-hash.ts'

/** H of docs/PROTOCOL.md over bytes that come one after another; `update` throws `TypeError` for what is no `Uint8Array`. */
export function createSha256(): { update(data: Uint8Array): unknown; digest(): Bytes } {
  return new Sha256()
}

/** H of docs/PROTOCOL.md: 32 bytes. */
export function sha256(data: Uint8Array): Bytes {
  // As a text: memory for a Buffer takes Node three times as long as the hash of a short input.
  return nodeHash
    ? fromLatin1(nodeHash('sha256', data, 'binary'))
    : new Sha256().update(data).digest()
}
