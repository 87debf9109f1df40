/** The catalog: the authority's one signature over all manifests (docs/PROTOCOL.md, "Manifest and catalog"). */
import { equal } from './bytes.ts'
import {
  documentHash,
  peekPayload,
  verifyByAuthorities,
  type Authority,
  type Envelope,
  type Verified,
} from './envelope.ts'
import { KeyferryError } from './errors.ts'
import { MAX_AUTHORITY_LIFETIME } from './limits.ts'
import { bytes, int, object, text, type Infer } from './schema.ts'
import { type TrustDocument } from './trust.ts'

/** Schema of the root, size and index hash of a tree. */
export const treeHeadSchema = object({
  index: bytes(32),
  root: bytes(32),
  size: int(0, 0xffffffff),
})

const catalogSchema = object({
  expiresAt: int(),
  issuedAt: int(),
  manifests: treeHeadSchema,
  number: int(1),
  tenant: text(52),
})

/** Body of a catalog. */
export type CatalogBody = Infer<typeof catalogSchema>
/** A verified catalog. */
export type Catalog = Verified<CatalogBody>

/** Verifies a catalog under the newest trust document. Throws `ERR_SIGNATURE`, `ERR_LIFETIME` and decoding codes. */
export async function verifyCatalog(envelope: Envelope, trust: TrustDocument): Promise<Catalog> {
  const unverified = peekPayload(envelope, 'catalog', trust.tenant)
  // PROTOCOL [catalog-1]
  await verifyByAuthorities(envelope, [trust.body.authority])
  const body = catalogSchema(unverified, '')
  if (body.expiresAt <= body.issuedAt || body.expiresAt - body.issuedAt > MAX_AUTHORITY_LIFETIME) {
    throw new KeyferryError('ERR_LIFETIME', 'a catalog lives at most 400 days')
  }
  return { body, envelope, hash: documentHash(envelope) }
}

/** Throws `ERR_ROLLBACK` or `ERR_FORK` if a numbered document goes back behind, or differs from, the one known. */
export function requireNotBelow(
  next: { number: number; hash: Uint8Array },
  last: { number: number; hash: Uint8Array } | null,
  what: string,
): void {
  if (last === null) return
  if (next.number < last.number) {
    throw new KeyferryError('ERR_ROLLBACK', `${what} ${next.number} after ${last.number}`)
  }
  if (next.number === last.number && !equal(next.hash, last.hash)) {
    throw new KeyferryError('ERR_FORK', `two different documents are ${what} ${next.number}`)
  }
}

/**
 * Whether no document that the earlier authority signed can count under the later one: too few of its keys are left. Then the numbers that it
 * gave out, which a thief of its keys may have driven up, bind nobody any more.
 */
export function isReplaced(before: Authority, after: Authority): boolean {
  const kept = after.keys.filter((key) => before.keys.some((one) => equal(one, key)))
  return kept.length < after.threshold
}
