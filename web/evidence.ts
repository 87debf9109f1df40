/** What a client keeps of a contradiction: two heads that cannot both be honest. */
import { type Delivery } from '../shared/api.ts'
import { equal } from '../shared/bytes.ts'
import { encodeEnvelope } from '../shared/envelope.ts'
import { type KeyferryError } from '../shared/errors.ts'
import { verifyHead } from '../shared/release.ts'
import { type StoredState } from './store.ts'

const MAX_EVIDENCE = 8

/**
 * The state with a head that contradicts what was accepted, or as it was: only what a deriver signed is evidence; a relay can make up the rest. `now`
 * in seconds.
 */
export async function withEvidence(
  state: StoredState,
  delivery: Delivery,
  { code, message }: KeyferryError,
  now: number,
): Promise<StoredState> {
  const other = encodeEnvelope(delivery.head)
  const trust = state.accepted?.trust
  const isKnown = state.evidence.some((one) => equal(one.other, other))
  if (trust === undefined || isKnown || state.evidence.length >= MAX_EVIDENCE) return state
  try {
    await verifyHead(delivery.head, { trust, now, crls: delivery.crls })
  } catch {
    return state
  }
  const evidence = { code, message, at: now, known: state.head, other }
  return { ...state, evidence: [...state.evidence, evidence] }
}
