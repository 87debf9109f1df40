/** Key files that hold no key but the place of one: a signing key in an HSM. They are public. */
import { readFileSync } from 'node:fs'
import { KeyferryError } from '../shared/errors.ts'
import { decodeJson, encodeJson } from '../shared/json.ts'
import { object, oneOf, text } from '../shared/schema.ts'
import { writeNewFile } from './new-file.ts'
import { parsePlace, type Pkcs11Place } from './place.ts'

const schema = object({
  format: oneOf('keyferry-reference-1'),
  place: text(1_024),
  purpose: text(64),
})

/** Writes a reference that must not exist yet. Throws `ERR_EXISTS`, `ERR_IO`. */
export function writeReference(path: string, purpose: string, place: string): void {
  writeNewFile(path, encodeJson({ format: 'keyferry-reference-1', place, purpose }))
}

/** The place that a file refers to; `null` where it is a key file. Throws `ERR_IO`. */
export function readReference(path: string, purpose?: string): Pkcs11Place | null {
  let found: ReturnType<typeof schema>
  try {
    const json = decodeJson(new Uint8Array(readFileSync(path)), 131_072)
    if ((json as { format?: unknown }).format !== 'keyferry-reference-1') return null
    found = schema(json, '')
  } catch (cause) {
    throw new KeyferryError('ERR_IO', `${path} is not a key file`, { cause })
  }
  const place = parsePlace(found.place)
  if ((purpose !== undefined && found.purpose !== purpose) || place.kind !== 'pkcs11')
    throw new KeyferryError('ERR_IO', `${path} does not refer to a ${purpose} key in an HSM`)
  return place
}
