/** Calls to the HTTP interface of a KMS: bounded in time, size and number. What it answers is data of a stranger. */
import { isKeyferryError, KeyferryError, type ErrorCode } from '../shared/errors.ts'

/** One call; made anew for each attempt, so that signatures and tokens are fresh. */
export interface KmsRequest {
  url: string
  headers: Record<string, string>
  body: string
}

/** What an answer that is no success means; `retry` for one that may pass. */
export type Judge = (status: number, answer: unknown) => ErrorCode | 'retry'

/** Milliseconds, and how often. */
export interface Patience {
  timeout: number
  attempts: number
  pause: number
}

const PATIENCE: Patience = { timeout: 5_000, attempts: 3, pause: 200 }
/** Bytes of the largest answer. */
const MOST = 65_536

async function readBounded(response: Response): Promise<unknown> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response.body ?? []) {
    length += chunk.length
    if (length > MOST) throw new KeyferryError('ERR_ROOT', `an answer of more than ${MOST} bytes`)
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown
  } catch {
    return null
  }
}

/** What a KMS says of itself, cut to a length and to characters that do nothing on a terminal. */
export function said(answer: unknown): string {
  const fields = (answer ?? {}) as Record<string, unknown>
  const error = (fields['error'] ?? {}) as Record<string, unknown>
  const errors = Array.isArray(fields['errors']) ? (fields['errors'] as unknown[])[0] : undefined
  const texts = [
    fields['__type'],
    error['status'],
    fields['message'],
    fields['Message'],
    error['message'],
    errors,
  ]
  const text = texts.filter((one) => typeof one === 'string').join(': ')
  return text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 200)
}

const HINTS: Partial<Record<ErrorCode, string>> = {
  ERR_ROOT_DENIED:
    'are the credentials of this process fresh, and do they allow the MAC operation on this key?',
  ERR_ROOT_KEY: 'is the key there and enabled, and is it for HMAC with SHA-256?',
  ERR_ROOT: 'is the address right and the service up? keyferry root check asks it again',
  ERR_ROOT_TIMEOUT: 'is the address right and the service up? keyferry root check asks it again',
}

function failure(code: ErrorCode, what: string, cause?: unknown): KeyferryError {
  return new KeyferryError(code, what, { cause, ...(HINTS[code] && { hint: HINTS[code] }) })
}

/** Throws `ERR_ROOT_DENIED`, without what the platform says of such headers: that has the token in it. */
function headersOf(name: string, headers: Record<string, string>): Headers {
  try {
    return new Headers(headers)
  } catch {
    throw failure('ERR_ROOT_DENIED', `the token or credentials for ${name} fit into no header`)
  }
}

/** `null` for what is worth another attempt. */
async function attempt(
  name: string,
  { url, headers, body }: KmsRequest,
  judge: Judge,
  timeout: number,
): Promise<{ answer: unknown } | KeyferryError> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: headersOf(name, headers),
      body,
      redirect: 'error',
      signal: AbortSignal.timeout(timeout),
    })
    const answer = await readBounded(response)
    if (response.ok) return { answer }
    const code = judge(response.status, answer)
    const text = `${name} answers ${response.status} ${said(answer)}`.trim()
    if (code !== 'retry') throw failure(code, text)
    return failure('ERR_ROOT', text)
  } catch (cause) {
    if (isKeyferryError(cause)) throw cause
    const isLate = (cause as Error).name === 'TimeoutError'
    return isLate
      ? failure('ERR_ROOT_TIMEOUT', `${name} does not answer within ${timeout} ms`, cause)
      : failure('ERR_ROOT', `${name} cannot be reached`, cause)
  }
}

/** The answer of a call, as JSON. Throws `ERR_ROOT`, `ERR_ROOT_TIMEOUT`, and what `judge` says. */
export async function callKms(
  name: string,
  make: () => KmsRequest,
  judge: Judge,
  { timeout, attempts, pause }: Patience = PATIENCE,
): Promise<Record<string, unknown>> {
  for (let i = 1; ; i++) {
    const result = await attempt(name, make(), judge, timeout)
    if (!(result instanceof KeyferryError)) return (result.answer ?? {}) as Record<string, unknown>
    if (i >= attempts) throw result
    const wait = pause * 2 ** (i - 1) * (0.5 + Math.random())
    await new Promise((resolve) => setTimeout(resolve, wait))
  }
}

/** The 32 bytes of a MAC in base64. Throws `ERR_ROOT`. */
export function readMac(name: string, value: unknown): Uint8Array<ArrayBuffer> {
  const mac = typeof value === 'string' && value.length <= 64 ? Buffer.from(value, 'base64') : null
  if (mac?.length !== 32)
    throw failure('ERR_ROOT', `${name} answers without the 32 bytes of an HMAC-SHA-256`)
  return new Uint8Array(mac)
}
