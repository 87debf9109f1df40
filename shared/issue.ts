/**
 * The built-in CA (docs/PROTOCOL.md, "Paths"): what it issues fits the strict profile of shared/path.ts and is
 * accepted by `openssl verify -x509_strict -crl_check`. Pure: times and random bytes are passed in.
 */
import { type Bytes, equal, utf8 } from './bytes.ts'
import { OID_CRL_NUMBER, OID_REASON_CODE } from './crl.ts'
import { makeName } from './csr.ts'
import {
  der,
  derBits,
  derBoolean,
  derExplicit,
  derImplicit,
  derInteger,
  derOctets,
  derOid,
  derSequence,
  derTime,
  ENUMERATED,
} from './der.ts'
import { KeyferryError } from './errors.ts'
import { MAX_CRL } from './limits.ts'
import { readUriHost, TAG_URI } from './names.ts'
import {
  algorithmIdentifier,
  importVerifyKey,
  keyId,
  signDer,
  type SigningKey,
} from './signature.ts'
import {
  type Certificate,
  OID_AUTHORITY_KEY_ID,
  OID_BASIC_CONSTRAINTS,
  OID_EXTENDED_KEY_USAGE,
  OID_KEY_USAGE,
  OID_NAME_CONSTRAINTS,
  OID_SUBJECT_ALT_NAME,
  OID_SUBJECT_KEY_ID,
  parseCertificate,
} from './x509.ts'

/** A CA certificate with its private key. */
export type Issuer = { readonly key: SigningKey; readonly certificate: Bytes }

type Validity = {
  /** Seconds since 1970, bounds included. */
  readonly notBefore: number
  readonly notAfter: number
  readonly random: (length: number) => Bytes
}

/** Reasons of RFC 5280 §5.3.1 that a full CRL may give. */
export const CRL_REASONS = {
  keyCompromise: 1,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
} as const

export type RevokedEntry = {
  readonly serial: Bytes
  /** Seconds since 1970. */
  readonly date: number
  readonly reason?: keyof typeof CRL_REASONS
}

function extension(oid: string, value: Bytes, isCritical = false): Bytes {
  return derSequence(derOid(oid), ...(isCritical ? [derBoolean(true)] : []), derOctets(value))
}

/** RFC 7093 §2: 160 bits of a SHA-256 are an identifier as good as any. */
async function subjectKeyId(spki: Bytes): Promise<Bytes> {
  return (await keyId(spki)).slice(0, 20)
}

function authorityKeyId(id: Bytes): Bytes {
  return extension(OID_AUTHORITY_KEY_ID, derSequence(derImplicit(0, id)))
}

function extendedKeyUsage(eku: readonly string[]): Bytes {
  return extension(OID_EXTENDED_KEY_USAGE, derSequence(...eku.map(derOid)))
}

/** 128 random bits with the top bits 01: positive, and always 16 octets. */
function makeSerial(random: (length: number) => Bytes): Bytes {
  const serial = random(16)
  if (serial.length !== 16) throw new RangeError('random(16) gives 16 bytes')
  serial[0] = (serial[0]! & 0x3f) | 0x40
  return serial
}

function makeCertificate(
  key: SigningKey,
  issuer: Bytes,
  subject: Bytes,
  spki: Bytes,
  { notBefore, notAfter, random }: Validity,
  extensions: readonly Bytes[],
): Promise<Bytes> {
  if (!(notBefore <= notAfter)) throw new RangeError('a certificate ends after it begins')
  const tbs = derSequence(
    derExplicit(0, derInteger(2)),
    derInteger(makeSerial(random)),
    algorithmIdentifier(key.alg),
    issuer,
    derSequence(derTime(notBefore), derTime(notAfter)),
    subject,
    spki,
    derExplicit(3, derSequence(...extensions)),
  )
  return signDer(key, tbs)
}

function readIssuer({ key, certificate }: Issuer): Certificate & { subjectKeyId: Bytes } {
  const parsed = parseCertificate(certificate)
  const id = parsed.subjectKeyId
  if (!parsed.isCa || id === undefined) throw new KeyferryError('ERR_CERT_PROFILE', 'not a CA')
  if (!equal(parsed.spki, key.spki)) throw new KeyferryError('ERR_USAGE', 'the key of another CA')
  return { ...parsed, subjectKeyId: id }
}

/** A critical name constraint to URIs of these hosts. One that is no host name would make the CA unusable: `ERR_CERT_PROFILE`. */
function permittedHosts(hosts: readonly string[]): Bytes {
  const trees = hosts.map((host) => {
    const bare = host.replace(/^\./, '').toLowerCase()
    if (readUriHost(`keyferry://${bare}`) !== bare) {
      throw new KeyferryError('ERR_CERT_PROFILE', 'not a host name')
    }
    return derSequence(der(TAG_URI, utf8(host)))
  })
  return extension(OID_NAME_CONSTRAINTS, derSequence(derExplicit(0, ...trees)), true)
}

/** basicConstraints with this path length, and keyUsage keyCertSign (5) and cRLSign (6). */
function caExtensions(pathLength: number): Bytes[] {
  return [
    extension(OID_BASIC_CONSTRAINTS, derSequence(derBoolean(true), derInteger(pathLength)), true),
    extension(OID_KEY_USAGE, derBits(Uint8Array.of(0x06), 1), true),
  ]
}

/**
 * A self-signed root (DER): path length 1, key usage for certificates and CRLs, and a critical name constraint to URIs
 * of `hosts` (each that host itself, or with a leading dot every host below it). Throws `ERR_CERT_PROFILE` for what is no host.
 */
export async function makeRootCa(
  options: {
    readonly key: SigningKey
    readonly commonName: string
    readonly organization: string
    readonly hosts: readonly string[]
  } & Validity,
): Promise<Bytes> {
  const { key, hosts } = options
  const name = makeName(options.commonName, options.organization)
  return makeCertificate(key, name, name, key.spki, options, [
    ...caExtensions(1),
    permittedHosts(hosts),
    extension(OID_SUBJECT_KEY_ID, derOctets(await subjectKeyId(key.spki))),
  ])
}

/**
 * An issuing CA (DER), to be pinned as an anchor: signed by `issuer`, or by itself without one; path length 0, key usage
 * for certificates and CRLs, and a critical name constraint to URIs of `host` (`host` itself, or with a leading dot every
 * host below it). Throws `ERR_CERT_PROFILE` for what is no host and for an issuer that is no CA.
 */
export async function makeIssuingCa(
  options: {
    readonly key: SigningKey
    readonly issuer?: Issuer
    readonly commonName: string
    readonly organization: string
    readonly host: string
    /** Dotted OIDs; nothing else can be issued for. */
    readonly eku: readonly string[]
  } & Validity,
): Promise<Bytes> {
  const { key, host, issuer } = options
  const name = makeName(options.commonName, options.organization)
  const above = issuer === undefined ? undefined : readIssuer(issuer)
  const signer = issuer?.key ?? key
  return makeCertificate(signer, above?.subject ?? name, name, key.spki, options, [
    ...caExtensions(0),
    extendedKeyUsage(options.eku),
    permittedHosts([host]),
    extension(OID_SUBJECT_KEY_ID, derOctets(await subjectKeyId(key.spki))),
    ...(above === undefined ? [] : [authorityKeyId(above.subjectKeyId)]),
  ])
}

/**
 * An end-entity certificate (DER) with one URI. Throws `ERR_CERT_PROFILE` for a URI that no path with this certificate
 * could have. That the applicant may bear the URI and has the key is for the caller to know.
 */
export async function issueLeaf(
  options: {
    readonly issuer: Issuer
    readonly spki: Bytes
    readonly commonName: string
    readonly uri: string
    readonly eku: readonly string[]
  } & Validity,
): Promise<Bytes> {
  const { issuer, spki, uri } = options
  const ca = readIssuer(issuer)
  await importVerifyKey(spki)
  readUriHost(uri)
  const subject = makeName(options.commonName)
  return makeCertificate(issuer.key, ca.subject, subject, spki, options, [
    extension(OID_BASIC_CONSTRAINTS, derSequence(), true),
    // digitalSignature (0)
    extension(OID_KEY_USAGE, derBits(Uint8Array.of(0x80), 7), true),
    extendedKeyUsage(options.eku),
    extension(OID_SUBJECT_ALT_NAME, derSequence(der(TAG_URI, utf8(uri)))),
    extension(OID_SUBJECT_KEY_ID, derOctets(await subjectKeyId(spki))),
    authorityKeyId(ca.subjectKeyId),
  ])
}

/**
 * A full CRL (DER) of the CA: everything that is revoked and not expired, every time. Its number must be higher than
 * that of every list before. Throws `ERR_TOO_LARGE` when it would be longer than a reader takes.
 */
export async function issueCrl(options: {
  readonly issuer: Issuer
  readonly number: number
  /** Seconds since 1970. */
  readonly thisUpdate: number
  readonly nextUpdate: number
  readonly revoked: readonly RevokedEntry[]
}): Promise<Bytes> {
  const { issuer, number, thisUpdate, nextUpdate } = options
  const ca = readIssuer(issuer)
  if (!(thisUpdate < nextUpdate)) throw new RangeError('a CRL is replaced after it was made')
  const entries = options.revoked.map(({ serial, date, reason }) => {
    const parts = [derInteger(serial), derTime(date)]
    if (reason !== undefined) {
      const code = derInteger(CRL_REASONS[reason], ENUMERATED)
      parts.push(derSequence(extension(OID_REASON_CODE, code)))
    }
    return derSequence(...parts)
  })
  const tbs = derSequence(
    derInteger(1),
    algorithmIdentifier(issuer.key.alg),
    ca.subject,
    derTime(thisUpdate),
    derTime(nextUpdate),
    // RFC 5280 §5.1.2.6: absent rather than empty.
    ...(entries.length > 0 ? [derSequence(...entries)] : []),
    derExplicit(
      0,
      derSequence(authorityKeyId(ca.subjectKeyId), extension(OID_CRL_NUMBER, derInteger(number))),
    ),
  )
  const crl = await signDer(issuer.key, tbs)
  if (crl.length > MAX_CRL) throw new KeyferryError('ERR_TOO_LARGE')
  return crl
}
