/**
 * Certification path validation (RFC 5280 §6) in the strict profile of docs/PROTOCOL.md, "Paths". The path comes in
 * order, nothing is searched for and nothing is fetched; a path that uses what is not implemented is refused.
 */
import { type Bytes, equal } from './bytes.ts'
import { type CaVerifier, readerOf, readKeyKind } from './certificate-signature.ts'
import { digestOnce } from './digest.ts'
import { readUriHost } from './names.ts'
import {
  type Budget,
  checkPath,
  invalid,
  isSameKeyId,
  isSignedBy,
  makeBudget,
  MAX_INTERMEDIATES,
  type PathIssuers,
  type PathRules,
  profile,
} from './path-rules.ts'
import { verifyKeyOf, type VerifyKey } from './signature.ts'
import { type Certificate, parseAnchor, parseCertificate } from './x509.ts'

export type PathInput = PathRules & {
  /** DER, end entity first, each issued by the next; the anchor is not among them. */
  readonly certificates: readonly Bytes[]
  /** Pinned DER certificates, self-signed or not. */
  readonly anchors: readonly Bytes[]
  /** Certificates between the end entity and the anchor: 3 unless given, never more than 8. */
  readonly maxIntermediates?: number
  /** Checks signatures of CAs, in place of the one that remembers nothing. */
  readonly verify?: CaVerifier | undefined
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
  readonly issuers: PathIssuers
  /** All of it, the leaf first, the anchor last. */
  readonly chain: readonly Certificate[]
  /** Seconds since 1970: the earliest end of validity in the path, the anchor included. */
  readonly notAfter: number
}

async function findAnchor(
  last: Certificate,
  anchors: readonly Certificate[],
  budget: Budget,
): Promise<Certificate> {
  for (const anchor of anchors) {
    if (!equal(last.issuer, anchor.subject) || !isSameKeyId(last, anchor)) continue
    if (await isSignedBy(last, anchor, budget)) return anchor
  }
  throw invalid('not issued by an anchor')
}

// PROTOCOL [path-6]
function checkUri({ uris }: Certificate): void {
  if (uris.length !== 1) throw profile('not exactly one URI')
  readUriHost(uris[0]!)
}

/**
 * Validates a path to one of the anchors. Throws, in this order: `ERR_PATH_INVALID` for its length, `ERR_TOO_LARGE`,
 * `ERR_MALFORMED`, `ERR_CERT_PROFILE` or `ERR_WEAK_KEY` for a certificate, `ERR_PATH_INVALID` for names, signatures
 * and the anchor, `ERR_CERT_EXPIRED`, `ERR_PATH_INVALID` for a CA, `ERR_CERT_PROFILE` for the end entity,
 * `ERR_PATH_INVALID` for name constraints, `ERR_CRL`, `ERR_CERT_REVOKED`.
 */
export async function validatePath(input: PathInput): Promise<VerifiedPath> {
  const now = Math.floor(input.now)
  const most = 1 + Math.min(input.maxIntermediates ?? 3, MAX_INTERMEDIATES)
  if (!(input.certificates.length <= most)) throw invalid('too many certificates')
  const certificates = input.certificates.map(readerOf(input.verify, parseCertificate))
  const anchors = input.anchors.map(readerOf(input.verify, parseAnchor))
  const [leaf] = certificates
  if (!leaf) throw invalid('no certificate')
  const key = await verifyKeyOf(leaf.spki)
  for (const { spki } of certificates) await readKeyKind(spki)

  const budget = makeBudget(input.verify)
  const above = certificates.slice(1)
  for (const [i, issuer] of above.entries()) {
    if (!equal(certificates[i]!.issuer, issuer.subject)) throw invalid('names do not chain')
  }
  for (const [i, issuer] of above.entries()) {
    if (!(await isSignedBy(certificates[i]!, issuer, budget))) throw invalid('signature')
  }
  for (const [i, issuer] of above.entries()) {
    if (!isSameKeyId(certificates[i]!, issuer)) throw invalid('key identifiers differ')
  }
  const anchor = await findAnchor(certificates.at(-1)!, anchors, budget)
  if (anchors.some((item) => equal(item.der, leaf.der))) throw invalid('an anchor as end entity')
  const path = [...certificates, anchor]
  const issuers = await checkPath(path, { ...input, now }, budget, checkUri)

  const fingerprint = await digestOnce(leaf.der)
  const notAfter = Math.min(...path.map((item) => item.notAfter))
  const { spki } = leaf
  const found = { leaf, key, uri: leaf.uris[0]!, spki, fingerprint, issuers, notAfter }
  return { ...found, chain: path as readonly Certificate[] } as VerifiedPath
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
