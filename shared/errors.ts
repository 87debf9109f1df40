/**
 * The one error class of Keyferry and its closed list of codes (docs/PROTOCOL.md, "Errors").
 *
 * Programs switch on `code`; the message is for people and may change. A failed decryption has one code whatever
 * failed inside, so that no caller can build an oracle from it.
 */

import type { SERVICE_CODES } from './error-codes.ts'
import type { RELAY_CODES, SPOKEN_CODES } from './relay-codes.ts'

/** Codes that a client throws, with the sentence shown where no better one is at hand; relay-codes.ts and error-codes.ts have the others. */
export const CLIENT_CODES = {
  // The bytes of a document or file.
  ERR_TOO_LARGE: 'too large',
  ERR_NOT_CANONICAL: 'not canonical',
  ERR_PAYLOAD_TYPE: 'a document of another type',
  ERR_TENANT: 'belongs to another tenant',
  // Who signed it.
  ERR_CERT_EXPIRED: 'a certificate is not valid now',
  ERR_CERT_REVOKED: 'a certificate is revoked',
  ERR_CRL: 'no usable revocation list for a certificate',
  ERR_ROLE: 'the certificate has another role',
  ERR_SIGNER: 'not signed by the signer that it names',
  ERR_SIGNATURE: 'the signature is not valid',
  ERR_WEAK_KEY: 'a weak or invalid public key',
  ERR_UNSIGNED: 'not signed by its sender',
  // Trust document.
  ERR_TRUST_CHAIN_TOO_LONG: 'too many trust documents',
  // State and freshness.
  ERR_STALE: 'past its expiry',
  ERR_FUTURE: 'issued in the future',
  ERR_CLOCK: 'the local clock was set back',
  ERR_INCARNATION: 'of another incarnation of the deriver',
  ERR_HASH: 'not what the signed statement names',
  // Keys.
  ERR_NOT_RECIPIENT: 'made for another recipient',
  ERR_KEYRING: 'of another keyring',
  ERR_COMMITMENT: 'not the key that the authority committed to',
  ERR_OPEN: 'cannot be opened',
  ERR_UNKNOWN_KEY: 'under a key that this keyring does not have',
  // Requests.
  ERR_DENIED: 'denied by the deriver',
  ERR_REMOVED: 'removed by the deriver',
  ERR_PENDING: 'waits for an administrator of the deriver',
  ERR_UNPROVEN: 'the relay says so, no deriver signed it',
  // Transport.
  ERR_RELAY: 'the relay does not answer usefully',
  ERR_TIMEOUT: 'no answer in time',
  ERR_NOT_FOUND: 'not found',
  ERR_QUOTA: 'over a limit of the tenant',
  ERR_INTERNAL: 'internal error',
  // Local state and tools.
  ERR_CLOSED: 'closed',
  ERR_STATE: 'the stored state cannot be used',
} as const

/** A stable error code. */
export type ErrorCode =
  | keyof typeof CLIENT_CODES
  | keyof typeof SPOKEN_CODES
  | keyof typeof RELAY_CODES
  | keyof typeof SERVICE_CODES

/** Thrown by everything in Keyferry that refuses something; misuse by the programmer is a `TypeError` or `RangeError`. */
export class KeyferryError extends Error {
  override readonly name = 'KeyferryError'
  readonly code: ErrorCode
  /** What a person can do about it, where that is known better than by the code. */
  readonly hint: string | undefined

  /** A code that has no sentence here takes its message from who throws it. */
  constructor(
    code: keyof typeof CLIENT_CODES,
    message?: string,
    options?: { cause?: unknown; hint?: string },
  )
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown; hint?: string })
  constructor(code: ErrorCode, message?: string, options?: { cause?: unknown; hint?: string }) {
    super(message ?? CLIENT_CODES[code as keyof typeof CLIENT_CODES] ?? code, options)
    this.code = code
    this.hint = options?.hint
  }
}

/** True for a {@link KeyferryError}, also one from another realm or bundle; with `code`, only for that code. */
export function isKeyferryError(error: unknown, code?: ErrorCode): error is KeyferryError {
  if (!(error instanceof Error) || error.name !== 'KeyferryError') return false
  const own = (error as { code?: unknown }).code
  return (
    typeof own === 'string' && /^ERR_[A-Z_]+$/.test(own) && (code === undefined || own === code)
  )
}

/** What was thrown, or `ERR_INTERNAL` around it. */
export function asKeyferryError(error: unknown): KeyferryError {
  return isKeyferryError(error)
    ? error
    : new KeyferryError('ERR_INTERNAL', undefined, { cause: error })
}
