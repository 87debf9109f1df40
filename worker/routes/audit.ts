/** Everything that is stored of a tenant, for its derivers and the operator: who checks it needs no part of it but the tenant id. */
import { NEXT_HEADER } from '../../shared/api.ts'
import { encodeBatch } from '../../shared/deriver-calls.ts'
import { base64url, fromBase64url, fromUtf8, type Bytes } from '../../shared/bytes.ts'
import { relayError } from '../../shared/relay-codes.ts'
import { tenantOf, type Route, type SignedCall } from '../call.ts'
import { json, octets, writeFields } from '../problem.ts'
// Erased as a whole: see worker/call.ts.
import type { Documents } from '../usage.ts'

/** Where a list of all objects begins. */
const NO_HASH = new Uint8Array()

/** The last hash of a list of objects, from a query; nothing at first. Throws `ERR_SCHEMA`. */
export function readAfter(url: URL): Bytes {
  const after = url.searchParams.get('after')
  if (after === null) return NO_HASH
  if (!/^[A-Za-z0-9_-]{43}$/.test(after)) throw relayError('ERR_SCHEMA')
  return fromBase64url(after)
}

/** Objects as a batch; where it goes on stands in a header. */
export function answerObjects({ bodies, next }: { bodies: Bytes[]; next: Bytes | null }): Response {
  return octets(encodeBatch(bodies), next === null ? {} : { [NEXT_HEADER]: base64url(next) })
}

/** The small documents as JSON: stored envelopes are JSON already. */
export function answerDocuments({ trust, crls, head, catalog }: Documents): Response {
  const fields = {
    catalog: catalog === null ? 'null' : fromUtf8(catalog),
    crls: JSON.stringify(crls.map(base64url)),
    head: head === null ? 'null' : fromUtf8(head),
    trust: `[${trust.map(fromUtf8).join(',')}]`,
  }
  return json(writeFields(fields))
}

async function getDocuments(call: SignedCall): Promise<Response> {
  return answerDocuments(await tenantOf(call).documents())
}

async function listObjects(call: SignedCall): Promise<Response> {
  return answerObjects(await tenantOf(call).listObjects(readAfter(call.url)))
}

export const auditRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/:tenant/documents',
    roles: ['deriver'],
    handle: getDocuments,
  },
  {
    method: 'GET',
    path: '/v1/:tenant/objects',
    roles: ['deriver'],
    handle: listObjects,
  },
]
