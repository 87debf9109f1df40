/** All error codes (docs/PROTOCOL.md, "Errors"): those of errors.ts, and those whose sentences need not be in a page. */
import { CLIENT_CODES, KeyferryError, type ErrorCode } from './errors.ts'

/** Codes that clients throw, too, and never without saying what is wrong. */
export const SPOKEN_CODES = {
  ERR_MALFORMED: 'not a well-formed document',
  ERR_SCHEMA: 'a field is missing, unknown or of the wrong type',
  ERR_CERT_PROFILE: 'the certificate does not fit the profile',
  ERR_PATH_INVALID: 'no valid path to an anchor of the trust document',
  ERR_SENDER: 'not a sender that this keyring or the caller takes',
  ERR_TRUST_DOCUMENT: 'not a valid successor of the trust document',
  ERR_LIFETIME: 'a longer lifetime than the trust document allows',
  ERR_ROLLBACK: 'older than what was already accepted',
  ERR_FORK: 'two different documents carry the same number',
  ERR_UNLOGGED: 'not in the audit log that the head commits to',
  ERR_DOCUMENT_MISMATCH: 'not the document asked for',
  ERR_SUITE: 'a suite that the trust document does not allow',
  ERR_KEY_VERSION: 'no such key version, or one that may not be used so',
  ERR_UNSUPPORTED: 'not supported by this version, or here',
  ERR_ENROLMENT: 'the enrolment does not answer usefully',
  ERR_UNAUTHORIZED: 'no signature or secret that is admitted here',
  ERR_IO: 'cannot be read or written',
} as const

/** Codes that only derivers, relays, enrolments and tools throw. */
export const SERVICE_CODES = {
  ERR_KEY_PACKAGE: 'the key package is not valid',
  ERR_KEY_PACKAGE_STALE: 'the key package is older than one already accepted',
  ERR_RECOVERABLE: 'can be derived again, and so cannot be destroyed',
  ERR_REQUEST_EXPIRED: 'the request is outside its time window',
  ERR_REPLAY: 'seen before',
  ERR_ORIGIN: 'not from a page of the app itself',
  ERR_SESSION: 'no session, or a token of another one',
  ERR_NEW_KEY: 'a further key needs a signature by an earlier one, a step-up or an approval',
  ERR_CONFLICT: 'the head at the relay is another one',
  ERR_INCOMPLETE: 'the head names objects that were not uploaded',
  ERR_SUSPENDED: 'the operator of the relay has suspended the tenant',
  ERR_MEDIA_TYPE: 'of another media type',
  ERR_METHOD: 'this method is not allowed here',
  ERR_LEASE: 'another deriver writes to this store',
  ERR_CONFIG: 'the configuration is not valid',
  ERR_PERMISSIONS: 'a file with secrets can be read by others',
  ERR_PASSPHRASE: 'the passphrase does not open the master secret',
  ERR_PIN: 'the PIN is refused, or was refused before',
  ERR_ROOT: 'the root of trust does not answer usefully',
  ERR_ROOT_DENIED: 'the root of trust does not let this deriver use the key',
  ERR_ROOT_FULL: 'the root of trust has no room for another key',
  ERR_ROOT_TIMEOUT: 'the root of trust does not answer in time',
  ERR_ROOT_KEY: 'the root of trust has no such key, or not the one that was used',
  ERR_EXISTS: 'exists already',
  ERR_USAGE: 'wrong use',
} as const

/** Every code, with the sentence shown where no better one is at hand. */
export const ERROR_CODES: typeof CLIENT_CODES & typeof SPOKEN_CODES & typeof SERVICE_CODES = {
  ...CLIENT_CODES,
  ...SPOKEN_CODES,
  ...SERVICE_CODES,
}

/** An error with the sentence of its code. */
export function errorOf(code: ErrorCode): KeyferryError {
  return new KeyferryError(code, ERROR_CODES[code])
}
