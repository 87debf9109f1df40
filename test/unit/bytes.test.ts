// Bytes and their text forms: one spelling for each value.
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  base32,
  base64url,
  compare,
  concat,
  equal,
  fromBase32,
  fromBase64url,
  fromHex,
  fromUtf8,
  hex,
  isAt,
  Reader,
  u16,
  u32,
  u64,
  utf8,
  Writer,
  type Bytes,
} from '../../shared/bytes.ts'
import { expectCode } from '../lib/fixtures-expect.ts'

const of = (...bytes: number[]) => Uint8Array.from(bytes)
const some = (length: number) => Uint8Array.from({ length }, (_, i) => (i + length) * 97)

/** Also white space at every place of a group. */
const NOT_BASE64URL = [
  'A',
  'AAAAA',
  'AB',
  'Zh',
  'AAB',
  'Zg==',
  'Zg=',
  'Z g',
  'Zm9v\n',
  'Zm9v\n\n\n\n',
  'Zm9v-_8=',
  '+/8',
  'Zé',
  '\u{1f600}AA',
  'AA A',
  'AAA A',
  ' AAAA',
  'AA\tAA',
  'A A',
  'AA=A',
]

describe('UTF-8', () => {
  it('round-trips, a byte order mark and all', () => {
    for (const text of ['', 'Größe', '𝄞 €', '\ufeffx', '\0'])
      expect(fromUtf8(utf8(text))).toBe(text)
  })

  it.each([
    ['a lone continuation', of(0x80)],
    ['an overlong form', of(0xc0, 0xaf)],
    ['a surrogate', of(0xed, 0xa0, 0x80)],
    ['above U+10FFFF', of(0xf4, 0x90, 0x80, 0x80)],
    ['an unfinished sequence', of(0x61, 0xe2, 0x82)],
  ])('[dec-2] %s is ERR_MALFORMED', async (_, bytes) => {
    await expectCode(() => fromUtf8(bytes), 'ERR_MALFORMED')
  })
})

describe('concat, equal, compare', () => {
  it('concat makes new memory', () => {
    const a = of(1, 2)
    const out = concat(a, of(), of(3))
    expect(out).toEqual(of(1, 2, 3))
    a[0] = 9
    expect(out[0]).toBe(1)
  })

  it('equal needs length and content', () => {
    expect(equal(of(1, 2), of(1, 2))).toBe(true)
    expect(equal(of(1, 2), of(1, 3))).toBe(false)
    expect(equal(of(1, 2), of(1, 2, 3))).toBe(false)
    expect(equal(of(), of())).toBe(true)
  })

  it('compare orders as unsigned bytes, a prefix first', () => {
    const sorted = [of(), of(0), of(0, 0), of(1), of(1, 0xff), of(0x7f), of(0x80), of(0xff)]
    expect(sorted.toReversed().toSorted(compare)).toEqual(sorted)
    expect(compare(of(5), of(5))).toBe(0)
  })
})

describe('integers', () => {
  it('are big-endian', () => {
    expect(hex(u16(0x0102))).toBe('0102')
    expect(hex(u32(0xfffefdfc))).toBe('fffefdfc')
    expect(hex(u64(2 ** 53 - 1))).toBe('001fffffffffffff')
    expect(hex(u64(2 ** 32))).toBe('0000000100000000')
  })

  it.each([-1, 0.5, Number.NaN, 2 ** 54])('%d is a RangeError', (value) => {
    for (const write of [u16, u32, u64]) expect(() => write(value)).toThrow(RangeError)
  })

  it('values just too big are a RangeError', () => {
    expect(() => u16(0x10000)).toThrow(RangeError)
    expect(() => u32(2 ** 32)).toThrow(RangeError)
    expect(() => u64(2 ** 53)).toThrow(RangeError)
  })
})

describe('Writer', () => {
  it('writes front to back, integers as the functions do', () => {
    for (const value of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
      const low = value % 2 ** 32
      expect(new Writer(14).put(utf8('ab')).u32(low).u64(value).end()).toEqual(
        concat(utf8('ab'), u32(low), u64(value)),
      )
    }
  })

  it.each([-1, 0.5, Number.NaN, 2 ** 54])('%d is a RangeError', (value) => {
    expect(() => new Writer(8).u32(value)).toThrow(RangeError)
    expect(() => new Writer(8).u64(value)).toThrow(RangeError)
  })

  it('values just too big, more than fits and less than is needed are a RangeError', () => {
    expect(() => new Writer(8).u32(2 ** 32)).toThrow(RangeError)
    expect(() => new Writer(8).u64(2 ** 53)).toThrow(RangeError)
    expect(() => new Writer(3).u32(1)).toThrow(RangeError)
    expect(() => new Writer(7).u64(1)).toThrow(RangeError)
    expect(() => new Writer(1).put(of(1, 2))).toThrow(RangeError)
    expect(() => new Writer(2).put(of(1)).end()).toThrow(RangeError)
  })
})

describe('Reader', () => {
  it('reads front to back', () => {
    const reader = new Reader(concat(utf8('ab'), u16(7), u32(8), u64(9), of(1)))
    reader.expect(utf8('ab'), 'test')
    expect([reader.u16(), reader.u32(), reader.u64(), reader.left]).toEqual([7, 8, 9, 1])
    expect(reader.take(1)).toEqual(of(1))
    reader.end()
  })

  it('[dec-4] an overrun is ERR_MALFORMED', async () => {
    for (const length of [2, -1, Number.POSITIVE_INFINITY]) {
      await expectCode(() => new Reader(of(1)).take(length), 'ERR_MALFORMED')
    }
    await expectCode(() => new Reader(of(1)).u16(), 'ERR_MALFORMED')
    await expectCode(() => new Reader(of(1, 2, 3)).u32(), 'ERR_MALFORMED')
  })

  it('[dec-4] another magic, or a part of it, is ERR_MALFORMED', async () => {
    for (const bytes of [utf8('ax'), utf8('a'), of()]) {
      await expectCode(() => new Reader(bytes).expect(utf8('ab'), 'test'), 'ERR_MALFORMED')
    }
  })

  it('[dec-4] an integer above 2^53 − 1 is ERR_MALFORMED', async () => {
    expect(new Reader(fromHex('001fffffffffffff')).u64()).toBe(2 ** 53 - 1)
    await expectCode(() => new Reader(fromHex('0020000000000000')).u64(), 'ERR_MALFORMED')
    await expectCode(() => new Reader(of(...Array<number>(8).fill(255))).u64(), 'ERR_MALFORMED')
  })

  it('[dec-4] bytes after the end are ERR_MALFORMED', async () => {
    await expectCode(() => new Reader(of(1)).end(), 'ERR_MALFORMED')
  })
})

describe('text forms', () => {
  it('are those of RFC 4648', () => {
    const words = ['', 'f', 'fo', 'foo', 'foob', 'fooba', 'foobar']
    expect(words.map((word) => base64url(utf8(word)))).toEqual([
      '',
      'Zg',
      'Zm8',
      'Zm9v',
      'Zm9vYg',
      'Zm9vYmE',
      'Zm9vYmFy',
    ])
    expect(words.map((word) => base32(utf8(word)))).toEqual([
      '',
      'my',
      'mzxq',
      'mzxw6',
      'mzxw6yq',
      'mzxw6ytb',
      'mzxw6ytboi',
    ])
    expect(base64url(of(0xfb, 0xff))).toBe('-_8')
    expect(base32(some(32)).length).toBe(52)
  })

  it('round-trip for every length', () => {
    for (let length = 0; length < 70; length++) {
      const bytes = some(length)
      expect(fromBase64url(base64url(bytes))).toEqual(bytes)
      expect(fromBase32(base32(bytes))).toEqual(bytes)
      expect(fromHex(hex(bytes))).toEqual(bytes)
      const padded = btoa(String.fromCharCode(...bytes))
      expect(base64url(bytes)).toBe(
        padded.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', ''),
      )
    }
  })

  it.each(NOT_BASE64URL)('[dec-2] base64url %j is ERR_NOT_CANONICAL', async (text) => {
    await expectCode(() => fromBase64url(text), 'ERR_NOT_CANONICAL')
  })

  it('[dec-2] a decoder of the platform that passes over what it likes changes nothing', async () => {
    // As Uint8Array.fromBase64 reads: without white space, padding and unused bits.
    const lenient = (text: string): Bytes => {
      if (/[^\w\s=-]/.test(text)) throw new SyntaxError('not base64url')
      const raw = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
      return Uint8Array.from(raw, (character) => character.charCodeAt(0))
    }
    const platform = Uint8Array as { fromBase64?: unknown }
    const { fromBase64 } = platform
    platform.fromBase64 = lenient
    onTestFinished(() => {
      if (fromBase64 === undefined) delete platform.fromBase64
      else platform.fromBase64 = fromBase64
    })
    for (const text of NOT_BASE64URL)
      await expectCode(() => fromBase64url(text), 'ERR_NOT_CANONICAL')
    for (let length = 0; length < 10; length++)
      expect(fromBase64url(base64url(some(length)))).toEqual(some(length))
  })

  it.each(['a', 'mz', 'myq', 'mzxw6y', 'MY', 'my======', 'm1', 'm y', 'mé'])(
    '[dec-2] base32 %j is ERR_NOT_CANONICAL',
    async (text) => {
      await expectCode(() => fromBase32(text), 'ERR_NOT_CANONICAL')
    },
  )

  it.each(['0', 'AB', '0g', ' 00', '0x00'])('hexadecimal %j is ERR_MALFORMED', async (text) => {
    await expectCode(() => fromHex(text), 'ERR_MALFORMED')
  })

  it('every text of two characters has at most one value, and every value one text', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    let good = 0
    for (const a of alphabet) {
      for (const b of alphabet) {
        try {
          expect(base64url(fromBase64url(a + b))).toBe(a + b)
          good++
        } catch (error) {
          expect(error).toMatchObject({ code: 'ERR_NOT_CANONICAL' })
        }
      }
    }
    expect(good).toBe(256)
  })
})

it('isAt: whether bytes stand at a place, which may be too close to the end', () => {
  const bytes = of(1, 2, 3)
  for (const [at, wanted, is] of [
    [0, of(1, 2, 3), true],
    [1, of(2, 3), true],
    [3, of(), true],
    [1, of(1), false],
    [2, of(3, 0), false],
    [3, of(0), false],
  ] as const)
    expect(isAt(bytes, at, wanted)).toBe(is)
})
