/** What a client does with a head that cannot be honest beside the one that it accepted: it keeps the proof. */
import { type Delivery } from '../shared/api.ts'
import { equal } from '../shared/bytes.ts'
import { type CaVerifier } from '../shared/certificate-signature.ts'
import { documentHash } from '../shared/envelope.ts'
import { isKeyferryError, type KeyferryError } from '../shared/errors.ts'
import { lazily } from '../shared/lazy.ts'
import { type StoredState } from './store.ts'

/** Files that are kept. */
const MOST = 8

/** A refused delivery, what it met, and when (seconds). */
export interface Refused {
  delivery: Pick<Delivery, 'crls' | 'head' | 'trust'>
  error: KeyferryError
  now: number
  verify: CaVerifier
  /** Told when the proof could not be made. */
  warn: (error: KeyferryError) => void
}

/**
 * The state with a head that contradicts what was accepted, or as it was: only what a deriver signed is evidence; a relay can make up the rest.
 */
export async function withEvidence(state: StoredState, refused: Refused): Promise<StoredState> {
  const { accepted, evidence } = state
  const head = documentHash(refused.delivery.head)
  if (accepted === null || evidence.length >= MOST || equal(accepted.head.hash, head)) return state
  if (evidence.some((one) => equal(one.head, head))) return state
  try {
    const { proveContradiction } = await lazily(() => import('./evidence.ts'))
    const proven = await proveContradiction(state, accepted, refused)
    if (proven === null) return state
    const { error, now } = refused
    return { ...state, evidence: [...evidence, { ...proven, code: error.code, at: now, head }] }
  } catch (error) {
    // Refused it is all the same; whoever shows it again gets it recorded.
    if (isKeyferryError(error)) refused.warn(error)
    return state
  }
}
