/** Figures of the relay in Prometheus' text format, for its operator (docs/OPERATIONS.md, "Logs and metrics"). */
import { readAfterTenant, registryOf, tenantOf, type Call } from '../call.ts'
// Erased as a whole: see worker/call.ts.
import type { Gauges } from '../usage.ts'

const TYPE = 'text/plain; version=0.0.4; charset=utf-8'
/** Tenants of one answer: each costs a call of its object. */
const PAGE = 500
/** Objects that are asked at a time. */
const TOGETHER = 25

const HELP: Record<keyof Gauges, string> = {
  bytes: 'Bytes of the database of a tenant.',
  mailbox: 'Requests that wait for the deriver.',
  sockets: 'Open sockets and waiting calls.',
  suspended: '1 where the operator suspended the tenant.',
  trust: 'Number of the newest trust document.',
  head_version: 'Version of the head, or 0.',
  head_expires_seconds: 'When the head ends, seconds since 1970, or 0.',
}

function write(name: string, help: string, samples: readonly [string, number][]): string {
  const lines = samples.map(([labels, value]) => `keyferry_${name}${labels} ${value}`)
  return [`# HELP keyferry_${name} ${help}`, `# TYPE keyferry_${name} gauge`, ...lines].join('\n')
}

/** Gauges of up to 500 tenants after the one that `after` names; `keyferry_tenants_next` is 1 where there are more. */
export async function metrics(call: Call): Promise<Response> {
  const { next, tenants } = await registryOf(call.env).list(readAfterTenant(call), PAGE)
  const rows: [string, Gauges][] = []
  for (let i = 0; i < tenants.length; i += TOGETHER) {
    const some = tenants.slice(i, i + TOGETHER)
    const found = await Promise.all(
      some.map(({ tenant }) => tenantOf({ env: call.env, tenant }).readGauges()),
    )
    found.forEach((one, at) => one !== null && rows.push([`{tenant="${some[at]!.tenant}"}`, one]))
  }
  const parts = [
    write('tenants_listed', 'Tenants in this answer.', [['', rows.length]]),
    write('tenants_next', '1 where there are more tenants.', [['', next === null ? 0 : 1]]),
    ...Object.entries(HELP).map(([name, help]) =>
      write(
        name,
        help,
        rows.map(([labels, gauges]) => [labels, gauges[name as keyof Gauges]]),
      ),
    ),
  ]
  return new Response(`${parts.join('\n')}\n`, {
    headers: { 'content-type': TYPE, 'cache-control': 'no-store' },
  })
}
