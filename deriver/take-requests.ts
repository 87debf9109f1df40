/** Requests out of a relay's mailbox, and what is answered. */
import { type RequestBody } from '../shared/deriver-calls.ts'
import { type Envelope } from '../shared/envelope.ts'
import { isKeyferryError, type ErrorCode } from '../shared/errors.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { type PublishKeys } from './publish.ts'
import { fetchRequests, type RelayAccess } from './relay.ts'
import { handleRequest } from './requests.ts'
import { isRootError } from './root.ts'
import { type Store } from './store.ts'

/** Milliseconds that changes are gathered before a head. */
const GATHER = 250

/** What becomes of a request. */
export type RequestEvent =
  | { type: 'granted'; uri: string; keyrings: string[] }
  | { type: 'refused'; uri: string; keyring: string; reason: string; kind: 'denied' | 'pending' }
  | { type: 'invalid-request'; code: ErrorCode }

/** What goes to the relay after the head that carries its effect: up to where requests are done, and refusals. */
export interface Answers {
  done: number
  refusals: Envelope[]
}

/** Handles a batch of requests. False if one of them has to be taken up again. */
async function handleBatch(
  store: Store,
  keys: PublishKeys,
  trust: TrustDocument,
  now: () => number,
  requests: readonly RequestBody[],
  refusals: Envelope[],
  report: (event: RequestEvent) => void,
): Promise<boolean> {
  for (const request of requests) {
    try {
      const handled = await handleRequest(store, keys, trust, request, now())
      const { uri, granted, refused } = handled
      if (granted.length > 0) report({ type: 'granted', uri, keyrings: granted })
      for (const one of refused) report({ type: 'refused', uri, ...one })
      refusals.push(...handled.refusals)
    } catch (error) {
      if (!isKeyferryError(error) || error.code === 'ERR_LEASE') throw error
      if (error.code === 'ERR_CONFLICT') return false
      // Nothing is wrong with the request: it stays in the mailbox until the root answers.
      if (isRootError(error)) throw error
      report({ type: 'invalid-request', code: error.code })
    }
  }
  return true
}

/** Takes requests out of one relay's mailbox, for a quarter of a second. `null` where there was nothing. */
export async function takeRequests(
  store: Store,
  access: RelayAccess,
  keys: PublishKeys,
  trust: TrustDocument,
  report: (event: RequestEvent) => void,
): Promise<Answers | null> {
  const refusals: Envelope[] = []
  let done = 0
  const until = Date.now() + GATHER
  for (let more = true; more && Date.now() <= until;) {
    const { next, requests } = await fetchRequests(access, done)
    const isDone = await handleBatch(store, keys, trust, access.now, requests, refusals, report)
    more = isDone && requests.length > 0 && next > done
    if (more) done = next
  }
  return done === 0 && refusals.length === 0 ? null : { done, refusals }
}
