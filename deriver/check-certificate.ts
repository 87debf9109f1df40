/**
 * Tells in plain words whether a certificate fits (docs/certificates.md), one line for each requirement: what is so, and what to change. The verdict
 * itself is that of shared/path.ts, on the last line: nothing here accepts what validation refuses.
 */
import { type Bytes } from '../shared/bytes.ts'
import { isKeyferryError } from '../shared/errors.ts'
import { readUriHost } from '../shared/names.ts'
import { matchesSanRule, validatePath } from '../shared/path.ts'
import { importVerifyKey } from '../shared/signature.ts'
import {
  CRL_SIGN,
  DIGITAL_SIGNATURE,
  KEY_CERT_SIGN,
  MAX_CERTIFICATE,
  OID_EXTENDED_KEY_USAGE,
  OID_KEY_USAGE,
  OID_NAME_CONSTRAINTS,
  OID_SUBJECT_ALT_NAME,
} from '../shared/x509.ts'
import { checkIssuers, findChain } from './check-issuers.ts'
import {
  isCa,
  keyKind,
  oidName,
  requireCommon,
  requirement,
  type Requirement,
} from './check-common.ts'
import {
  readExtension,
  readLenient,
  readUris,
  type LenientCertificate,
} from './lenient-certificate.ts'

export { type Requirement } from './check-common.ts'

/** What a certificate is checked against. */
export interface CheckInput {
  /** DER, the end entity first; the others in any order, anchors among them or not. */
  certificates: readonly Bytes[]
  /** DER. */
  anchors: readonly Bytes[]
  /** Dotted OIDs that the role asks for. */
  ekus: readonly string[]
  /** SAN rules of the role; `null` where there is no trust document to say. */
  sans: readonly string[] | null
  /** DER; `null` checks no revocation. */
  crls: readonly Bytes[] | null
  /** Seconds since 1970. */
  now: number
}

async function requireKey(leaf: LenientCertificate): Promise<Requirement> {
  const kind = keyKind(leaf)
  const change = 'make a new Ed25519 or P-256 key and a request for it'
  const check = requirement('key: Ed25519 or P-256, named curve, uncompressed point')
  try {
    await importVerifyKey(leaf.spki)
    return check(true, kind)
  } catch (error) {
    const isWeak = isKeyferryError(error, 'ERR_WEAK_KEY')
    return check(false, isWeak ? `${kind}, a weak or invalid point` : kind, change)
  }
}

function requireUsage(leaf: LenientCertificate, ekus: readonly string[]): Requirement[] {
  const usage = readExtension(leaf, OID_KEY_USAGE, (reader) => reader.namedBits())
  const signs = requirement('key usage: digitalSignature')
  const only = requirement('key usage: neither keyCertSign nor cRLSign')
  const extended = requirement(
    `extended key usage: ${ekus.map(oidName).join(' and ')}, by name and not as anyExtendedKeyUsage`,
  )
  const change = 'add keyUsage = critical, digitalSignature'
  const found = readExtension(leaf, OID_EXTENDED_KEY_USAGE, (reader) =>
    reader.list((list) => list.oid()),
  )
  const missing = ekus.filter((oid) => found?.includes(oid) !== true)
  const names = missing.map(oidName).join(',')
  return [
    usage === undefined
      ? signs(false, 'the extension is missing or unreadable', change)
      : (usage & DIGITAL_SIGNATURE) === 0
        ? signs(false, 'digitalSignature is missing', change)
        : signs(true, 'there'),
    ((usage ?? 0) & (KEY_CERT_SIGN | CRL_SIGN)) === 0
      ? only(true, 'neither')
      : only(false, 'it may sign as a CA', 'leave digitalSignature alone in keyUsage'),
    missing.length === 0
      ? extended(true, 'there')
      : extended(false, `${names} is missing`, `add extendedKeyUsage = ${names}`),
  ]
}

function requireUri(leaf: LenientCertificate, sans: readonly string[] | null): Requirement[] {
  const one = requirement('subject alternative name: exactly one URI')
  const host = requirement('URI: scheme://host/path, without user, query, fragment and IP address')
  const rule = requirement('URI: a SAN rule of the role')
  const found = readExtension(leaf, OID_SUBJECT_ALT_NAME, readUris)
  const example = sans?.[0]?.replace(/\*$/, 'NAME') ?? 'keyferry://client.acme.example/NAME'
  const add = `set subjectAltName = URI:${example}`
  const uri = found?.uris[0]
  if (uri === undefined || found!.uris.length > 1) {
    const why =
      uri === undefined
        ? 'there is no URI'
        : `there are ${found!.uris.length}: ${found!.uris.join(', ')}`
    return [one(false, why, uri === undefined ? add : `${add}, and no other URI`)]
  }
  const out = [one(true, uri)]
  try {
    out.push(host(true, `host ${readUriHost(uri)}`))
  } catch {
    out.push(host(false, `${uri} names no host`, add))
  }
  if (sans === null) out.push(rule(null, 'no trust document to compare with'))
  else {
    const matching = sans.find((san) => matchesSanRule(uri, san))
    out.push(
      matching === undefined
        ? rule(
            false,
            `${uri} matches none of ${sans.join(', ')}`,
            `${add}, or propose a trust document with another rule`,
          )
        : rule(true, matching),
    )
  }
  return out
}

function requireLeaf(leaf: LenientCertificate): Requirement[] {
  const end = requirement('end entity: not a CA')
  const name = requirement('subject: not empty, or the subject alternative name is critical')
  const free = requirement('name constraints: none in an end entity')
  const isNamed = leaf.hasSubject || leaf.extensions.get(OID_SUBJECT_ALT_NAME)?.critical === true
  return [
    isCa(leaf)
      ? end(false, 'basicConstraints says CA', 'set basicConstraints = critical, CA:FALSE')
      : end(true, 'not a CA'),
    isNamed
      ? name(true, leaf.hasSubject ? 'there' : 'the alternative name is critical')
      : name(false, 'both are missing', 'give a subject, such as CN=NAME'),
    leaf.extensions.has(OID_NAME_CONSTRAINTS)
      ? free(false, 'there are some', 'leave nameConstraints out of end-entity certificates')
      : free(true, 'none'),
  ]
}

async function verdict(
  input: CheckInput,
  certificates: readonly Bytes[],
  isExplained: boolean,
): Promise<Requirement> {
  const line = requirement('path validation, as every party does it')
  try {
    const path = await validatePath({
      certificates,
      anchors: input.anchors,
      now: input.now,
      eku: input.ekus,
      crls: input.crls ?? 'unsafe-without-revocation',
    })
    return line(
      true,
      `valid for ${path.uri}${input.crls === null ? ', revocation not checked' : ''}`,
    )
  } catch (error) {
    if (!isKeyferryError(error)) throw error
    const why = `${error.message} (${error.code})`
    const other = isExplained ? 'see the lines above' : 'see the fields of docs/certificates.md'
    return line(false, why, CHANGES[error.code] ?? other)
  }
}

const CHANGES: Partial<Record<string, string>> = {
  ERR_CRL: 'take in the present list of every CA of the path: keyferry crl import',
  ERR_CERT_REVOKED: 'issue a new certificate for a new key',
}

/** Checks a certificate. It fits if no line is `ok: false`; `ok` is null for what could not be checked. Throws only for misuse. */
export async function checkCertificate(given: CheckInput): Promise<Requirement[]> {
  const input = { ...given, now: Math.floor(given.now) }
  const [der, ...others] = input.certificates
  if (der === undefined) throw new RangeError('no certificate')
  const size = requirement(`size: at most ${MAX_CERTIFICATE} bytes`)
  const form = requirement('encoding: strict DER of an X.509 certificate')
  if (der.length > MAX_CERTIFICATE)
    return [size(false, `${der.length} bytes`, 'issue a smaller certificate')]
  const out = [size(true, `${der.length} bytes`)]
  let leaf: LenientCertificate
  try {
    leaf = readLenient(der)
  } catch (error) {
    out.push(form(false, (error as Error).message, 'issue it anew with a tool that writes DER'))
    return out
  }
  out.push(form(true, 'readable'))
  out.push(...requireCommon(leaf, '', input.now))
  out.push(await requireKey(leaf), ...requireLeaf(leaf), ...requireUsage(leaf, input.ekus))
  out.push(...requireUri(leaf, input.sans))
  const chain = findChain(leaf, others, input.anchors)
  out.push(...(await checkIssuers(leaf, chain, input)))
  out.push(await verdict(input, [der, ...chain.intermediates.map((one) => one.der)], !fits(out)))
  return out
}

/** Whether it fits. */
export function fits(requirements: readonly Requirement[]): boolean {
  return requirements.every(({ ok }) => ok !== false)
}
