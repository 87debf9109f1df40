import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Bytes, concat, fromHex, hex, utf8 } from '../../shared/bytes.ts'
import {
  der,
  derBits,
  derBoolean,
  derExplicit,
  derImplicit,
  derInteger,
  derOid,
  derSequence,
  DerReader,
  derText,
  derTime,
  readDer,
} from '../../shared/der.ts'
import { errorCode } from '../lib/odd-certificates.ts'

type Read = (reader: DerReader) => unknown
const readers: Record<string, Read> = {
  element: (r) => r.element(),
  octets: (r) => r.read(0x04),
  flag: (r) => r.flag(),
  integer: (r) => r.integer(),
  count: (r) => r.count(),
  oid: (r) => r.oid(),
  bits: (r) => r.bits(),
  namedBits: (r) => r.namedBits(),
  time: (r) => r.time(),
  list: (r) => r.list((item) => item.count()),
}

function read(name: string, text: string | Bytes): unknown {
  return readDer(typeof text === 'string' ? fromHex(text) : text, readers[name]!)
}

describe('reader', () => {
  it.each([
    ['no tag', 'element', ''],
    ['no length', 'element', '04'],
    ['end-of-contents tag', 'element', '0000'],
    ['long tag form', 'element', '1f0100'],
    ['indefinite length', 'element', '30800000'],
    ['length in four octets', 'element', '048400000001aa'],
    ['indefinite length as 128', 'element', `0480${'00'.repeat(128)}`],
    ['length of 127 octets', 'element', `04ff${'ff'.repeat(130)}`],
    ['length longer than needed', 'element', '048101aa'],
    ['length with a leading zero', 'element', `04820080${'00'.repeat(128)}`],
    ['content missing', 'element', '0402aa'],
    ['length octets missing', 'element', '0482'],
    ['bytes after the end', 'element', '0401aa00'],
    ['another tag', 'octets', '0501aa'],
    ['constructed octet string', 'octets', '24030401aa'],
    ['boolean FALSE written out', 'flag', '010100'],
    ['boolean of another value', 'flag', '010101'],
    ['boolean of two octets', 'flag', '0102ffff'],
    ['empty boolean', 'flag', '0100'],
    ['empty integer', 'integer', '0200'],
    ['padded positive integer', 'integer', '0202007f'],
    ['padded negative integer', 'integer', '0202ff80'],
    ['negative count', 'count', '0201ff'],
    ['most negative octet as count', 'count', '020180'],
    ['count above 2^53 - 1', 'count', '020720000000000000'],
    ['empty OID', 'oid', '0600'],
    ['OID arc with padding', 'oid', '06032a8001'],
    ['OID that begins with padding', 'oid', '06028001'],
    ['OID without an end', 'oid', '06022a83'],
    ['OID that ends in padding', 'oid', '06032a8180'],
    ['OID of 65 octets', 'oid', `0641${'2a'.repeat(65)}`],
    ['empty bit string', 'bits', '0300'],
    ['bit string with unused bits', 'bits', '030201aa'],
    ['named bits of which 32 are unused', 'namedBits', '03022001'],
    ['named bits: none', 'namedBits', '030100'],
    ['named bits: empty content', 'namedBits', '0300'],
    ['named bits: unused but no octet', 'namedBits', '030107'],
    ['named bits: trailing zero bit', 'namedBits', '03020680'],
    ['named bits: set bit among the unused', 'namedBits', '030207c0'],
    ['named bits: eight unused', 'namedBits', '03020880'],
    ['named bits: trailing zero octet', 'namedBits', '0303008000'],
    ['named bits: three octets', 'namedBits', '030400808001'],
    ['empty list', 'list', '3000'],
  ])('refuses %s', async (_, reader, text) => {
    expect(await errorCode(() => read(reader, text))).toBe('ERR_MALFORMED')
  })

  it('never gives content that is cut off', async () => {
    for (const text of ['', '04', '0402aa']) {
      const reader = new DerReader(fromHex(text))
      expect(await errorCode(() => reader.element())).toBe('ERR_MALFORMED')
    }
  })

  it('reads what is minimal', () => {
    expect(read('octets', `048180${'aa'.repeat(128)}`)).toHaveLength(128)
    expect(read('octets', `04820100${'aa'.repeat(256)}`)).toHaveLength(256)
    expect(read('flag', '0101ff')).toBe(true)
    expect(read('flag', '')).toBe(false)
    expect(hex(read('integer', '02020080') as Bytes)).toBe('0080')
    expect(hex(read('integer', '0202ff7f') as Bytes)).toBe('ff7f')
    expect(read('count', '02071fffffffffffff')).toBe(Number.MAX_SAFE_INTEGER)
    expect(read('oid', `0640${'2a'.repeat(64)}`)).toMatch(/^1\.2(\.42){63}$/)
    expect(read('namedBits', '03020780')).toBe(1)
    expect(read('namedBits', '03020106')).toBe(0x60)
    expect(read('namedBits', '0303070080')).toBe(0x100)
    expect(read('list', '3006020101020102')).toEqual([1, 2])
  })

  it.each([
    ['000101000000Z', 946_684_800],
    ['491231235959Z', 2_524_607_999],
    ['500101000000Z', -631_152_000],
    ['20500101000000Z', 2_524_608_000],
    ['20240229120000Z', 1_709_208_000],
  ])('reads the time %s', (text, seconds) => {
    const tag = text.length === 13 ? 0x17 : 0x18
    expect(read('time', der(tag, new TextEncoder().encode(text)))).toBe(seconds)
  })

  it.each([
    ['short', '2401010000Z'],
    ['short', '240101000000+0000'],
    ['short', '240101000000'],
    ['short', '2401010000000'],
    ['short', '240101000000Z0'],
    ['long', '20240101000000Z0'],
    ['short', '230229000000Z'],
    ['short', '241301000000Z'],
    ['short', '240100000000Z'],
    ['short', '240101240000Z'],
    ['short', '240101006000Z'],
    ['short', '240101000060Z'],
    ['short', '24010100000 Z'],
    ['short', '240101000000z'],
    ['short', '20240101000000Z'],
    ['long', '240101000000Z'],
    ['long', '20240101000000.5Z'],
    ['long', '20240230000000Z'],
    ['long', '20240101000000+0100'],
    ['long', '20240101000000'],
  ])('refuses the %s time %s', async (form, text) => {
    const bytes = der(form === 'short' ? 0x17 : 0x18, new TextEncoder().encode(text))
    expect(await errorCode(() => read('time', bytes))).toBe('ERR_MALFORMED')
  })

  it.each(['240101000000Z', '20240101000000Z'])(
    'refuses the characters next to the digits anywhere in %s',
    async (text) => {
      const tag = text.length === 13 ? 0x17 : 0x18
      for (let i = 0; i < text.length - 1; i++) {
        for (const other of ['/', ':']) {
          const bytes = der(tag, utf8(text.slice(0, i) + other + text.slice(i + 1)))
          expect(await errorCode(() => read('time', bytes))).toBe('ERR_MALFORMED')
        }
      }
    },
  )

  it('answers arbitrary bytes with a value or ERR_MALFORMED', async () => {
    const bytes = fc.uint8Array({ maxLength: 64 }).map((array) => Uint8Array.from(array))
    const property = fc.asyncProperty(
      bytes,
      fc.constantFrom(...Object.keys(readers)),
      fc.constantFrom(0x01, 0x02, 0x03, 0x06, 0x17, 0x18, 0x30),
      async (content, reader, tag) => {
        for (const input of [content, der(tag, content)]) {
          expect(['ok', 'ERR_MALFORMED']).toContain(await errorCode(() => read(reader, input)))
        }
      },
    )
    await fc.assert(property, { numRuns: 500 })
  })
})

describe('writer', () => {
  it('writes lengths minimally', () => {
    for (const length of [0, 127, 128, 255, 256, 65_535, 65_536]) {
      expect(read('octets', der(0x04, new Uint8Array(length)))).toHaveLength(length)
    }
  })

  it('writes what the reader reads', () => {
    const property = fc.property(fc.maxSafeNat(), (value) => {
      expect(read('count', derInteger(value))).toBe(value)
    })
    fc.assert(property)
    for (const value of [0, 127, 128, 255, 256, Number.MAX_SAFE_INTEGER]) {
      expect(read('count', derInteger(value))).toBe(value)
    }
    expect(() => derInteger(-1)).toThrow(RangeError)
    expect(() => derInteger(0.5)).toThrow(RangeError)
    expect(hex(derInteger(fromHex('0000ff')))).toBe('020200ff')
    expect(hex(derInteger(new Uint8Array(0)))).toBe('020100')
    expect(hex(derBits(fromHex('80'), 7))).toBe('03020780')
    expect(hex(derBoolean(true)) + hex(derBoolean(false))).toBe('0101ff010100')
    expect(hex(derExplicit(3, derSequence()))).toBe('a3023000')
    expect(hex(derImplicit(0, fromHex('aa')))).toBe('8001aa')
    expect(hex(concat(derText('Acme 1'), derText('Á')))).toBe('130641636d6520310c02c381')
  })

  it.each([
    '0.9',
    '1.3.6.1.5.5.7.3.2',
    '2.5.29.37.0',
    '2.999.3',
    '1.2.16384',
    '2.0',
    '2.25.340282366920938463463374607431768211455',
  ])('round-trips the OID %s', (dotted) => expect(read('oid', derOid(dotted))).toBe(dotted))

  it.each(['', '1', '3.1', '1.40', '1.02', '1.2.03', '1..2', '1.2.'])(
    'refuses the OID %j',
    (dotted) => {
      expect(() => derOid(dotted)).toThrow(RangeError)
    },
  )

  it('writes UTCTime from 1950 to 2049 and GeneralizedTime otherwise', () => {
    for (const [seconds, tag] of [
      [-631_152_001, 0x18],
      [-631_152_000, 0x17],
      [0, 0x17],
      [2_524_607_999, 0x17],
      [2_524_608_000, 0x18],
    ] as const) {
      const bytes = derTime(seconds)
      expect(bytes[0]).toBe(tag)
      expect(read('time', bytes)).toBe(seconds)
    }
    expect(() => derTime(1e12)).toThrow(RangeError)
    expect(() => derTime(Number.NaN)).toThrow(RangeError)
  })
})
