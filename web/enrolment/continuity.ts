/** Whether a key may be certified for a URI: the first, a known one, or a further one that something speaks for. */
import { equal, type Bytes } from '../../shared/bytes.ts'
import { enrolStatement, type EnrolRequest } from '../../shared/enrol.ts'
import { errorOf } from '../../shared/error-codes.ts'
import { KeyferryError } from '../../shared/errors.ts'
import { importVerifyKey, keyId, verifySignature } from '../../shared/signature.ts'
import { claimApproval, type ApprovalStore } from './approvals.ts'
import { type KnownKey } from './ca.ts'
import { type EnrolSession } from './session.ts'

/** What can speak for a further key. */
export type Continuity = 'proof' | 'step-up' | 'approval'
/** Why a certificate was issued. */
export type Ground = 'first' | 'known' | Continuity

/** Seconds for which a step-up counts. */
const STEP_UP_AGE = 300

/** One request for a certificate. */
export interface Candidate {
  session: EnrolSession
  /** Key id of the key in the request. */
  id: Bytes
  csr: Bytes
  known: readonly KnownKey[]
  nonce: string
  proof: EnrolRequest['proof']
  accept: readonly Continuity[]
  approvals: ApprovalStore | undefined
  /** Seconds. */
  now: number
}

async function isProven({ session, csr, known, nonce, proof, now }: Candidate): Promise<boolean> {
  if (proof === null) return false
  const id = await keyId(proof.key)
  // PROTOCOL [enrol-9]
  const isLive = known.some((one) => equal(one.keyId, id) && !one.isRevoked && one.notAfter >= now)
  const isRevoked = known.some((one) => equal(one.keyId, id) && one.isRevoked === true)
  if (!isLive || isRevoked) throw errorOf('ERR_NEW_KEY')
  const statement = enrolStatement(session.uri, nonce, csr)
  if (!(await verifySignature(await importVerifyKey(proof.key), proof.signature, statement)))
    throw errorOf('ERR_NEW_KEY')
  return true
}

/** The ground for a certificate, or the code of an approval to wait for. Throws `ERR_DENIED` for a revoked key, `ERR_NEW_KEY`. */
export async function decide(candidate: Candidate): Promise<{ ground: Ground } | { code: string }> {
  const { session, id, known, accept, approvals, now } = candidate
  const own = known.filter((one) => equal(one.keyId, id))
  // PROTOCOL [enrol-8]
  if (own.some((one) => one.isRevoked === true)) throw new KeyferryError('ERR_DENIED')
  if (own.length > 0) return { ground: 'known' }
  if (known.length === 0) return { ground: 'first' }
  if (accept.includes('proof') && (await isProven(candidate))) return { ground: 'proof' }
  const age = now - (session.steppedUpAt ?? -Infinity)
  if (accept.includes('step-up') && age >= 0 && age <= STEP_UP_AGE) return { ground: 'step-up' }
  if (!accept.includes('approval') || approvals === undefined) throw errorOf('ERR_NEW_KEY')
  const code = await claimApproval(approvals, session.uri, id, now)
  return code === null ? { ground: 'approval' } : { code }
}
