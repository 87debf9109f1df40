/** SHA-2, by the names of WebCrypto. */
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js'
import { type CHash } from '@noble/hashes/utils.js'
import { refuse } from './key.ts'

const HASHES: Record<string, CHash> = { 'SHA-256': sha256, 'SHA-384': sha384, 'SHA-512': sha512 }

/** A hash. Throws `NotSupportedError`. */
export function hashOf(name: string): CHash {
  return HASHES[name] ?? refuse('NotSupportedError', `no hash ${name}`)
}
