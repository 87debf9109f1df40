/** The operator's side of a relay (docs/OPERATIONS.md): its tenants, by a bearer secret. No part of the protocol, and of no deriver. */
import { JSON_TYPE, NEXT_HEADER } from '../shared/api.ts'
import { decodeBatch, documentsSchema } from '../shared/deriver-calls.ts'
import { base64url, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { parseJson } from '../shared/json.ts'
import { int, list, object, orNull, text, type Infer, type Schema } from '../shared/schema.ts'
import { readBounded, toProblem } from './relay.ts'

const MAX_ANSWER = 16_777_216
const DEADLINE = 60_000

const flag: Schema<boolean> = (value, path) => {
  if (typeof value !== 'boolean') throw new KeyferryError('ERR_SCHEMA', `${path} is no boolean`)
  return value
}
const quota = { bytes: int(), objects: int(), mailbox: int(), sockets: int() }
const usageSchema = object({
  tenant: text(52),
  suspended: flag,
  quota: object({ ...quota, calls: int() }),
  usage: object(quota),
  trust: int(),
  head: orNull(object({ incarnation: int(), version: int() })),
})
const listSchema = object({
  next: orNull(text(52)),
  tenants: list(object({ tenant: text(52), enrolledAt: int() }), 0, 1_000),
})

/** What a tenant has and may have. */
export type TenantUsage = Infer<typeof usageSchema>
/** A tenant of the relay; `enrolledAt` in seconds. */
export type TenantEntry = { tenant: string; enrolledAt: number }

/** Which relay, and the secret of its operator. */
export interface OperatorAccess {
  url: string
  secret: string
  fetch?: typeof fetch
}

/** Throws `ERR_USAGE` for an address over which the secret would go in clear. */
function requireSafe(url: URL): void {
  const isLocal = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  if (url.protocol !== 'https:' && !isLocal)
    throw new KeyferryError('ERR_USAGE', `the secret would go to ${url.origin} in clear`)
}

async function call(
  access: OperatorAccess,
  method: 'GET' | 'POST',
  path: string,
  body?: object,
): Promise<{ body: Bytes; headers: Headers }> {
  const url = new URL(`/operator/tenants${path}`, access.url)
  requireSafe(url)
  try {
    const response = await (access.fetch ?? fetch)(url, {
      method,
      headers: {
        authorization: `Bearer ${access.secret}`,
        ...(body === undefined ? {} : { 'content-type': JSON_TYPE }),
      },
      redirect: 'error',
      signal: AbortSignal.timeout(DEADLINE),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const answer = await readBounded(response)
    if (!response.ok) throw toProblem(response.status, answer)
    return { body: answer, headers: response.headers }
  } catch (cause) {
    if (cause instanceof KeyferryError) throw cause
    throw new KeyferryError('ERR_RELAY', `${access.url} does not answer`, { cause })
  }
}

/** All tenants, in the order of their ids, however many there are. */
export async function* listTenants(access: OperatorAccess): AsyncGenerator<TenantEntry> {
  for (let after: string | null = ''; after !== null;) {
    const { body } = await call(access, 'GET', after === '' ? '' : `?after=${after}`)
    const page: Infer<typeof listSchema> = listSchema(parseJson(body, MAX_ANSWER), '')
    yield* page.tenants
    if (page.next !== null && page.next <= after)
      throw new KeyferryError('ERR_RELAY', 'the list does not go on')
    after = page.next
  }
}

export async function showTenant(access: OperatorAccess, tenant: string): Promise<TenantUsage> {
  const { body } = await call(access, 'GET', `/${tenant}`)
  return usageSchema(parseJson(body, MAX_ANSWER), '')
}

/** Suspends or resumes a tenant. */
export async function suspendTenant(
  access: OperatorAccess,
  tenant: string,
  isSuspended: boolean,
): Promise<TenantUsage> {
  const action = isSuspended ? 'suspend' : 'resume'
  const { body } = await call(access, 'POST', `/${tenant}/${action}`)
  return usageSchema(parseJson(body, MAX_ANSWER), '')
}

/** Sets some of a tenant's quotas; `null` is the default again. */
export async function setQuota(
  access: OperatorAccess,
  tenant: string,
  change: Partial<Record<keyof TenantUsage['quota'], number | null>>,
): Promise<TenantUsage> {
  const { body } = await call(access, 'POST', `/${tenant}/quota`, change)
  return usageSchema(parseJson(body, MAX_ANSWER), '')
}

/** Deletes everything that the relay stores of a tenant. */
export async function deleteTenant(access: OperatorAccess, tenant: string): Promise<void> {
  await call(access, 'POST', `/${tenant}/delete`)
}

/**
 * Everything that the relay stores of a tenant but its mailbox and refusals, as lines of JSON: first the documents, then an object a line. `progress` is told
 * how many objects there were.
 */
export async function* exportTenant(
  access: OperatorAccess,
  tenant: string,
  progress: (objects: number) => void = () => {},
): AsyncGenerator<string> {
  const { body } = await call(access, 'GET', `/${tenant}/documents`)
  documentsSchema(parseJson(body, MAX_ANSWER), '')
  yield `{"tenant":"${tenant}","documents":${new TextDecoder().decode(body)}}`
  let count = 0
  for (let after: string | null = null, more = true; more;) {
    const path: string = `/${tenant}/objects${after === null ? '' : `?after=${after}`}`
    const page = await call(access, 'GET', path)
    for (const one of decodeBatch(page.body)) {
      yield `{"object":"${base64url(one)}"}`
      count++
    }
    progress(count)
    const next = page.headers.get(NEXT_HEADER)
    if (next !== null && next === after)
      throw new KeyferryError('ERR_RELAY', 'the list of objects does not go on')
    more = next !== null
    after = next
  }
}
