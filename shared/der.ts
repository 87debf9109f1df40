/**
 * DER, the part of X.690 that certificates, CRLs and certification requests need: a strict reader and a small writer.
 *
 * The reader never recurses by itself: its caller walks a fixed schema, so depth is bounded by the schema and work by
 * the length of the input. Everything that is not DER (indefinite or non-minimal lengths, long tags, padded integers,
 * loose booleans and dates, bytes left over) is `ERR_MALFORMED`.
 */
import { type Bytes, concat, utf8 } from './bytes.ts'
import { KeyferryError } from './errors.ts'

const BOOLEAN = 0x01
export const INTEGER = 0x02
export const BIT_STRING = 0x03
export const OCTET_STRING = 0x04
const OID = 0x06
export const ENUMERATED = 0x0a
export const UTF8_STRING = 0x0c
export const PRINTABLE_STRING = 0x13
export const UTC_TIME = 0x17
export const GENERALIZED_TIME = 0x18
export const SEQUENCE = 0x30
export const SET = 0x31

/** An OID has at most this many content octets: its arcs are unbounded, the work of reading it is not. */
const MAX_OID = 64

/** The Gregorian calendar repeats after 146,097 days. */
const SECONDS_OF_400_YEARS = 146_097 * 86_400

/** One element: its tag octet, all its bytes, and its content, as views. */
export type DerElement = { readonly tag: number; readonly raw: Bytes; readonly content: Bytes }

function malformed(what: string): KeyferryError {
  return new KeyferryError('ERR_MALFORMED', what)
}

/** Reads all of `bytes` by `body`; bytes left after it are `ERR_MALFORMED`. */
export function readDer<T>(bytes: Bytes, body: (reader: DerReader) => T): T {
  const reader = new DerReader(bytes)
  const out = body(reader)
  if (!reader.done) throw malformed('bytes after the end')
  return out
}

/** Reads elements front to back. Use it through {@link readDer}, which does not forget the end. */
export class DerReader {
  readonly #bytes: Bytes
  #at = 0

  constructor(bytes: Bytes) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#at === this.#bytes.length
  }

  /** True when the next element has this tag octet. */
  has(tag: number): boolean {
    return this.#bytes[this.#at] === tag
  }

  #octet(): number {
    const octet = this.#bytes[this.#at++]
    if (octet === undefined) throw malformed('truncated')
    return octet
  }

  /** The next element, which must have this tag octet when one is given. */
  element(expected?: number): DerElement {
    const start = this.#at
    const tag = this.#octet()
    if (tag === 0 || (tag & 0x1f) === 0x1f || (expected !== undefined && tag !== expected)) {
      throw malformed('another tag than expected')
    }
    let length = this.#octet()
    if (length >= 0x80) {
      // The indefinite form of BER, 0x80, has no octets and so is never minimal.
      const octets = length - 0x80
      length = 0
      for (let i = 0; i < octets; i++) length = length * 256 + this.#octet()
      if (length < 0x80 || length < 256 ** (octets - 1)) throw malformed('length not minimal')
    }
    const from = this.#at
    this.#at += length
    if (this.#at > this.#bytes.length) throw malformed('truncated')
    const content = this.#bytes.subarray(from, this.#at)
    return { tag, raw: this.#bytes.subarray(start, this.#at), content }
  }

  /** Content of the next element of this tag. */
  read(tag: number): Bytes {
    return this.element(tag).content
  }

  /** Reads inside the next element of this tag, up to its end. */
  inside<T>(tag: number, body: (reader: DerReader) => T): T {
    return readDer(this.read(tag), body)
  }

  /** SEQUENCE OF (or another tag) with at least one item. */
  list<T>(item: (reader: DerReader) => T, tag: number = SEQUENCE): T[] {
    return this.inside(tag, (reader) => {
      const items: T[] = []
      do items.push(item(reader))
      while (!reader.done)
      return items
    })
  }

  /** BOOLEAN DEFAULT FALSE (or another tag): absent or TRUE; a written-out FALSE is not DER. */
  flag(tag: number = BOOLEAN): boolean {
    if (!this.has(tag)) return false
    const content = this.read(tag)
    if (content.length !== 1 || content[0] !== 0xff) throw malformed('boolean')
    return true
  }

  /** Two's complement content of an INTEGER (or ENUMERATED), minimal. */
  integer(tag: number = INTEGER): Bytes {
    const content = this.read(tag)
    const [first, second = 0] = content
    if (first === undefined) throw malformed('empty integer')
    const padding = second < 0x80 ? 0x00 : 0xff
    if (content.length > 1 && first === padding) throw malformed('integer not minimal')
    return content
  }

  /** A non-negative INTEGER (or ENUMERATED) up to 2^53 − 1. */
  count(tag: number = INTEGER): number {
    const content = this.integer(tag)
    let value = content[0]! < 0x80 ? 0 : -1
    for (const octet of content) value = value * 256 + octet
    if (value < 0 || !Number.isSafeInteger(value)) throw malformed('integer out of range')
    return value
  }

  /** OBJECT IDENTIFIER in dotted form. */
  oid(): string {
    const content = this.read(OID)
    if (content.length > MAX_OID || !(content.at(-1)! < 0x80)) throw malformed('OID')
    const arcs: bigint[] = []
    let arc = 0n
    let isFirst = true
    for (const octet of content) {
      if (isFirst && octet === 0x80) throw malformed('OID not minimal')
      arc = (arc << 7n) | BigInt(octet & 0x7f)
      isFirst = octet < 0x80
      if (!isFirst) continue
      if (arcs.length === 0) {
        const root = arc < 80n ? arc / 40n : 2n
        arcs.push(root)
        arc -= 40n * root
      }
      arcs.push(arc)
      arc = 0n
    }
    return arcs.join('.')
  }

  /** BIT STRING of whole octets. */
  bits(): Bytes {
    const content = this.read(BIT_STRING)
    if (content[0] !== 0) throw malformed('bit string')
    return content.subarray(1)
  }

  /** BIT STRING of at most 16 named bits as a mask: bit n is `1 << n`. At least one is set, none is padding. */
  namedBits(): number {
    const [unused = 8, ...octets] = this.read(BIT_STRING)
    const last = octets.at(-1) ?? 0
    // The last bit that is used must be set, and the unused ones after it must not.
    if (octets.length > 2 || unused > 7 || last % (1 << (unused + 1)) !== 1 << unused) {
      throw malformed('named bits')
    }
    let mask = 0
    for (let n = 0; n < 8 * octets.length; n++) {
      if (octets[n >> 3]! & (0x80 >> (n & 7))) mask |= 1 << n
    }
    return mask
  }

  /** UTCTime or GeneralizedTime (RFC 5280 §4.1.2.5: seconds, `Z`, no fraction) in seconds since 1970. */
  time(): number {
    const isShort = this.has(UTC_TIME)
    const content = this.read(isShort ? UTC_TIME : GENERALIZED_TIME)
    const from = isShort ? 2 : 4
    if (content.length !== from + 11 || content[from + 10] !== 0x5a) throw malformed('time')
    const pair = (at: number): number => {
      const [tens, ones] = [content[at]! - 0x30, content[at + 1]! - 0x30]
      if (!(tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9)) throw malformed('time')
      return 10 * tens + ones
    }
    const [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map((at) => pair(from + at))
    const last = pair(from - 2)
    const year = isShort ? last + (last < 50 ? 2000 : 1900) : 100 * pair(0) + last
    // 400 years later, since the first century means the twentieth to Date.UTC; the 30th of February comes out in another month.
    const date = new Date(Date.UTC(year + 400, month! - 1, day, hour, minute, second))
    const isDate = date.getUTCMonth() === month! - 1
    if (!isDate || hour! > 23 || minute! > 59 || second! > 59) throw malformed('time')
    return date.getTime() / 1000 - SECONDS_OF_400_YEARS
  }
}

/** An element of this tag octet around the parts. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Bytes {
  const content = concat(...parts)
  const length: number[] = []
  if (content.length < 0x80) length.push(content.length)
  else {
    for (let left = content.length; left > 0; left >>>= 8) length.unshift(left & 0xff)
    length.unshift(0x80 + length.length)
  }
  return concat(Uint8Array.of(tag, ...length), content)
}

export function derSequence(...parts: readonly Uint8Array[]): Bytes {
  return der(SEQUENCE, ...parts)
}

/** A SET of one element, the only kind that names need. */
export function derSet(part: Uint8Array): Bytes {
  return der(SET, part)
}

/** INTEGER of an unsigned big-endian number or of 0 … 2^53 − 1. */
export function derInteger(value: Uint8Array | number, tag: number = INTEGER): Bytes {
  let octets: Uint8Array
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not an integer: ${value}`)
    octets = Uint8Array.from(value.toString(16).padStart(14, '0').match(/../g)!, (pair) =>
      Number.parseInt(pair, 16),
    )
  } else octets = value
  let from = 0
  while (octets[from] === 0) from++
  const sign = from === octets.length || octets[from]! >= 0x80 ? [0] : []
  return der(tag, Uint8Array.from(sign), octets.subarray(from))
}

/** OBJECT IDENTIFIER of a dotted form. Throws `RangeError` when it is none. */
export function derOid(dotted: string): Bytes {
  if (!/^([01]\.[1-3]?\d|2\.(0|[1-9]\d*))(\.(0|[1-9]\d*))*$/.test(dotted)) {
    throw new RangeError(`not an OID: ${dotted}`)
  }
  const [root, second, ...arcs] = dotted.split('.').map(BigInt)
  const octets = [root! * 40n + second!, ...arcs].flatMap((arc) => {
    const out = [Number(arc & 0x7fn)]
    for (let left = arc >> 7n; left > 0n; left >>= 7n) out.unshift(Number(left & 0x7fn) | 0x80)
    return out
  })
  return der(OID, Uint8Array.from(octets))
}

/** BIT STRING, with this many unused bits at its end. */
export function derBits(bytes: Uint8Array, unused = 0): Bytes {
  return der(BIT_STRING, Uint8Array.of(unused), bytes)
}

export function derOctets(bytes: Uint8Array): Bytes {
  return der(OCTET_STRING, bytes)
}

export function derBoolean(value: boolean): Bytes {
  return der(BOOLEAN, Uint8Array.of(value ? 0xff : 0))
}

/** PrintableString where the text allows it, else UTF8String. */
export function derText(text: string): Bytes {
  return der(/^[A-Za-z0-9 '()+,./:=?-]*$/.test(text) ? PRINTABLE_STRING : UTF8_STRING, utf8(text))
}

/** UTCTime from 1950 until 2049, GeneralizedTime otherwise (RFC 5280 §4.1.2.5), of seconds since 1970. */
export function derTime(seconds: number): Bytes {
  const text = new Date(seconds * 1000).toISOString().replace(/\.\d+|[-:T]/g, '')
  if (text.length !== 15) throw new RangeError(`no such time: ${seconds}`)
  const isShort = text >= '195' && text < '205'
  return isShort ? der(UTC_TIME, utf8(text.slice(2))) : der(GENERALIZED_TIME, utf8(text))
}

/** `[n] EXPLICIT`, or IMPLICIT of a constructed type, around the parts. */
export function derExplicit(n: number, ...parts: readonly Uint8Array[]): Bytes {
  return der(0xa0 + n, ...parts)
}

/** `[n] IMPLICIT` of a primitive type with this content. */
export function derImplicit(n: number, content: Uint8Array): Bytes {
  return der(0x80 + n, content)
}
