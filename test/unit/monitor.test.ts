/** Health, metrics and log lines of the deriver, over a real database and real HTTP. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { keepConditions, readConditions } from '../../deriver/conditions.ts'
import { startConsole } from '../../deriver/console/server.ts'
import { readHealth } from '../../deriver/health.ts'
import { createKeyring } from '../../deriver/keyrings.ts'
import { createLease } from '../../deriver/lease.ts'
import { logLine } from '../../deriver/log-line.ts'
import { EventCounts } from '../../deriver/metrics.ts'
import { startMonitor, type Monitor } from '../../deriver/monitor.ts'
import { createService, type ServiceEvent } from '../../deriver/service.ts'
import { readStatus } from '../../deriver/status.ts'
import { publishTrust } from '../../deriver/trust-change.ts'
import { signWithAuthority } from '../../shared/envelope.ts'
import { KeyferryError } from '../../shared/errors.ts'
import { callConsole } from '../lib/console-calls.ts'
import { HidingRelay } from '../lib/hiding-relay.ts'
import { makeTenant, type TestTenant } from '../lib/tenant.ts'

let tenant: TestTenant
let monitor: Monitor
const counts = new EventCounts()
let isStandby = false

beforeEach(async () => {
  tenant = await makeTenant({ relays: ['https://a.example', 'https://b.example'] })
  createKeyring(
    tenant.store,
    { name: 'secret-plans', rules: ['keyferry://client.acme.example/*'] },
    tenant.clock.now,
  )
  isStandby = false
  monitor = await startMonitor({
    store: tenant.store,
    host: '127.0.0.1',
    port: 0,
    hosts: ['deriver'],
    counts,
    isStandby: () => isStandby,
    now: () => tenant.clock.now,
  })
})
afterEach(async () => {
  await monitor.stop()
  tenant.remove()
})

/** One step of a deriver whose second relay does not answer. */
async function step(away: readonly string[] = ['b.example'], relays?: string[]): Promise<void> {
  const relay = new HidingRelay()
  relay.trusts = [tenant.trust.envelope]
  const service = await createService({
    store: tenant.store,
    root: tenant.keys.root,
    authority: tenant.keys.authority,
    signer: { issuer: tenant.derivers, uri: 'keyferry://deriver.acme.example/deriver-1' },
    issuers: { deriver: tenant.derivers, client: tenant.clients },
    now: () => tenant.clock.now,
    report: (event) => counts.add(event),
    ...(relays && { relays }),
    fetch: (input, init) => {
      const { host } = new URL(input instanceof Request ? input.url : input)
      return away.includes(host) ? Promise.reject(new TypeError('away')) : relay.fetch(input, init)
    },
  })
  await service.step()
}

const get = (path: string, host?: string) =>
  callConsole(monitor.url, path, host === undefined ? {} : { headers: { host } })
const health = async () => {
  const { status, text } = await get('/health')
  return { http: status, ...(JSON.parse(text) as ReturnType<typeof readHealth>) }
}
const bad = ({ checks }: ReturnType<typeof readHealth>): string[] =>
  checks
    .filter((one) => !one.isGood)
    .map(({ name, of, code }) => [name, of, code].filter((one) => one !== undefined).join(' '))

describe('health', () => {
  it('is good with a fresh head at one of the relays, and names what is not', async () => {
    expect((await health()).http).toBe(503)
    await step()
    createLease(tenant.store, 'deriver-1').take()
    const found = await health()
    expect([found.http, bad(found)]).toEqual([200, ['relay https://b.example ERR_RELAY']])
    const head = found.checks.find(({ name }) => name === 'head')
    expect([head?.age, head?.lifetime]).toEqual([0, 3_600])
  })

  it('fails with an old head, a root that is away, no relay at all, or nobody who works', async () => {
    await step(['a.example', 'b.example'])
    const lease = createLease(tenant.store, 'deriver-1')
    const conditions = keepConditions(tenant.store, () => tenant.clock.now)
    conditions.set('root', new KeyferryError('ERR_ROOT', 'no token'))
    const found = await health()
    expect(found.http).toBe(503)
    expect(bad(found)).toEqual([
      'writer',
      'root ERR_ROOT',
      'relay https://a.example ERR_RELAY',
      'relay https://b.example ERR_RELAY',
    ])
    await step([])
    lease.take()
    conditions.set('root', null)
    expect((await health()).http).toBe(200)
    tenant.clock.now += 3_601
    expect(bad(await health())).toContain('head ERR_STALE')
    expect((await health()).http).toBe(503)
    // One that stands by has nothing to show but a store that takes a write.
    isStandby = true
    expect((await health()).http).toBe(200)
    expect(JSON.parse((await get('/health')).text)).toMatchObject({ status: 'standby' })
  })
})

it('a port that is taken is named, and what to do', async () => {
  const { port } = new URL(monitor.url)
  const at = { store: tenant.store, host: '127.0.0.1', port: Number(port) }
  const hint = expect.stringContaining('another process listens there') as string
  const taken = { code: 'ERR_IO', hint, message: expect.stringContaining(port) as string }
  const now = (): number => tenant.clock.now
  const second = { ...at, hosts: [], counts, isStandby: () => false, now }
  await expect(startMonitor(second)).rejects.toMatchObject(taken)
  await expect(startConsole(at)).rejects.toMatchObject(taken)
})

it('a service for one relay forgets nothing of the others of the trust document', async () => {
  const { store } = tenant
  await step([])
  const rows = () => store.all('SELECT url, head_version FROM relays ORDER BY url')
  const before = rows()
  expect(before).toHaveLength(2)
  await step([], ['https://a.example'])
  expect(rows()).toHaveLength(2)
  expect(rows()[1]).toEqual(before[1])
})

it('a relay that a trust document took out is spoken of no more', async () => {
  const { store, trust, keys, clock } = tenant
  await step()
  const problemsOf = async (): Promise<string[]> => (await readStatus(store, clock.now)).problems
  expect(await problemsOf()).toContain('https://b.example has head 0 of 1')
  const { body, hash: previous } = trust
  const change = { number: 2, previous, tenant: trust.tenant, relays: ['https://a.example'] }
  const next = await signWithAuthority('trust', { ...body, ...change }, keys.authority)
  await publishTrust(store, next, clock.now)
  await step()
  const { relays } = await readStatus(store, clock.now)
  expect(relays).toEqual([{ url: 'https://a.example', version: 2 }])
  expect(await problemsOf()).toEqual([])
  const { checks } = await health()
  expect(checks.flatMap(({ name, of }) => (name === 'relay' ? [of] : []))).toEqual([
    'https://a.example',
  ])
  expect(readConditions(store)).toEqual([])
})

describe('metrics', () => {
  it('are in the text format of Prometheus, and name no keyring and no client', async () => {
    await step()
    const { status, headers, text } = await get('/metrics')
    expect([status, headers['content-type']]).toEqual([
      200,
      'text/plain; version=0.0.4; charset=utf-8',
    ])
    const lines = text.trimEnd().split('\n')
    const form =
      /^(# (HELP|TYPE) keyferry_\w+ .+|keyferry_\w+(\{\w+="[^"\n]*"(,\w+="[^"\n]*")*\})? -?\d+(\.\d+)?)$/
    expect(lines.filter((line) => !form.test(line))).toEqual([])
    expect(text).toContain('keyferry_head_version 1\n')
    expect(text).toContain('keyferry_relay_head_version{relay="https://a.example"} 1\n')
    expect(text).toContain('keyferry_relay_head_version{relay="https://b.example"} 0\n')
    expect(text).toMatch(/keyferry_events_total\{type="relay-error"\} [1-9]/)
    expect(text).toMatch(/keyferry_alarms\{kind="relay"\} 1/)
    expect(text).not.toMatch(/secret-plans|client\.acme/)
  })

  it('are answered to addresses and names of its own, not to a name that somebody gave it', async () => {
    for (const path of ['/metrics', '/health']) {
      expect((await get(path, 'evil.example:80')).status).toBe(403)
      for (const host of ['deriver:9464', 'localhost', '10.0.0.7:1', '[::1]:1'])
        expect((await get(path, host)).status).not.toBe(403)
    }
    expect((await get('/')).status).toBe(404)
    expect((await callConsole(monitor.url, '/metrics', { method: 'POST' })).status).toBe(405)
  })
})

describe('a log line', () => {
  const events: ServiceEvent[] = [
    { type: 'granted', uri: 'keyferry://client.acme.example/ada', keyrings: ['notes', 'mail'] },
    {
      type: 'refused',
      uri: 'keyferry://client.acme.example/ada',
      keyring: 'notes',
      reason: 'no rule',
      kind: 'denied',
    },
    { type: 'rekeyed', uris: ['keyferry://client.acme.example/ada'], keyrings: ['notes'] },
    { type: 'head', version: 7, relay: 'https://a.example' },
    {
      type: 'relay-error',
      relay: 'https://a.example',
      code: 'ERR_RELAY',
      message: 'away\nand "more"',
    },
    { type: 'writer', state: 'lost' },
  ]

  it.each(events)('of $type is one line, with a client or keyrings and never both', (event) => {
    const line = logLine(event, 1_800_000_000)
    expect(line).not.toContain('\n')
    const { time, level, event: type } = JSON.parse(line) as Record<string, string>
    expect([time, type]).toEqual(['2027-01-15T08:00:00.000Z', event.type])
    expect(['info', 'warn', 'error']).toContain(level)
    expect(/client\.acme/.test(line) && /notes|mail/.test(line)).toBe(false)
  })
})
