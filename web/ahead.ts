/**
 * What a page does while its first call is out: it verifies the signer of the head that it kept, whose certificates the next head has as well. What was read and
 * found good is remembered (shared/certificate-signature.ts), and the code has run once when the answer is there. Nothing comes of it otherwise.
 */
import { type CaVerifier } from '../shared/certificate-signature.ts'
import { decodeEnvelope } from '../shared/envelope.ts'
import { verifyHeadSignature } from '../shared/release.ts'
import { type StoredState } from './store.ts'

/** Verifiers that have seen a head. */
const used = new WeakSet<CaVerifier>()

/** Does it once for each verifier. Throws what verifying throws: without the lists, which come with the answer, it never ends well. */
export async function lookAhead(
  { accepted, head }: StoredState,
  verify: CaVerifier,
): Promise<void> {
  // The next answer needs it, too.
  void import('../shared/catalog.ts').catch(() => {})
  if (accepted === null || used.has(verify)) return
  used.add(verify)
  await verifyHeadSignature(decodeEnvelope(head), {
    trust: accepted.trust,
    // When it was valid.
    now: accepted.head.issuedAt,
    crls: [],
    verify,
  })
}
