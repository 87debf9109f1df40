// Canonical JSON: one text for one value, and everything else refused.
import { describe, expect, it } from 'vitest'
import { utf8 } from '../../shared/bytes.ts'
import { canonicalJson, decodeJson, encodeJson, parseJson } from '../../shared/json.ts'
import { expectCode } from '../lib/fixtures-expect.ts'

const decode = (text: string) => decodeJson(utf8(text), 1_000)

describe('encoding', () => {
  it('sorts names by UTF-16 units and leaves out white space (RFC 8785 §3.2.3)', () => {
    const value = {
      '\u20ac': 1,
      '\r': 2,
      '\ufb33': 3,
      '1': 4,
      '\ud83d\ude00': 5,
      '\u0080': 6,
      ö: 7,
    }
    expect(canonicalJson(value)).toBe(
      '{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"\u{1f600}":5,"\ufb33":3}',
    )
  })

  it('escapes as little as RFC 8785 §3.2.2.2 says', () => {
    expect(canonicalJson('€$\u000f\nA\'B"\\\\"/\u007f\u2028')).toBe(
      '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/\u007f\u2028"',
    )
  })

  it('writes Bytes as base64url, nested values and integers up to 2^53 − 1', () => {
    expect(canonicalJson({ b: Uint8Array.of(251, 255), a: [0, 2 ** 53 - 1, [], {}] })).toBe(
      '{"a":[0,9007199254740991,[],{}],"b":"-_8"}',
    )
  })

  it.each([
    ['null', null],
    ['true', true],
    ['undefined', { a: undefined }],
    ['a fraction', 0.5],
    ['a negative number', -1],
    ['minus zero', -0],
    ['2^53', 2 ** 53],
    ['NaN', Number.NaN],
    ['infinity', Number.POSITIVE_INFINITY],
    ['a bigint', 1n],
    ['a function', () => 1],
    ['a lone surrogate', '\ud800'],
    ['a name with a lone surrogate', { '\udc00': 1 }],
  ])('[dec-2] %s has no canonical form: ERR_NOT_CANONICAL', async (_, value) => {
    await expectCode(() => encodeJson(value), 'ERR_NOT_CANONICAL')
  })
})

describe('decoding', () => {
  it('takes canonical texts', () => {
    expect(decode('{"a":[1,"x"],"b":{}}')).toEqual({ a: [1, 'x'], b: {} })
    expect(decode('"€"')).toBe('€')
  })

  it('[dec-1] more bytes than the limit are ERR_TOO_LARGE, whatever they are', async () => {
    for (const text of ['"abc"', '{{{{{']) {
      await expectCode(() => decodeJson(utf8(text), 4), 'ERR_TOO_LARGE')
      await expectCode(() => parseJson(utf8(text), 4), 'ERR_TOO_LARGE')
    }
    expect(decodeJson(utf8('"abc"'), 5)).toBe('abc')
  })

  it.each([
    '',
    ' ',
    '{',
    '[1,]',
    '{"a":1,}',
    "{'a':1}",
    '{a:1}',
    '1 2',
    'nul',
    '01',
    '+1',
    '.5',
    '1.',
    '"\n"',
    '"\\x"',
    '\ufeff{}',
    '//',
    'NaN',
  ])('[dec-2] %j is not JSON: ERR_MALFORMED', async (text) => {
    await expectCode(() => decode(text), 'ERR_MALFORMED')
  })

  it('[dec-2] invalid UTF-8 is ERR_MALFORMED', async () => {
    const bytes = Uint8Array.of(0x22, 0xc3, 0x22)
    await expectCode(() => decodeJson(bytes, 10), 'ERR_MALFORMED')
    await expectCode(() => parseJson(bytes, 10), 'ERR_MALFORMED')
  })

  it.each([
    ['a repeated name', '{"a":1,"a":1}'],
    ['a repeated name in another spelling', '{"a":1,"\\u0061":1}'],
    ['names out of order', '{"b":1,"a":1}'],
    ['an escape that need not be', '"\\u0041"'],
    ['an escaped slash', '"\\/"'],
    ['another escape of a control character', '"\\u000a"'],
    ['upper-case hexadecimal', '"\\u000F"'],
    ['white space before', ' {}'],
    ['white space after', '{}\n'],
    ['white space inside', '{"a": 1}'],
    ['an exponent', '1e2'],
    ['a fraction of zero', '1.0'],
    ['minus zero', '-0'],
    ['a negative number', '-1'],
    ['2^53', '9007199254740992'],
    ['2^53 + 1, which parses as 2^53', '9007199254740993'],
    ['a big number', '1e400'],
    ['null', 'null'],
    ['true', '{"a":true}'],
    ['an escaped lone surrogate', '"\\ud800"'],
    ['a pair that is escaped', '"\\ud83d\\ude00"'],
  ])('[dec-2] %s is ERR_NOT_CANONICAL', async (_, text) => {
    await expectCode(() => decode(text), 'ERR_NOT_CANONICAL')
  })

  it('[dec-2] __proto__ is a name like any other and changes nothing', () => {
    const value = decode('{"__proto__":{"a":1}}') as object
    expect(Object.keys(value)).toEqual(['__proto__'])
    expect('a' in {}).toBe(false)
    expect(canonicalJson(value)).toBe('{"__proto__":{"a":1}}')
  })

  it('deep nesting is ERR_MALFORMED and does not exhaust the stack', async () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
    expect(decode(nested(13))).toBeDefined()
    await expectCode(() => decode(nested(14)), 'ERR_MALFORMED')
    await expectCode(() => decodeJson(utf8(nested(400_000)), 1_000_000), 'ERR_MALFORMED')
    await expectCode(() => decodeJson(utf8('{"a":'.repeat(100_000)), 1_000_000), 'ERR_MALFORMED')
  })
})
