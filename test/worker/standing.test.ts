/** Clients are admitted by the documents that the tenant has now, whatever the isolate of the gateway remembers, and for as few calls of the object as that takes. */
import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { TEXT_TYPE, paths } from '../../shared/api.ts'
import { signBody } from '../../shared/credentials.ts'
import { sha256 } from '../../shared/hash.ts'
import app from '../../worker/index.ts'
import { askDelivery, enrol, pushAll, sendCall, toJson, type Relay } from '../lib/calls.ts'
import { makeRequest } from '../lib/documents.ts'
import { makeKeyring, publish, type Keyring } from '../lib/publication.ts'
import {
  makeCa,
  makeClient,
  makeWorld,
  random,
  seconds,
  type Client,
  type World,
} from '../lib/world.ts'
import { changeElsewhere, relay } from './relay.ts'

let world: World
let ada: Client
let keyring: Keyring
let asked: number

/** The relay, with a count of how often the tenant's object is asked. */
const counted: Relay = {
  url: relay.url,
  fetch: async (url, init) => {
    const { RATE: _, ...rest } = env
    const TENANT = {
      getByName: (name: string) => {
        asked++
        return env.TENANT.getByName(name)
      },
    } as Env['TENANT']
    return app.fetch(new Request(url, init), { ...rest, TENANT })
  },
}

beforeEach(async () => {
  world = await makeWorld()
  ada = await makeClient(world, 'ada')
  keyring = makeKeyring('notes', [ada])
  await enrol(relay, world)
  await pushAll(relay, world, await publish(world, [keyring]), null)
  asked = 0
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
    const origin = 'https://new.example'
    await changeElsewhere(world, { origins: [...world.trust.origins, origin] })
    later(6_000)
    const url = new URL(paths.calls(world.tenant), relay.url)
    const body = toJson({ after: '', call: 'wait', seconds: 0 })
    const posted = await signBody({ method: 'POST', url, body }, ada.signer, seconds())
    const headers = { 'content-type': TEXT_TYPE, origin }
    const response = await relay.fetch(url, { method: 'POST', body: posted, headers })
    expect(response.status).toBe(200)
    expect(response.headers.get('access-control-allow-origin')).toBe(origin)
  })
})

describe('calls of the object', () => {
  it('a delivery takes one, also when what is remembered is minutes old', async () => {
    expect((await askDelivery(counted, world, ada, [keyring.id])).status).toBe(200)
    for (const milliseconds of [0, 6_000, 40_000]) {
      later(milliseconds)
      asked = 0
      expect((await askDelivery(counted, world, ada, [keyring.id])).status).toBe(200)
      expect(asked).toBe(1)
    }
  })

  it('a page’s delivery takes one, too, and its answer is for its origin', async () => {
    const [origin] = world.trust.origins
    expect((await askDelivery(counted, world, ada, [keyring.id])).status).toBe(200)
    later(6_000)
    asked = 0
    const page: Relay = {
      url: counted.url,
      fetch: (url, init) =>
        counted.fetch(url, { ...init, headers: { ...(init.headers as object), origin: origin! } }),
    }
    const { status, headers } = await askDelivery(page, world, ada, [keyring.id])
    expect([status, headers.get('access-control-allow-origin')]).toEqual([200, origin])
    expect(asked).toBe(1)
  })

  it('a stranger takes one while what is remembered is old, and else none', async () => {
    const eve = await makeClient(await makeWorld(), 'eve')
    expect((await askDelivery(counted, world, ada, [keyring.id])).status).toBe(200)
    asked = 0
    expect((await askDelivery(counted, world, eve, [keyring.id])).status).toBe(404)
    expect(asked).toBe(0)
    later(6_000)
    expect((await askDelivery(counted, world, eve, [keyring.id])).status).toBe(404)
    expect(asked).toBe(1)
  })
})
