/** Answers: problem documents (RFC 9457) with nothing in them but the code and its fixed sentence. */
import { JSON_TYPE, OCTETS_TYPE, PROBLEM_TYPE, STATUS, type Problem } from '../shared/api.ts'
import { base64url, fromUtf8, type Bytes } from '../shared/bytes.ts'
import { sentenceOf } from '../shared/relay-codes.ts'
import { isKeyferryError, KeyferryError, type ErrorCode } from '../shared/errors.ts'

const COMMON = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
}

/** An error with what its answer carries beyond the code. */
export class RelayError extends KeyferryError {
  readonly headers: Record<string, string>
  /** The stored head, encoded, for `ERR_CONFLICT`; `null` for none. */
  readonly head: Bytes | null | undefined
  /** The list that names the caller's certificate, for `ERR_NOT_FOUND`. */
  readonly crl: Bytes | undefined

  constructor(
    code: ErrorCode,
    extra: { headers?: Record<string, string>; head?: Bytes | null; crl?: Bytes },
  ) {
    super(code, sentenceOf(code))
    this.headers = extra.headers ?? {}
    this.head = extra.head
    this.crl = extra.crl
  }
}

/** Throws where a method of the tenant's object refused: errors do not keep their code between isolates. */
export function requireCode(code: ErrorCode | null): void {
  if (code !== null) throw new KeyferryError(code, sentenceOf(code))
}

/** What a method of the tenant's object may throw, as the message: errors keep nothing else between isolates. */
const REFUSALS: readonly ErrorCode[] = ['ERR_NOT_FOUND', 'ERR_QUOTA', 'ERR_SUSPENDED']
/** Of a caller whom the gateway admitted by other documents than those of now: to be admitted anew. */
export const MOVED = 'moved'
/** Seconds: the time over which calls are counted. */
const MINUTE = '60'

/** What the tenant's object has against a call; every other error as it is. */
export function fromTenant(error: unknown): unknown {
  const message = error instanceof Error ? error.message : ''
  // Other documents twice in a row: there is time.
  const code = message === MOVED ? 'ERR_QUOTA' : REFUSALS.find((one) => message === one)
  if (code === undefined) return error
  return new RelayError(code, code === 'ERR_QUOTA' ? { headers: { 'retry-after': MINUTE } } : {})
}

/** An answer in JSON that is already text. */
export function json(text: string, status = 200): Response {
  return new Response(text, { status, headers: { ...COMMON, 'content-type': JSON_TYPE } })
}

/** An answer in bytes. */
export function octets(bytes: Bytes, headers: Record<string, string> = {}): Response {
  return new Response(bytes, { headers: { ...COMMON, 'content-type': OCTETS_TYPE, ...headers } })
}

/** A JSON object of fields that are text already. */
export function writeFields(fields: Record<string, string>): string {
  const members = Object.entries(fields).map(([name, text]) => `"${name}":${text}`)
  return `{${members.join(',')}}`
}

export function empty(status: 202 | 204): Response {
  return new Response(null, { status, headers: COMMON })
}

function answer(
  code: ErrorCode,
  extra: Partial<Problem> & { instance?: string },
  headers = {},
): Response {
  const status = STATUS[code] ?? 400
  const body = {
    code,
    status,
    title: sentenceOf(code),
    type: `urn:keyferry:error:${code}`,
    ...extra,
  }
  const own = { ...COMMON, 'content-type': PROBLEM_TYPE, ...headers }
  return new Response(JSON.stringify(body), { status, headers: own })
}

/** The answer to an error. What a stranger need not know goes to the log only, under the id of the call. */
export function problem(error: unknown, id: string): Response {
  if (isKeyferryError(error) && error.code !== 'ERR_INTERNAL') {
    if (!(error instanceof RelayError)) return answer(error.code, {})
    const { head, crl, headers } = error
    const parsed = head == null ? head : (JSON.parse(fromUtf8(head)) as Problem['head'])
    const extra = {
      ...(parsed !== undefined && { head: parsed }),
      ...(crl !== undefined && { crl: base64url(crl) }),
    }
    return answer(error.code, extra, headers)
  }
  const instance = `urn:uuid:${id}`
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error)
  console.error(JSON.stringify({ event: 'internal error', instance, detail }))
  return answer('ERR_INTERNAL', { instance })
}
