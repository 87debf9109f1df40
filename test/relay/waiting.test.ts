/** Calls that wait for news (docs/PROTOCOL.md, "HTTP"), for clients that no WebSocket gets through to. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { paths } from '../../shared/api.ts'
import { type Event } from '../../shared/events.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { newsSchema } from '../../shared/news.ts'
import { listen } from '../../web/events.ts'
import { MAX_WAITING_EACH } from '../../worker/waiters.ts'
import {
  enrol,
  INVITE,
  pushAll,
  postTrust,
  send,
  sendCall,
  toJson,
  type Answer,
} from '../lib/calls.ts'
import { makeRefusal } from '../lib/documents.ts'
import { publish } from '../lib/publication.ts'
import { startRelay, type TestRelay } from '../lib/test-relay.ts'
import {
  makeCa,
  makeClient,
  makeWorld,
  random,
  renewTrust,
  revoke,
  type Client,
  type World,
} from '../lib/world.ts'

const SECRET = 's'.repeat(32)

let relay: TestRelay
let world: World
let alice: Client
beforeAll(async () => {
  relay = await startRelay({ INVITES: INVITE, OPERATOR_SECRET: SECRET })
})
afterAll(() => relay.close())
beforeEach(async () => {
  world = await makeWorld()
  await enrol(relay, world)
  alice = await makeClient(world, 'alice')
})

const wait = (client: Client, after: string, seconds = 25): Promise<Answer> =>
  sendCall(relay, world, client.signer, { after, call: 'wait', seconds })

const news = async (answer: Answer | Promise<Answer>) => newsSchema((await answer).json, '')

/** Where a client stands that has missed nothing. */
const begin = async (client: Client): Promise<string> => (await news(wait(client, ''))).next

function operate(call: string, init: RequestInit = {}): Promise<Response> {
  const headers = { authorization: `Bearer ${SECRET}`, 'content-type': 'application/json' }
  const url = new URL(`/operator/tenants/${world.tenant}${call}`, relay.url)
  return relay.fetch(url, { ...init, headers })
}

/** Resolves when so many calls of the tenant wait. */
async function waiting(count: number): Promise<void> {
  await expect
    .poll(async () => (await operate('')).json() as object, { timeout: 10_000 })
    .toMatchObject({ usage: { sockets: count } })
}

async function push(version: number, previous: Bytes | null): Promise<Bytes> {
  const published = await publish(world, [], { version })
  await pushAll(relay, world, published, previous)
  return published.headHash
}

const answerWith = async (client: Client): Promise<Answer> =>
  send(relay, paths.answers(world.tenant), world.deriver, {
    body: toJson({ done: 0, refusals: [await makeRefusal(world, client.fingerprint, random(16))] }),
  })

describe('waiting', () => {
  it('is answered at once where nothing is known of before, then by a new head and by a refusal of one’s own', async () => {
    const bob = await makeClient(world, 'bob')
    const at = await begin(alice)
    const [forAlice, forBob] = [wait(alice, at), wait(bob, at)]
    await waiting(2)
    const head = await push(1, null)
    const told = { events: ['head'], head }
    expect(await news(forAlice)).toMatchObject(told)
    const { next, ...rest } = await news(forBob)
    expect(rest).toEqual(told)
    const second = wait(alice, next)
    await waiting(1)
    await answerWith(bob)
    await answerWith(alice)
    expect(await news(second)).toMatchObject({ events: ['refusal'], head: new Uint8Array() })
  })

  it('misses nothing that happens between two calls, and hears of nothing twice', async () => {
    const at = await begin(alice)
    const head = await push(1, null)
    await answerWith(alice)
    const { next, ...rest } = await news(wait(alice, at))
    expect(rest).toEqual({ events: ['head', 'refusal'], head })
    expect((await wait(alice, next, 0)).status).toBe(204)
    expect((await wait(alice, next, 1)).status).toBe(204)
  })

  it('begins anew with an object that was away, and at positions that were never given', async () => {
    const at = await begin(alice)
    await push(1, null)
    await relay.harness.getWorker().evictDurableObject('TENANT', { name: world.tenant })
    const { next } = await news(wait(alice, at))
    const [life] = next.split('.')
    for (const after of [at, 'x', `${life}.x.0`, `${life}.1.0`, `${life}.0.1`, `${life}.0`, '.0.0'])
      expect(await news(wait(alice, after))).toMatchObject({ events: [] })
  })

  it('gives positions that tell nobody how many others were refused', async () => {
    const bob = await makeClient(world, 'bob')
    const at = await begin(alice)
    for (let i = 0; i < 3; i++) await answerWith(bob)
    expect(await begin(alice)).toBe(at)
    expect(await begin(bob)).not.toBe(at)
  })

  it('[relay-13] a ninth call of a certificate does not wait, one of another does', async () => {
    const bob = await makeClient(world, 'bob')
    const at = await begin(alice)
    const open = Array.from({ length: MAX_WAITING_EACH }, () => wait(alice, at))
    await waiting(MAX_WAITING_EACH)
    const { status, code, headers } = await wait(alice, at)
    expect([status, code]).toEqual([429, 'ERR_QUOTA'])
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    const other = wait(bob, at)
    await waiting(MAX_WAITING_EACH + 1)
    const head = await push(1, null)
    for (const one of [...open, other]) expect(await news(one)).toMatchObject({ head })
    // Nobody waits any more.
    expect((await wait(alice, (await news(other)).next, 1)).status).toBe(204)
  })

  it('[relay-4] ends early for whom a list or a trust document leaves out, who then is not admitted', async () => {
    const bob = await makeClient(world, 'bob')
    const first = await push(1, null)
    const at = await begin(alice)
    const [forAlice, forBob] = [wait(alice, at), wait(bob, at)]
    await waiting(2)
    await revoke(world.cas.client, alice.signer, world.now)
    const head = await push(2, first)
    expect((await forAlice).status).toBe(204)
    const { next, ...rest } = await news(forBob)
    expect(rest).toEqual({ events: ['head'], head })
    expect((await wait(alice, at, 0)).status).toBe(404)
    const again = wait(bob, next)
    await waiting(1)
    const ca = await makeCa('client', world.now)
    const clients = { ...world.trust.clients, anchors: [ca.certificate] }
    await postTrust(relay, world, await renewTrust(world, { clients }))
    expect((await again).status).toBe(204)
    expect((await wait(bob, next, 0)).status).toBe(404)
  })

  it('[relay-13] is for as many as the quota of sockets leaves, and ends with a suspension', async () => {
    await operate('/quota', { method: 'POST', body: '{"sockets":1}' })
    const at = await begin(alice)
    const first = wait(alice, at)
    await waiting(1)
    expect((await wait(alice, at)).code).toBe('ERR_QUOTA')
    // What is there already is told all the same.
    expect(await news(wait(alice, ''))).toMatchObject({ events: [] })
    await operate('/suspend', { method: 'POST' })
    expect((await first).status).toBe(204)
    expect((await wait(alice, at)).code).toBe('ERR_SUSPENDED')
  })

  it('for longer than 25 seconds is refused', async () => {
    expect(await wait(alice, '', 26)).toMatchObject({ status: 400, code: 'ERR_SCHEMA' })
  })
})

it('a client without sockets waits, and hears of every head as soon as it is there', async () => {
  const hints: (Event | null)[] = []
  const stop = new AbortController()
  const listening = listen({
    relays: [relay.url.origin],
    tenant: world.tenant,
    signer: alice.signer,
    now: () => Math.floor(Date.now() / 1_000),
    fetch: (input, init) => relay.fetch(input as URL, init!),
    WebSocket: undefined,
    onHint: (event) => void hints.push(event),
    signal: stop.signal,
  })
  await waiting(1)
  expect(hints).toEqual([null])
  const first = await push(1, null)
  await waiting(1)
  const second = await push(2, first)
  await expect.poll(() => hints.length).toBe(3)
  expect(hints.slice(1)).toEqual([first, second].map((hash) => ({ type: 'head', hash })))
  stop.abort()
  await listening
})
