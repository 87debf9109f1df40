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
  return a.length === b.length && isAt(a, 0, b)
}

/** Whether these bytes stand at a place. Not constant time: for public values only. */
export function isAt(bytes: Uint8Array, at: number, wanted: Uint8Array): boolean {
  for (let i = 0; i < wanted.length; i++) if (bytes[at + i] !== wanted[i]) return false
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

// An element of a Uint8Array takes the lowest bits of a number (ECMAScript, ToUint8).

/** An integer as 2 bytes, big-endian. Throws `RangeError` outside 0 … 65535. */
export function u16(value: number): Bytes {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff)
    throw new RangeError('integer out of range')
  return Uint8Array.of(value >>> 8, value)
}

/** An integer as 4 bytes, big-endian. Throws `RangeError` outside 0 … 2^32 − 1. */
export function u32(value: number): Bytes {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff)
    throw new RangeError('integer out of range')
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value)
}

/** An integer as 8 bytes, big-endian. Throws `RangeError` outside 0 … 2^53 − 1. */
export function u64(value: number): Bytes {
  if (!Number.isSafeInteger(value)) throw new RangeError('integer out of range')
  // A negative one has a negative upper half.
  return concat(u32(Math.floor(value / 2 ** 32)), u32(value % 2 ** 32))
}

/** Writes fixed-layout bytes front to back, into memory of the length that they will have. What does not fit is a `RangeError`. */
export class Writer {
  readonly #bytes: Bytes
  readonly #view: DataView
  #offset = 0

  constructor(length: number) {
    this.#bytes = new Uint8Array(length)
    this.#view = viewOf(this.#bytes)
  }

  put(bytes: Uint8Array): this {
    this.#bytes.set(bytes, this.#offset)
    this.#offset += bytes.length
    return this
  }

  /** An integer as {@link u32}. */
  u32(value: number): this {
    if (!Number.isInteger(value) || value < 0 || value > 0xffffffff)
      throw new RangeError('integer out of range')
    this.#view.setUint32(this.#offset, value)
    this.#offset += 4
    return this
  }

  /** An integer as {@link u64}. */
  u64(value: number): this {
    if (!Number.isSafeInteger(value)) throw new RangeError('integer out of range')
    // A negative one has a negative upper half.
    return this.u32(Math.floor(value / 2 ** 32)).u32(value % 2 ** 32)
  }

  end(): Bytes {
    if (this.#offset !== this.#bytes.length) throw new RangeError('bytes are missing')
    return this.#bytes
  }
}

/** The integers of some bytes. */
export function viewOf({ buffer, byteOffset, length }: Bytes): DataView {
  return new DataView(buffer, byteOffset, length)
}

/** The 8 bytes at a place. Throws `ERR_MALFORMED` above 2^53 − 1. */
export function u64At(view: DataView, at: number): number {
  const value = view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4)
  if (!Number.isSafeInteger(value)) throw new KeyferryError('ERR_MALFORMED', 'integer out of range')
  return value
}

/** Reads fixed-layout bytes front to back; every overrun is `ERR_MALFORMED`, and so are bytes left at {@link end}. */
export class Reader {
  readonly #bytes: Bytes
  readonly #view: DataView
  #offset = 0

  constructor(bytes: Bytes) {
    this.#bytes = bytes
    this.#view = viewOf(bytes)
  }

  /** Bytes not yet read. */
  get left(): number {
    return this.#bytes.length - this.#offset
  }

  /** Goes on by so many bytes; returns where they begin. */
  pass(length: number): number {
    if (length < 0 || length > this.left) throw new KeyferryError('ERR_MALFORMED', 'truncated')
    const from = this.#offset
    this.#offset += length
    return from
  }

  /** The next `length` bytes, as a view. */
  take(length: number): Bytes {
    const from = this.pass(length)
    return this.#bytes.subarray(from, this.#offset)
  }

  /** The next bytes must be these. */
  expect(bytes: Uint8Array, what: string): void {
    if (!equal(this.take(Math.min(bytes.length, this.left)), bytes)) {
      throw new KeyferryError('ERR_MALFORMED', `not a ${what}`)
    }
  }

  u16(): number {
    return this.#view.getUint16(this.pass(2))
  }

  u32(): number {
    return this.#view.getUint32(this.pass(4))
  }

  /** Throws `ERR_MALFORMED` above 2^53 − 1. */
  u64(): number {
    return u64At(this.#view, this.pass(8))
  }

  end(): void {
    if (this.left !== 0) throw new KeyferryError('ERR_MALFORMED', 'bytes after the end')
  }
}

/** A text with a character for each byte: no engine makes one at less cost. */
export function latin1(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i += 4_096)
    text += String.fromCharCode.apply(null, bytes.subarray(i, i + 4_096) as unknown as number[])
  return text
}

/** Inverse of {@link latin1}. */
export function fromLatin1(text: string): Bytes {
  const out = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i)
  return out
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
  if (/[^\da-f]/.test(text) || text.length % 2 !== 0)
    throw new KeyferryError('ERR_MALFORMED', 'not hex')
  const out = new Uint8Array(text.length / 2)
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16)
  return out
}

/** Of ECMAScript 2026: what a page decodes at its start, no engine has compiled yet. */
interface PlatformBase64 {
  fromBase64?: (text: string, options: { alphabet: 'base64url' }) => Bytes
}

/** base64url without padding (RFC 4648 §5). */
export function base64url(bytes: Uint8Array): string {
  return btoa(latin1(bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

/** By the platform, which passes over white space and padding and reads what it should not; throws for most other characters. */
function decodeBase64url(text: string): Bytes {
  const { fromBase64 } = Uint8Array as PlatformBase64
  if (fromBase64) return fromBase64(text, { alphabet: 'base64url' })
  return fromLatin1(atob(/[+/]/.test(text) ? '' : text.replaceAll('-', '+').replaceAll('_', '/')))
}

/**
 * Bytes of base64url without padding. Throws `ERR_NOT_CANONICAL` for padding, other characters, an impossible length
 * or non-zero unused bits (the platform's own decoders accept some of these).
 */
export function fromBase64url(text: string): Bytes {
  const rest = text.slice(text.length - (text.length % 4))
  try {
    const out = decodeBase64url(text)
    // White space and padding are no bytes.
    if (
      out.length === Math.floor((text.length * 3) / 4) &&
      /^(|.[AQgw]|..[AEIMQUYcgkosw048])$/.test(rest)
    )
      return out
  } catch {
    // Other characters.
  }
  throw new KeyferryError('ERR_NOT_CANONICAL', 'not canonical base64url')
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
