/** What the operator sees of calls: lines, points, ids of calls, and a health that is the storage's. */
import { env } from 'cloudflare:workers'
import { runInDurableObject } from 'cloudflare:test'
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { paths } from '../../shared/api.ts'
import { base64url, hex } from '../../shared/bytes.ts'
import { type Signer } from '../../shared/http-signature.ts'
import app, { routes } from '../../worker/app.ts'
import { operatorRoutes } from '../../worker/routes/operator.ts'
import {
  askDelivery,
  enrol,
  INVITE,
  pushAll,
  send,
  sendCall,
  toJson,
  type Relay,
} from '../lib/calls.ts'
import { makeKeyring, publish } from '../lib/publication.ts'
import { makeClient, makeWorld, random, type Client, type World } from '../lib/world.ts'
import { countRows, relay, stubOf } from './relay.ts'

let world: World
let alice: Client
beforeEach(async () => {
  world = await makeWorld()
  alice = await makeClient(world, 'alice')
  await enrol(relay, world)
})

const { RATE: _, ...bindings } = env

/** A relay that logs this share of calls, and what it logs and counts. */
function observed(sample: string | undefined) {
  const points: AnalyticsEngineDataPoint[] = []
  const lines: Record<string, unknown>[] = []
  const spy = vi.spyOn(console, 'log').mockImplementation((line: string) => {
    expect(line).not.toContain('\n')
    lines.push(JSON.parse(line) as Record<string, unknown>)
  })
  onTestFinished(() => spy.mockRestore())
  const ANALYTICS = { writeDataPoint: (point: AnalyticsEngineDataPoint) => void points.push(point) }
  const given = { ...bindings, INVITES: INVITE, ANALYTICS }
  // wrangler.toml has a share of its own, by which one call in a hundred would have a line.
  Reflect.deleteProperty(given, 'LOG_SAMPLE')
  if (sample !== undefined) given.LOG_SAMPLE = sample
  const observedRelay: Relay = {
    url: relay.url,
    fetch: async (url, init) => app.fetch(new Request(url, init), given),
  }
  return { relay: observedRelay, points, lines }
}

describe('a line', () => {
  it('is one for each call, with its id, and with no certificate, keyring or object in it', async () => {
    const { relay: logging, lines, points } = observed('1')
    const keyring = makeKeyring('one', [alice])
    await pushAll(logging, world, await publish(world, [keyring]), null)
    const { headers } = await askDelivery(logging, world, alice, [keyring.id])
    const hash = random(32)
    await sendCall(logging, world, alice.signer, { call: 'object', hash })
    const { tenant } = world
    expect(lines).toMatchObject([
      { event: 'call', method: 'POST', call: 'objects', tenant, status: 204 },
      { event: 'call', method: 'POST', call: 'push', tenant, status: 204 },
      { id: headers.get('keyferry-request'), call: 'delivery', tenant, status: 200 },
      { method: 'POST', call: 'object', status: 404, code: 'ERR_NOT_FOUND' },
    ])
    const all = JSON.stringify([lines, points])
    for (const bytes of [alice.fingerprint, alice.packageHash, keyring.id, hash])
      for (const text of [base64url(bytes), hex(bytes)]) expect(all).not.toContain(text)
    expect(points.map(({ indexes }) => indexes)).toEqual(lines.map(() => [tenant]))
    expect(points.at(-1)!.blobs).toEqual(['POST', 'object', '404', 'ERR_NOT_FOUND'])
  })

  it('has the name of every call that there is', async () => {
    const { relay: logging, lines } = observed('1')
    const all = [...routes, ...operatorRoutes].map(({ path }) => path)
    for (const path of all)
      await logging.fetch(new URL(path.replace(':tenant', world.tenant), relay.url), {
        method: 'PUT',
      })
    expect(lines).toHaveLength(all.length)
    expect(lines.map(({ call }) => call)).not.toContain('other')
  })

  it('has the name of a call of a client as soon as its body was read', async () => {
    const { relay: logging, lines } = observed('1')
    const post = (signer: Signer | null, body: object) =>
      send(logging, paths.calls(world.tenant), signer, { body: toJson(body) })
    for (const call of ['delivery', 'object', 'request', 'wait'])
      // Also of one that is not as it has to be.
      expect((await post(alice.signer, { call, secret: 1 })).status).toBe(400)
    await post(null, { call: 'delivery' })
    await post(world.deriver, { call: 'delivery' })
    await post(alice.signer, { call: 'my-secret' })
    expect(lines.map(({ call, code }) => [call, code])).toEqual([
      ['delivery', 'ERR_SCHEMA'],
      ['object', 'ERR_SCHEMA'],
      ['request', 'ERR_SCHEMA'],
      ['wait', 'ERR_SCHEMA'],
      ['calls', 'ERR_UNAUTHORIZED'],
      ['calls', 'ERR_NOT_FOUND'],
      ['calls', 'ERR_SCHEMA'],
    ])
  })

  it('takes over nothing that a stranger makes up', async () => {
    const { relay: logging, lines } = observed('1')
    await send(logging, '/v1/my-secret/my-secret', null)
    await send(logging, `/v1/${world.tenant}/my-secret`, null, { method: 'PUT' })
    await send(logging, '/my-secret?my-secret', null)
    expect(lines).toHaveLength(3)
    expect(JSON.stringify(lines)).not.toContain('my-secret')
    expect(lines.map(({ call }) => call)).toEqual(['other', 'other', 'other'])
  })

  it.each([undefined, '0', 'nonsense'])(
    'is none of a call that went well at %s, but one where the relay failed',
    async (sample) => {
      const { relay: logging, lines } = observed(sample)
      await send(logging, '/nothing', null)
      await askDelivery(logging, world, alice, [])
      expect(lines).toEqual([])
      const error = vi.spyOn(console, 'error').mockImplementation(() => {})
      onTestFinished(() => error.mockRestore())
      const broken = { ...bindings, TENANT: undefined }
      const url = new URL('/healthz', relay.url)
      vi.setSystemTime(Date.now() + 600_000)
      onTestFinished(() => void vi.useRealTimers())
      const answer = await app.fetch(new Request(url), broken)
      const id = answer.headers.get('keyferry-request')
      expect(answer.status).toBe(500)
      expect(lines).toMatchObject([{ id, call: 'healthz', status: 500, code: 'ERR_INTERNAL' }])
      expect(await answer.json()).toMatchObject({ instance: `urn:uuid:${id}` })
      expect(String(error.mock.calls[0]![0])).toContain(id)
    },
  )
})

it('every answer names its call, each another one, also to a page', async () => {
  const first = await send(relay, '/nothing', null)
  const second = await send(relay, '/nothing', null)
  const ids = [first, second].map(({ headers }) => headers.get('keyferry-request'))
  expect(new Set(ids).size).toBe(2)
  for (const id of ids) expect(id).toMatch(/^[0-9a-f-]{36}$/)
  const [origin] = world.trust.origins
  const answer = await send(relay, paths.heads(world.tenant), alice.signer, {
    headers: { origin: origin! },
  })
  expect(answer.headers.get('access-control-expose-headers')).toContain('keyferry-request')
})

it('health is a row that is written, at most once a minute, and read', async () => {
  const stub = stubOf('health of a test')
  expect(await stub.ping()).toBe(true)
  const counting = await countRows('health of a test')
  for (let i = 0; i < 5; i++) expect(await stub.ping()).toBe(true)
  expect(await counting.stop()).toEqual({ read: 5, written: 0 })
  const rows = await runInDurableObject(stub, (_tenant, { storage }) =>
    storage.sql.exec('SELECT count(*) AS n FROM health').one(),
  )
  expect(rows).toEqual({ n: 1 })
})
