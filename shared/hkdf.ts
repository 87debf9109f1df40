/** HKDF-SHA256 with the labels of HPKE (RFC 9180 §4), synchronous: its inputs are small (see hash.ts). */
import { expand, extract } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { concat, u16, utf8, type Bytes } from './bytes.ts'

const VERSION = utf8('HPKE-v1')
const EMPTY = new Uint8Array()

/** `LabeledExtract` of a suite id, as bytes: 32 bytes. */
export function labeledExtract(id: Bytes, salt: Bytes, label: string, ikm: Bytes): Bytes {
  return extract(sha256, concat(VERSION, id, utf8(label), ikm), salt)
}

/** `LabeledExpand` of a suite id, as bytes: `length` bytes. */
export function labeledExpand(
  id: Bytes,
  prk: Bytes,
  label: string,
  info: Bytes = EMPTY,
  length = 32,
): Bytes {
  return expand(sha256, prk, concat(u16(length), VERSION, id, utf8(label), info), length)
}
