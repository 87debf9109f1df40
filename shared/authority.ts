/** Documents of the authority: signed by a number of its keys (docs/PROTOCOL.md, "Envelope"), and replaced with them. */
import { hex, type Bytes } from './bytes.ts'
import { digest, digestOnce } from './digest.ts'
import { preAuthenticationEncoding, type Envelope } from './envelope.ts'
import { KeyferryError } from './errors.ts'
import { verifyKeyOf, verifySignature } from './signature.ts'

/** Keys of an authority: SubjectPublicKeyInfo, and how many of them must sign. */
export interface Authority {
  keys: Bytes[]
  threshold: number
}

/**
 * Verifies an envelope signed by every one of these authorities; its document hash. Throws `ERR_SIGNATURE`; a key that is in none of them,
 * a key that signs twice and a signature that does not verify are errors, not signatures that do not count.
 */
export async function verifyByAuthorities(
  envelope: Envelope,
  authorities: readonly Authority[],
): Promise<Bytes> {
  const pae = preAuthenticationEncoding(envelope.payloadType, envelope.payload)
  const listed = new Map<string, Bytes>()
  for (const authority of authorities)
    for (const spki of authority.keys) listed.set(hex(await digestOnce(spki)), spki)
  const signed = new Set<string>()
  if (envelope.certificates.length !== 0)
    throw new KeyferryError('ERR_SCHEMA', 'certificates on a document of the authority')
  for (const { keyid, sig } of envelope.signatures) {
    // PROTOCOL [env-8]
    const id = hex(keyid)
    const spki = listed.get(id)
    if (spki === undefined || signed.has(id))
      throw new KeyferryError('ERR_SIGNATURE', 'not a key of the authority, or twice')
    if (!(await verifySignature(await verifyKeyOf(spki), sig, pae)))
      throw new KeyferryError('ERR_SIGNATURE')
    signed.add(id)
  }
  for (const { keys, threshold } of authorities) {
    let count = 0
    for (const spki of keys) if (signed.has(hex(await digestOnce(spki)))) count++
    // PROTOCOL [env-9]
    if (count < threshold)
      throw new KeyferryError('ERR_SIGNATURE', `signed by ${count} of ${threshold} authority keys`)
  }
  return digest(pae)
}
