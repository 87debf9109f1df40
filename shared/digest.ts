/**
 * SHA-256 (FIPS 180-4) by the platform: what clients hash with, so that a page loads no hash of its own and compiles none. Node's own where it is to be had, which
 * costs a tenth of a call into WebCrypto. Where nobody can wait, hash.ts does the same.
 */
import type { Bytes } from './bytes.ts'
import { once } from './once.ts'
import { nodeHash } from './node-hash.ts'
import { subtle } from './platform.ts'

/** H of docs/PROTOCOL.md: 32 bytes. */
export async function digest(data: Bytes): Promise<Bytes> {
  return new Uint8Array(
    nodeHash ? nodeHash('sha256', data, 'buffer') : await subtle().digest('SHA-256', data),
  )
}

/** The digest of bytes that nobody changes and that are asked for again and again, such as those of a certificate that was read. */
export const digestOnce: (data: Bytes) => Promise<Bytes> = once(digest)
