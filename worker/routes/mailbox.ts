/** Key requests on their way to the deriver, refusals on their way back, and the event stream. */
import { JSON_TYPE } from '../../shared/api.ts'
import { answersSchema, type RequestBody } from '../../shared/deriver-calls.ts'
import { base64url, equal, fromBase64url, fromUtf8 } from '../../shared/bytes.ts'
import { type WaitCall } from '../../shared/client-calls.ts'
import { encodeEnvelope, peekPayload, type Envelope } from '../../shared/envelope.ts'
import { relayError } from '../../shared/relay-codes.ts'
import { sha256 } from '../../shared/hash.ts'
import { encodeJson, parseJson } from '../../shared/json.ts'
import { verifyKeyPackage, verifyKeyRequest } from '../../shared/key-package.ts'
import { type VerifyContext } from '../../shared/verify-context.ts'
import { MAX_PUSH } from '../../shared/limits.ts'
import { verifyRefusal } from '../../shared/refusal.ts'
import { answerByNow } from '../admission.ts'
import { readAfter, tenantOf, type Route, type SignedCall } from '../call.ts'
import { listenerUrl, waitingOf } from '../events.ts'
import { empty, json, MOVED, RelayError, requireCode } from '../problem.ts'
import { type StoredRefusal } from '../refusals.ts'
import { crlsOf } from '../standing.ts'

/** Seconds until a full mailbox may have room. */
const RETRY_AFTER = '60'

function contextOf({ caller, now }: SignedCall): VerifyContext {
  return { trust: caller.standing.trust, now, crls: crlsOf(caller.standing) }
}

export async function addRequest(call: SignedCall, asked: RequestBody): Promise<Response> {
  const context = contextOf(call)
  // PROTOCOL [relay-9]
  const keyPackage = await verifyKeyPackage(asked.package, context)
  const request = await verifyKeyRequest(asked.request, keyPackage, context)
  const signer = request.path.fingerprint
  if (!equal(signer, call.caller.path.fingerprint)) throw relayError('ERR_SIGNER')
  const row = {
    hash: request.hash,
    signer,
    expires: request.body.expiresAt,
    body: encodeJson({ package: asked.package, request: asked.request }),
  }
  const code = await tenantOf(call).addRequest(row, call.now, call.caller.standing.tag)
  if (code === 'ERR_QUOTA') throw new RelayError(code, { headers: { 'retry-after': RETRY_AFTER } })
  requireCode(code)
  return empty(202)
}

async function listRequests(call: SignedCall): Promise<Response> {
  const { next, bodies } = await tenantOf(call).requests(readAfter(call), call.now)
  return json(`{"next":${next},"requests":[${bodies.map(fromUtf8).join(',')}]}`)
}

async function verifyAnswer(envelope: Envelope, context: VerifyContext): Promise<StoredRefusal> {
  const { recipient } = peekPayload(envelope, 'refusal', context.trust.tenant) as {
    recipient?: unknown
  }
  if (typeof recipient !== 'string') throw relayError('ERR_SCHEMA')
  const { body } = await verifyRefusal(envelope, fromBase64url(recipient), context)
  const { keyring, expiresAt } = body
  return {
    recipient: body.recipient,
    keyring,
    expires: expiresAt,
    envelope: encodeEnvelope(envelope),
  }
}

async function answer(call: SignedCall): Promise<Response> {
  const { done, refusals } = answersSchema(parseJson(call.body, MAX_PUSH), '')
  const context = contextOf(call)
  const verified: StoredRefusal[] = []
  for (const envelope of refusals) verified.push(await verifyAnswer(envelope, context))
  await tenantOf(call).answer(done, verified, call.now)
  return empty(204)
}

function openSocket(call: SignedCall): Promise<Response> {
  const { caller, now } = call
  const { base, expires } = caller.signature
  const until = expires + caller.standing.trust.body.skew
  const url = listenerUrl(caller, { hash: base64url(sha256(base)), expires: until }, now)
  return tenantOf(call).fetch(new Request(url, { headers: { upgrade: 'websocket' } }))
}

async function listen(call: SignedCall): Promise<Response> {
  if (call.request.headers.get('upgrade')?.toLowerCase() !== 'websocket') {
    throw relayError('ERR_MALFORMED')
  }
  const response = await openSocket(call)
  if (response.status === 409) throw new Error(MOVED)
  // PROTOCOL [relay-12]
  if (response.status === 401) throw relayError('ERR_UNAUTHORIZED')
  if (response.status !== 101)
    throw new RelayError('ERR_QUOTA', { headers: { 'retry-after': RETRY_AFTER } })
  return response
}

export async function wait(call: SignedCall, { after, seconds }: WaitCall): Promise<Response> {
  const { caller } = call
  const news = await tenantOf(call).wait(waitingOf(caller), after, seconds, caller.standing.tag)
  return news === null ? empty(204) : json(JSON.stringify(news))
}

export const mailboxRoutes: readonly Route[] = [
  { method: 'GET', path: '/v1/:tenant/requests', roles: ['deriver'], handle: listRequests },
  {
    method: 'POST',
    path: '/v1/:tenant/answers',
    type: JSON_TYPE,
    limit: MAX_PUSH,
    roles: ['deriver'],
    handle: answer,
  },
  {
    method: 'GET',
    path: '/v1/:tenant/events',
    roles: ['client', 'deriver'],
    signed: 'ticket',
    handle: (call: SignedCall) => answerByNow(call, listen),
  },
]
