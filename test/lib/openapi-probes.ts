/** From a schema of docs/openapi.json: values that it takes and values that it refuses, each one step beside its example. */
import { expect } from 'vitest'
import { resolve, type JsonSchema } from './openapi.ts'

/** A value put in place of the one at a point of an example. */
export interface Probe {
  what: string
  value: unknown
  isListed: boolean
}

/** Base64url of zeros, or any text, of that length. */
const textOf = ({ contentEncoding }: JsonSchema, length: number) =>
  (contentEncoding === undefined ? 'x' : 'A').repeat(length)

/** Values at the limits of a schema and beyond them, for the place that `example` has. */
export function probesOf(given: JsonSchema, example: unknown): Probe[] {
  const schema = given.anyOf === undefined ? resolve(given) : resolve(given.anyOf[0]!)
  const probe = (what: string, value: unknown, isListed = false): Probe => ({
    what,
    value,
    isListed,
  })
  const out = [probe('null', null, given.anyOf !== undefined), probe('a truth value', true)]
  if (schema.type === 'object') {
    const fields = example as Record<string, unknown>
    const names = Object.keys(schema.properties!)
    expect(schema).toMatchObject({ required: names, additionalProperties: false })
    expect(Object.keys(fields).toSorted()).toEqual(names.toSorted())
    out.push(probe('one field more', { ...fields, more: 1 }))
    for (const name of names) {
      const { [name]: own, ...others } = fields
      out.push(probe(`no ${name}`, others))
      for (const inner of probesOf(schema.properties![name]!, own))
        out.push({
          ...inner,
          what: `${name}: ${inner.what}`,
          value: { ...fields, [name]: inner.value },
        })
    }
  } else if (schema.type === 'array') {
    const items = example as unknown[]
    expect(items.length).toBeGreaterThan(0)
    const { minItems, maxItems } = schema as { minItems: number; maxItems: number }
    const many = (count: number) => Array.from({ length: count }, () => items[0])
    out.push(
      probe(`${maxItems} items`, many(maxItems), true),
      probe('more items', many(maxItems + 1)),
    )
    out.push(probe(`${minItems} items`, many(minItems), true))
    if (minItems > 0) out.push(probe('fewer items', many(minItems - 1)))
    for (const inner of probesOf(schema.items!, items[0]))
      out.push({ ...inner, what: `[]: ${inner.what}`, value: [inner.value, ...items.slice(1)] })
  } else if (schema.type === 'integer') {
    const { minimum, maximum } = schema as { minimum: number; maximum: number }
    out.push(probe('least', minimum, true), probe('less', minimum - 1), probe('half', 0.5))
    out.push(probe('most', maximum, true), probe('more', maximum + 1))
  } else if (schema.enum !== undefined) {
    for (const value of schema.enum) out.push(probe(value, value, true))
    out.push(probe('another text', `${schema.enum[0]}x`))
  } else {
    const { minLength = 0, maxLength } = schema as { minLength?: number; maxLength: number }
    const isWhole = schema.pattern?.endsWith('?$') === true
    out.push(
      probe('longest', textOf(schema, maxLength), true),
      probe('shortest', textOf(schema, minLength), true),
    )
    // One more may be an impossible length of base64url.
    for (const more of [1, 2]) out.push(probe(`${more} longer`, textOf(schema, maxLength + more)))
    if (minLength > 0) out.push(probe('shorter', textOf(schema, minLength - 1)))
    if (isWhole) out.push(probe('neither empty nor whole', textOf(schema, maxLength - 1)))
    if (schema.contentEncoding !== undefined) out.push(probe('no base64url', '+'.repeat(maxLength)))
  }
  return out
}
