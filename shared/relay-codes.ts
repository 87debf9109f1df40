/** Codes of what relays answer (docs/PROTOCOL.md, "Errors"), with those of errors.ts: apart from error-codes.ts, whose other sentences a relay need not carry. */
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

/** Codes that relays throw, and no client. */
export const RELAY_CODES = {
  ERR_KEY_PACKAGE: 'the key package is not valid',
  ERR_KEY_PACKAGE_STALE: 'the key package is older than one already accepted',
  ERR_REQUEST_EXPIRED: 'the request is outside its time window',
  ERR_REPLAY: 'seen before',
  ERR_CONFLICT: 'the head at the relay is another one',
  ERR_INCOMPLETE: 'the head names objects that were not uploaded',
  ERR_SUSPENDED: 'the operator of the relay has suspended the tenant',
  ERR_MEDIA_TYPE: 'of another media type',
  ERR_METHOD: 'this method is not allowed here',
  ERR_EXISTS: 'exists already',
} as const

/** Every code that a relay may answer with, with its sentence. */
export const SENTENCES: typeof CLIENT_CODES & typeof SPOKEN_CODES & typeof RELAY_CODES = {
  ...CLIENT_CODES,
  ...SPOKEN_CODES,
  ...RELAY_CODES,
}

/** What a relay says of a code. */
export function sentenceOf(code: ErrorCode): string {
  return (SENTENCES as Partial<Record<ErrorCode, string>>)[code] ?? code
}

/** An error of a relay, with the sentence of its code. */
export function relayError(code: keyof typeof SENTENCES): KeyferryError {
  return new KeyferryError(code, SENTENCES[code])
}
