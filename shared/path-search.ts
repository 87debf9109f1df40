/**
 * Putting certificates in order (RFC 4158): tools are given files in which the certificates of a CA stand as they come. What goes over the wire is
 * in order, and nothing is searched for there (path.ts). Each path that is found is checked in full, in one budget for all of them.
 */
import { type Bytes, equal } from './bytes.ts'
import { readKeyKind } from './certificate-signature.ts'
import { isKeyferryError } from './errors.ts'
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
} from './path-rules.ts'
import { type Certificate, parseAnchor, parseCertificate } from './x509.ts'

export type SearchInput = PathRules & {
  /** DER of the end entity. */
  readonly leaf: Bytes
  /** DER of what may stand between, in any order; what does not parse or does not belong is left aside. */
  readonly candidates: readonly Bytes[]
  /** Pinned DER certificates, self-signed or not. */
  readonly anchors: readonly Bytes[]
  /** Certificates between the end entity and the anchor: never more than 8. */
  readonly maxIntermediates?: number
}

/** A path in order. */
export type FoundPath = {
  /** End entity first, without the anchor. */
  readonly certificates: readonly Certificate[]
  readonly anchor: Certificate
  readonly issuers: PathIssuers
}

async function readAll(
  ders: readonly Bytes[],
  read: (der: Bytes) => Certificate,
): Promise<readonly Certificate[]> {
  const found: Certificate[] = []
  for (const der of ders) {
    try {
      const certificate = read(der)
      await readKeyKind(certificate.spki)
      found.push(certificate)
    } catch {
      // Not one that a path may have.
    }
  }
  return found
}

/** Whether a certificate was issued by another one. A key that may not be used has issued nothing. */
async function isIssuedBy(one: Certificate, issuer: Certificate, budget: Budget): Promise<boolean> {
  if (!equal(one.issuer, issuer.subject) || !isSameKeyId(one, issuer)) return false
  try {
    return await isSignedBy(one, issuer, budget)
  } catch (error) {
    if (isKeyferryError(error, 'ERR_WEAK_KEY')) return false
    throw error
  }
}

/**
 * Finds a path from the end entity to an anchor that satisfies everything but what it is to be used for: its URI and the kind of its key. Throws the
 * codes of `parseCertificate` for the end entity, and where no path does, the code of the last one tried, `ERR_PATH_INVALID` where there was none.
 */
export async function findPath(input: SearchInput): Promise<FoundPath> {
  const now = Math.floor(input.now)
  const most = Math.min(input.maxIntermediates ?? MAX_INTERMEDIATES, MAX_INTERMEDIATES)
  const leaf = parseCertificate(input.leaf)
  await readKeyKind(leaf.spki)
  const candidates = await readAll(input.candidates, parseCertificate)
  const anchors = await readAll(input.anchors, parseAnchor)
  if (anchors.some(({ der }) => equal(der, leaf.der))) throw invalid('an anchor as end entity')
  const budget = makeBudget()
  let reason: unknown = invalid('no path to an anchor')

  async function searchFrom(path: readonly Certificate[]): Promise<FoundPath | undefined> {
    const last = path.at(-1)!
    for (const anchor of anchors) {
      if (!(await isIssuedBy(last, anchor, budget))) continue
      try {
        const issuers = await checkPath([...path, anchor], { ...input, now }, budget, () => {})
        return { certificates: path, anchor, issuers }
      } catch (error) {
        reason = error
      }
    }
    if (path.length > most) return undefined
    for (const issuer of candidates) {
      if (path.some(({ der }) => equal(der, issuer.der))) continue
      if (!(await isIssuedBy(last, issuer, budget))) continue
      const found = await searchFrom([...path, issuer])
      if (found) return found
    }
    return undefined
  }

  const found = await searchFrom([leaf])
  if (!found) throw reason
  return found
}
