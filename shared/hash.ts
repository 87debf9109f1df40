/**
 * SHA-256 (FIPS 180-4), synchronous: most inputs here are a few dozen bytes, where a call into WebCrypto costs more than the
 * hash. Node's own where it is to be had, many times as fast on kilobytes; in browsers, megabytes go through `crypto.subtle.digest` at the caller's.
 */
// The class, since its wrapper with options is larger than what it wraps.
import { _SHA256 as Sha256 } from '@noble/hashes/sha2.js'
import type { Bytes } from './bytes.ts'

/** A hash in the making; `update` throws `TypeError` for what is no `Uint8Array`. */
export interface Hash {
  update(data: Uint8Array): unknown
  digest(): Bytes
}

/** What is used of `node:crypto`. Its digests are Buffers, whose `slice` and `toString` are others. */
interface NodeCrypto {
  hash(name: string, data: Uint8Array, encoding: 'buffer'): Uint8Array
  createHash(name: string): { update(data: Uint8Array): unknown; digest(): Uint8Array }
}
interface Platform {
  process?: { getBuiltinModule?: (name: string) => Partial<NodeCrypto> | undefined }
}

const node = (globalThis as Platform).process?.getBuiltinModule?.('node:crypto')

function createNodeHash(crypto: NodeCrypto): Hash {
  const hash = crypto.createHash('sha256')
  return {
    update(data) {
      // A string would be taken, too.
      if (!(data instanceof Uint8Array)) throw new TypeError('what is hashed is a Uint8Array')
      return hash.update(data)
    },
    digest: () => new Uint8Array(hash.digest()),
  }
}

const isNode = (one: Partial<NodeCrypto> | undefined): one is NodeCrypto => one?.hash !== undefined

/** H of docs/PROTOCOL.md over bytes that come one after another. */
export const createSha256: () => Hash = isNode(node)
  ? () => createNodeHash(node)
  : () => new Sha256()

/** H of docs/PROTOCOL.md: 32 bytes. */
export const sha256: (data: Uint8Array) => Bytes = isNode(node)
  ? (data) => new Uint8Array(node.hash('sha256', data, 'buffer'))
  : (data) => new Sha256().update(data).digest()
