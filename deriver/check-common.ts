/** What holds for every certificate of a path, in words: version, serial, algorithms, validity, extensions. */
import { OID_BASIC_CONSTRAINTS } from '../shared/x509.ts'
import { readExtension, type LenientCertificate } from './lenient-certificate.ts'

/** One requirement of a certificate. */
export interface Requirement {
  /** What is required. */
  requirement: string
  /** Null where it could not be checked. */
  ok: boolean | null
  /** What is so. */
  why: string
  /** What to change; empty where nothing is. */
  change: string
}

/** Lines about one requirement. */
export function requirement(
  name: string,
): (ok: boolean | null, why: string, change?: string) => Requirement {
  return (ok, why, change = '') => ({ requirement: name, ok, why, change })
}

const NAMES: Record<string, string> = {
  '1.2.840.10045.2.1': 'EC',
  '1.2.840.10045.3.1.7': 'P-256',
  '1.3.132.0.34': 'P-384',
  '1.3.132.0.35': 'P-521',
  '1.3.101.112': 'Ed25519',
  '1.3.101.113': 'Ed448',
  '1.2.840.113549.1.1.1': 'RSA',
  '1.2.840.113549.1.1.4': 'RSA with MD5',
  '1.2.840.113549.1.1.5': 'RSA with SHA-1',
  '1.2.840.113549.1.1.10': 'RSA-PSS',
  '1.2.840.113549.1.1.11': 'RSA with SHA-256',
  '1.2.840.113549.1.1.12': 'RSA with SHA-384',
  '1.2.840.113549.1.1.13': 'RSA with SHA-512',
  '1.2.840.10045.4.1': 'ECDSA with SHA-1',
  '1.2.840.10045.4.3.2': 'ECDSA with SHA-256',
  '1.2.840.10045.4.3.3': 'ECDSA with SHA-384',
  '1.2.840.10045.4.3.4': 'ECDSA with SHA-512',
  '1.3.6.1.5.5.7.3.1': 'serverAuth',
  '1.3.6.1.5.5.7.3.2': 'clientAuth',
  '2.5.29.32': 'certificatePolicies',
  '2.5.29.33': 'policyMappings',
  '2.5.29.36': 'policyConstraints',
  '2.5.29.54': 'inhibitAnyPolicy',
}

/** Signature algorithms of the profile; whether a key of the path can be used is for path validation to say. */
const SIGNATURES = [
  'Ed25519',
  'ECDSA with SHA-256',
  'ECDSA with SHA-384',
  'RSA with SHA-256',
  'RSA with SHA-384',
  'RSA with SHA-512',
]

/** A name for an OID that people know, or the OID. */
export function oidName(oid: string): string {
  return NAMES[oid] ?? oid
}

/** The kind of a key, in words. */
export function keyKind({ keyAlgorithm, curve }: LenientCertificate): string {
  if (oidName(keyAlgorithm) !== 'EC') return oidName(keyAlgorithm)
  return curve === undefined ? 'EC without a named curve' : `EC ${oidName(curve)}`
}

/** Whether basicConstraints says CA. */
export function isCa(certificate: LenientCertificate): boolean {
  return (
    readExtension(certificate, OID_BASIC_CONSTRAINTS, (outer) =>
      outer.inside(0x30, (inner) => {
        const value = inner.flag()
        while (!inner.done) inner.element()
        return value
      }),
    ) === true
  )
}

/** Extensions that are understood, critical or not (RFC 5280 §4.2.1). */
const KNOWN = ['2.5.29.15', '2.5.29.17', '2.5.29.19', '2.5.29.30', '2.5.29.37']
const KEY_IDENTIFIERS = ['2.5.29.14', '2.5.29.35']
const POLICIES = ['2.5.29.33', '2.5.29.36', '2.5.29.54']

/** Extensions of any certificate, an anchor's too. */
export function requireExtensions(
  { extensions, repeated }: LenientCertificate,
  of: string,
): Requirement[] {
  const once = requirement(`${of}extensions: each once`)
  const known = requirement(
    `${of}extensions: none critical that is not understood, none of policies`,
  )
  const bad = [...extensions].filter(
    ([oid, { critical }]) => POLICIES.includes(oid) || (critical && !KNOWN.includes(oid)),
  )
  const names = bad.map(([oid]) => oidName(oid)).join(', ')
  const isIdentifier = bad.some(([oid]) => KEY_IDENTIFIERS.includes(oid))
  return [
    repeated.length === 0
      ? once(true, 'no repetition')
      : once(false, `${repeated.map(oidName).join(', ')} repeats`, 'leave the second one out'),
    bad.length === 0
      ? known(true, 'none')
      : known(
          false,
          isIdentifier ? `${names}: key identifiers are never critical` : names,
          'leave it out, or make it non-critical if it is not one of policies',
        ),
  ]
}

const date = (seconds: number): string =>
  new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')

/** Requirements of any certificate but an anchor; `of` begins each line. */
export function requireCommon(one: LenientCertificate, of: string, now: number): Requirement[] {
  const version = requirement(`${of}version: 3`)
  const serial = requirement(`${of}serial number: positive, at most 20 octets`)
  const algorithm = requirement(`${of}signature: one algorithm of ${SIGNATURES.join(', ')}`)
  const first = one.serial[0] ?? 0
  const isSerial =
    first < 0x80 && one.serial.length <= 20 && !(one.serial.length === 1 && first === 0)
  const name = oidName(one.outerAlgorithm)
  const isAlgorithm = SIGNATURES.includes(name)
  return [
    one.version === 3 && one.extensions.size > 0
      ? version(true, 'version 3')
      : version(
          false,
          one.version === 3 ? 'version 3 without extensions' : `version ${one.version}`,
          'issue it with the extensions of docs/certificates.md: they make it version 3',
        ),
    isSerial
      ? serial(true, `${one.serial.length} octets`)
      : serial(false, 'zero, negative or longer', 'let the CA choose random serials of 16 octets'),
    !one.sameAlgorithm
      ? algorithm(
          false,
          `${oidName(one.innerAlgorithm)} inside and ${name} outside`,
          'issue it anew: the CA is broken',
        )
      : algorithm(
          isAlgorithm,
          name,
          isAlgorithm ? '' : 'let the CA sign with SHA-256 (default_md = sha256)',
        ),
    requireValidity(one, of, now),
    ...requireExtensions(one, of),
  ]
}

/** Validity at `now`, in seconds. */
export function requireValidity(
  { notBefore, notAfter }: LenientCertificate,
  of: string,
  now: number,
): Requirement {
  const validity = requirement(`${of}validity: now`)
  const change = 'issue it anew, or check the clock'
  if (now < notBefore) return validity(false, `begins ${date(notBefore)}`, change)
  if (now > notAfter) return validity(false, `expired ${date(notAfter)}`, change)
  return validity(true, `until ${date(notAfter)}`)
}
