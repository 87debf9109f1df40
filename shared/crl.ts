/**
 * Certificate revocation lists (RFC 5280 §5) in the strict profile of docs/PROTOCOL.md, "Paths", `[path-8]`: one full
 * version 2 list per CA, signed by the key that issued. Delta lists, indirect lists and distribution points are not
 * usable. Every refusal but that of size is `ERR_CRL`, with what was wrong as its cause or message.
 */
import { type Bytes, equal, hex } from './bytes.ts'
import { type DerReader, ENUMERATED, INTEGER, readDer, SEQUENCE } from './der.ts'
import { KeyferryError } from './errors.ts'
import {
  importVerifyKey,
  keyId,
  readSignature,
  readSigned,
  type SignatureAlgorithm,
  sha256,
  verifySignature,
} from './signature.ts'
import {
  type Certificate,
  CRL_SIGN,
  OID_AUTHORITY_KEY_ID,
  readAuthorityKeyId,
  readExtensions,
  readName,
} from './x509.ts'

export const MAX_CRL = 1_048_576

export const OID_CRL_NUMBER = '2.5.29.20'
export const OID_REASON_CODE = '2.5.29.21'
/** deltaCRLIndicator and issuingDistributionPoint limit what a list covers. */
const OIDS_OF_PARTIAL_LISTS = ['2.5.29.27', '2.5.29.28']
/** certificateIssuer: the entry is about a certificate of another CA. */
const OID_CERTIFICATE_ISSUER = '2.5.29.29'
const REMOVE_FROM_CRL = 8

declare const parsed: unique symbol
declare const verified: unique symbol

/** One parsed list, made by {@link parseCrl} only. Nothing in it is trusted: no signature was checked. */
export type Crl = {
  readonly [parsed]: true
  readonly der: Bytes
  readonly tbs: Bytes
  readonly alg: SignatureAlgorithm
  readonly signature: Bytes
  readonly issuer: Bytes
  /** Seconds since 1970. */
  readonly thisUpdate: number
  readonly nextUpdate: number
  readonly number: number
  readonly authorityKeyId: Bytes | undefined
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
  readonly isRevoked: (serial: Bytes) => boolean
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

function readTbs(
  reader: DerReader,
  identifier: Bytes,
): Omit<Crl, typeof parsed | 'der' | 'tbs' | 'alg' | 'signature'> {
  if (!reader.has(INTEGER) || reader.count() !== 1) throw unusable('not version 2')
  if (!equal(reader.element(SEQUENCE).raw, identifier)) throw unusable('two signature algorithms')
  const issuer = readName(reader)
  const thisUpdate = reader.time()
  // RFC 5280 §5.1.2.5 and §5.1.2.7 let this and the extensions be absent; here they are required.
  const nextUpdate = reader.time()
  const revoked = new Set(reader.has(SEQUENCE) ? reader.list(readEntry) : [])
  let number: number | undefined
  let authorityKeyId: Bytes | undefined
  for (const [oid, { isCritical, value }] of reader.inside(0xa0, readExtensions)) {
    if (oid === OID_CRL_NUMBER) number = readDer(value, (inner) => inner.count())
    else if (oid === OID_AUTHORITY_KEY_ID) authorityKeyId = readAuthorityKeyId(value)
    else if (isCritical || OIDS_OF_PARTIAL_LISTS.includes(oid)) throw unusable(`extension ${oid}`)
  }
  if (number === undefined) throw unusable('no number')
  return { issuer, thisUpdate, nextUpdate, number, authorityKeyId, revoked }
}

/**
 * Parses a DER CRL. Throws `ERR_TOO_LARGE` above 1,048,576 bytes and `ERR_CRL` for one that is malformed or says
 * something that is not understood. Takes some 30 ms for 10,000 entries.
 */
export function parseCrl(der: Bytes): Crl {
  if (der.length > MAX_CRL) throw new KeyferryError('ERR_TOO_LARGE')
  try {
    const copy = der.slice()
    const parts = readSigned(copy)
    const fields = readDer(parts.tbs, (outer) =>
      outer.inside(SEQUENCE, (reader) => readTbs(reader, parts.identifier)),
    )
    return { der: copy, tbs: parts.tbs, ...readSignature(parts), ...fields } as Crl
  } catch (cause) {
    throw new KeyferryError('ERR_CRL', undefined, { cause })
  }
}

/**
 * Checks that `issuer` signed the list with the key that it issues with and may do so, and that it is current at
 * `now` (seconds, bounds included). The issuer itself must come from a valid path. Throws `ERR_CRL`.
 */
export async function checkCrl(crl: Crl, issuer: Certificate, now: number): Promise<VerifiedCrl> {
  if (!equal(crl.issuer, issuer.subject)) throw unusable('of another issuer')
  if (!(issuer.keyUsage & CRL_SIGN)) throw unusable('the issuer may not sign lists')
  const { authorityKeyId, thisUpdate, nextUpdate, number, revoked } = crl
  if (authorityKeyId && issuer.subjectKeyId && !equal(authorityKeyId, issuer.subjectKeyId)) {
    throw unusable('of another key')
  }
  const key = await importVerifyKey(issuer.spki)
  if (crl.alg !== key.alg || !(await verifySignature(key, crl.signature, crl.tbs))) {
    throw unusable('not signed by the issuer')
  }
  if (!(thisUpdate <= now)) throw unusable('from the future')
  if (!(now <= nextUpdate)) throw unusable('past its next update')
  const [issuerKeyId, hash] = await Promise.all([keyId(issuer.spki), sha256(crl.der)])
  const isRevoked = (serial: Bytes): boolean => revoked.has(hex(serial))
  return { issuerKeyId, hash, number, thisUpdate, nextUpdate, isRevoked } as VerifiedCrl
}
