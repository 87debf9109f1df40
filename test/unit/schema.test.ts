// Schemas: exact fields, each of its type and range.
import { describe, expect, it } from 'vitest'
import {
  bytes,
  bytesOrEmpty,
  int,
  list,
  object,
  oneOf,
  orNull,
  text,
  type Schema,
} from '../../shared/schema.ts'
import { expectCode } from '../lib/fixtures-expect.ts'

const refuses = (schema: Schema<unknown>, value: unknown) =>
  expectCode(() => schema(value, ''), 'ERR_SCHEMA')

const others = [undefined, null, true, 1.5, -1, Number.NaN, {}, [], () => 1]

describe('object', () => {
  const schema = object({ a: int(), b: text(3) })

  it('takes exactly its fields', () => {
    expect(schema({ b: 'x', a: 1 }, '')).toEqual({ a: 1, b: 'x' })
  })

  it.each([
    ['a missing field', { a: 1 }],
    ['an unknown field', { a: 1, b: 'x', c: 1 }],
    ['a field of another type', { a: '1', b: 'x' }],
    ['a field that is inherited', Object.create({ a: 1, b: 'x' }) as object],
    ['a field named __proto__', JSON.parse('{"a":1,"b":"x","__proto__":1}') as object],
    ['a field named constructor', { a: 1, b: 'x', constructor: 1 }],
    ['null', null],
    ['an array', [1, 'x']],
    ['a text', 'ab'],
    ['nothing', undefined],
  ])('[dec-3] %s is ERR_SCHEMA', async (_, value) => {
    await refuses(schema, value)
  })

  it('names the field in the message, and does not repeat a long one', () => {
    const nested = object({ list: list(schema, 0, 2) })
    expect(() => nested({ list: [{ a: -1, b: '' }] }, '')).toThrow('list[0].a')
    expect(() => schema({ a: 1, b: '', ['x'.repeat(1_000)]: 1 }, '')).toThrow(/^.{0,80}$/)
  })
})

describe('values', () => {
  it('[dec-3] a text is of the length and form', async () => {
    const schema = text(3, /^a/)
    expect(schema('abc', '')).toBe('abc')
    for (const value of ['abcd', 'b', '', 1, ...others]) await refuses(schema, value)
  })

  it('[dec-3] an integer is in its range', async () => {
    expect([0, 2 ** 53 - 1].map((n) => int()(n, ''))).toEqual([0, 2 ** 53 - 1])
    expect(int(2, 3)(3, '')).toBe(3)
    for (const value of [1, 4]) await refuses(int(2, 3), value)
    for (const value of [2 ** 53, '1', 1n, ...others]) await refuses(int(), value)
  })

  it('[dec-3] bytes are of the length', async () => {
    expect(bytes(2)('AAE', '')).toEqual(Uint8Array.of(0, 1))
    expect(bytes(0, 4)('', '')).toEqual(new Uint8Array())
    for (const value of ['AA', 'AAAA', '', 'A'.repeat(10_000), ...others])
      await refuses(bytes(2), value)
    await refuses(bytes(1, 3), 'AAAAAA')
  })

  it('[dec-3] bytes that are not canonical base64url are ERR_NOT_CANONICAL', async () => {
    for (const value of ['AAF', 'AA=', 'A+A']) {
      await expectCode(() => bytes(2)(value, ''), 'ERR_NOT_CANONICAL')
    }
  })

  it('[dec-3] bytes or empty are all or nothing', async () => {
    expect(bytesOrEmpty(2)('', '')).toEqual(new Uint8Array())
    expect(bytesOrEmpty(2)('AAE', '').length).toBe(2)
    for (const value of ['AA', null]) await refuses(bytesOrEmpty(2), value)
  })

  it('[dec-3] a choice is one of its texts', async () => {
    expect(oneOf('a', 'b')('b', '')).toBe('b')
    for (const value of ['c', 'toString', '', ['a'], ...others])
      await refuses(oneOf('a', 'b'), value)
  })

  it('[dec-3] a list has its number of items', async () => {
    const schema = list(int(), 1, 2)
    expect(schema([1, 2], '')).toEqual([1, 2])
    for (const value of [[], [1, 2, 3], ['1'], { length: 1, 0: 1 }, 'a', null]) {
      await refuses(schema, value)
    }
  })

  it('null is null where it may be', async () => {
    expect(orNull(int())(null, '')).toBeNull()
    expect(orNull(int())(1, '')).toBe(1)
    await refuses(orNull(int()), undefined)
  })
})
