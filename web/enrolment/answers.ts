/** Answers of the enrolment handler: JSON, and problem documents (RFC 9457) that say nothing but the code. */
import { JSON_TYPE, PROBLEM_TYPE } from '../../shared/api.ts'
import { ERROR_CODES } from '../../shared/error-codes.ts'
import { isKeyferryError, type ErrorCode } from '../../shared/errors.ts'

const COMMON = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
}

/** Codes that a stranger may see, where the status is not 400. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  ERR_METHOD: 405,
  ERR_MEDIA_TYPE: 415,
  ERR_TOO_LARGE: 413,
  ERR_ORIGIN: 403,
  ERR_REPLAY: 409,
  ERR_NEW_KEY: 403,
  ERR_CONFLICT: 409,
  ERR_DENIED: 403,
  ERR_QUOTA: 429,
  ERR_INTERNAL: 500,
  ERR_ENROLMENT: 503,
}

/** An answer in JSON. */
export function answer(value: unknown, status = 200): Response {
  const headers = { ...COMMON, 'content-type': JSON_TYPE }
  return new Response(JSON.stringify(value), { status, headers })
}

/** The code that an error is answered and reported with. */
export function codeOf(error: unknown): ErrorCode {
  return isKeyferryError(error) ? error.code : 'ERR_INTERNAL'
}

/** The answer to an error. */
export function problem(
  code: ErrorCode,
  status?: number,
  extra: Record<string, string> = {},
): Response {
  const number = status ?? STATUS[code] ?? 400
  const title = code === 'ERR_DENIED' ? 'this key was revoked' : ERROR_CODES[code]
  const body = { code, status: number, title, type: `urn:keyferry:error:${code}` }
  const headers = { ...COMMON, ...extra, 'content-type': PROBLEM_TYPE }
  return new Response(JSON.stringify(body), { status: number, headers })
}
