/** Until when a revoked client may still see new data: the bound of docs/revocation.md, from a tenant's settings. */
import { type TrustDocument } from '../shared/trust.ts'
import { type Store } from './store.ts'

/** Seconds: from a revocation in the database to a head with new keys at the relay, a step that was under way included. */
export const REKEY = 60
/** A source is polled at intervals of up to this many times its setting: jitter. */
const JITTER = 1.1

/** The parts of the bound and their sum. Seconds. */
export interface RevocationBound {
  /** Of the CRL source that is looked at least often; 0 where there is none: then lists are imported by hand. */
  poll: number
  rekey: number
  headLifetime: number
  skew: number
  /** From a list at its source to the last message of an honest client under a key that the revoked one had. */
  total: number
  /** The same from `client revoke`, which waits for no list. */
  direct: number
}

/**
 * The bound as it is at `now`, in seconds. A head that was signed under a longer lifetime, before the trust document shortened it, counts as long as it
 * lives.
 */
export function revocationBound(
  store: Store,
  { body }: TrustDocument,
  now: number,
): RevocationBound {
  const { every } = store.get<{ every: number | null }>(
    'SELECT max(every) AS every FROM crl_sources',
  )!
  const poll = Math.ceil((every ?? 0) * JITTER)
  const { skew } = body
  const { last } = store.get<{ last: number | null }>('SELECT max(expires) AS last FROM heads')!
  const headLifetime = Math.max(body.headLifetime, (last ?? 0) - now)
  const direct = REKEY + headLifetime + skew
  return { poll, rekey: REKEY, headLifetime, skew, total: poll + direct, direct }
}
