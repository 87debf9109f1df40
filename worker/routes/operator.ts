/**
 * What the relay's operator does with tenants (docs/OPERATIONS.md): apart from the protocol, with a bearer secret, and off without one. It reads what a tenant
 * stores, which is ciphertext and signed statements, and can withhold it or delete it; it can make nothing that a client would take.
 */
import { utf8 } from '../../shared/bytes.ts'
import { relayError } from '../../shared/relay-codes.ts'
import { sha256 } from '../../shared/hash.ts'
import { parseJson } from '../../shared/json.ts'
import { int, object, orNull, type Schema } from '../../shared/schema.ts'
import { TENANT_ID } from '../../shared/trust-following.ts'
import { readBody, requireMediaType } from '../body.ts'
import { brake, readAfterTenant, registryOf, tenantOf, type Call } from '../call.ts'
import { empty, json } from '../problem.ts'
import { forgetStanding } from '../standing.ts'
// Erased as a whole: see worker/call.ts.
import type { QuotaChange } from '../settings.ts'
import type { Usage } from '../usage.ts'
import { answerDocuments, answerObjects, readAfter } from './audit.ts'
import { metrics } from './metrics.ts'

/** A shorter secret switches the API off: it could be guessed. */
const LEAST_SECRET = 32
const MAX_BODY = 1_024

/** A row of the operator's table of routes. */
export interface OperatorRoute {
  method: 'GET' | 'POST'
  path: string
  handle: (call: Call) => Promise<Response>
}

/** Throws `ERR_NOT_FOUND` where the API is off, `ERR_UNAUTHORIZED` for another secret. */
async function requireOperator(call: Call): Promise<void> {
  const secret = call.env.OPERATOR_SECRET ?? ''
  if (secret.length < LEAST_SECRET) throw relayError('ERR_NOT_FOUND')
  await brake(call)
  const [, given = ''] =
    /^Bearer (\S{1,1024})$/.exec(call.request.headers.get('authorization') ?? '') ?? []
  // Hashes are compared, in a time that says nothing about the secret or its length.
  if (!crypto.subtle.timingSafeEqual(sha256(utf8(given)), sha256(utf8(secret))))
    throw relayError('ERR_UNAUTHORIZED')
}

function found(usage: Usage | null): Response {
  if (usage === null) throw relayError('ERR_NOT_FOUND')
  return json(JSON.stringify(usage))
}

async function list(call: Call): Promise<Response> {
  return json(JSON.stringify(await registryOf(call.env).list(readAfterTenant(call))))
}

const quotaSchema: Schema<QuotaChange> = (value, path) => {
  if (typeof value !== 'object' || value === null) throw relayError('ERR_SCHEMA')
  const field = orNull(int())
  const fields = { bytes: field, objects: field, mailbox: field, sockets: field, calls: field }
  // Those that are not given stay as they are.
  const named = Object.entries(fields).filter(([name]) => name in value)
  return object(Object.fromEntries(named))(value, path)
}

async function setQuota(call: Call): Promise<Response> {
  requireMediaType(call.request, 'application/json')
  const body = await readBody(call.request, MAX_BODY)
  return found(await tenantOf(call).changeSettings(quotaSchema(parseJson(body, MAX_BODY), '')))
}

async function suspend(call: Call, isSuspended: boolean): Promise<Response> {
  return found(await tenantOf(call).changeSettings({ isSuspended }))
}

async function remove(call: Call): Promise<Response> {
  const wasThere = await tenantOf(call).deleteTenant()
  forgetStanding(call.tenant)
  // Should an earlier deletion have stopped half-way, the entry goes now.
  await registryOf(call.env).remove(call.tenant)
  if (!wasThere) throw relayError('ERR_NOT_FOUND')
  return empty(204)
}

const ONE = '/operator/tenants/:tenant'

export const operatorRoutes: readonly OperatorRoute[] = [
  { method: 'GET', path: '/metrics', handle: metrics },
  { method: 'GET', path: '/operator/tenants', handle: list },
  { method: 'GET', path: ONE, handle: async (call) => found(await tenantOf(call).readUsage()) },
  { method: 'POST', path: `${ONE}/suspend`, handle: (call) => suspend(call, true) },
  { method: 'POST', path: `${ONE}/resume`, handle: (call) => suspend(call, false) },
  { method: 'POST', path: `${ONE}/quota`, handle: setQuota },
  { method: 'POST', path: `${ONE}/delete`, handle: remove },
  { method: 'GET', path: `${ONE}/documents`, handle: documents },
  { method: 'GET', path: `${ONE}/objects`, handle: objects },
]

async function requireThere(call: Call): Promise<void> {
  if ((await tenantOf(call).readUsage()) === null) throw relayError('ERR_NOT_FOUND')
}

async function documents(call: Call): Promise<Response> {
  await requireThere(call)
  return answerDocuments(await tenantOf(call).readDocuments())
}

async function objects(call: Call): Promise<Response> {
  await requireThere(call)
  return answerObjects(await tenantOf(call).readObjects(readAfter(call.url)))
}

/** One call of the operator. */
export async function runOperator(route: OperatorRoute, call: Call): Promise<Response> {
  await requireOperator(call)
  if (call.tenant !== '' && !TENANT_ID.test(call.tenant)) throw relayError('ERR_NOT_FOUND')
  return route.handle(call)
}
