/** What counts as a no: only the deriver's signed and bound word (docs/PROTOCOL.md, "Refusal"). */
import { equal, type Bytes } from '../shared/bytes.ts'
import { type Envelope } from '../shared/envelope.ts'
import { KeyferryError } from '../shared/errors.ts'
import { type VerifyContext } from '../shared/key-package.ts'
import { verifyRefusal, type RefusalBody } from '../shared/release.ts'

/** Kinds of refusals. */
export type RefusalKind = 'denied' | 'pending' | 'removed'

/** A refusal that was verified for this client and is bound to what this client did or accepted. */
export interface BoundRefusal {
  kind: RefusalKind
  keyring: Bytes
  reason: string
  /** Seconds. */
  expiresAt: number
}

/** What a refusal can be bound to. */
export interface RefusalContext extends VerifyContext {
  /** Fingerprint of the client's certificate. */
  recipient: Bytes
  /** The accepted head. */
  head: { incarnation: number; version: number }
  /** Nonces of the newest requests for a keyring; `undefined` for one that is not asked for. */
  noncesOf: (keyring: Bytes) => readonly Bytes[] | undefined
  /** Whether a member leaf under the accepted head shows the client in the keyring. */
  isMember: (keyring: Bytes) => boolean
}

function isBound(body: RefusalBody, { head, noncesOf, isMember }: RefusalContext): boolean {
  if (body.kind === 'removed') {
    const { incarnation, version } = body.head
    return incarnation === head.incarnation && version <= head.version && !isMember(body.keyring)
  }
  return noncesOf(body.keyring)?.some((nonce) => equal(nonce, body.nonce)) === true
}

/**
 * Verifies a refusal. Throws `ERR_NOT_RECIPIENT`, `ERR_KEYRING`, `ERR_UNPROVEN`, `ERR_STALE`, `ERR_FUTURE` and envelope codes: what throws
 * proves nothing.
 */
export async function openRefusal(
  envelope: Envelope,
  context: RefusalContext,
): Promise<BoundRefusal> {
  // PROTOCOL [refusal-1] [refusal-3]
  const { body } = await verifyRefusal(envelope, context.recipient, context)
  // PROTOCOL [refusal-1]
  if (context.noncesOf(body.keyring) === undefined) throw new KeyferryError('ERR_KEYRING')
  // PROTOCOL [refusal-2]
  if (!isBound(body, context))
    throw new KeyferryError('ERR_UNPROVEN', 'a refusal of something else')
  const { keyring, reason, expiresAt } = body
  return { kind: body.kind as RefusalKind, keyring, reason, expiresAt }
}

/** Whether a refusal still counts. `now` in seconds. */
export function isRefusalFresh(refusal: { expiresAt: number }, now: number, skew: number): boolean {
  // PROTOCOL [refusal-3]
  return now <= refusal.expiresAt + skew
}
