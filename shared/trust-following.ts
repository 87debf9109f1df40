/**
 * From the trust document that a client knows to the newest one (docs/PROTOCOL.md, "Trust document"). What verifies one is loaded with the first that is
 * new, which is seldom.
 */
import { equal, type Bytes } from './bytes.ts'
import { type Envelope } from './envelope.ts'
import { KeyferryError } from './errors.ts'
import { lazily } from './lazy.ts'
import { MAX_TRUST_STEPS } from './limits.ts'
import type { TrustBody, TrustDocument } from './trust.ts'

/** Form of a tenant id. */
export const TENANT_ID: RegExp = /^[a-z2-7]{51}[aq]$/

/** A number and hash below which an app does not go. */
export interface TrustFloor {
  number: number
  hash: Bytes
}

/** Throws `ERR_FUTURE` for the body of a newest trust document that is issued after `now` (seconds) and the skew. */
export function requireIssued({ issuedAt, skew }: TrustBody, now: number): void {
  // PROTOCOL [trust-9]
  if (issuedAt > now + skew)
    throw new KeyferryError('ERR_FUTURE', 'the trust document is issued in the future')
}

/**
 * Follows trust documents from the one known (or from genesis) to the newest delivered one; each must be the successor of the one before.
 * `now` is seconds; `null` for one who leaves time to others. Throws the codes of trust.ts, `ERR_TRUST_CHAIN_TOO_LONG`, `ERR_FUTURE`, and for the floor
 * `ERR_ROLLBACK`, `ERR_FORK`.
 */
export async function followTrust(
  tenant: string,
  known: TrustDocument | null,
  envelopes: readonly Envelope[],
  floor: TrustFloor | null,
  now: number | null,
): Promise<TrustDocument> {
  // PROTOCOL [trust-7]
  if (envelopes.length > MAX_TRUST_STEPS) throw new KeyferryError('ERR_TRUST_CHAIN_TOO_LONG')
  const requireFloor = (document: TrustDocument): TrustDocument => {
    if (document.body.number === floor?.number && !equal(document.hash, floor.hash)) {
      throw new KeyferryError('ERR_FORK', 'another trust document than the pinned one')
    }
    return document
  }
  let newest = known === null ? null : requireFloor(known)
  if (envelopes.length > 0) {
    const { verifyTrust } = await lazily(() => import('./trust.ts'))
    for (const envelope of envelopes)
      newest = requireFloor(await verifyTrust(envelope, newest, tenant))
  }
  if (newest === null) throw new KeyferryError('ERR_TRUST_DOCUMENT', 'no trust document')
  if (floor !== null && newest.body.number < floor.number) {
    throw new KeyferryError(
      'ERR_ROLLBACK',
      `trust document ${newest.body.number} is below the pinned ${floor.number}`,
    )
  }
  if (now !== null && newest !== known) requireIssued(newest.body, now)
  return newest
}
