/** What a call of a client or a stranger costs: calls of the tenant's object and of the limiter, and room for its body. */
import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { paths, SUBPROTOCOL, TEXT_TYPE } from '../../shared/api.ts'
import { base64url } from '../../shared/bytes.ts'
import { signTicket } from '../../shared/ticket.ts'
import app from '../../worker/index.ts'
import { askDelivery, enrol, pushAll, send, toJson, type Relay } from '../lib/calls.ts'
import { makeKeyring, publish, type Keyring } from '../lib/publication.ts'
import {
  issueSigner,
  makeClient,
  makeWorld,
  random,
  revoke,
  seconds,
  uriOf,
  type Client,
  type World,
} from '../lib/world.ts'
import { relay } from './relay.ts'

let world: World
let ada: Client
let keyring: Keyring
let asked: number
let braked: number
let isOver: boolean

/** The relay, with counts of how often the tenant's object and the limiter are asked. */
const counted: Relay = {
  url: relay.url,
  fetch: async (url, init) => {
    const TENANT = {
      getByName: (name: string) => {
        asked++
        return env.TENANT.getByName(name)
      },
    } as Env['TENANT']
    const RATE = {
      limit: async () => {
        braked++
        return { success: !isOver }
      },
    }
    const headers = new Headers(init.headers)
    headers.set('cf-connecting-ip', random(4).join('.'))
    // As HTTP has it.
    const { body } = init
    const length = (body as { length?: number } | undefined)?.length
    if (length !== undefined) headers.set('content-length', String(length))
    return app.fetch(new Request(url, { ...init, headers }), { ...env, TENANT, RATE })
  },
}

beforeEach(async () => {
  world = await makeWorld()
  ada = await makeClient(world, 'ada')
  keyring = makeKeyring('notes', [ada])
  await enrol(relay, world)
  await pushAll(relay, world, await publish(world, [keyring]), null)
  ;[asked, braked, isOver] = [0, 0, false]
})
afterEach(() => vi.useRealTimers())

const later = (milliseconds: number): void => {
  vi.useFakeTimers({ toFake: ['Date'] })
  vi.setSystemTime(Date.now() + milliseconds)
}

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

  it('a call that is wrong takes none, or one while what is remembered is old', async () => {
    expect((await askDelivery(counted, world, ada, [])).status).toBe(200)
    asked = 0
    const body = toJson({ call: 'nonsense' })
    const wrong = () => send(counted, paths.calls(world.tenant), ada.signer, { body })
    expect((await wrong()).status).toBe(400)
    expect(asked).toBe(0)
    later(6_000)
    for (let i = 0; i < 3; i++) expect((await wrong()).status).toBe(400)
    expect(asked).toBe(1)
  })

  it('one that the object refuses is not asked for again', async () => {
    expect((await askDelivery(counted, world, ada, [])).status).toBe(200)
    later(6_000)
    asked = 0
    const body = toJson({ call: 'object', hash: random(32) })
    expect((await send(counted, paths.calls(world.tenant), ada.signer, { body })).status).toBe(404)
    expect(asked).toBe(2)
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

describe('the limiter', () => {
  const wait = { body: toJson({ after: '', call: 'wait', seconds: 0 }) }
  const post = (body: BodyInit, headers: Record<string, string> = {}) =>
    counted.fetch(new URL(paths.calls(world.tenant), relay.url), {
      method: 'POST',
      body,
      headers: { 'content-type': TEXT_TYPE, ...headers },
    })

  it('is asked before a long body is read, or one of unknown length, and not for others', async () => {
    isOver = true
    expect((await post(new Uint8Array(16_384))).status).toBe(401)
    expect(braked).toBe(0)
    let isRead = false
    const stream = () =>
      new ReadableStream({
        type: 'bytes',
        pull(controller: ReadableByteStreamController) {
          isRead = true
          controller.close()
          controller.byobRequest?.respond(0)
        },
      })
    for (const length of ['16385', 'x', undefined]) {
      const headers = length === undefined ? {} : { 'content-length': length }
      expect((await post(stream(), headers)).status).toBe(429)
    }
    expect([braked, isRead]).toEqual([3, false])
  })

  it('is asked of whom another tenant admits, and of who is revoked', async () => {
    const other = await makeWorld()
    const eve = await makeClient(other, 'eve')
    await enrol(relay, other)
    await pushAll(relay, other, await publish(other, []), null)
    expect((await send(counted, paths.calls(other.tenant), eve.signer, wait)).status).toBe(200)
    expect((await askDelivery(counted, world, ada, [])).status).toBe(200)
    ;[asked, braked, isOver] = [0, 0, true]
    for (const milliseconds of [0, 6_000]) {
      later(milliseconds)
      expect(await send(counted, paths.calls(world.tenant), eve.signer, wait)).toMatchObject({
        status: 429,
        code: 'ERR_QUOTA',
      })
    }
    expect(asked).toBe(0)
    // Who is admitted is not asked about.
    expect((await send(counted, paths.calls(world.tenant), ada.signer, wait)).status).toBe(200)
  })

  it('is not asked of a socket of who is admitted', async () => {
    expect((await askDelivery(counted, world, ada, [])).status).toBe(200)
    ;[braked, isOver] = [0, true]
    const url = new URL(paths.events(world.tenant), relay.url)
    const protocols = `${SUBPROTOCOL}, ${await signTicket(url, ada.signer, seconds())}`
    const headers = { upgrade: 'websocket', 'sec-websocket-protocol': protocols }
    const response = await counted.fetch(url, { headers })
    response.webSocket?.accept()
    response.webSocket?.close()
    expect([response.status, braked]).toEqual([101, 0])
  })

  it('says of no tenant whether it is there, to pages neither', async () => {
    isOver = true
    const absent = await makeWorld()
    for (const tenant of [world.tenant, absent.tenant]) {
      const url = new URL(paths.calls(tenant), relay.url)
      const headers = { 'content-type': TEXT_TYPE, origin: 'https://evil.example' }
      const answer = await counted.fetch(url, { method: 'POST', body: 'x', headers })
      expect(answer.status).toBe(401)
    }
  })
})

it('a revoked client is shown the list that names it as often where memory is old', async () => {
  const own = await makeWorld()
  const lost = await issueSigner(own.cas.client, uriOf('client', 'lost'), own.now)
  await revoke(own.cas.client, lost, own.now)
  await enrol(relay, own)
  const eve = await makeClient(own, 'eve')
  const wait = (signer = lost) =>
    send(relay, paths.calls(own.tenant), signer, {
      body: toJson({ after: '', call: 'wait', seconds: 0 }),
      now: seconds(),
    })
  await wait(eve.signer)
  later(6_000)
  const shown = []
  for (let i = 0; i < 6; i++) shown.push(((await wait()).json as { crl?: string }).crl)
  const crl = base64url(own.cas.client.crl)
  expect(shown).toEqual([crl, crl, crl, crl, undefined, undefined])
})
