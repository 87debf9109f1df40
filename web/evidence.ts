/** What a client keeps of a contradiction: a file with two heads that cannot both be honest, and with all that a stranger needs to check it. */
import { type Delivery } from '../shared/api.ts'
import { equal } from '../shared/bytes.ts'
import { decodeEnvelope, documentHash } from '../shared/envelope.ts'
import { type KeyferryError } from '../shared/errors.ts'
import { decodeEvidence, encodeEvidence, MAX_EVIDENCE, verifyEvidence } from '../shared/evidence.ts'
import { type StoredState } from './store.ts'

/** Files that are kept. */
const MOST = 8

/**
 * The state with a head that contradicts what was accepted, or as it was: only what a deriver signed is evidence; a relay can make up the rest. `now`
 * in seconds.
 */
export async function withEvidence(
  state: StoredState,
  { head, crls }: Delivery,
  { code }: KeyferryError,
  now: number,
): Promise<StoredState> {
  if (state.accepted === null || state.evidence.length >= MOST) return state
  const hash = documentHash(head)
  const isKept = state.evidence.some(({ file }) =>
    equal(documentHash(decodeEvidence(file).other), hash),
  )
  if (isKept) return state
  const { tenant, trusts } = state
  const body = {
    at: now,
    crls,
    known: decodeEnvelope(state.head),
    other: head,
    tenant,
    trust: trusts,
  }
  const file = encodeEvidence(body)
  if (file.length > MAX_EVIDENCE) return state
  try {
    const { what } = await verifyEvidence(body, tenant)
    return { ...state, evidence: [...state.evidence, { code, message: what, at: now, file }] }
  } catch {
    return state
  }
}
