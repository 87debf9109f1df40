/** The CAs above a certificate, in words: found, allowed to issue it, constrained so that they may. */
import { equal, type Bytes } from '../shared/bytes.ts'
import { verifyCertificateSignature } from '../shared/certificate-signature.ts'
import { isKeyferryError } from '../shared/errors.ts'
import {
  CRL_SIGN,
  KEY_CERT_SIGN,
  OID_AUTHORITY_KEY_ID,
  OID_BASIC_CONSTRAINTS,
  OID_EXTENDED_KEY_USAGE,
  OID_KEY_USAGE,
  OID_NAME_CONSTRAINTS,
  OID_SUBJECT_ALT_NAME,
  OID_SUBJECT_KEY_ID,
  parseCertificate,
  readAuthorityKeyId,
} from '../shared/x509.ts'
import {
  isCa,
  oidName,
  requireCommon,
  requireExtensions,
  requirement,
  requireValidity,
  type Requirement,
} from './check-common.ts'
import {
  nameText,
  readExtension,
  readLenient,
  readUriConstraints,
  readUris,
  type LenientCertificate,
} from './lenient-certificate.ts'

const ANY_EXTENDED_KEY_USAGE = '2.5.29.37.0'
/** Certificates between the end entity and the anchor. */
const MAX_INTERMEDIATES = 3

/** The CAs above an end entity, as far as they were found. */
export interface Chain {
  intermediates: LenientCertificate[]
  anchor: LenientCertificate | undefined
}

function readAll(certificates: readonly Bytes[]): LenientCertificate[] {
  return certificates.flatMap((der) => {
    try {
      return [readLenient(der)]
    } catch {
      // What cannot be read is no issuer.
      return []
    }
  })
}

/** The key identifiers of a certificate and its issuer do not differ. */
function isSameKeyId(one: LenientCertificate, issuer: LenientCertificate): boolean {
  const value = one.extensions.get(OID_AUTHORITY_KEY_ID)?.value
  const id = readExtension(issuer, OID_SUBJECT_KEY_ID, (reader) => reader.read(0x04))
  if (value === undefined || id === undefined) return true
  try {
    const wanted = readAuthorityKeyId(value)
    return wanted === undefined || equal(wanted, id)
  } catch {
    return false
  }
}

/** Follows issuer names up to an anchor; of several CAs of one name, one whose key identifier agrees. */
export function findChain(
  leaf: LenientCertificate,
  others: readonly Bytes[],
  anchors: readonly Bytes[],
): Chain {
  const [between, tops] = [readAll(others), readAll(anchors)]
  const intermediates: LenientCertificate[] = []
  let last = leaf
  for (;;) {
    const above = (list: readonly LenientCertificate[]): LenientCertificate | undefined => {
      const named = list.filter((one) => equal(one.subject, last.issuer))
      return named.find((one) => isSameKeyId(last, one)) ?? named[0]
    }
    const anchor = above(tops)
    if (anchor !== undefined) return { intermediates, anchor }
    const next = above(between.filter((one) => !intermediates.includes(one)))
    if (next === undefined || equal(next.der, last.der) || intermediates.length > 8)
      return { intermediates, anchor: undefined }
    intermediates.push(next)
    last = next
  }
}

/** Whether the issuer's key made the signature; null where the keys are of a kind that only path validation reads. */
async function isSigned(
  one: LenientCertificate,
  issuer: LenientCertificate,
): Promise<boolean | null> {
  try {
    const { signed, tbs } = parseCertificate(one.der)
    return signed === undefined ? null : await verifyCertificateSignature(issuer.spki, signed, tbs)
  } catch (error) {
    if (isKeyferryError(error)) return null
    throw error
  }
}

async function requireLink(
  one: LenientCertificate,
  issuer: LenientCertificate,
  of: string,
): Promise<Requirement[]> {
  const ids = requirement(`${of}key identifiers: those of issuer and issued agree`)
  const signature = requirement(`${of}signature: by the key of this CA`)
  const signed = await isSigned(one, issuer)
  return [
    isSameKeyId(one, issuer)
      ? ids(true, 'they agree')
      : ids(
          false,
          'they differ',
          'the CA has another key now: give the CA certificate that issued',
        ),
    signature(
      signed,
      signed === null ? 'see path validation' : signed ? 'it is' : 'another key made it',
      signed === false ? 'give the CA certificate that issued it' : '',
    ),
  ]
}

/** The host of a URI, as far as a constraint is about it. */
function hostOf(uri: string): string {
  return (/^[^:]*:\/\/([^/:?#]*)/.exec(uri)?.[1] ?? '').toLowerCase()
}

function isWithin(host: string, constraint: string): boolean {
  const wanted = constraint.toLowerCase()
  return wanted.startsWith('.') ? host.endsWith(wanted) : host === wanted
}

function requireConstraints(
  leaf: LenientCertificate,
  ca: LenientCertificate,
  of: string,
): Requirement {
  const line = requirement(`${of}name constraints: the URI is inside`)
  if (!ca.extensions.has(OID_NAME_CONSTRAINTS)) return line(true, 'none')
  const found = readExtension(ca, OID_NAME_CONSTRAINTS, readUriConstraints)
  if (found === undefined)
    return line(false, 'they cannot be read', 'issue the CA anew: permitted;URI:HOST')
  const [uri = ''] = readExtension(leaf, OID_SUBJECT_ALT_NAME, readUris)?.uris ?? []
  const host = hostOf(uri)
  const excluded = found.excluded.find((one) => isWithin(host, one))
  const change = 'choose a URI with a host that the CA may name, or issue from another CA'
  if (excluded !== undefined) return line(false, `${host} is excluded by ${excluded}`, change)
  const { permitted } = found
  if (permitted.length > 0 && !permitted.some((one) => isWithin(host, one)))
    return line(false, `${host} is not among ${permitted.join(', ')}`, change)
  const others = found.others > 0 ? `, and ${found.others} of other forms` : ''
  return line(true, `permitted: ${permitted.join(', ') || 'every URI'}${others}`)
}

function requireCa(
  ca: LenientCertificate,
  below: number,
  ekus: readonly string[],
  of: string,
): Requirement[] {
  const basic = requirement(
    `${of}basicConstraints: CA, with a path length that allows ${below} CAs below`,
  )
  const usage = requirement(`${of}key usage: keyCertSign and cRLSign`)
  const extended = requirement(`${of}extended key usage: none, or one that allows the role's`)
  const named = requirement(`${of}subject: not empty`)
  const length = readExtension(ca, OID_BASIC_CONSTRAINTS, (outer) =>
    outer.inside(0x30, (inner) => {
      inner.flag()
      return inner.done ? Infinity : inner.count()
    }),
  )
  const isLong = isCa(ca) && (length ?? 0) >= below
  const bits = readExtension(ca, OID_KEY_USAGE, (reader) => reader.namedBits()) ?? 0
  const missing = [
    ...((bits & KEY_CERT_SIGN) === 0 ? ['keyCertSign'] : []),
    ...((bits & CRL_SIGN) === 0 ? ['cRLSign'] : []),
  ]
  const allowed = readExtension(ca, OID_EXTENDED_KEY_USAGE, (reader) =>
    reader.list((list) => list.oid()),
  )
  const isAllowed =
    !ca.extensions.has(OID_EXTENDED_KEY_USAGE) ||
    allowed?.includes(ANY_EXTENDED_KEY_USAGE) === true ||
    ekus.every((oid) => allowed?.includes(oid) === true)
  return [
    isLong
      ? basic(true, length === Infinity ? 'no limit' : `path length ${length}`)
      : basic(
          false,
          isCa(ca) ? `path length ${length}` : 'it is no CA',
          isCa(ca)
            ? 'issue from a CA that is nearer to the anchor'
            : 'issue from a CA certificate (basicConstraints = critical, CA:TRUE)',
        ),
    missing.length === 0
      ? usage(true, 'there')
      : usage(
          false,
          `${missing.join(' and ')} is missing`,
          'issue the CA with keyUsage = critical, keyCertSign, cRLSign',
        ),
    isAllowed
      ? extended(true, allowed === undefined ? 'none' : allowed.map(oidName).join(', '))
      : extended(
          false,
          (allowed ?? []).map(oidName).join(', ') || 'unreadable',
          `add ${ekus.map(oidName).join(',')} to the CA, or issue from another`,
        ),
    ca.hasSubject ? named(true, nameText(ca.subject)) : named(false, 'empty', 'give the CA a name'),
  ]
}

/** Lines about the CAs above `leaf`. */
export async function checkIssuers(
  leaf: LenientCertificate,
  { intermediates, anchor }: Chain,
  { ekus, now }: { ekus: readonly string[]; now: number },
): Promise<Requirement[]> {
  const top = requirement('issuer: a path of CAs up to an anchor of the role')
  const short = requirement(`path: at most ${MAX_INTERMEDIATES} CAs below the anchor`)
  const last = intermediates.at(-1) ?? leaf
  const out = [
    anchor === undefined
      ? top(
          false,
          `no CA named "${nameText(last.issuer)}" is given`,
          'give its certificate with --chain, or have it issued by a CA under an anchor of the role',
        )
      : top(true, [...intermediates, anchor].map((one) => nameText(one.subject)).join(' ← ')),
    intermediates.length <= MAX_INTERMEDIATES
      ? short(true, `${intermediates.length}`)
      : short(false, `${intermediates.length}`, 'pin a CA that is nearer as an anchor'),
  ]
  const path = [leaf, ...intermediates]
  const issuers = [...intermediates, ...(anchor === undefined ? [] : [anchor])]
  for (const [i, ca] of issuers.entries()) {
    const of = `CA "${nameText(ca.subject)}", `
    if (ca === anchor) out.push(requireValidity(ca, of, now), ...requireExtensions(ca, of))
    else out.push(...requireCommon(ca, of, now))
    out.push(...requireCa(ca, i, ekus, of), requireConstraints(leaf, ca, of))
    out.push(...(await requireLink(path[i]!, ca, of)))
  }
  return out
}
