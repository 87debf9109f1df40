/** Records of exports: the authority's word on where copies of a key version went (docs/PROTOCOL.md, "Export record"). */
import { type Bytes } from './bytes.ts'
import { peekPayload, type Envelope, type Verified } from './envelope.ts'
import { verifyByAuthorities } from './authority.ts'
import { bytes, int, list, object, text, type Schema } from './schema.ts'
import type { TrustDocument } from './trust.ts'

/** Body of an export record. `exportedAt` is in seconds. */
export interface ExportBody {
  exportedAt: number
  incarnation: number
  keyId: Bytes
  keyring: Bytes
  /** `wrappingKey` is SHA-256 of its SubjectPublicKeyInfo in hex, or says that it is no public key. */
  targets: { method: string; target: string; wrappingKey: string }[]
  tenant: string
  version: number
}

const exportSchema: Schema<ExportBody> = object({
  exportedAt: int(),
  incarnation: int(1, 0xffffffff),
  keyId: bytes(32),
  keyring: bytes(16),
  targets: list(object({ method: text(64), target: text(64), wrappingKey: text(64) }), 1, 32),
  tenant: text(52),
  version: int(1, 0xffffffff),
})

/** Verifies an export record under the trust document that was in force. Throws `ERR_SIGNATURE` and decoding codes. */
export async function verifyExport(
  envelope: Envelope,
  trust: TrustDocument,
): Promise<Verified<ExportBody>> {
  const unverified = peekPayload(envelope, 'export', trust.tenant)
  // PROTOCOL [export-1]
  const hash = await verifyByAuthorities(envelope, [trust.body.authority])
  return { body: exportSchema(unverified, ''), envelope, hash }
}
