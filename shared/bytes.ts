/**
 * Bytes and their text forms (docs/PROTOCOL.md, "Conventions"). Every decoder accepts exactly one spelling of a value:
 * two texts of one value would let a relay re-encode a document without anybody noticing.
 */
import { KeyferryError } from './errors.ts'

/** Bytes as WebCrypto wants them. */
export type Bytes = Uint8Array<ArrayBuffer>

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** UTF-8 bytes of a text. */
export function utf8(text: string): Bytes {
  return encoder.encode(text)
}

/** Text of UTF-8 bytes, a byte order mark kept. Throws `ERR_MALFORMED` for invalid UTF-8. */
export function fromUtf8(bytes: Bytes): string {
  try {
    return decoder.decode(bytes)
  } catch (cause) {
    throw new KeyferryError('ERR_MALFORMED', 'not valid UTF-8', { cause })
  }
}

/** All parts behind one another, in new memory. */
export function concat(...parts: readonly Uint8Array[]): Bytes {
  let length = 0
  for (const part of parts) length += part.length
  const out = new Uint8Array(length)
  let offset = 0
  for (const part of parts) {
    out.set(part, offset)
    offset += part.length
  }
  return out
}

/** Equal length and content. Not constant time: for public values only. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Order of two byte strings, as unsigned bytes, a prefix first: negative, 0 or positive. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length)
  for (let i = 0; i < shorter; i++) {
    const difference = a[i]! - b[i]!
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

/** An integer as 2 bytes, big-endian. Throws `RangeError` outside 0 … 65535. */
export function u16(value: number): Bytes {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff)
    throw new RangeError(`not a u16: ${value}`)
  return Uint8Array.of(value >>> 8, value & 0xff)
}

/** An integer as 4 bytes, big-endian. Throws `RangeError` outside 0 … 2^32 − 1. */
export function u32(value: number): Bytes {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff)
    throw new RangeError(`not a u32: ${value}`)
  return Uint8Array.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff)
}

/** An integer as 8 bytes, big-endian. Throws `RangeError` outside 0 … 2^53 − 1. */
export function u64(value: number): Bytes {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a u64: ${value}`)
  const out = new Uint8Array(8)
  const view = new DataView(out.buffer)
  view.setUint32(0, value / 2 ** 32)
  view.setUint32(4, value % 2 ** 32)
  return out
}

/** Reads fixed-layout bytes front to back; every overrun is `ERR_MALFORMED`, and so are bytes left at {@link end}. */
export class Reader {
  readonly #bytes: Bytes
  #offset = 0

  constructor(bytes: Bytes) {
    this.#bytes = bytes
  }

  /** Bytes not yet read. */
  get left(): number {
    return this.#bytes.length - this.#offset
  }

  /** The next `length` bytes, as a view. */
  take(length: number): Bytes {
    if (length < 0 || length > this.left) throw new KeyferryError('ERR_MALFORMED', 'truncated')
    const out = this.#bytes.subarray(this.#offset, this.#offset + length)
    this.#offset += length
    return out
  }

  /** The next bytes must be these. */
  expect(bytes: Uint8Array, what: string): void {
    if (!equal(this.take(Math.min(bytes.length, this.left)), bytes)) {
      throw new KeyferryError('ERR_MALFORMED', `does not begin as a ${what}`)
    }
  }

  u16(): number {
    const b = this.take(2)
    return b[0]! * 0x100 + b[1]!
  }

  u32(): number {
    const b = this.take(4)
    return b[0]! * 0x1000000 + b[1]! * 0x10000 + b[2]! * 0x100 + b[3]!
  }

  /** Throws `ERR_MALFORMED` above 2^53 − 1. */
  u64(): number {
    const value = this.u32() * 2 ** 32 + this.u32()
    if (!Number.isSafeInteger(value))
      throw new KeyferryError('ERR_MALFORMED', 'integer above 2^53 - 1')
    return value
  }

  end(): void {
    if (this.left !== 0) throw new KeyferryError('ERR_MALFORMED', 'bytes after the end')
  }
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** Lower-case hexadecimal. */
export function hex(bytes: Uint8Array): string {
  let out = ''
  for (const byte of bytes) out += HEX[byte]
  return out
}

/** Bytes of lower-case hexadecimal. Throws `ERR_MALFORMED` for anything else. */
export function fromHex(text: string): Bytes {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text))
    throw new KeyferryError('ERR_MALFORMED', 'not hexadecimal')
  const out = new Uint8Array(text.length / 2)
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16)
  return out
}

const B64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const B64_VALUE = new Int8Array(128).fill(-1)
for (let i = 0; i < 64; i++) B64_VALUE[B64.charCodeAt(i)] = i

/** base64url without padding (RFC 4648 §5). */
export function base64url(bytes: Uint8Array): string {
  let out = ''
  let i = 0
  for (; i + 2 < bytes.length; i += 3) {
    const n = (bytes[i]! << 16) | (bytes[i + 1]! << 8) | bytes[i + 2]!
    out += B64[n >>> 18]! + B64[(n >>> 12) & 63]! + B64[(n >>> 6) & 63]! + B64[n & 63]!
  }
  if (i + 1 === bytes.length) {
    const n = bytes[i]! << 16
    out += B64[n >>> 18]! + B64[(n >>> 12) & 63]!
  } else if (i + 2 === bytes.length) {
    const n = (bytes[i]! << 16) | (bytes[i + 1]! << 8)
    out += B64[n >>> 18]! + B64[(n >>> 12) & 63]! + B64[(n >>> 6) & 63]!
  }
  return out
}

/**
 * Bytes of base64url without padding. Throws `ERR_NOT_CANONICAL` for padding, other characters, an impossible length
 * or non-zero unused bits (the platform's own decoders accept some of these).
 */
export function fromBase64url(text: string): Bytes {
  const whole = text.length - (text.length % 4)
  const out = new Uint8Array(Math.floor((text.length * 3) / 4))
  // One that is none makes everything that it is or-ed into negative.
  const value = (i: number): number => B64_VALUE[text.charCodeAt(i)] ?? -1
  let at = 0
  let bad = text.length % 4 === 1 ? -1 : 0
  for (let i = 0; i < whole; i += 4) {
    const n = (value(i) << 18) | (value(i + 1) << 12) | (value(i + 2) << 6) | value(i + 3)
    bad |= n
    out[at++] = n >> 16
    out[at++] = n >> 8
    out[at++] = n
  }
  if (at < out.length) {
    const isTwo = at + 2 === out.length
    const n = (value(whole) << 12) | (value(whole + 1) << 6) | (isTwo ? value(whole + 2) : 0)
    // The bits that no octet has are zero.
    bad |= n | -(n & (isTwo ? 3 : 0x3ff))
    out[at++] = n >> 10
    if (isTwo) out[at] = n >> 2
  }
  if (bad < 0) throw new KeyferryError('ERR_NOT_CANONICAL', 'not canonical base64url')
  return out
}

const B32 = 'abcdefghijklmnopqrstuvwxyz234567'

/** Lower-case base32 without padding (RFC 4648 §6): the text form of a tenant id. */
export function base32(bytes: Uint8Array): string {
  let out = ''
  let bits = 0
  let count = 0
  for (const byte of bytes) {
    bits = ((bits << 8) | byte) & 0xfff
    count += 8
    while (count >= 5) {
      count -= 5
      out += B32[(bits >>> count) & 31]!
    }
  }
  if (count > 0) out += B32[(bits << (5 - count)) & 31]!
  return out
}

/** Bytes of lower-case base32 without padding. Throws `ERR_NOT_CANONICAL` for anything else. */
export function fromBase32(text: string): Bytes {
  const out = new Uint8Array(Math.floor((text.length * 5) / 8))
  let bits = 0
  let count = 0
  let at = 0
  for (const character of text) {
    const value = B32.indexOf(character)
    if (value < 0) throw new KeyferryError('ERR_NOT_CANONICAL', 'not canonical base32')
    bits = ((bits << 5) | value) & 0xfff
    count += 5
    if (count >= 8) {
      count -= 8
      out[at++] = (bits >>> count) & 0xff
    }
  }
  if (count >= 5 || (bits & ((1 << count) - 1)) !== 0) {
    throw new KeyferryError('ERR_NOT_CANONICAL', 'not canonical base32')
  }
  return out
}
