/**
 * X.509 certificates (RFC 5280 §4) in the strict profile of docs/PROTOCOL.md, "Paths", `[path-1]`. What one
 * certificate says is read here; whether a path of them is valid is decided in path.ts.
 */
import { type Bytes, equal } from './bytes.ts'
import { type CertificateSignature, readCertificateSignature } from './certificate-signature.ts'
import { BIT_STRING, type DerReader, OCTET_STRING, readDer, SEQUENCE } from './der.ts'
import { KeyferryError } from './errors.ts'
import {
  directoryName,
  emailName,
  type GeneralName,
  type NameConstraints,
  readGeneralName,
  readName,
  readNameConstraints,
  TAG_EMAIL,
  TAG_URI,
} from './names.ts'
import { digest } from './digest.ts'
import { readSigned } from './signature.ts'

export const MAX_CERTIFICATE = 16_384

/** Bits of {@link Certificate.keyUsage} (RFC 5280 §4.2.1.3). */
export const DIGITAL_SIGNATURE: number = 1 << 0
export const KEY_CERT_SIGN: number = 1 << 5
export const CRL_SIGN: number = 1 << 6

/** Extensions (RFC 5280 §4.2). */
export const OID_SUBJECT_KEY_ID = '2.5.29.14'
export const OID_KEY_USAGE = '2.5.29.15'
export const OID_SUBJECT_ALT_NAME = '2.5.29.17'
export const OID_BASIC_CONSTRAINTS = '2.5.29.19'
export const OID_NAME_CONSTRAINTS = '2.5.29.30'
const OID_CRL_DISTRIBUTION_POINTS = '2.5.29.31'
export const OID_AUTHORITY_KEY_ID = '2.5.29.35'
export const OID_EXTENDED_KEY_USAGE = '2.5.29.37'
/** policyMappings, policyConstraints, inhibitAnyPolicy: they mean something that is not implemented, critical or not. */
const OIDS_OF_POLICIES = ['2.5.29.33', '2.5.29.36', '2.5.29.54']

/** PKCS #9 emailAddress, an attribute of old subjects. */
const OID_EMAIL_ADDRESS = '1.2.840.113549.1.9.1'

/** One parsed certificate. Nothing in it is trusted: no signature was checked. */
export type Certificate = {
  readonly der: Bytes
  readonly tbs: Bytes
  /** Undefined for an anchor: its own signature is not looked at. */
  readonly signed: CertificateSignature | undefined
  /** Content octets of the INTEGER. */
  readonly serial: Bytes
  /** DER Names, compared as bytes. */
  readonly issuer: Bytes
  readonly subject: Bytes
  readonly hasSubject: boolean
  /** Seconds since 1970. */
  readonly notBefore: number
  readonly notAfter: number
  readonly spki: Bytes
  readonly isCa: boolean
  readonly pathLength: number | undefined
  /** Mask of named bits, 0 without the extension. */
  readonly keyUsage: number
  /** Dotted OIDs; undefined without the extension. */
  readonly ekus: readonly string[] | undefined
  /** URIs of the subjectAltName. */
  readonly uris: readonly string[]
  /** What name constraints apply to: the subject, all of the subjectAltName, and a mail address in the subject where there is none in that. */
  readonly names: readonly GeneralName[]
  /** Full names of the CRL distribution points of its own issuer. */
  readonly distributionPoints: readonly GeneralName[]
  /** All of its distribution points are of another CA: no list of its issuer covers it. */
  readonly hasOtherCrlIssuer: boolean
  readonly nameConstraints: NameConstraints | undefined
  readonly subjectKeyId: Bytes | undefined
  readonly authorityKeyId: Bytes | undefined
  /** Dotted OIDs of the critical extensions. */
  readonly critical: readonly string[]
}

function profile(what: string): KeyferryError {
  return new KeyferryError('ERR_CERT_PROFILE', what)
}

/** Extensions by OID, each at most once (`ERR_CERT_PROFILE`): of certificates, CRLs and CRL entries. */
export function readExtensions(
  reader: DerReader,
): Map<string, { isCritical: boolean; value: Bytes }> {
  const found = new Map<string, { isCritical: boolean; value: Bytes }>()
  reader.list((list) =>
    list.inside(SEQUENCE, (extension) => {
      const oid = extension.oid()
      if (found.has(oid)) throw profile(`extension ${oid} twice`)
      found.set(oid, { isCritical: extension.flag(), value: extension.read(OCTET_STRING) })
    }),
  )
  return found
}

/** Full names of a DistributionPointName (RFC 5280 §4.2.1.13); none for a name relative to the issuer. */
export function readDistributionPointName(reader: DerReader): GeneralName[] {
  return reader.inside(0xa0, (choice) => {
    if (choice.has(0xa0)) return choice.list(readGeneralName, 0xa0)
    choice.read(0xa1)
    return []
  })
}

/** The full names of the points of the certificate's own issuer, of each point; undefined for one of another CA. */
function readDistributionPoints(outer: DerReader): (GeneralName[] | undefined)[] {
  return outer.list((list) =>
    list.inside(SEQUENCE, (point) => {
      const names = point.has(0xa0) ? readDistributionPointName(point) : []
      if (point.has(0x81)) point.read(0x81)
      if (point.done) return names
      point.read(0xa2)
      return undefined
    }),
  )
}

/** The key identifier of an AuthorityKeyIdentifier; the issuer-and-serial form beside it is not used. */
export function readAuthorityKeyId(value: Bytes): Bytes | undefined {
  return readDer(value, (outer) =>
    outer.inside(SEQUENCE, (reader) => {
      const id = reader.has(0x80) ? reader.read(0x80) : undefined
      if (reader.has(0xa1)) {
        reader.read(0xa1)
        reader.integer(0x82)
      }
      return id
    }),
  )
}

type Extensions = Pick<
  Certificate,
  | 'isCa'
  | 'pathLength'
  | 'keyUsage'
  | 'ekus'
  | 'uris'
  | 'names'
  | 'distributionPoints'
  | 'hasOtherCrlIssuer'
  | 'nameConstraints'
  | 'subjectKeyId'
  | 'authorityKeyId'
  | 'critical'
>

function readCertificateExtensions(reader: DerReader): Extensions {
  const found = readExtensions(reader)
  const critical = [...found].filter(([, { isCritical }]) => isCritical).map(([oid]) => oid)
  const take = <T>(oid: string, body: (reader: DerReader) => T): T | undefined => {
    const extension = found.get(oid)
    found.delete(oid)
    return extension && readDer(extension.value, body)
  }
  const basic = take(OID_BASIC_CONSTRAINTS, (outer) =>
    outer.inside(SEQUENCE, (inner) => {
      const isCa = inner.flag()
      const pathLength = inner.done ? undefined : inner.count()
      if (!isCa && pathLength !== undefined) throw profile('path length without cA')
      return { isCa, pathLength }
    }),
  )
  const keyUsage = take(OID_KEY_USAGE, (inner) => inner.namedBits())
  const ekus = take(OID_EXTENDED_KEY_USAGE, (inner) => inner.list((list) => list.oid()))
  const names = take(OID_SUBJECT_ALT_NAME, (inner) => inner.list(readGeneralName)) ?? []
  const uris = names.flatMap(({ tag, text }) => (tag === TAG_URI ? [text] : []))
  const nameConstraints = take(OID_NAME_CONSTRAINTS, readNameConstraints)
  // Read, and left among what is not understood where it is critical.
  const points = found.get(OID_CRL_DISTRIBUTION_POINTS)
  const perPoint = points ? readDer(points.value, readDistributionPoints) : []
  const distributionPoints = perPoint.filter((one) => one !== undefined)
  // RFC 5280 §4.2.1.1 and §4.2.1.2: key identifiers are never critical.
  if (found.get(OID_SUBJECT_KEY_ID)?.isCritical || found.get(OID_AUTHORITY_KEY_ID)?.isCritical) {
    throw profile('critical key identifier')
  }
  const subjectKeyId = take(OID_SUBJECT_KEY_ID, (inner) => inner.read(OCTET_STRING))
  const authorityKeyId = found.get(OID_AUTHORITY_KEY_ID)
  found.delete(OID_AUTHORITY_KEY_ID)
  for (const [oid, { isCritical }] of found) {
    if (isCritical || OIDS_OF_POLICIES.includes(oid)) throw profile(`extension ${oid}`)
  }
  return {
    isCa: basic?.isCa ?? false,
    pathLength: basic?.pathLength,
    keyUsage: keyUsage ?? 0,
    ekus,
    uris,
    names,
    distributionPoints: distributionPoints.flat(),
    hasOtherCrlIssuer: perPoint.length > 0 && distributionPoints.length === 0,
    nameConstraints,
    subjectKeyId,
    authorityKeyId: authorityKeyId && readAuthorityKeyId(authorityKeyId.value),
    critical,
  }
}

/** RFC 5280 §4.1.2.2: positive and at most 20 octets. */
function checkSerial(serial: Bytes): void {
  if (serial[0]! >= 0x80 || serial.length > 20 || (serial.length === 1 && serial[0] === 0)) {
    throw profile('serial number')
  }
}

function readCertificate(bytes: Bytes, isAnchor: boolean): Certificate {
  // PROTOCOL [path-1]
  if (bytes.length > MAX_CERTIFICATE) throw new KeyferryError('ERR_TOO_LARGE')
  const der = bytes.slice()
  const parts = readSigned(der)
  return readDer(parts.tbs, (outer) =>
    outer.inside(SEQUENCE, (reader) => {
      const version = reader.has(0xa0) ? reader.inside(0xa0, (inner) => inner.count()) : 0
      const serial = reader.integer()
      const { raw: identifier } = reader.element(SEQUENCE)
      const issuer = readName(reader)
      const [notBefore, notAfter] = reader.inside(SEQUENCE, (inner) => [inner.time(), inner.time()])
      let hasSubject = false
      const mails: GeneralName[] = []
      const subject = readName(reader, (oid, _tag, value) => {
        hasSubject = true
        if (oid === OID_EMAIL_ADDRESS) mails.push(emailName(value))
      })
      const { raw: spki } = reader.element(SEQUENCE)
      readDer(spki, (key) =>
        key.inside(SEQUENCE, (inner) => [inner.read(SEQUENCE), inner.read(BIT_STRING)]),
      )
      // Version 3 only; the unique identifiers [1] and [2] that may stand here are not in the profile.
      if (version !== 2) throw profile('not version 3')
      if (!reader.has(0xa3)) throw profile('no extensions')
      const extensions = reader.inside(0xa3, readCertificateExtensions)
      if (!isAnchor) {
        checkSerial(serial)
        if (!equal(identifier, parts.identifier)) throw profile('two signature algorithms')
      }
      const signed = isAnchor ? undefined : readCertificateSignature(parts)
      // RFC 5280 §4.2.1.10: an address in the subject counts where the subjectAltName has none.
      const hasMail = extensions.names.some(({ tag }) => tag === TAG_EMAIL)
      const names = [
        ...(hasSubject ? [directoryName(subject)] : []),
        ...extensions.names,
        ...(hasMail ? [] : mails),
      ]
      const body = { serial, issuer, subject, hasSubject, notBefore, notAfter, spki }
      return { der, tbs: parts.tbs, signed, ...body, ...extensions, names }
    }),
  )
}

/**
 * Parses a DER certificate of the profile. Throws `ERR_TOO_LARGE` above 16,384 bytes, `ERR_MALFORMED` for what is not
 * strict DER of a certificate, `ERR_CERT_PROFILE` for what the profile refuses. Of the key only the outer form is
 * checked (importVerifyKey does the rest).
 */
export function parseCertificate(der: Bytes): Certificate {
  return readCertificate(der, false)
}

/** Like {@link parseCertificate}, for a pinned certificate: its own serial and signature are not looked at. */
export function parseAnchor(der: Bytes): Certificate {
  return readCertificate(der, true)
}

/** SHA-256 of the DER certificate. */
export function certificateFingerprint(der: Bytes): Promise<Bytes> {
  return digest(der)
}
