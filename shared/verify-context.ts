/** What documents signed by a certificate are verified against. */
import { type Bytes } from './bytes.ts'
import { type CaVerifier } from './certificate-signature.ts'
import { type Crl } from './crl.ts'
import { type CertificateContext } from './envelope.ts'
import type { TrustDocument } from './trust.ts'

/** The trust document, time and CRLs to verify against. */
export interface VerifyContext {
  trust: TrustDocument
  /** Seconds. */
  now: number
  /** CRLs, as DER or parsed. */
  crls: readonly (Bytes | Crl)[]
  /** See {@link CertificateContext}. */
  verify?: CaVerifier | undefined
}

/** The context for documents of one role. */
export function contextFor(
  role: CertificateContext['role'],
  { trust, now, crls, verify }: VerifyContext,
): CertificateContext {
  return { tenant: trust.tenant, trust: trust.body, role, now, crls, verify }
}
