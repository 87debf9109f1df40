/** Proof of a contradiction: a file with two heads that cannot both be honest, and with all that a stranger needs to check it. Loaded when there is one. */
import { hex, type Bytes } from '../shared/bytes.ts'
import { parseCrl } from '../shared/crl.ts'
import { decodeEnvelope, type Envelope } from '../shared/envelope.ts'
import { decodeEvidence, encodeEvidence, verifyEvidence } from '../shared/evidence.ts'
import { type Accepted } from '../shared/open.ts'
import { verifyHeadSignature } from '../shared/release.ts'
import { sha256 } from '../shared/signature.ts'
import { followTrust, type TrustDocument } from '../shared/trust.ts'
import type { Refused } from './contradiction.ts'
import { type StoredState } from './store.ts'

/** The lists by which the signers of the heads are judged, each once: what else a relay delivers would only fill the store. Throws what verifying throws. */
async function neededCrls(
  heads: readonly Envelope[],
  trust: TrustDocument,
  { delivery, now, verify }: Refused,
): Promise<Bytes[]> {
  const lists = new Map<string, Bytes>()
  for (const der of delivery.crls) lists.set(hex(await sha256(der)), der)
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
export async function proveContradiction(
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
