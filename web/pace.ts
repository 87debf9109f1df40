/** How often a client looks for news without being told. */
import { type ErrorCode } from '../shared/errors.ts'
import { type Accepted } from '../shared/open.ts'
import { encryptLimit } from './state.ts'

/** Milliseconds, while somebody waits: twice as long each time. */
const FIRST_POLL = 150
const LONGEST_POLL = 15_000
/** Milliseconds, when nobody waits: a sixth of a head's life, within these. */
const LEAST_IDLE = 5_000
const LONGEST_IDLE = 900_000
/** Milliseconds, for a keyring that is not there. */
const ABSENT_POLL = 60_000

/** What the pace depends on. */
export interface Situation {
  accepted: Accepted | null
  /** Seconds. */
  now: number
  /** How often somebody who waits was disappointed; `undefined` if nobody waits. */
  polls: number | undefined
  /** Every wanted keyring is there. */
  isComplete: boolean
  /** Why the last fetch failed; `ERR_CERT_REVOKED` for a client that is revoked. */
  failure: ErrorCode | undefined
  /** Seconds until the certificate is to be renewed; Infinity where nothing renews it. */
  renewal: number
}

/** Milliseconds until the next fetch, before jitter. */
export function nextPoll(situation: Situation): number {
  const { accepted, now, polls, isComplete, failure, renewal } = situation
  if (failure === 'ERR_QUOTA') return LONGEST_POLL
  // Only another certificate helps, and that comes from elsewhere.
  if (failure === 'ERR_CERT_REVOKED') return LONGEST_IDLE
  if (polls !== undefined) return Math.min(FIRST_POLL * 2 ** polls, LONGEST_POLL)
  if (accepted === null || failure !== undefined) return LONGEST_POLL
  const { issuedAt, expiresAt } = accepted.head
  const life = (expiresAt - issuedAt) * 1_000
  const idle = Math.min(Math.max(life / 6, LEAST_IDLE), LONGEST_IDLE)
  // Listeners are told when encryption ends.
  const left = (encryptLimit(accepted) + 1 - now) * 1_000
  const due = Math.max(renewal * 1_000, LEAST_IDLE)
  return Math.min(idle, isComplete ? idle : ABSENT_POLL, left > 0 ? left : idle, due)
}
