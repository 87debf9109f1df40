/**
 * Canonical JSON: RFC 8785 restricted to objects, arrays, strings and integers (docs/PROTOCOL.md, "Decoding").
 * With integers only, the canonical form needs no number formatting: sorted names and `JSON.stringify` for strings.
 */
import { base64url, fromUtf8, utf8, type Bytes } from './bytes.ts'
import { KeyferryError } from './errors.ts'

/** Nesting deeper than any document of the protocol. */
const MAX_DEPTH = 12

function serialize(value: unknown, depth: number): string {
  if (depth > MAX_DEPTH) throw new KeyferryError('ERR_MALFORMED', 'nested too deeply')
  if (typeof value === 'string' && value.isWellFormed()) return JSON.stringify(value)
  // Not below 0, and not -0.
  if (Number.isSafeInteger(value) && 1 / (value as number) > 0) return String(value)
  if (value instanceof Uint8Array) return JSON.stringify(base64url(value))
  let out = ''
  if (Array.isArray(value)) {
    for (const item of value) out += `${out && ','}${serialize(item, depth + 1)}`
    return `[${out}]`
  }
  if (typeof value === 'object' && value !== null) {
    const fields = value as Record<string, unknown>
    // By UTF-16 units, as RFC 8785 has it.
    for (const name of Object.keys(fields).toSorted())
      out += `${out && ','}${serialize(name, depth + 1)}:${serialize(fields[name], depth + 1)}`
    return `{${out}}`
  }
  throw new KeyferryError('ERR_NOT_CANONICAL', 'has no canonical form')
}

/** Canonical JSON of a value, as text; `Bytes` become base64url. Throws `ERR_NOT_CANONICAL` for what has no canonical form. */
export function canonicalJson(value: unknown): string {
  return serialize(value, 0)
}

/** Canonical JSON of a value, as bytes. */
export function encodeJson(value: unknown): Bytes {
  return utf8(canonicalJson(value))
}

function readText(bytes: Bytes, limit: number): string {
  // PROTOCOL [dec-1]
  if (bytes.length > limit) throw new KeyferryError('ERR_TOO_LARGE', `more than ${limit} bytes`)
  return fromUtf8(bytes)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw new KeyferryError('ERR_MALFORMED', 'not JSON', { cause })
  }
}

/** Parses JSON of at most `limit` bytes, in any form. For unsigned bodies of HTTP calls. */
export function parseJson(bytes: Bytes, limit: number): unknown {
  return parse(readText(bytes, limit))
}

/** Parses canonical JSON of at most `limit` bytes. Throws `ERR_TOO_LARGE`, `ERR_MALFORMED`, `ERR_NOT_CANONICAL`. */
export function decodeJson(bytes: Bytes, limit: number): unknown {
  const text = readText(bytes, limit)
  const value = parse(text)
  // PROTOCOL [dec-2]
  if (canonicalJson(value) !== text) throw new KeyferryError('ERR_NOT_CANONICAL')
  return value
}
