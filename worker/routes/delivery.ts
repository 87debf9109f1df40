/** What can be fetched: deliveries, heads, single objects. */
import { fromBase64url, fromUtf8, utf8, type Bytes } from '../../shared/bytes.ts'
import { type DeliveryCall } from '../../shared/client-calls.ts'
import { encodeDelivery } from '../../shared/encode-delivery.ts'
import { relayError } from '../../shared/relay-codes.ts'
import { answerByNow } from '../admission.ts'
import { readAfter, tenantOf, type Route, type SignedCall } from '../call.ts'
import { empty, json, octets } from '../problem.ts'

const OBJECT_NAME = /^[A-Za-z0-9_-]{43}$/
/** Pages and indexes of trees: they would show a client the members and keyrings of others. */
const TREE_MAGICS = ['KFTPAGE\x01', 'KFTINDX\x01'].map(utf8)

export async function deliver(call: SignedCall, asked: DeliveryCall): Promise<Response> {
  const { call: _, ...request } = asked
  if (request.slots.length !== request.keyrings.length) throw relayError('ERR_SCHEMA')
  const { now } = call
  const recipient = call.caller.path.fingerprint
  const ask = { ...request, recipient, now }
  const parts = await tenantOf(call).deliver(ask, call.caller.standing.tag)
  // PROTOCOL [relay-4]
  if (parts === undefined) throw relayError('ERR_NOT_FOUND')
  return parts === null ? empty(204) : octets(encodeDelivery(parts))
}

async function getHead(call: SignedCall): Promise<Response> {
  const current = await tenantOf(call).current()
  if (current === null) throw relayError('ERR_NOT_FOUND')
  return json(fromUtf8(current.head))
}

async function listHeads(call: SignedCall): Promise<Response> {
  const { next, envelopes } = await tenantOf(call).heads(readAfter(call), call.caller.standing.tag)
  return json(`{"heads":[${envelopes.map(fromUtf8).join(',')}],"next":${next}}`)
}

function isTree(object: Bytes): boolean {
  return TREE_MAGICS.some((magic) => magic.every((byte, i) => object[i] === byte))
}

async function getObject(call: SignedCall): Promise<Response> {
  // PROTOCOL [relay-4]
  if (!OBJECT_NAME.test(call.name)) throw relayError('ERR_NOT_FOUND')
  const object = await tenantOf(call).object(fromBase64url(call.name))
  if (object === null) throw relayError('ERR_NOT_FOUND')
  return octets(object, { 'cache-control': 'private, max-age=31536000, immutable' })
}

/** An object for a client. */
export async function giveObject(call: SignedCall, hash: Bytes): Promise<Response> {
  const object = await tenantOf(call).object(hash, call.caller.standing.tag)
  // PROTOCOL [relay-4]
  if (object === null || isTree(object)) throw relayError('ERR_NOT_FOUND')
  return octets(object)
}

export const deliveryRoutes: readonly Route[] = [
  { method: 'GET', path: '/v1/:tenant/head', roles: ['deriver'], handle: getHead },
  {
    method: 'GET',
    path: '/v1/:tenant/heads',
    roles: ['client', 'deriver'],
    handle: (call: SignedCall) => answerByNow(call, listHeads),
  },
  { method: 'GET', path: '/v1/:tenant/objects/:name', roles: ['deriver'], handle: getObject },
]
