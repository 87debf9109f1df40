/**
 * CORS. Every page may read the answers to what it sends: without a client's key it gets nothing but refusals, which are alike for every tenant, and what a page of an
 * origin that the trust document does not list signs is refused [relay-4]. Preflights are answered to nobody: what a page may call needs none, and nothing else is
 * for pages.
 */
import { REQUEST_HEADER } from './observe.ts'

/** Lets the page that called, if it was one, read the answer. */
export function allowOrigin(request: Request, response: Response): Response {
  const origin = request.headers.get('origin')
  if (origin === null || response.status === 101) return response
  const headers = new Headers(response.headers)
  headers.set('access-control-allow-origin', origin)
  headers.set('access-control-expose-headers', `${REQUEST_HEADER},retry-after`)
  headers.append('vary', 'origin')
  return new Response(response.body, { status: response.status, headers })
}
