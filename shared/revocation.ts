/** What proves that a client's certificate is revoked (docs/PROTOCOL.md, "Revoked client"): a list of its own CA, and nothing else. */
import { equal, type Bytes } from './bytes.ts'
import { type CaVerifier } from './certificate-signature.ts'
import { type Crl } from './crl.ts'
import { verifyRole } from './envelope.ts'
import { makeBudget, readRevocation } from './path-rules.ts'
import { keyId } from './signature.ts'
import { type Certificate } from './x509.ts'
import type { TrustBody } from './trust.ts'

/** Under what a list is looked at. */
export interface RevocationContext {
  trust: TrustBody
  /** Seconds. */
  now: number
  /** The number below which no list of an issuer (key id) counts. */
  lowest: (issuer: Bytes) => number
  verify?: CaVerifier | undefined
}

async function isNew(
  crl: Crl,
  chain: readonly Certificate[],
  lowest: RevocationContext['lowest'],
): Promise<boolean> {
  for (const { subject, spki } of chain)
    if (equal(subject, crl.issuer) && crl.number < lowest(await keyId(spki))) return false
  return true
}

/**
 * Of these lists, the one that proves that a client's path is revoked; undefined if none does. `certificates` are DER, end-entity first. Throws the codes of
 * `verifyRole`, revocation left out: what has not the role of clients is not revoked.
 */
export async function findRevocation(
  certificates: readonly Bytes[],
  lists: readonly Crl[],
  { trust, now, lowest, verify }: RevocationContext,
): Promise<Crl | undefined> {
  const crls = 'unsafe-without-revocation'
  // PROTOCOL [client-1]
  const { chain } = await verifyRole(certificates, { trust, role: 'client', now, crls, verify })
  const budget = makeBudget(verify)
  for (const crl of lists) {
    if (!(await isNew(crl, chain, lowest))) continue
    const verdict = await readRevocation(chain, [crl], now, budget, () => true)
    if (verdict === 'revoked') return crl
  }
  return undefined
}
