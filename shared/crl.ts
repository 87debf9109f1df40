/**
 * Certificate revocation lists (RFC 5280 §5) in the strict profile of docs/PROTOCOL.md, "Paths", `[path-8]`: one full
 * version 2 list per CA, signed by the key that issued. Delta lists, indirect lists and lists of some reasons or of
 * attribute certificates are not usable. Every refusal but that of size is `ERR_CRL`, with what was wrong as its cause or message.
 */
import { type Bytes, equal, hex } from './bytes.ts'
import { type DerReader, ENUMERATED, GENERALIZED_TIME, readDer, SEQUENCE, UTC_TIME } from './der.ts'
import { digestOnce } from './digest.ts'
import { KeyferryError } from './errors.ts'
import {
  type CertificateSignature,
  readCertificateSignature,
  type CaVerifier,
  verifyCertificateSignature,
} from './certificate-signature.ts'
import { MAX_CRL } from './limits.ts'
import { type GeneralName, readName } from './names.ts'
import { readSigned } from './signature.ts'
import {
  type Certificate,
  CRL_SIGN,
  OID_AUTHORITY_KEY_ID,
  readAuthorityKeyId,
  readDistributionPointName,
  readExtensions,
} from './x509.ts'

export const OID_CRL_NUMBER = '2.5.29.20'
export const OID_REASON_CODE = '2.5.29.21'
const OID_ISSUING_DISTRIBUTION_POINT = '2.5.29.28'
/** deltaCRLIndicator: the list says only what changed since another one. */
const OID_DELTA = '2.5.29.27'
/** certificateIssuer: the entry is about a certificate of another CA. */
const OID_CERTIFICATE_ISSUER = '2.5.29.29'
const REMOVE_FROM_CRL = 8

declare const parsed: unique symbol
declare const verified: unique symbol

/** What an issuingDistributionPoint (RFC 5280 §5.2.5) leaves a list to cover. */
export type CrlScope = {
  readonly endEntities: boolean
  readonly cas: boolean
  /** One of these is among the distribution points of the certificate: none for a name relative to the issuer, which is not put together here;
   * undefined where the list has no distribution point. */
  readonly names: readonly GeneralName[] | undefined
}

/** One parsed list, made by {@link parseCrl} only. Nothing in it is trusted: no signature was checked. */
export type Crl = {
  readonly [parsed]: true
  readonly der: Bytes
  readonly tbs: Bytes
  readonly signed: CertificateSignature
  readonly issuer: Bytes
  /** Seconds since 1970. */
  readonly thisUpdate: number
  readonly nextUpdate: number
  readonly number: number
  readonly authorityKeyId: Bytes | undefined
  /** What it covers, of an issuingDistributionPoint: all that its issuer issued without one. */
  readonly scope: CrlScope
  /** Serials as hexadecimal of their content octets. */
  readonly revoked: ReadonlySet<string>
}

/** A list that its issuer signed and that was current when it was checked; made by {@link checkCrl} only. */
export type VerifiedCrl = {
  readonly [verified]: true
  /** SHA-256 of the issuer's SubjectPublicKeyInfo. */
  readonly issuerKeyId: Bytes
  /** SHA-256 of the list's DER. */
  readonly hash: Bytes
  readonly number: number
  readonly thisUpdate: number
  readonly nextUpdate: number
  /** False where the list says nothing about this certificate of its issuer. */
  readonly covers: (certificate: Certificate) => boolean
  readonly isRevoked: (serial: Bytes) => boolean
}

/** Of tests only: other people's lists with keys and dates that this protocol refuses. */
export type UnsafeCrlRules = {
  /** Least bits of RSA keys. */
  readonly leastRsaBits?: number
  /** Instead of {@link MAX_CRL}. */
  readonly mostBytes?: number
  /** Seconds: neither number nor nextUpdate is asked for, and thisUpdate is at most this long ago. */
  readonly mostAge?: number
}

function unusable(what: string): KeyferryError {
  return new KeyferryError('ERR_CRL', what)
}

/** One revokedCertificates entry: its serial. */
function readEntry(reader: DerReader): string {
  return reader.inside(SEQUENCE, (entry) => {
    const serial = hex(entry.integer())
    entry.time()
    if (entry.done) return serial
    for (const [oid, { isCritical, value }] of readExtensions(entry)) {
      if (isCritical || oid === OID_CERTIFICATE_ISSUER) throw unusable(`entry extension ${oid}`)
      if (oid !== OID_REASON_CODE) continue
      const reason = readDer(value, (inner) => inner.count(ENUMERATED))
      if (reason > 10 || reason === 7) throw unusable('no such reason')
      if (reason === REMOVE_FROM_CRL) throw unusable('an entry of a delta list')
    }
    return serial
  })
}

function readScope(outer: DerReader): CrlScope {
  return outer.inside(SEQUENCE, (reader) => {
    if (reader.done) throw unusable('an empty distribution point')
    const names = reader.has(0xa0) ? readDistributionPointName(reader) : undefined
    const onlyEndEntities = reader.flag(0x81)
    const onlyCas = reader.flag(0x82)
    // Whatever still stands here, and is refused as left over, limits the list to some reasons or to attribute certificates, or lets it speak
    // for other CAs.
    return { endEntities: !onlyCas, cas: !onlyEndEntities, names }
  })
}

const WHOLE: CrlScope = { endEntities: true, cas: true, names: undefined }

function readTbs(
  reader: DerReader,
  identifier: Bytes,
  rules: UnsafeCrlRules,
): Omit<Crl, typeof parsed | 'der' | 'tbs' | 'signed'> {
  if (reader.count() !== 1) throw unusable('not version 2')
  if (!equal(reader.element(SEQUENCE).raw, identifier)) throw unusable('two signature algorithms')
  const issuer = readName(reader)
  const thisUpdate = reader.time()
  // RFC 5280 §5.1.2.5 and §5.1.2.7 let this and the extensions be absent; here they are required.
  const isLasting =
    rules.mostAge !== undefined && !reader.has(UTC_TIME) && !reader.has(GENERALIZED_TIME)
  const nextUpdate = isLasting ? thisUpdate + (rules.mostAge ?? 0) : reader.time()
  const revoked = new Set(reader.has(SEQUENCE) ? reader.list(readEntry) : [])
  let number: number | undefined
  let authorityKeyId: Bytes | undefined
  let scope = WHOLE
  const extensions = reader.done ? [] : reader.inside(0xa0, readExtensions)
  for (const [oid, { isCritical, value }] of extensions) {
    if (oid === OID_CRL_NUMBER) number = readDer(value, (inner) => inner.count())
    else if (oid === OID_AUTHORITY_KEY_ID) authorityKeyId = readAuthorityKeyId(value)
    else if (oid === OID_ISSUING_DISTRIBUTION_POINT) scope = readDer(value, readScope)
    else if (isCritical || oid === OID_DELTA) throw unusable(`extension ${oid}`)
  }
  if (number === undefined && rules.mostAge === undefined) throw unusable('no number')
  return { issuer, thisUpdate, nextUpdate, number: number ?? 0, authorityKeyId, scope, revoked }
}

/**
 * Parses a DER CRL. Throws `ERR_TOO_LARGE` above 1,048,576 bytes and `ERR_CRL` for one that is malformed or says
 * something that is not understood. Takes some 30 ms for 10,000 entries.
 */
export function parseCrl(der: Bytes, unsafeRules: UnsafeCrlRules = {}): Crl {
  if (der.length > (unsafeRules.mostBytes ?? MAX_CRL)) throw new KeyferryError('ERR_TOO_LARGE')
  try {
    const copy = der.slice()
    const parts = readSigned(copy)
    const fields = readDer(parts.tbs, (outer) =>
      outer.inside(SEQUENCE, (reader) => readTbs(reader, parts.identifier, unsafeRules)),
    )
    return { der: copy, tbs: parts.tbs, signed: readCertificateSignature(parts), ...fields } as Crl
  } catch (cause) {
    throw new KeyferryError('ERR_CRL', undefined, { cause })
  }
}

/**
 * Checks that `issuer` signed the list with the key that it issues with and may do so, and that it is current at
 * `now` (seconds, bounds included). The issuer itself must come from a valid path. Throws `ERR_CRL`.
 */
export async function checkCrl(
  crl: Crl,
  issuer: Certificate,
  now: number,
  unsafeRules: UnsafeCrlRules = {},
  verify: CaVerifier = verifyCertificateSignature,
): Promise<VerifiedCrl> {
  if (!equal(crl.issuer, issuer.subject)) throw unusable('of another issuer')
  if (!(issuer.keyUsage & CRL_SIGN)) throw unusable('the issuer may not sign lists')
  const { authorityKeyId, thisUpdate, nextUpdate, number, revoked, scope } = crl
  if (authorityKeyId && issuer.subjectKeyId && !equal(authorityKeyId, issuer.subjectKeyId)) {
    throw unusable('of another key')
  }
  const { leastRsaBits, mostAge = Infinity } = unsafeRules
  if (!(await verify(issuer.spki, crl.signed, crl.tbs, leastRsaBits))) {
    throw unusable('not signed by the issuer')
  }
  if (!(thisUpdate <= now)) throw unusable('from the future')
  if (!(now <= nextUpdate && now <= thisUpdate + mostAge)) throw unusable('past its next update')
  const [issuerKeyId, hash] = await Promise.all([digestOnce(issuer.spki), digestOnce(crl.der)])
  const isRevoked = (serial: Bytes): boolean => revoked.has(hex(serial))
  const covers = ({ isCa, distributionPoints, hasOtherCrlIssuer }: Certificate): boolean =>
    !hasOtherCrlIssuer &&
    (isCa ? scope.cas : scope.endEntities) &&
    (scope.names === undefined ||
      scope.names.some((name) =>
        distributionPoints.some((one) => one.tag === name.tag && equal(one.content, name.content)),
      ))
  return { issuerKeyId, hash, number, thisUpdate, nextUpdate, covers, isRevoked } as VerifiedCrl
}
