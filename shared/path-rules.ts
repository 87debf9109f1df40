/**
 * What certificates that were put in order have to satisfy (RFC 5280 §6 in the strict profile of docs/PROTOCOL.md, "Paths", `[path-2]` to `[path-5]`,
 * `[path-7]`, `[path-8]`). Nothing here searches or fetches, and all work is paid for out of a budget.
 */
import { type Bytes, equal } from './bytes.ts'
import { type CaVerifier, verifyCertificateSignature } from './certificate-signature.ts'
import { checkCrl, type Crl, parseCrl, type VerifiedCrl } from './crl.ts'
import { isKeyferryError, KeyferryError } from './errors.ts'
import { checkNameConstraints } from './names.ts'
import {
  type Certificate,
  CRL_SIGN,
  DIGITAL_SIGNATURE,
  KEY_CERT_SIGN,
  OID_SUBJECT_ALT_NAME,
} from './x509.ts'

const ANY_EXTENDED_KEY_USAGE = '2.5.29.37.0'
/** Of certificates and CRLs together, in one validation. */
const MAX_SIGNATURE_CHECKS = 64
const MAX_NAME_COMPARISONS = 4096
/** Certificates between the end entity and the anchor. */
export const MAX_INTERMEDIATES = 8

/** What a path is validated for. */
export type PathRules = {
  /** Seconds since 1970. */
  readonly now: number
  /** Dotted OIDs; the end entity must have all of them. */
  readonly eku: readonly string[]
  /** Lists of all issuers of the path, as DER or parsed. Only tools that merely show a path go without. */
  readonly crls: readonly (Bytes | Crl)[] | 'unsafe-without-revocation'
}

/** Of every issuer, the end entity's first: SHA-256 of its SPKI and the CRL that was used. Empty without revocation. */
export type PathIssuers = readonly {
  readonly keyId: Bytes
  readonly crlNumber: number
  readonly crlHash: Bytes
}[]

/** One certificate of a path with the one that issued it. */
type Link = { readonly certificate: Certificate; readonly issuer: Certificate }

export function invalid(what: string): KeyferryError {
  return new KeyferryError('ERR_PATH_INVALID', what)
}

export function profile(what: string): KeyferryError {
  return new KeyferryError('ERR_CERT_PROFILE', what)
}

/** Counts down; throws `ERR_PATH_INVALID` when nothing is left, so that no input can make validation long. */
function makeCounter(left: number, what: string): () => void {
  return () => {
    if (left-- <= 0) throw invalid(`too many ${what}`)
  }
}

/** What one validation may do, whatever it tries. */
export type Budget = {
  readonly signature: () => void
  readonly comparison: () => void
  readonly verify: CaVerifier
}

export function makeBudget(verify: CaVerifier = verifyCertificateSignature): Budget {
  return {
    verify,
    signature: makeCounter(MAX_SIGNATURE_CHECKS, 'signatures'),
    comparison: makeCounter(MAX_NAME_COMPARISONS, 'name comparisons'),
  }
}

export function isSameKeyId(certificate: Certificate, issuer: Certificate): boolean {
  const { authorityKeyId } = certificate
  const { subjectKeyId } = issuer
  return !authorityKeyId || !subjectKeyId || equal(authorityKeyId, subjectKeyId)
}

/** Whether the issuer's key signed a certificate. Throws `ERR_PATH_INVALID` over budget, and the codes of a key that may not be used. */
export async function isSignedBy(
  { signed, tbs }: Certificate,
  issuer: Certificate,
  budget: Budget,
): Promise<boolean> {
  budget.signature()
  // PROTOCOL [path-2]
  return signed !== undefined && budget.verify(issuer.spki, signed, tbs)
}

/** Every certificate with its issuer; the anchor, which comes last, has none. */
function linksOf(path: readonly Certificate[]): Link[] {
  return path.slice(1).map((issuer, i): Link => ({ certificate: path[i]!, issuer }))
}

/** Issued by a CA of its own name (RFC 5280 §6.1): counts neither for path lengths nor for name constraints. */
function isSelfIssued({ issuer, subject }: Certificate): boolean {
  return equal(issuer, subject)
}

// PROTOCOL [path-4]
function checkIssuer(issuer: Certificate, below: number, eku: readonly string[]): void {
  if (!issuer.isCa) throw invalid('the issuer is no CA')
  if (!(issuer.keyUsage & KEY_CERT_SIGN)) throw invalid('the issuer may not sign certificates')
  if (below > (issuer.pathLength ?? Infinity)) throw invalid('path length')
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
  if (!eku.every((oid) => leaf.ekus?.includes(oid))) throw profile('not for this use')
  if (leaf.nameConstraints) throw profile('name constraints in an end entity')
  if (!leaf.hasSubject && !leaf.critical.includes(OID_SUBJECT_ALT_NAME)) throw profile('no name')
}

// PROTOCOL [path-7]
async function checkNames(links: readonly Link[], budget: Budget): Promise<void> {
  for (const [index, { issuer }] of links.entries()) {
    const constraints = issuer.nameConstraints
    if (!constraints) continue
    for (const [depth, { certificate }] of links.slice(0, index + 1).entries()) {
      if (depth > 0 && isSelfIssued(certificate)) continue
      await checkNameConstraints(constraints, certificate.names, budget.comparison)
    }
  }
}

/** The highest usable list of an issuer that covers the certificate. Throws the last reason when there is none (`ERR_CRL`). */
async function findCrl(
  { certificate, issuer }: Link,
  crls: readonly Crl[],
  now: number,
  budget: Budget,
): Promise<VerifiedCrl> {
  let best: VerifiedCrl | undefined
  let reason: unknown
  for (const crl of crls) {
    if (!equal(crl.issuer, issuer.subject)) continue
    budget.signature()
    try {
      const usable = await checkCrl(crl, issuer, now, {}, budget.verify)
      if (!usable.covers(certificate)) throw new KeyferryError('ERR_CRL', 'a list of other ones')
      if (!best || usable.number > best.number) best = usable
    } catch (error) {
      reason = error
    }
  }
  if (!best) throw reason ?? new KeyferryError('ERR_CRL', 'no list of an issuer')
  return best
}

/**
 * What lists that are usable at `now` say of a path that was validated without them, the anchor last: `revoked` if one of its certificates is listed,
 * `unknown` if one is not covered by a list or only by one for which `isUsable` is false. Throws `ERR_PATH_INVALID` over budget.
 */
export async function readRevocation(
  path: readonly Certificate[],
  crls: readonly Crl[],
  now: number,
  budget: Budget,
  isUsable: (issuer: PathIssuers[number]) => boolean,
): Promise<'good' | 'revoked' | 'unknown'> {
  let isUnknown = false
  for (const link of linksOf(path)) {
    try {
      const issuers = await checkRevocation([link], crls, now, budget)
      if (!issuers.every(isUsable)) isUnknown = true
    } catch (error) {
      if (isKeyferryError(error, 'ERR_CERT_REVOKED')) return 'revoked'
      if (!isKeyferryError(error, 'ERR_CRL')) throw error
      isUnknown = true
    }
  }
  return isUnknown ? 'unknown' : 'good'
}

// PROTOCOL [path-8]
async function checkRevocation(
  links: readonly Link[],
  crls: readonly (Bytes | Crl)[],
  now: number,
  budget: Budget,
): Promise<PathIssuers> {
  const lists = crls.map((crl) => (crl instanceof Uint8Array ? parseCrl(crl) : crl))
  const issuers: PathIssuers[number][] = []
  const verdicts: boolean[] = []
  for (const link of links) {
    const crl = await findCrl(link, lists, now, budget)
    issuers.push({ keyId: crl.issuerKeyId, crlNumber: crl.number, crlHash: crl.hash })
    verdicts.push(crl.isRevoked(link.certificate.serial))
  }
  if (verdicts.includes(true)) throw new KeyferryError('ERR_CERT_REVOKED')
  return issuers
}

/**
 * Checks a path whose names and signatures chain, the anchor last, except for what it is to be used for. Throws, in this order: `ERR_PATH_INVALID`
 * for a certificate twice, `ERR_CERT_EXPIRED`, `ERR_PATH_INVALID` for a CA, `ERR_CERT_PROFILE` for the end entity, what `onLeaf` throws,
 * `ERR_PATH_INVALID` for name constraints, `ERR_CRL`, `ERR_CERT_REVOKED`.
 */
export async function checkPath(
  path: readonly Certificate[],
  { eku, crls, now }: PathRules,
  budget: Budget,
  onLeaf: (leaf: Certificate) => void,
): Promise<PathIssuers> {
  if (path.some((one, i) => path.slice(i + 1).some((other) => equal(one.der, other.der)))) {
    throw invalid('a certificate twice')
  }
  // PROTOCOL [path-3]
  for (const { notBefore, notAfter } of path) {
    if (!(notBefore <= now && now <= notAfter)) throw new KeyferryError('ERR_CERT_EXPIRED')
  }
  const links = linksOf(path)
  let below = 0
  for (const [i, { certificate, issuer }] of links.entries()) {
    if (i > 0 && !isSelfIssued(certificate)) below++
    checkIssuer(issuer, below, eku)
  }
  const leaf = path[0]!
  checkLeaf(leaf, eku)
  onLeaf(leaf)
  await checkNames(links, budget)
  return crls === 'unsafe-without-revocation' ? [] : checkRevocation(links, crls, now, budget)
}
