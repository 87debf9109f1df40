/** Clients are admitted by the documents that the tenant has now, whatever the isolate of the gateway remembers. */
import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { paths } from '../../shared/api.ts'
import { sha256 } from '../../shared/hash.ts'
import app from '../../worker/index.ts'
import {
  askDelivery,
  enrol,
  postTrust,
  pushAll,
  send,
  sendCall,
  toJson,
  type Answer,
  type Relay,
} from '../lib/calls.ts'
import { makeRequest } from '../lib/documents.ts'
import { makeKeyring, publish, type Keyring } from '../lib/publication.ts'
import {
  makeCa,
  makeClient,
  makeWorld,
  random,
  renewTrust,
  seconds,
  type Client,
  type World,
} from '../lib/world.ts'
import { changeElsewhere, relay, stubOf } from './relay.ts'

let world: World
let ada: Client
let keyring: Keyring

beforeEach(async () => {
  world = await makeWorld()
  ada = await makeClient(world, 'ada')
  keyring = makeKeyring('notes', [ada])
  await enrol(relay, world)
  await pushAll(relay, world, await publish(world, [keyring]), null)
})
afterEach(() => vi.useRealTimers())

/** Every call of a client, and what it is answered. */
async function callAll(client: Client): Promise<number[]> {
  const request = await makeRequest(world, client, [keyring.id])
  const asking = { package: client.package, request }
  const hash = sha256(world.cas.client.crl)
  const answers = [
    await askDelivery(relay, world, client, [keyring.id]),
    await sendCall(relay, world, client.signer, { call: 'object', hash }),
    await sendCall(relay, world, client.signer, { call: 'request', ...asking }),
    await sendCall(relay, world, client.signer, { call: 'wait', after: '', seconds: 0 }),
  ]
  return answers.map(({ status }) => status)
}

const later = (milliseconds: number): void => {
  vi.useFakeTimers({ toFake: ['Date'] })
  vi.setSystemTime(Date.now() + milliseconds)
}

const ORIGIN = 'https://new.example'

/** A call from a page of this origin. */
async function askFrom(origin: string): Promise<number> {
  const body = toJson({ after: '', call: 'wait', seconds: 0 })
  return (await send(relay, paths.calls(world.tenant), ada.signer, { body, headers: { origin } }))
    .status
}

/** The relay, with something between an answer of the tenant's object and the gateway, and before it is asked. */
function around(
  between: (name: string, result: unknown) => Promise<unknown>,
  before = async (_name: string): Promise<void> => {},
): Relay {
  const getByName = (tenant: string): unknown =>
    new Proxy(stubOf(tenant), {
      get:
        (stub, name: string) =>
        async (...given: unknown[]): Promise<unknown> => {
          const methods = stub as unknown as Record<string, (...all: unknown[]) => unknown>
          await before(name)
          return between(name, await methods[name]!(...given))
        },
    })
  const { RATE: _, ...rest } = env
  const bindings = { ...rest, TENANT: { getByName } as Env['TENANT'] }
  return { url: relay.url, fetch: async (url, init) => app.fetch(new Request(url, init), bindings) }
}

/** No certificate of before is admitted by it. */
const ONLY = async (): Promise<Partial<World['trust']>> => {
  const ca = await makeCa('client', world.now)
  return { clients: { ...world.trust.clients, anchors: [ca.certificate] } }
}

describe('[relay-4] a client is admitted by the documents of now', () => {
  it('and not by those that this isolate remembers', async () => {
    expect(await callAll(ada)).toEqual([200, 200, 202, 200])
    await changeElsewhere(world, {})
    // Who is admitted still does not notice.
    expect(await callAll(ada)).toEqual([200, 200, 202, 200])
    await changeElsewhere(world, await ONLY())
    expect(await callAll(ada)).toEqual([404, 404, 404, 404])
  })

  it('one call at a time: whichever comes first after the change', async () => {
    for (const i of [0, 1, 2, 3]) {
      const own = await makeWorld()
      const eve = await makeClient(own, 'eve')
      await enrol(relay, own)
      await pushAll(relay, own, await publish(own, [makeKeyring('notes', [eve])]), null)
      const request = await makeRequest(own, eve, [random(16)])
      const asking = { package: eve.package, request }
      const hash = sha256(own.cas.client.crl)
      const calls = [
        () => askDelivery(relay, own, eve, []),
        () => sendCall(relay, own, eve.signer, { call: 'object', hash }),
        () => sendCall(relay, own, eve.signer, { call: 'request', ...asking }),
        () => sendCall(relay, own, eve.signer, { call: 'wait', after: '', seconds: 0 }),
      ]
      expect((await calls[i]!()).status).toBeLessThan(300)
      const ca = await makeCa('client', own.now)
      const clients = { ...own.trust.clients, anchors: [ca.certificate] }
      await changeElsewhere(own, { clients })
      expect(await calls[i]!()).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
    }
  })

  it('also where those that are remembered are old, and would not admit it', async () => {
    expect((await askDelivery(relay, world, ada, [keyring.id])).status).toBe(200)
    const ca = await makeCa('client', world.now)
    const { clients } = world.trust
    const anchors = [...clients.anchors, ca.certificate]
    await changeElsewhere(world, { clients: { ...clients, anchors } })
    await changeElsewhere(world, { origins: [...world.trust.origins, ORIGIN] })
    later(6_000)
    expect(await askFrom(ORIGIN)).toBe(200)
  })

  it('and a call that is wrong is told so by them alone', async () => {
    expect(await callAll(ada)).toEqual([200, 200, 202, 200])
    const nonsense = () =>
      send(relay, paths.calls(world.tenant), ada.signer, { body: toJson({ call: 'nonsense' }) })
    expect(await nonsense()).toMatchObject({ status: 400, code: 'ERR_SCHEMA' })
    later(20_000)
    expect(await nonsense()).toMatchObject({ status: 400, code: 'ERR_SCHEMA' })
    await changeElsewhere(world, await ONLY())
    later(20_000)
    expect(await nonsense()).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
  })

  it('nor does one of a tenant that is no more say what was wrong with it', async () => {
    expect(await callAll(ada)).toEqual([200, 200, 202, 200])
    await stubOf(world.tenant).deleteTenant()
    later(20_000)
    const body = toJson({ call: 'nonsense' })
    const answer = await send(relay, paths.calls(world.tenant), ada.signer, { body })
    expect(answer).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
  })

  it('also what it brings is verified by them', async () => {
    const own = await makeWorld({ trust: { suites: ['X25519'] } })
    const bob = await makeClient(own, 'bob', { suite: 'P-256' })
    await enrol(relay, own)
    await pushAll(relay, own, await publish(own, []), null)
    const wait = { after: '', call: 'wait' as const, seconds: 0 }
    expect((await sendCall(relay, own, bob.signer, wait)).status).toBe(200)
    await changeElsewhere(own, { suites: ['P-256', 'X25519'] })
    later(20_000)
    own.now = seconds()
    const asking = { package: bob.package, request: await makeRequest(own, bob, [keyring.id]) }
    const answer = await sendCall(relay, own, bob.signer, { call: 'request', ...asking })
    expect(answer.status).toBe(202)
  })

  it('whoever reads heads, too', async () => {
    const heads = () => send(relay, `${paths.heads(world.tenant)}?after=0`, ada.signer)
    expect((await heads()).status).toBe(200)
    await changeElsewhere(world, await ONLY())
    expect(await heads()).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
  })

  it('and learns of no suspension', async () => {
    expect(await callAll(ada)).toEqual([200, 200, 202, 200])
    const stub = stubOf(world.tenant)
    await changeElsewhere(world, await ONLY())
    await stub.changeSettings({ isSuspended: true })
    expect(await callAll(ada)).toEqual([404, 404, 404, 404])
  })

  it('a call that was out does not bring back what was forgotten', async () => {
    const late = around(async (name, result) => {
      // Until this isolate has forgotten.
      if (name === 'wait') await scheduler.wait(200)
      return result
    })
    const wait = (at: Relay, after: string, most: number) =>
      sendCall(at, world, ada.signer, { after, call: 'wait', seconds: most })
    const { next } = (await wait(relay, '', 0)).json as { next: string }
    // When the isolate has looked for the last time before the change.
    let waiting: Promise<Answer> | undefined
    const changing = around(
      async (_, result) => result,
      async (name) => {
        if (name !== 'addTrust') return
        waiting = wait(late, next, 25)
        await scheduler.wait(50)
      },
    )
    const lowestCrls = [{ issuer: world.cas.client.keyId, number: 1 }]
    const changed = { origins: [...world.trust.origins, ORIGIN], lowestCrls }
    expect((await postTrust(changing, world, await renewTrust(world, changed))).status).toBe(204)
    expect((await waiting)?.status).toBe(204)
    expect(await askFrom(ORIGIN)).toBe(200)
  })

  it('what was remembered by a clock that was set back since is old', async () => {
    later(20_000)
    expect((await askDelivery(relay, world, ada, [])).status).toBe(200)
    vi.useRealTimers()
    await changeElsewhere(world, { origins: [...world.trust.origins, ORIGIN] })
    expect(await askFrom(ORIGIN)).toBe(200)
  })

  it('where they change with every call, it is asked to come again', async () => {
    expect((await askDelivery(relay, world, ada, [])).status).toBe(200)
    const changing = around(async (name, result) => {
      if (name === 'standing') await changeElsewhere(world, {})
      return result
    })
    await changeElsewhere(world, {})
    const answer = await askDelivery(changing, world, ada, [])
    expect(answer).toMatchObject({ status: 429, code: 'ERR_QUOTA' })
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await askDelivery(relay, world, ada, [])).status).toBe(200)
  })

  it('of a tenant that is no more it gets nothing', async () => {
    expect(await callAll(ada)).toEqual([200, 200, 202, 200])
    await stubOf(world.tenant).deleteTenant()
    expect(await callAll(ada)).toEqual([404, 404, 404, 404])
  })

  it('another origin is refused what is posted, and nothing else', async () => {
    expect(await askFrom(ORIGIN)).toBe(404)
    const headers = { origin: ORIGIN }
    expect((await send(relay, paths.heads(world.tenant), ada.signer, { headers })).status).toBe(200)
  })

  it('a storage that was set back and went on another way is believed', async () => {
    const [genesis] = world.trusts
    await changeElsewhere(world, { origins: ['https://one.example'] })
    expect(await callAll(ada)).toEqual([200, 200, 202, 200])
    await stubOf(world.tenant).deleteTenant()
    world.trusts = [genesis!]
    world.trust = { ...world.trust, number: 1, previous: new Uint8Array() }
    await stubOf(world.tenant).deleteTenant()
    expect((await enrol(relay, world)).status).toBe(201)
    await changeElsewhere(world, { origins: ['https://two.example'] })
    await pushAll(relay, world, await publish(world, [keyring]), null)
    expect(await callAll(ada)).toEqual([200, 200, 202, 200])
  })

  it('of a stranger no tenant says what skew it has', async () => {
    const eve = await makeClient(await makeWorld(), 'eve')
    const absent = await makeWorld()
    const body = toJson({ after: '', call: 'wait', seconds: 0 })
    for (const tenant of [world.tenant, absent.tenant]) {
      const late = { body, now: seconds() - 200 }
      const answer = await send(relay, paths.calls(tenant), eve.signer, late)
      expect(answer).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
    }
    const late = { body, now: seconds() - 200 }
    expect(await send(relay, paths.calls(world.tenant), ada.signer, late)).toMatchObject({
      status: 401,
    })
  })
})
