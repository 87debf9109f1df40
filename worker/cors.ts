/**
 * CORS for the origins that a tenant's trust document lists. Preflights are answered to nobody: what a page may call needs none, and nothing else
 * is for pages.
 */
import { type Call } from './call.ts'
import { REQUEST_HEADER } from './observe.ts'
import { readStanding } from './standing.ts'

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
