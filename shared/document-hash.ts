/** Names of signed documents, at once: for derivers, whose transactions wait for nothing, and for relays. Clients wait (envelope.ts). */
import { base32, type Bytes } from './bytes.ts'
import { preAuthenticationEncoding, type Envelope } from './envelope.ts'
import { sha256 } from './hash.ts'

/** The document hash: 32 bytes that name a signed document, whoever signed it and how often. */
export function documentHash(envelope: Pick<Envelope, 'payload' | 'payloadType'>): Bytes {
  return sha256(preAuthenticationEncoding(envelope.payloadType, envelope.payload))
}

/** The tenant id that a genesis trust document makes: 52 characters. */
export function tenantId(genesis: Envelope): string {
  return base32(documentHash(genesis))
}
