/** Refusals: the deriver's signed no (docs/PROTOCOL.md, "Refusal"). */
import { equal, type Bytes } from './bytes.ts'
import { verifyByCertificate, type Envelope, type VerifiedByCertificate } from './envelope.ts'
import { KeyferryError } from './errors.ts'
import { contextFor, type VerifyContext } from './verify-context.ts'
import { bytes, bytesOrEmpty, int, object, text, type Infer } from './schema.ts'

const refusalSchema = object({
  expiresAt: int(),
  head: object({ incarnation: int(1, 0xffffffff), version: int(1) }),
  issuedAt: int(),
  keyring: bytes(16),
  kind: text(16, /^(denied|package|pending|removed)$/),
  nonce: bytesOrEmpty(16),
  reason: text(300),
  recipient: bytes(32),
  release: bytesOrEmpty(32),
  signer: bytes(32),
  tenant: text(52),
})

/** Body of a refusal. */
export type RefusalBody = Infer<typeof refusalSchema>
/** A verified refusal. */
export type Refusal = VerifiedByCertificate<RefusalBody>

/** Verifies a refusal for this client: [refusal-1], its form, and [refusal-3]. What it is bound to, the caller checks. */
export async function verifyRefusal(
  envelope: Envelope,
  recipient: Bytes,
  context: VerifyContext,
): Promise<Refusal> {
  // PROTOCOL [refusal-1]
  const verified = await verifyByCertificate(
    envelope,
    'refusal',
    refusalSchema,
    contextFor('deriver', context),
  )
  const { body } = verified
  if (!equal(body.recipient, recipient)) throw new KeyferryError('ERR_NOT_RECIPIENT')
  // PROTOCOL [refusal-2]
  const isOfRequest = body.kind === 'denied' || body.kind === 'pending'
  const [named, empty] = !isOfRequest ? [body.release, body.nonce] : [body.nonce, body.release]
  if (named.length === 0 || empty.length > 0)
    throw new KeyferryError('ERR_SCHEMA', `${body.kind} is bound to something else`)
  // PROTOCOL [refusal-3]
  const { headLifetime, skew } = context.trust.body
  if (body.expiresAt - body.issuedAt > headLifetime || context.now > body.expiresAt + skew)
    throw new KeyferryError('ERR_STALE')
  if (body.issuedAt > context.now + skew) throw new KeyferryError('ERR_FUTURE')
  return verified
}
