/**
 * CORS for the origins that a tenant's trust document lists. An origin that is not listed gets the same answer as one that asks for a tenant
 * that does not exist: none.
 */
import { KeyferryError } from '../shared/errors.ts'
import { type Call } from './call.ts'
import { REQUEST_HEADER } from './observe.ts'
import { readStanding } from './standing.ts'

const ALLOWED_HEADERS =
  'content-digest,content-type,if-match,keyferry-certificates,signature,signature-input'
const ALLOWED_METHODS = 'GET,POST'
/** Seconds; browsers cap it, at 2 hours or 24. */
const MAX_AGE = '86400'

/** The origin of the call if the tenant lists it. */
export async function admittedOrigin(call: Call): Promise<string | null> {
  const origin = call.request.headers.get('origin')
  if (origin === null) return null
  const standing = await readStanding(call)
  return standing?.trust.body.origins.includes(origin) === true ? origin : null
}

/** Lets pages of the origin read an answer. */
export function allowOrigin(response: Response, origin: string): Response {
  const headers = new Headers(response.headers)
  headers.set('access-control-allow-origin', origin)
  headers.set('access-control-expose-headers', `${REQUEST_HEADER},retry-after`)
  headers.append('vary', 'origin')
  return new Response(response.body, { status: response.status, headers })
}

/** The answer to a preflight. Throws `ERR_NOT_FOUND`. */
export async function preflight(call: Call): Promise<Response> {
  const origin = await admittedOrigin(call)
  // PROTOCOL [relay-4]
  if (origin === null) throw new KeyferryError('ERR_NOT_FOUND')
  const headers = {
    'access-control-allow-headers': ALLOWED_HEADERS,
    'access-control-allow-methods': ALLOWED_METHODS,
    'access-control-max-age': MAX_AGE,
  }
  return allowOrigin(new Response(null, { status: 204, headers }), origin)
}
