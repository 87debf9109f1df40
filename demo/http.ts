/** The small pieces that the demo's web server is made of: errors, bodies, cookies and headers. */
import { type IncomingMessage, type ServerResponse } from 'node:http'

/** An answer other than success. `code` goes to the page. */
export class HttpError extends Error {
  override readonly name = 'HttpError'
  readonly status: number
  readonly code: string

  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** The whole body of a request. Throws 413 beyond the limit. */
export async function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  const parts: Buffer[] = []
  let length = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    length += part.length
    if (length > limit) throw new HttpError(413, 'TOO_LARGE', `more than ${limit} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts)
}

/** The JSON object in a request's body. Throws 400, 413, 415. */
export async function readJson(
  request: IncomingMessage,
  limit: number,
): Promise<Record<string, unknown>> {
  if (request.headers['content-type']?.split(';')[0] !== 'application/json')
    throw new HttpError(415, 'MEDIA_TYPE', 'the body must be application/json')
  const body = await readBody(request, limit)
  try {
    const value: unknown = JSON.parse(body.toString())
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    // Answered below.
  }
  throw new HttpError(400, 'MALFORMED', 'the body must be a JSON object')
}

/** A field that must be a text of this form. Throws 400. */
export function textField(
  body: Record<string, unknown>,
  name: string,
  form: RegExp = /^[^]{1,300}$/,
): string {
  const value = body[name]
  if (typeof value !== 'string' || !form.test(value))
    throw new HttpError(400, 'MALFORMED', `${name} is missing or not of its form`)
  return value
}

export function sendJson(response: ServerResponse, value: unknown, status = 200): void {
  const body = JSON.stringify(value)
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  })
  response.end(body)
}

/** Cookies by name. */
export function cookiesOf(header: string): Map<string, string> {
  const pairs = header.split(/; */).map((pair) => {
    const at = pair.indexOf('=')
    return [pair.slice(0, at), pair.slice(at + 1)] as const
  })
  return new Map(pairs)
}

/** Headers of every answer: the page may talk to its own server and to the relay, and to nobody else. */
export function securityHeaders(relay: string): Record<string, string> {
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    `connect-src 'self' ${relay} ${relay.replace(/^http/, 'ws')}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ]
  return {
    'content-security-policy': policy.join('; '),
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'permissions-policy': 'camera=(), geolocation=(), microphone=()',
    'cache-control': 'no-store',
  }
}
