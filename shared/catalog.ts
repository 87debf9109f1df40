/** The catalog: the authority's one signature over all manifests (docs/PROTOCOL.md, "Manifest and catalog"). A client loads it with the first new one. */
import { peekPayload, type Envelope, type Verified } from './envelope.ts'
import { verifyByAuthorities } from './authority.ts'
import { KeyferryError } from './errors.ts'
import { MAX_AUTHORITY_LIFETIME } from './limits.ts'
import { int, object, text, type Infer, treeHeadSchema } from './schema.ts'
import type { TrustDocument } from './trust.ts'

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
  const hash = await verifyByAuthorities(envelope, [trust.body.authority])
  const body = catalogSchema(unverified, '')
  if (body.expiresAt <= body.issuedAt || body.expiresAt - body.issuedAt > MAX_AUTHORITY_LIFETIME) {
    throw new KeyferryError('ERR_LIFETIME', 'a catalog lives at most 400 days')
  }
  return { body, envelope, hash }
}
