/** Which call of a client a request is: all of them go to one URL, and the body says, in its second line. For relays and proxies of tests. */
import { fromUtf8, type Bytes } from '../../shared/bytes.ts'
import { callName, type CallName } from '../../shared/client-calls.ts'

/** `undefined` for what is no call of a client. The body is bytes or a text. */
export function callOf(
  url: string | URL,
  init: { body?: unknown } | undefined,
): CallName | undefined {
  if (!new URL(url, 'http://relay').pathname.endsWith('/calls')) return undefined
  const body = init?.body
  return callName(askedIn(body))
}

/** What a client posted, without its credentials. The body is bytes or a text. */
export function askedIn(body: unknown): unknown {
  const posted = typeof body === 'string' ? body : fromUtf8(body as Bytes)
  return JSON.parse(posted.slice(posted.indexOf('\n') + 1))
}
