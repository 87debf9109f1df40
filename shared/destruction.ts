/** The record of a destroyed version: a deriver's signed word (docs/PROTOCOL.md, "Destruction"). */
import {
  peekPayload,
  verifyByCertificate,
  type Envelope,
  type VerifiedByCertificate,
} from './envelope.ts'
import { KeyferryError } from './errors.ts'
import { contextFor, type VerifyContext } from './verify-context.ts'
import { MAX_PACKAGE_LIFETIME } from './limits.ts'
import { bytes, int, object, text, type Infer } from './schema.ts'

const destructionSchema = object({
  completedAt: int(),
  erasedAt: int(),
  keyId: bytes(32),
  keyring: bytes(16),
  orderedAt: int(),
  retention: int(),
  signer: bytes(32),
  tenant: text(52),
  version: object({ incarnation: int(1, 0xffffffff), version: int(1, 0xffffffff) }),
})

/** Body of a destruction record. Times and `retention` are seconds. */
export type DestructionBody = Infer<typeof destructionSchema>

/**
 * The first second at which nobody can have the version any more: the packages of that time have ended on every clock, those of clients that were early when they
 * made them and are late now too, and backups are gone.
 */
export function destructionEnd(erasedAt: number, retention: number, skew: number): number {
  return erasedAt + Math.max(MAX_PACKAGE_LIFETIME + 2 * skew, retention)
}

/**
 * Verifies a record at the time that it names: the certificate of the deriver that signed it ends soon after. Throws `ERR_LIFETIME` for one that says it too
 * early, and envelope codes.
 */
export async function verifyDestruction(
  envelope: Envelope,
  context: Omit<VerifyContext, 'now'>,
): Promise<VerifiedByCertificate<DestructionBody>> {
  const unverified = peekPayload(envelope, 'destruction', context.trust.tenant)
  const { completedAt: now } = destructionSchema(unverified, '')
  // PROTOCOL [destruction-1]
  const verified = await verifyByCertificate(
    envelope,
    'destruction',
    destructionSchema,
    contextFor('deriver', { ...context, now }),
  )
  // PROTOCOL [destruction-2]
  const { orderedAt, erasedAt, completedAt, retention } = verified.body
  if (
    orderedAt > erasedAt ||
    completedAt < destructionEnd(erasedAt, retention, context.trust.body.skew)
  )
    throw new KeyferryError('ERR_LIFETIME', 'it is called destroyed too early')
  return verified
}
