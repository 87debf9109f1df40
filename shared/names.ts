/**
 * Names in certificates (RFC 5280 §4.1.2.4, §4.2.1.6) and name constraints (§4.2.1.10) for docs/PROTOCOL.md, "Paths", `[path-7]`: of URIs, hosts,
 * mail addresses, IP addresses and directory names. Names are compared as bytes, hosts without case. What has a name of any other
 * form under a constraint of that form is refused.
 */
import { type Bytes } from './bytes.ts'
import { type DerReader, readDer, SEQUENCE, SET } from './der.ts'
import { KeyferryError } from './errors.ts'
import { lazily } from './lazy.ts'

/** GeneralName tags. */
export const TAG_EMAIL = 0x81
export const TAG_DNS = 0x82
export const TAG_DIRECTORY = 0xa4
export const TAG_URI = 0x86
export const TAG_IP = 0x87
const GENERAL_NAME_TAGS = [
  0xa0,
  TAG_EMAIL,
  TAG_DNS,
  0xa3,
  TAG_DIRECTORY,
  0xa5,
  TAG_URI,
  TAG_IP,
  0x88,
]
const TEXT_TAGS = [TAG_EMAIL, TAG_DNS, TAG_URI]

/** One GeneralName: its tag octet, its content, and that as text where the form is text. */
export type GeneralName = { readonly tag: number; readonly content: Bytes; readonly text: string }

/** Constraints of a CA on the names below it. */
export type NameConstraints = {
  readonly permitted: readonly GeneralName[]
  readonly excluded: readonly GeneralName[]
  /** There is a minimum or a maximum. */
  readonly hasDistance: boolean
}

function malformed(what: string): KeyferryError {
  return new KeyferryError('ERR_MALFORMED', what)
}

export function invalid(what: string): KeyferryError {
  return new KeyferryError('ERR_PATH_INVALID', what)
}

function readAscii(content: Bytes): string {
  let text = ''
  for (const octet of content) {
    if (octet >= 0x80) throw malformed('not ASCII')
    text += String.fromCharCode(octet)
  }
  return text
}

/** A Name whose form is checked and whose values are not interpreted; its attributes are passed to `visit`. */
export function readName(
  reader: DerReader,
  visit?: (oid: string, tag: number, value: Bytes) => void,
): Bytes {
  const { raw } = reader.element(SEQUENCE)
  readDer(raw, (outer) =>
    outer.inside(SEQUENCE, (names) => {
      while (!names.done) {
        const attribute = (pair: DerReader): void => {
          const oid = pair.oid()
          const { tag, content } = pair.element()
          visit?.(oid, tag, content)
        }
        names.list((set) => set.inside(SEQUENCE, attribute), SET)
      }
    }),
  )
  return raw
}

/** A GeneralName of a form that exists. Throws `ERR_MALFORMED`. */
export function readGeneralName(reader: DerReader): GeneralName {
  const { tag, content } = reader.element()
  if (!GENERAL_NAME_TAGS.includes(tag)) throw malformed('not a GeneralName')
  if (tag === TAG_DIRECTORY) readDer(content, (inner) => readName(inner))
  return { tag, content, text: TEXT_TAGS.includes(tag) ? readAscii(content) : '' }
}

/** A directory name of a Name's DER. */
export function directoryName(name: Bytes): GeneralName {
  return { tag: TAG_DIRECTORY, content: name, text: '' }
}

/** A mail address out of a subject's emailAddress (PKCS #9), which stands for one in the subjectAltName. */
export function emailName(content: Bytes): GeneralName {
  return { tag: TAG_EMAIL, content, text: readAscii(content) }
}

/** The value of a nameConstraints extension. Throws `ERR_MALFORMED`. */
export function readNameConstraints(outer: DerReader): NameConstraints {
  return outer.inside(SEQUENCE, (reader) => {
    if (reader.done) throw malformed('empty name constraints')
    let hasDistance = false
    const readBase = (subtree: DerReader): GeneralName => {
      const base = readGeneralName(subtree)
      if (!subtree.done) hasDistance = true
      while (!subtree.done) subtree.element()
      return base
    }
    const readBases = (tag: number): GeneralName[] =>
      reader.has(tag) ? reader.list((list) => list.inside(SEQUENCE, readBase), tag) : []
    const permitted = readBases(0xa0)
    const excluded = readBases(0xa1)
    return { permitted, excluded, hasDistance }
  })
}

/** A host name, in a regular expression. */
export const HOST = '[a-z0-9_-]+(?:\\.[a-z0-9_-]+)*'
// RFC 3986 with a plain host name; user information, query and fragment do not match.
const URI = new RegExp(
  `^[a-z][a-z0-9+.-]*://(${HOST})(?::\\d+)?(?:/(?:[a-z0-9._~!$&'()*+,;=:@/-]|%[0-9a-f]{2})*)?$`,
  'i',
)
const HOST_CONSTRAINT = new RegExp(`^\\.?${HOST}$`, 'i')

/** The host of a URI, in lower case. Throws `ERR_CERT_PROFILE` for one that names no identity: `[path-6]`. */
export function readUriHost(uri: string): string {
  const host = URI.exec(uri)?.[1]
  // The last label of a host name is never a number: that would be an IP address, which no host constraint is about.
  if (host === undefined || /(^|\.)\d+$/.test(host)) {
    throw new KeyferryError('ERR_CERT_PROFILE', 'not a URI with a host name')
  }
  return host.toLowerCase()
}

/** `host` means that host, `.host` everything below it. */
export function isHostWithin(host: string, constraint: string): boolean {
  if (!HOST_CONSTRAINT.test(constraint)) throw invalid('not a host constraint')
  const wanted = constraint.toLowerCase()
  return wanted.startsWith('.') ? host.endsWith(wanted) : host === wanted
}

/** Whether a URI is within a constraint of URIs. */
export function isUriWithin(uri: GeneralName, constraint: GeneralName): boolean {
  return isHostWithin(readUriHost(uri.text), constraint.text)
}

/** Bases by name form, so that names of other forms cost nothing. */
function byTag(bases: readonly GeneralName[]): Map<number, GeneralName[]> {
  const found = new Map<number, GeneralName[]>()
  for (const base of bases) {
    const same = found.get(base.tag)
    if (same) same.push(base)
    else found.set(base.tag, [base])
  }
  return found
}

/**
 * Checks names against the constraints of one CA; `spend` is called for each comparison. Throws `ERR_PATH_INVALID`, and `ERR_CERT_PROFILE` for a URI
 * without a host under a constraint of URIs. What compares names of other forms is loaded with the first constraint of such a form that there is a name for.
 */
export async function checkNameConstraints(
  { permitted, excluded, hasDistance }: NameConstraints,
  names: readonly GeneralName[],
  spend: () => void,
): Promise<void> {
  // PROTOCOL [path-7]
  if (hasDistance) throw invalid('a minimum or maximum of names')
  const [allowed, refused] = [byTag(permitted), byTag(excluded)]
  const isOther = ({ tag }: GeneralName): boolean =>
    tag !== TAG_URI && (allowed.has(tag) || refused.has(tag))
  const isWithin = names.some(isOther)
    ? (await lazily(() => import('./name-forms.ts'))).isWithin
    : isUriWithin
  for (const name of names) {
    const isIn = (bases: readonly GeneralName[], isExcluding: boolean): boolean =>
      // All of them are looked at: a constraint that is none refuses whatever stands before it.
      bases.filter((base) => {
        spend()
        return isWithin(name, base, isExcluding)
      }).length > 0
    if (isIn(refused.get(name.tag) ?? [], true)) throw invalid('an excluded name')
    const bases = allowed.get(name.tag)
    if (bases && !isIn(bases, false)) throw invalid('not a permitted name')
  }
}
