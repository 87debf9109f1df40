/** The deriver's signed word to one client (docs/PROTOCOL.md, "Refusal"): a no, a wait, or the demand for another key package. */
import { type Bytes } from '../shared/bytes.ts'
import { signWithCertificate, type Envelope } from '../shared/envelope.ts'
import { sha256 } from '../shared/hash.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { type PublishKeys } from './publish.ts'
import { type Store } from './store.ts'

/** Seconds that a refusal lives at most. */
const REFUSAL_LIFETIME = 3_600
/** Seconds after which a word that still holds is given to relays again: it expires there. */
export const REPEAT = 600

/** What is said to whom. */
export interface Word {
  keyring: Bytes
  kind: 'denied' | 'pending' | 'package'
  /** 16 bytes: the request's; empty for `package`. */
  nonce: Bytes
  /** The package hash for `package`, else empty. */
  release: Bytes
  reason: string
  /** Fingerprint of the client's certificate. */
  recipient: Bytes
}

/** Signs a refusal. */
export function signRefusal(
  store: Store,
  { signer }: Pick<PublishKeys, 'signer'>,
  trust: TrustDocument,
  word: Word,
  now: number,
): Promise<Envelope> {
  const { key, certificates } = signer
  const body = {
    ...word,
    expiresAt: now + Math.min(REFUSAL_LIFETIME, trust.body.headLifetime),
    head: {
      incarnation: store.counter('incarnation'),
      version: Math.max(1, store.counter('head')),
    },
    issuedAt: now,
    signer: sha256(certificates[0]!),
    tenant: trust.tenant,
  }
  return signWithCertificate('refusal', body, key, certificates)
}
