/** What members and customers of one tenant could do to the relay, and to others at it. */
import { env } from 'cloudflare:workers'
import { beforeEach, describe, expect, it } from 'vitest'
import { paths, SUBPROTOCOL, TEXT_TYPE } from '../../shared/api.ts'
import { compare } from '../../shared/bytes.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { encodeEnvelope } from '../../shared/envelope.ts'
import { sha256 } from '../../shared/hash.ts'
import { issueCrl } from '../../shared/issue.ts'
import { signTicket } from '../../shared/ticket.ts'
import { Recent } from '../../worker/bounded.ts'
import app from '../../worker/index.ts'
import {
  askDelivery,
  enrol,
  pushAll,
  pushHead,
  send,
  toJson,
  upload,
  type Answer,
  type Relay,
} from '../lib/calls.ts'
import { makeKeyring, publish } from '../lib/publication.ts'
import { makeCa, makeClient, makeWorld, random, type Client, type World } from '../lib/world.ts'
import { query, relay, stubOf } from './relay.ts'

let world: World
let alice: Client
beforeEach(async () => {
  world = await makeWorld()
  alice = await makeClient(world, 'alice')
  await enrol(relay, world)
})

describe('[relay-8] lists of a tenant have at most 4 MiB together', () => {
  const REVOKED = 20_000

  /** A head that names one list of half a megabyte for so many issuers that nobody knows. */
  async function pushMany(count: number): Promise<Answer> {
    const issuer = await makeCa('client', world.now, 'Ed25519', 'Nobody')
    const date = world.now - 60
    const revoked = Array.from({ length: REVOKED }, (_, i) => ({
      serial: new Uint8Array([1, i >> 16, (i >> 8) & 255, i & 255]),
      date,
    }))
    const times = { thisUpdate: date, nextUpdate: world.now + 86_400 }
    const der = await issueCrl({ issuer, number: 1, ...times, revoked })
    const first = await publish(world, [makeKeyring('one', [alice])])
    const hash = sha256(der)
    const others = Array.from({ length: count }, () => ({ hash, issuer: random(32), number: 1 }))
    const crls = [...first.body.crls, ...others].toSorted((a, b) => compare(a.issuer, b.issuer))
    const made = await publish(world, [makeKeyring('one', [alice])], { head: { crls } })
    await upload(relay, world, made.objects)
    return pushHead(relay, world, { ...made, crls: [...made.crls, der] }, null)
  }

  it('one of many issuers counts for each', async () => {
    expect(await pushMany(12)).toMatchObject({ status: 429, code: 'ERR_QUOTA' })
    expect((await pushMany(3)).status).toBe(204)
  })

  it('also where they come with the enrolment, and nothing is kept of more', async () => {
    const [trust] = world.trusts
    const genesis = { number: 1, hash: documentHash(trust!), envelope: encodeEnvelope(trust!) }
    const lists = Array.from({ length: 8 }, () => ({
      issuer: random(32),
      number: 1,
      hash: random(32),
      nextUpdate: world.now + 600,
      isDelivered: false,
      isVerified: true,
      der: new Uint8Array(524_288),
    }))
    const stub = stubOf(world.tenant)
    const count = async (): Promise<number> => (await stub.readDocuments()).crls.length
    const before = await count()
    expect((await stub.enrol(genesis, lists)).code).toBe('ERR_QUOTA')
    expect(await count()).toBe(before)
    expect((await stub.enrol(genesis, lists.slice(1))).code).toBe(null)
    expect(await count()).toBe(before + 7)
  })
})

it('memory holds nothing that is heavier than all of it, and loses nothing for it', () => {
  const recent = new Recent<number>(100, (weight) => weight)
  for (let i = 0; i < 50; i++) recent.set(`${i}`, 1)
  recent.set('7', 101)
  expect(recent.get('7')).toBeUndefined()
  expect(recent.get('8')).toBe(1)
  recent.set('large', 60)
  expect(recent.get('49')).toBe(1)
})

describe('[relay-4] pages', () => {
  it('an answer to a stranger is the same for every tenant, its headers too, and asks no object', async () => {
    const absent = await makeWorld()
    const eve = await makeClient(absent, 'eve')
    const asked: string[] = []
    const noted = {
      ...env,
      TENANT: {
        getByName: (name: string) => {
          asked.push(name)
          return env.TENANT.getByName(name)
        },
      } as Env['TENANT'],
    }
    const headersOf = async (answer: Response): Promise<unknown> => [
      answer.status,
      [...answer.headers].filter(([name]) => name !== 'keyferry-request'),
      await answer.text(),
    ]
    const headers = { 'content-type': TEXT_TYPE, origin: world.trust.origins[0]! }
    const unsigned = async (tenant: string): Promise<unknown> => {
      const url = new URL(paths.calls(tenant), relay.url)
      const init = { method: 'POST', body: 'x', headers: { ...headers, 'content-length': '1' } }
      return headersOf(await app.fetch(new Request(url, init), noted))
    }
    expect(await unsigned(world.tenant)).toEqual(await unsigned(absent.tenant))
    expect(asked).toEqual([])
    const signed = async (tenant: string): Promise<unknown> => {
      const body = toJson({ after: '', call: 'wait', seconds: 0 })
      const {
        status,
        body: text,
        headers: got,
      } = await send(relay, paths.calls(tenant), eve.signer, {
        body,
        headers: { origin: headers.origin },
      })
      return [status, text, [...got].filter(([name]) => name !== 'keyferry-request')]
    }
    expect(await signed(world.tenant)).toEqual(await signed(absent.tenant))
  })
})

describe('HOSTS', () => {
  /** The relay under another name: what was signed for that is sent here. */
  const under = (host: string, hosts: string | undefined): Relay => ({
    url: new URL(`https://${host}`),
    fetch: async (url, init) => {
      const { RATE: _, ...rest } = env
      return app.fetch(new Request(url, init), { ...rest, ...(hosts && { HOSTS: hosts }) })
    },
  })

  it('a call that was signed for another relay is not found', async () => {
    await pushAll(relay, world, await publish(world, [makeKeyring('one', [alice])]), null)
    const ask = async (host: string, hosts?: string): Promise<number> =>
      (await askDelivery(under(host, hosts), world, alice, [])).status
    const hosts = 'relay.example,relay.example:8443'
    expect(await ask('relay.example', hosts)).toBe(200)
    expect(await ask('relay.example:8443', hosts)).toBe(200)
    expect(await ask('relay.example:8443', ' Relay.Example:8443 ')).toBe(200)
    const health = await under('127.0.0.1:8787', hosts).fetch(
      new URL('https://127.0.0.1:8787/healthz'),
      { method: 'GET' },
    )
    expect(health.status).toBe(200)
    for (const other of ['evil.example', 'relay.example:8444', 'a.relay.example'])
      expect(await ask(other, hosts)).toBe(404)
    expect(await ask('evil.example')).toBe(200)
  })
})

describe('the limiter', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8:1:2::6', '2001:db8:1:2'],
    ['2001:db8::6', '2001:db8:0:0'],
    ['2001:db8::7:1:2:3:4', '2001:db8:0:7'],
    ['2001:db8:0:7::1', '2001:db8:0:7'],
    ['::ffff:192.0.2.7', '::ffff:192.0.2.7'],
  ])('counts %s as %s', async (address, expected) => {
    const keys: string[] = []
    const RATE = {
      limit: async ({ key }: { key: string }) => {
        keys.push(key)
        return { success: true }
      },
    }
    const eve = await makeClient(await makeWorld(), 'eve')
    const braked: Relay = {
      url: relay.url,
      fetch: async (url, init) => {
        const headers = { ...(init.headers as object), 'cf-connecting-ip': address }
        return app.fetch(new Request(url, { ...init, headers }), { ...env, RATE })
      },
    }
    await askDelivery(braked, world, eve, [])
    expect(keys).toEqual([expected])
  })
})

describe('sockets that do not answer their closing', () => {
  /** Opens one; its client reads nothing, and so closes nothing. */
  const open = async ({ signer }: Client): Promise<Response> => {
    const url = new URL(paths.events(world.tenant), relay.url)
    const protocol = `${SUBPROTOCOL}, ${await signTicket(url, signer, world.now)}`
    const headers = { upgrade: 'websocket', 'sec-websocket-protocol': protocol }
    return relay.fetch(url, { method: 'GET', headers })
  }
  const most = async (sockets: number): Promise<unknown> =>
    stubOf(world.tenant).changeSettings({ sockets })
  const counted = async (): Promise<number> =>
    (await stubOf(world.tenant).readUsage())!.usage.sockets

  it('take no place of others, and no more than eight of them are kept for a certificate', async () => {
    const bob = await makeClient(world, 'bob')
    await most(9)
    const held: Response[] = []
    const statuses: number[] = []
    for (let i = 0; i < 20; i++) {
      const answer = await open(alice)
      statuses.push(answer.status)
      held.push(answer)
    }
    expect(statuses).toEqual([...Array<number>(16).fill(101), ...Array<number>(4).fill(429)])
    expect(await counted()).toBe(8)
    const answer = await open(bob)
    expect(answer.status).toBe(101)
    const socket = answer.webSocket!
    const first = new Promise<unknown>((resolve) => {
      socket.addEventListener('message', ({ data }) => resolve(JSON.parse(String(data))))
    })
    socket.accept()
    // What there is to say goes to those who listen.
    const made = await publish(world, [makeKeyring('one', [alice])])
    await pushAll(relay, world, made, null)
    expect(await first).toMatchObject({ type: 'head' })
    socket.close()
    expect(held).toHaveLength(20)
  })
})

describe('tickets', () => {
  it('that have run out are deleted with others’ coming, not six hours later', async () => {
    const rows = async (): Promise<unknown> => query(world.tenant, 'SELECT expires FROM tickets')
    const insert = 'INSERT INTO tickets (hash, expires) VALUES (randomblob(32), ?)'
    const url = new URL(paths.events(world.tenant), relay.url)
    const open = async (): Promise<void> => {
      const protocol = `${SUBPROTOCOL}, ${await signTicket(url, alice.signer, world.now)}`
      const headers: Record<string, string> = {
        upgrade: 'websocket',
        'sec-websocket-protocol': protocol,
      }
      const answer = await relay.fetch(url, { method: 'GET', headers })
      expect(answer.status).toBe(101)
      answer.webSocket!.accept()
      answer.webSocket!.close()
    }
    await query(world.tenant, insert, 5)
    // One that the gateway may still have taken a moment ago stays.
    await query(world.tenant, insert, world.now - 30)
    await open()
    expect(await rows()).toHaveLength(2)
  })
})
