/** All error codes (docs/PROTOCOL.md, "Errors"): those of errors.ts and relay-codes.ts, and those of derivers, enrolments and tools. */
import { type CLIENT_CODES, KeyferryError, type ErrorCode } from './errors.ts'
import { SENTENCES, type RELAY_CODES, type SPOKEN_CODES } from './relay-codes.ts'

/** Codes that only derivers, enrolments and tools throw. */
export const SERVICE_CODES = {
  ERR_RECOVERABLE: 'can be derived again, and so cannot be destroyed',
  ERR_ORIGIN: 'not from a page of the app itself',
  ERR_SESSION: 'no session, or a token of another one',
  ERR_NEW_KEY: 'a further key needs a signature by an earlier one, a step-up or an approval',
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
  ERR_USAGE: 'wrong use',
} as const

/** Every code, with the sentence shown where no better one is at hand. */
export const ERROR_CODES: typeof CLIENT_CODES &
  typeof SPOKEN_CODES &
  typeof RELAY_CODES &
  typeof SERVICE_CODES = {
  ...SENTENCES,
  ...SERVICE_CODES,
}

/** An error with the sentence of its code. */
export function errorOf(code: ErrorCode): KeyferryError {
  return new KeyferryError(code, ERROR_CODES[code])
}
