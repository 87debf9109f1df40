/** Small pieces of the console's server: calls, bodies, cookies, answers. */
import { type IncomingMessage, type ServerResponse } from 'node:http'
import { isKeyferryError, KeyferryError, type ErrorCode } from '../../shared/errors.ts'

/** Bytes of the largest body that is read. */
const MAX_BODY = 16_384

const STATUS: Partial<Record<ErrorCode, number>> = {
  ERR_ORIGIN: 403,
  ERR_UNAUTHORIZED: 401,
  ERR_DENIED: 403,
  ERR_NOT_FOUND: 404,
  ERR_METHOD: 405,
  ERR_EXISTS: 409,
  ERR_KEY_VERSION: 409,
  ERR_CONFLICT: 409,
  // Under the fence of a restore.
  ERR_ROLLBACK: 409,
  ERR_TOO_LARGE: 413,
  ERR_MEDIA_TYPE: 415,
  ERR_USAGE: 422,
  ERR_SCHEMA: 422,
  ERR_MALFORMED: 400,
  // A text that is no Unicode.
  ERR_NOT_CANONICAL: 400,
  ERR_QUOTA: 429,
}

/** The JSON object in a body; an empty body is an empty one. Throws `ERR_MEDIA_TYPE`, `ERR_TOO_LARGE`, `ERR_MALFORMED`. */
export async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  const parts: Buffer[] = []
  let length = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    length += part.length
    if (length > MAX_BODY) throw new KeyferryError('ERR_TOO_LARGE', `more than ${MAX_BODY} bytes`)
    parts.push(part)
  }
  if (length === 0) return {}
  // A form of another page cannot send this type without asking first.
  if (request.headers['content-type']?.split(';')[0]?.trim() !== 'application/json')
    throw new KeyferryError('ERR_MEDIA_TYPE', 'the body is to be application/json')
  try {
    const value: unknown = JSON.parse(Buffer.concat(parts).toString())
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>
  } catch {
    // Answered below.
  }
  throw new KeyferryError('ERR_MALFORMED', 'the body is to be a JSON object')
}

/** Fields of a body: those that are named and no others. Throws `ERR_SCHEMA`. */
export function onlyFields(body: Record<string, unknown>, ...names: string[]): void {
  const other = Object.keys(body).find((name) => !names.includes(name))
  if (other !== undefined)
    throw new KeyferryError('ERR_SCHEMA', `${JSON.stringify(other.slice(0, 40))} is no field here`)
}

/** A text in a body; `undefined` where it is left out. Throws `ERR_SCHEMA`. */
export function textField(
  body: Record<string, unknown>,
  name: string,
  most = 16_384,
): string | undefined {
  const value = body[name]
  if (value === undefined) return undefined
  if (typeof value !== 'string' || value.length > most)
    throw new KeyferryError('ERR_SCHEMA', `${name} is a text of at most ${most} characters`)
  return value
}

/** A cookie; empty where it is not there. */
export function cookieOf(request: IncomingMessage, name: string): string {
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const at = pair.indexOf('=')
    if (pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim()
  }
  return ''
}

export function sendJson(response: ServerResponse, value: unknown, status = 200): void {
  const body = `${JSON.stringify(value)}\n`
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  })
  response.end(body)
}

/** Answers with an error. What is none of ours has no words for strangers. */
export function sendError(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const known = isKeyferryError(error)
  const status = known ? (STATUS[error.code] ?? 500) : 500
  const code = known ? error.code : 'ERR_INTERNAL'
  if (code === 'ERR_QUOTA') response.setHeader('retry-after', '60')
  sendJson(response, { code, message: known ? error.message : 'internal error' }, status)
}
