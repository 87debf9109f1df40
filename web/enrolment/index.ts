/** Enrolment for an app's own backend (package export `keyferry/enrolment`): certificates for browsers and phones, never at the relay. */
export {
  approveEnrolment,
  createMemoryApprovals,
  type Approval,
  type ApprovalStore,
} from './approvals.ts'
export {
  createCa,
  createMemoryIssued,
  type CaOptions,
  type CertificateAuthority,
  type IssuedCertificate,
  type IssuedStore,
  type KnownKey,
} from './ca.ts'
export { type Continuity, type Ground } from './continuity.ts'
export { createEnrolment, type EnrolmentEvent, type EnrolmentOptions } from './handler.ts'
export { toListener, type NodeRequest, type NodeResponse } from './listener.ts'
export { type EnrolSession, type FindSession } from './session.ts'
export { createMemoryOnce, type Once } from './tokens.ts'
export { type Bytes } from '../../shared/bytes.ts'
export { type ErrorCode } from '../../shared/errors.ts'
export { type Issuer } from '../../shared/issue.ts'
export { type SignatureAlgorithm, type SigningKey } from '../../shared/signature.ts'
