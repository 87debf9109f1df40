/** Whether a list that a relay shows proves that this client's certificate is revoked (docs/PROTOCOL.md, "Revoked client"). Loaded with the first one. */
import { equal, fromBase64url, type Bytes } from '../shared/bytes.ts'
import { type CaVerifier } from '../shared/certificate-signature.ts'
import { parseCrl } from '../shared/crl.ts'
import { decodeEnvelope } from '../shared/envelope.ts'
import { digest } from '../shared/digest.ts'
import { lowestCrl } from '../shared/numbered.ts'
import { type Accepted } from '../shared/open.ts'
import { decodeHead } from '../shared/release.ts'
import { findRevocation } from '../shared/revocation.ts'
import { type StoredRevocation, type StoredState } from './store.ts'

/** Who looks at a list, and when (seconds). */
export interface Looking {
  /** DER, end-entity first. */
  certificates: readonly Bytes[]
  now: number
  verify: CaVerifier
}

/** What a list, base64url of its DER, proves under what was accepted; `null` for nothing. Throws the codes of decoding and of paths, which prove nothing either. */
export async function readRevocationList(
  list: string,
  { head }: StoredState,
  { trust }: Accepted,
  { certificates, now, verify }: Looking,
): Promise<StoredRevocation | null> {
  const crl = parseCrl(fromBase64url(list))
  const { crls } = decodeHead(decodeEnvelope(head))
  const named = (issuer: Bytes): number =>
    crls.find((one) => equal(one.issuer, issuer))?.number ?? 0
  const lowest = (issuer: Bytes): number => Math.max(lowestCrl(issuer, trust.body), named(issuer))
  // PROTOCOL [client-1]
  const found = await findRevocation(certificates, [crl], {
    trust: trust.body,
    now,
    lowest,
    verify,
  })
  return found === undefined
    ? null
    : { certificate: certificates[0]!, list: await digest(crl.der), at: now }
}
