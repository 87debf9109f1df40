/**
 * Schemas of JSON bodies: exact fields, no optional ones, base64url decoded on the way (docs/PROTOCOL.md [dec-3]).
 * A schema takes a parsed value and returns the typed one, or throws `ERR_SCHEMA` naming the field.
 *
 * The marks tell bundlers that a schema which is made and not used, such as one for relays, can be left out of a client.
 */
import { fromBase64url, type Bytes } from './bytes.ts'
import { KeyferryError } from './errors.ts'

/** Checks a value found at `path` and returns it typed. */
export type Schema<T> = (value: unknown, path: string) => T

/** The type that a schema returns. */
export type Infer<S> = S extends Schema<infer T> ? T : never

function refuse(path: string, what: string): never {
  throw new KeyferryError('ERR_SCHEMA', `${path === '' ? 'body' : path}: ${what}`)
}

/** A string of at most `max` UTF-16 units that matches the pattern. */
/* @__NO_SIDE_EFFECTS__ */
export function text(max: number, pattern?: RegExp): Schema<string> {
  return (value, path) => {
    if (typeof value !== 'string' || value.length > max)
      refuse(path, `not a text of at most ${max}`)
    if (pattern !== undefined && !pattern.test(value)) refuse(path, 'not of the right form')
    return value
  }
}

/** An integer from `min` to `max`. */
/* @__NO_SIDE_EFFECTS__ */
export function int(min = 0, max: number = Number.MAX_SAFE_INTEGER): Schema<number> {
  return (value, path) => {
    if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
      refuse(path, `not an integer from ${min} to ${max}`)
    }
    return value as number
  }
}

/** base64url of `min` to `max` bytes. */
/* @__NO_SIDE_EFFECTS__ */
export function bytes(min: number, max: number = min): Schema<Bytes> {
  return (value, path) => {
    if (typeof value !== 'string' || value.length > Math.ceil((max * 4) / 3))
      refuse(path, 'not bytes of that length')
    const out = fromBase64url(value)
    if (out.length < min) refuse(path, 'not bytes of that length')
    return out
  }
}

/** The empty text, or base64url of exactly `length` bytes; empty `Bytes` for the former. */
/* @__NO_SIDE_EFFECTS__ */
export function bytesOrEmpty(length: number): Schema<Bytes> {
  const full = bytes(length)
  return (value, path) => (value === '' ? new Uint8Array() : full(value, path))
}

/** One of these texts. */
/* @__NO_SIDE_EFFECTS__ */
export function oneOf<const T extends string>(...values: readonly T[]): Schema<T> {
  return (value, path) => {
    if (!values.includes(value as T)) refuse(path, `not one of ${values.join(', ')}`)
    return value as T
  }
}

/** An array of `min` to `max` items. */
/* @__NO_SIDE_EFFECTS__ */
export function list<T>(item: Schema<T>, min: number, max: number): Schema<T[]> {
  return (value, path) => {
    if (!Array.isArray(value) || value.length < min || value.length > max) {
      refuse(path, `not a list of ${min} to ${max}`)
    }
    return value.map((one, i) => item(one, `${path}[${i}]`))
  }
}

/** `null`, or what the schema takes. Only for unsigned bodies: canonical JSON has no null. */
/* @__NO_SIDE_EFFECTS__ */
export function orNull<T>(schema: Schema<T>): Schema<T | null> {
  return (value, path) => (value === null ? null : schema(value, path))
}

/** An object with exactly these fields. */
/* @__NO_SIDE_EFFECTS__ */
export function object<F extends Record<string, Schema<unknown>>>(
  fields: F,
): Schema<{ [N in keyof F]: Infer<F[N]> }> {
  const names = Object.keys(fields)
  return (value, path) => {
    // PROTOCOL [dec-3]
    // The fields of an array are not these.
    if (typeof value !== 'object' || value === null) refuse(path, 'not an object')
    for (const name of Object.keys(value)) {
      if (!Object.hasOwn(fields, name))
        refuse(path, `unknown field ${JSON.stringify(name.slice(0, 40))}`)
    }
    const out: Record<string, unknown> = {}
    for (const name of names) {
      if (!Object.hasOwn(value, name)) refuse(path, `no field ${name}`)
      out[name] = fields[name]!(
        (value as Record<string, unknown>)[name],
        path === '' ? name : `${path}.${name}`,
      )
    }
    return out as { [N in keyof F]: Infer<F[N]> }
  }
}

/** Schema of the root, size and index hash of a tree. */
export const treeHeadSchema: Schema<{ index: Bytes; root: Bytes; size: number }> = object({
  index: bytes(32),
  root: bytes(32),
  size: int(0, 0xffffffff),
})
