/**
 * Certification path validation (RFC 5280 §6) in the strict profile of docs/PROTOCOL.md, "Paths". The path comes in
 * order, nothing is searched for and nothing is fetched; a path that uses what is not implemented is refused.
 */
import { type Bytes, equal, hex } from './bytes.ts'
import { checkCrl, type Crl, parseCrl, type VerifiedCrl } from './crl.ts'
import { KeyferryError } from './errors.ts'
import { importVerifyKey, type VerifyKey, verifySignature } from './signature.ts'
import {
  type Certificate,
  certificateFingerprint,
  CRL_SIGN,
  DIGITAL_SIGNATURE,
  KEY_CERT_SIGN,
  OID_SUBJECT_ALT_NAME,
  parseAnchor,
  parseCertificate,
} from './x509.ts'

const ANY_EXTENDED_KEY_USAGE = '2.5.29.37.0'
/** Of certificates and CRLs together, in one validation. */
const MAX_SIGNATURE_CHECKS = 64
const MAX_NAME_COMPARISONS = 4096

export type PathInput = {
  /** DER, end entity first, each issued by the next; the anchor is not among them. */
  readonly certificates: readonly Bytes[]
  /** Pinned DER certificates, self-signed or not. */
  readonly anchors: readonly Bytes[]
  /** Seconds since 1970. */
  readonly now: number
  /** Dotted OIDs; the end entity must have all of them. */
  readonly eku: readonly string[]
  /** Lists of all issuers of the path, as DER or parsed. Only tools that merely show a path go without. */
  readonly crls: readonly (Bytes | Crl)[] | 'unsafe-without-revocation'
  /** Certificates between the end entity and the anchor: 3 unless given, never more than 8. */
  readonly maxIntermediates?: number
}

declare const verified: unique symbol

/** A path that was valid at the time it was checked; made by {@link validatePath} only. */
export type VerifiedPath = {
  readonly [verified]: true
  readonly leaf: Certificate
  /** The leaf's key, ready to verify with. */
  readonly key: VerifyKey
  /** The one URI of the leaf's subjectAltName. */
  readonly uri: string
  readonly spki: Bytes
  /** SHA-256 of the leaf's DER. */
  readonly fingerprint: Bytes
  /** Of every issuer, the leaf's first: SHA-256 of its SPKI and the CRL that was used. Empty without revocation. */
  readonly issuers: readonly {
    readonly keyId: Bytes
    readonly crlNumber: number
    readonly crlHash: Bytes
  }[]
  /** Seconds since 1970: the earliest end of validity in the path, the anchor included. */
  readonly notAfter: number
}

/** One certificate of a path with the one that issued it. */
type Link = { readonly certificate: Certificate; readonly issuer: Certificate }

function invalid(what: string): KeyferryError {
  return new KeyferryError('ERR_PATH_INVALID', what)
}

function profile(what: string): KeyferryError {
  return new KeyferryError('ERR_CERT_PROFILE', what)
}

/** Counts down; throws `ERR_PATH_INVALID` when nothing is left, so that no input can make validation long. */
function makeBudget(left: number, what: string): () => void {
  return () => {
    if (left-- <= 0) throw invalid(`too many ${what}`)
  }
}

function isSameKeyId(certificate: Certificate, issuer: Certificate): boolean {
  const { authorityKeyId } = certificate
  const { subjectKeyId } = issuer
  return !authorityKeyId || !subjectKeyId || equal(authorityKeyId, subjectKeyId)
}

// PROTOCOL [path-2]
async function isSignedBy(certificate: Certificate, key: VerifyKey): Promise<boolean> {
  const { signed, tbs } = certificate
  return signed?.alg === key.alg && verifySignature(key, signed.signature, tbs)
}

async function findAnchor(
  last: Certificate,
  anchors: readonly Certificate[],
  spend: () => void,
): Promise<Certificate> {
  for (const anchor of anchors) {
    if (!equal(last.issuer, anchor.subject) || !isSameKeyId(last, anchor)) continue
    spend()
    if (await isSignedBy(last, await importVerifyKey(anchor.spki))) return anchor
  }
  throw invalid('not issued by an anchor')
}

// PROTOCOL [path-4]
function checkIssuer(issuer: Certificate, below: number, eku: readonly string[]): void {
  if (!issuer.isCa) throw invalid('issued by a certificate that is no CA')
  if (!(issuer.keyUsage & KEY_CERT_SIGN)) throw invalid('the issuer may not sign certificates')
  if (issuer.pathLength !== undefined && below > issuer.pathLength) throw invalid('path length')
  if (!issuer.hasSubject) throw invalid('a CA without a name')
  const { ekus } = issuer
  if (ekus && !ekus.includes(ANY_EXTENDED_KEY_USAGE) && !eku.every((oid) => ekus.includes(oid))) {
    throw invalid('the CA may not issue for this use')
  }
}

// PROTOCOL [path-5]
function checkLeaf(leaf: Certificate, eku: readonly string[]): void {
  if (leaf.isCa) throw profile('a CA as end entity')
  if (!(leaf.keyUsage & DIGITAL_SIGNATURE)) throw profile('may not sign documents')
  if (leaf.keyUsage & (KEY_CERT_SIGN | CRL_SIGN)) throw profile('may sign as a CA')
  const { ekus } = leaf
  if (!ekus || !eku.every((oid) => ekus.includes(oid))) throw profile('not for this use')
  if (leaf.nameConstraints) throw profile('name constraints in an end entity')
  if (!leaf.hasSubject && !leaf.critical.includes(OID_SUBJECT_ALT_NAME)) throw profile('no name')
}

const HOST = '[a-z0-9_-]+(?:\\.[a-z0-9_-]+)*'
// RFC 3986 with a plain host name; user information, query and fragment do not match.
const URI = new RegExp(
  `^[a-z][a-z0-9+.-]*://(${HOST})(?::\\d+)?(?:/(?:[a-z0-9._~!$&'()*+,;=:@/-]|%[0-9a-f]{2})*)?$`,
  'i',
)
const CONSTRAINT = new RegExp(`^\\.?${HOST}$`, 'i')

/** The host of a URI, in lower case. Throws `ERR_CERT_PROFILE` for one that names no identity: `[path-6]`. */
export function readUriHost(uri: string): string {
  const host = URI.exec(uri)?.[1]
  // The last label of a host name is never a number: that would be an IP address, which no host constraint is about.
  if (host === undefined || /(^|\.)\d+$/.test(host)) throw profile('not a URI with a host name')
  return host.toLowerCase()
}

/** RFC 5280 §4.2.1.10: `host` means that host, `.host` everything below it. */
function isWithin(host: string, constraint: string): boolean {
  if (!CONSTRAINT.test(constraint)) throw invalid('not a URI constraint')
  const wanted = constraint.toLowerCase()
  return wanted.startsWith('.') ? host.endsWith(wanted) : host === wanted
}

// PROTOCOL [path-7]
function checkNames(links: readonly Link[]): void {
  const spend = makeBudget(MAX_NAME_COMPARISONS, 'name comparisons')
  for (const [index, { issuer }] of links.entries()) {
    const constraints = issuer.nameConstraints
    if (!constraints) continue
    if (constraints.hasUnsupported) throw invalid('a name constraint of another form')
    for (const { certificate } of links.slice(0, index + 1)) {
      for (const uri of certificate.uris) {
        const host = readUriHost(uri)
        const matches = (constraint: string): boolean => {
          spend()
          return isWithin(host, constraint)
        }
        if (constraints.excluded.filter(matches).length > 0) throw invalid('an excluded name')
        const { permitted } = constraints
        if (permitted.length > 0 && permitted.filter(matches).length === 0) {
          throw invalid('not a permitted name')
        }
      }
    }
  }
}

/** The highest usable list of an issuer. Throws the last reason when there is none (`ERR_CRL`). */
async function findCrl(
  issuer: Certificate,
  crls: readonly Crl[],
  now: number,
  spend: () => void,
): Promise<VerifiedCrl> {
  let best: VerifiedCrl | undefined
  let reason: unknown = new KeyferryError('ERR_CRL', 'no list of an issuer')
  for (const crl of crls) {
    if (!equal(crl.issuer, issuer.subject)) continue
    spend()
    try {
      const usable = await checkCrl(crl, issuer, now)
      if (!best || usable.number > best.number) best = usable
    } catch (error) {
      reason = error
    }
  }
  if (!best) throw reason
  return best
}

// PROTOCOL [path-8]
async function checkRevocation(
  links: readonly Link[],
  crls: readonly (Bytes | Crl)[],
  now: number,
  spend: () => void,
): Promise<VerifiedPath['issuers']> {
  const lists = crls.map((crl) => (crl instanceof Uint8Array ? parseCrl(crl) : crl))
  const issuers: VerifiedPath['issuers'][number][] = []
  const verdicts: boolean[] = []
  for (const { certificate, issuer } of links) {
    const crl = await findCrl(issuer, lists, now, spend)
    issuers.push({ keyId: crl.issuerKeyId, crlNumber: crl.number, crlHash: crl.hash })
    verdicts.push(crl.isRevoked(certificate.serial))
  }
  if (verdicts.includes(true)) throw new KeyferryError('ERR_CERT_REVOKED')
  return issuers
}

/**
 * Validates a path to one of the anchors. Throws, in this order: `ERR_PATH_INVALID` for its length, `ERR_TOO_LARGE`,
 * `ERR_MALFORMED`, `ERR_CERT_PROFILE` or `ERR_WEAK_KEY` for a certificate, `ERR_PATH_INVALID` for names, signatures
 * and the anchor, `ERR_CERT_EXPIRED`, `ERR_PATH_INVALID` for a CA, `ERR_CERT_PROFILE` for the end entity,
 * `ERR_PATH_INVALID` for name constraints, `ERR_CRL`, `ERR_CERT_REVOKED`.
 */
export async function validatePath(input: PathInput): Promise<VerifiedPath> {
  const { eku, crls } = input
  const now = Math.floor(input.now)
  const most = 1 + Math.min(input.maxIntermediates ?? 3, 8)
  if (!(input.certificates.length <= most)) throw invalid('too many certificates')
  const certificates = input.certificates.map(parseCertificate)
  const anchors = input.anchors.map(parseAnchor)
  const [leaf] = certificates
  const last = certificates.at(-1)
  if (!leaf || !last) throw invalid('no certificate')
  const keys: VerifyKey[] = []
  for (const { spki } of certificates) keys.push(await importVerifyKey(spki))

  const above = certificates.slice(1)
  for (const [i, issuer] of above.entries()) {
    if (!equal(certificates[i]!.issuer, issuer.subject)) throw invalid('names do not chain')
  }
  const spend = makeBudget(MAX_SIGNATURE_CHECKS, 'signatures')
  for (const [i, key] of keys.slice(1).entries()) {
    spend()
    if (!(await isSignedBy(certificates[i]!, key))) throw invalid('signature')
  }
  for (const [i, issuer] of above.entries()) {
    if (!isSameKeyId(certificates[i]!, issuer)) throw invalid('key identifiers differ')
  }
  const anchor = await findAnchor(last, anchors, spend)
  const path = [...certificates, anchor]
  const isRepeated = new Set(path.map((item) => hex(item.der))).size < path.length
  if (isRepeated) throw invalid('a certificate twice, or the anchor itself')
  if (anchors.some((item) => equal(item.der, leaf.der))) throw invalid('an anchor as end entity')

  // PROTOCOL [path-3]
  for (const { notBefore, notAfter } of path) {
    if (!(notBefore <= now && now <= notAfter)) throw new KeyferryError('ERR_CERT_EXPIRED')
  }
  const links = certificates.map((certificate, i): Link => ({ certificate, issuer: path[i + 1]! }))
  for (const [below, { issuer }] of links.entries()) checkIssuer(issuer, below, eku)
  checkLeaf(leaf, eku)
  // PROTOCOL [path-6]
  const [uri, ...others] = leaf.uris
  if (uri === undefined || others.length > 0) throw profile('not exactly one URI')
  readUriHost(uri)
  checkNames(links)
  const issuers =
    crls === 'unsafe-without-revocation' ? [] : await checkRevocation(links, crls, now, spend)

  const fingerprint = await certificateFingerprint(leaf.der)
  const notAfter = Math.min(...path.map((item) => item.notAfter))
  const { spki } = leaf
  return { leaf, key: keys[0]!, uri, spki, fingerprint, issuers, notAfter } as VerifiedPath
}

/**
 * True when a URI matches a SAN rule of the trust document: an exact URI, or one that ends in `/*` and stands for
 * everything that begins with it up to the `/` and goes on. Compared as bytes.
 */
export function matchesSanRule(uri: string, rule: string): boolean {
  if (!rule.endsWith('/*')) return uri === rule
  const prefix = rule.slice(0, -1)
  return uri.length > prefix.length && uri.startsWith(prefix)
}
