/** One call of the HTTP interface, as handlers see it. */
import { type Bytes } from '../shared/bytes.ts'
import { relayError } from '../shared/relay-codes.ts'
import { type Role } from '../shared/envelope.ts'
import { TENANT_ID } from '../shared/trust-following.ts'
import { type Caller } from './caller.ts'
import { RelayError } from './problem.ts'
// Erased as a whole, so that the table of routes is also read where there is no workerd.
import type { Registry } from './registry.ts'
import type { Tenant } from './tenant.ts'

/** A call whose shape was checked. */
export interface Call {
  env: Env
  request: Request
  url: URL
  /** Tenant id; empty for calls that name none. */
  tenant: string
  /** The last part of the path of an object. */
  name: string
  body: Bytes
  /** Names the call in the log and in its answer. */
  id: string
  /** Seconds; read once for the whole call. */
  now: number
}

/** A call of an admitted certificate. */
export interface SignedCall extends Call {
  caller: Caller
}

interface Shape {
  method: 'GET' | 'POST'
  path: string
  /** Media type of the body; none for GET. */
  type?: string
  /** Bytes of the body. */
  limit?: number
}

/** Where a signature is that is not in headers. */
export type Signed = 'ticket' | 'body'

/** A row of the table of routes. `roles` are those that may call; `null` for calls that no certificate signs. */
export type Route =
  | (Shape & { roles: null; handle: (call: Call) => Promise<Response> })
  | (Shape & {
      roles: readonly Role[]
      signed?: Signed
      handle: (call: SignedCall) => Promise<Response>
    })

/** The object of a tenant. */
export function tenantOf({ env, tenant }: Pick<Call, 'env' | 'tenant'>): DurableObjectStub<Tenant> {
  return env.TENANT.getByName(tenant)
}

/** The number in `after`, 0 where there is none. Throws `ERR_SCHEMA`. */
export function readAfter({ url }: Pick<Call, 'url'>): number {
  const after = url.searchParams.get('after') ?? '0'
  if (!/^\d{1,15}$/.test(after)) throw relayError('ERR_SCHEMA')
  return Number(after)
}

/** The tenant in `after`, nothing where there is none. Throws `ERR_SCHEMA`. */
export function readAfterTenant({ url }: Pick<Call, 'url'>): string {
  const after = url.searchParams.get('after') ?? ''
  if (after !== '' && !TENANT_ID.test(after)) throw relayError('ERR_SCHEMA')
  return after
}

/** The one list of tenants. */
export function registryOf(env: Pick<Env, 'REGISTRY'>): DurableObjectStub<Registry> {
  return env.REGISTRY.getByName('registry')
}

/** Seconds: the period of the limiter in wrangler.toml. */
const PERIOD = '10'
/** What an address belongs to: of IPv6 the first 64 bits, of which whoever has one has all others. */
function networkOf(address: string): string {
  if (address.includes('.')) return address
  const [groups, behind] = address.split('::').map((part) => part.split(':'))
  const zeros = Array.from({ length: 8 - groups!.length - (behind?.length ?? 8) }, () => '0')
  return [...groups!, ...zeros, ...(behind ?? [])].slice(0, 4).join(':')
}

/** What the limiter said of a call. */
const asked = new WeakMap<Request, boolean>()

/**
 * Brakes what costs more than a look into memory, per network and once per call. The limiter is one of the platform: absent under plain
 * workerd, where a proxy in front has to do it. Throws `ERR_QUOTA`.
 */
export async function brake({ env, request }: Pick<Call, 'env' | 'request'>): Promise<void> {
  const address = request.headers.get('cf-connecting-ip')
  if (env.RATE === undefined || address === null) return
  const isFine = asked.get(request) ?? (await env.RATE.limit({ key: networkOf(address) })).success
  asked.set(request, isFine)
  if (!isFine) throw new RelayError('ERR_QUOTA', { headers: { 'retry-after': PERIOD } })
}
