/**
 * What the operator sees of a call (docs/OPERATIONS.md, "Logs and metrics"): one line of JSON, and a point where the platform keeps points. There is no certificate, no keyring and no
 * object in it, so that nobody reads out of a log who has which keys.
 */
import { PROBLEM_TYPE } from '../shared/api.ts'
import { type CallName } from '../shared/client-calls.ts'
import { TENANT_ID } from '../shared/trust-following.ts'

/** Header of every answer with the id of its call, which log lines name. */
export const REQUEST_HEADER = 'keyferry-request'

/** Where calls go: whatever else strangers ask for is one more word. */
const NAMES =
  'answers calls documents events head heads healthz metrics objects operator push requests tenants trust'
const CALLS = new Set(NAMES.split(' '))
const METHODS = new Set(['GET', 'OPTIONS', 'POST'])

/** What calls of clients are, as far as their bodies were read. */
const named = new WeakMap<Request, CallName>()

/** From now on the call goes by this name, and no longer by that of its path. */
export function nameCall(request: Request, name: CallName): void {
  named.set(request, name)
}

/** A call that was answered. */
export interface Answered {
  id: string
  method: string
  path: string
  request: Request
  /** Milliseconds, as far as the platform's clock goes on within a call. */
  milliseconds: number
  response: Response
}

/** Share of calls that are logged: all that failed here are. */
function isSampled({ LOG_SAMPLE }: Pick<Env, 'LOG_SAMPLE'>, status: number): boolean {
  return status >= 500 || Math.random() < Number(LOG_SAMPLE ?? 0)
}

async function codeOf(response: Response): Promise<string | undefined> {
  if (response.headers.get('content-type') !== PROBLEM_TYPE) return undefined
  const { code } = await response.clone().json<{ code: string }>()
  return code
}

/** Writes the line and the point of a call, where they are wanted. */
export async function observe(env: Env, answered: Answered): Promise<void> {
  const { id, path, request, response, milliseconds } = answered
  const { status } = response
  const isWanted = isSampled(env, status)
  if (!isWanted && env.ANALYTICS === undefined) return
  const method = METHODS.has(answered.method) ? answered.method : 'other'
  const [, first = '', second = '', third] = path.split('/')
  const name = first === 'v1' ? (third ?? second) : first
  const call = named.get(request) ?? (CALLS.has(name) ? name : 'other')
  const tenant = first === 'v1' && TENANT_ID.test(second) ? second : undefined
  const code = await codeOf(response)
  if (isWanted) {
    const line = { event: 'call', id, method, call, tenant, status, code, milliseconds }
    console.log(JSON.stringify(line))
  }
  env.ANALYTICS?.writeDataPoint({
    indexes: [tenant ?? ''],
    blobs: [method, call, String(status), code ?? ''],
    doubles: [milliseconds],
  })
}
