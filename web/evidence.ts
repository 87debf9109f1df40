/** Proof of a contradiction: a file with two heads that cannot both be honest, and with all that a stranger needs to check it. Loaded when there is one. */
import { equal, hex, type Bytes } from '../shared/bytes.ts'
import { parseCrl } from '../shared/crl.ts'
import { type CaVerifier } from '../shared/certificate-signature.ts'
import { type Delivery } from '../shared/delivery.ts'
import { digest } from '../shared/digest.ts'
import { decodeEnvelope, documentDigest, type Envelope } from '../shared/envelope.ts'
import { decodeEvidence, encodeEvidence, verifyEvidence } from '../shared/evidence.ts'
import { type KeyferryError } from '../shared/errors.ts'
import { type Accepted } from '../shared/open.ts'
import { verifyHeadSignature } from '../shared/release.ts'
import type { TrustDocument } from '../shared/trust.ts'
import { followTrust } from '../shared/trust-following.ts'
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

/** The lists by which the signers of the heads are judged, each once: what else a relay delivers would only fill the store. Throws what verifying throws. */
async function neededCrls(
  heads: readonly Envelope[],
  trust: TrustDocument,
  { delivery, now, verify }: Refused,
): Promise<Bytes[]> {
  const lists = new Map<string, Bytes>()
  for (const der of delivery.crls) lists.set(hex(await digest(der)), der)
  const crls = [...lists.values()].map((der) => parseCrl(der))
  const needed = new Set<string>()
  for (const head of heads) {
    const { path } = await verifyHeadSignature(head, { trust, now, crls, verify })
    for (const { crlHash } of path.issuers) needed.add(hex(crlHash))
  }
  return [...lists].flatMap(([hash, der]) => (needed.has(hash) ? [der] : []))
}

/** A file that is proven under these trust documents. Throws where there is none. */
async function prove(
  known: Envelope,
  tenant: string,
  trust: Envelope[],
  newest: TrustDocument,
  refused: Refused,
): Promise<{ file: Bytes; message: string }> {
  const other = refused.delivery.head
  const crls = await neededCrls([other, known], newest, refused)
  const file = encodeEvidence({ at: refused.now, crls, known, other, tenant, trust })
  return { file, message: (await verifyEvidence(decodeEvidence(file), tenant)).what }
}

/** The proof that a refused head contradicts the accepted one, or `null` where there is none. */
async function proveContradiction(
  { head, tenant, trusts }: StoredState,
  { trust }: Accepted,
  refused: Refused,
): Promise<{ file: Bytes; message: string } | null> {
  const known = decodeEnvelope(head)
  const brought = refused.delivery.trust
  try {
    return await prove(known, tenant, trusts, trust, refused)
  } catch {
    if (brought.length === 0) return null
  }
  try {
    // Then it is one under what came with it.
    const newest = await followTrust(tenant, trust, brought, null, null)
    return await prove(known, tenant, [...trusts, ...brought], newest, refused)
  } catch {
    return null
  }
}

/**
 * The state with a head that contradicts what was accepted, or as it was: only what a deriver signed is evidence; a relay can make up the rest.
 */
export async function withEvidence(state: StoredState, refused: Refused): Promise<StoredState> {
  const { accepted, evidence } = state
  const head = await documentDigest(refused.delivery.head)
  if (accepted === null || evidence.length >= MOST || equal(accepted.head.hash, head)) return state
  if (evidence.some((one) => equal(one.head, head))) return state
  const proven = await proveContradiction(state, accepted, refused)
  if (proven === null) return state
  const { error, now } = refused
  return { ...state, evidence: [...evidence, { ...proven, code: error.code, at: now, head }] }
}
