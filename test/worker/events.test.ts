/** How long an open socket stays admitted, and what calls that wait cost. */
import { beforeEach, describe, expect, it } from 'vitest'
import { runInDurableObject } from 'cloudflare:test'
import { drizzle } from 'drizzle-orm/durable-sqlite'
import { base64url, type Bytes } from '../../shared/bytes.ts'
import { paths, SUBPROTOCOL } from '../../shared/api.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { signTicket } from '../../shared/ticket.ts'
import { MAX_WHOLE } from '../../shared/limits.ts'
import { validatePath } from '../../shared/path.ts'
import { type VerifiedPath } from '../../shared/path.ts'
import { type Tenant } from '../../worker/tenant.ts'
import { Events, listenerUrl, MAX_WHOLE_EACH_HEAD } from '../../worker/events.ts'
import { standingTag } from '../../worker/store.ts'
import { Tickets } from '../../worker/tickets.ts'
import { MAX_WAITING, Waiters } from '../../worker/waiters.ts'
import { askDelivery, enrol, pushAll, pushHead, upload } from '../lib/calls.ts'
import { makeKeyring, publish } from '../lib/publication.ts'
import {
  CLIENT_AUTH,
  crlsOf,
  issueSigner,
  makeCa,
  makeClient,
  makeWorld,
  random,
  uriOf,
  type Client,
  type World,
} from '../lib/world.ts'
import { changeElsewhere, countRows, query, relay, stubOf, tagOf, type Rows } from './relay.ts'

const HOUR = 3_600
const NOTHING_HELD = {
  have: { catalog: 0, head: new Uint8Array(), objects: [], trust: 0 },
  keyrings: [random(16)],
  package: random(32),
  slots: [0],
}
let world: World

beforeEach(async () => {
  world = await makeWorld()
  await enrol(relay, world)
})

interface Admitted {
  path: VerifiedPath
  certificates: Bytes[]
}

async function pathOf(notAfter: number): Promise<Admitted> {
  const ca = world.cas.client
  const { certificates } = await issueSigner(ca, uriOf('client', 'ada'), world.now, { notAfter })
  const anchors = [ca.certificate]
  const path = await validatePath({
    certificates,
    anchors,
    now: world.now,
    eku: [CLIENT_AUTH],
    crls: crlsOf(world),
  })
  return { path, certificates }
}

/** By what the gateway has to have admitted whoever opens a socket now. */
async function standingNow(): Promise<{ tag: string }> {
  const rows = await query(world.tenant, 'SELECT hash FROM crls')
  const lists = rows.map(({ hash }) => new Uint8Array(hash as ArrayBuffer))
  return { tag: standingTag(documentHash(world.trusts.at(-1)!), lists) }
}

const ticket = (): { hash: string; expires: number } => ({
  hash: base64url(random(32)),
  expires: world.now + 120,
})

/** What a socket that was opened now gets at a later time. */
async function socketAt(admitted: Admitted, later: number): Promise<string | number> {
  const { path } = admitted
  const caller = { role: 'client' as const, ...admitted, standing: await standingNow() }
  const url = listenerUrl(caller, ticket(), world.now)
  const response = await stubOf(world.tenant).fetch(url, { headers: { upgrade: 'websocket' } })
  const socket = response.webSocket!
  const first = new Promise<string | number>((resolve) => {
    socket.addEventListener('message', ({ data }) => resolve(String(data)))
    socket.addEventListener('close', ({ code }) => resolve(code))
  })
  socket.accept()
  const refusal = {
    recipient: path.fingerprint,
    keyring: random(16),
    expires: later,
    envelope: random(8),
  }
  await runInDurableObject(stubOf(world.tenant), (tenant: Tenant) =>
    tenant.answer(0, [refusal], later),
  )
  return first
}

it('a socket is admitted for an hour, and then closed in place of the next event', async () => {
  const path = await pathOf(world.now + 30 * 24 * HOUR)
  expect(await socketAt(path, world.now + HOUR)).toBe('{"type":"refusal"}')
  expect(await socketAt(path, world.now + HOUR + 1)).toBe(1008)
})

it('a socket is admitted no longer than its path', async () => {
  const path = await pathOf(world.now + 600)
  expect(await socketAt(path, world.now + 600)).toBe('{"type":"refusal"}')
  expect(await socketAt(path, world.now + 601)).toBe(1008)
})

describe('[relay-4] a socket is opened by the documents of now', () => {
  /** As a call of a browser; 101 or what else it is answered. */
  async function open(client: Client): Promise<number> {
    const url = new URL(paths.events(world.tenant), relay.url)
    const protocols = `${SUBPROTOCOL}, ${await signTicket(url, client.signer, world.now)}`
    const headers = { upgrade: 'websocket', 'sec-websocket-protocol': protocols }
    const response = await relay.fetch(url, { headers })
    response.webSocket?.accept()
    response.webSocket?.close()
    return response.status
  }

  it('and not by those that this isolate remembers', async () => {
    const ada = await makeClient(world, 'ada')
    await pushAll(relay, world, await publish(world, []), null)
    expect(await open(ada)).toBe(101)
    await changeElsewhere(world, {})
    // Who is admitted still does not notice.
    expect(await open(ada)).toBe(101)
    const ca = await makeCa('client', world.now)
    const clients = { ...world.trust.clients, anchors: [ca.certificate] }
    await changeElsewhere(world, { clients })
    expect(await open(ada)).toBe(404)
  })
})

describe('calls that wait', () => {
  const who = (i: number) => ({ fingerprint: `f${i}`, path: [] })

  it('read and write no row, and none when they are answered', async () => {
    const stub = stubOf(world.tenant)
    const standing = await tagOf(world.tenant)
    const { next } = (await stub.wait(who(0), '', 25, standing))!
    const counting = await countRows(world.tenant)
    const [late, told] = [1, 25].map((seconds, i) => stub.wait(who(i), next, seconds, standing))
    expect(await late).toBeNull()
    expect(await counting.stop()).toEqual({ read: 0, written: 0 })
    await stub.deleteTenant()
    expect(await told).toBeNull()
  })

  it(`[relay-13] are ${MAX_WAITING} of a tenant at most, and leave nothing behind`, async () => {
    await runInDurableObject(stubOf(world.tenant), async () => {
      const waiters = new Waiters()
      const { next } = (await waiters.wait(who(0), '', 25, 30_000))!
      const all = Array.from({ length: MAX_WAITING }, (_, i) =>
        waiters.wait(who(i), next, 25, 30_000),
      )
      expect(() => waiters.wait(who(MAX_WAITING), next, 25, 30_000)).toThrow('ERR_QUOTA')
      waiters.dismiss()
      expect(new Set(await Promise.all(all))).toEqual(new Set([null]))
      expect(waiters.size).toBe(0)
    })
  })

  it('are told that something may be missing once refusals were forgotten', async () => {
    await runInDurableObject(stubOf(world.tenant), async () => {
      const waiters = new Waiters()
      const { next } = (await waiters.wait(who(0), '', 0, 9))!
      waiters.refusal(random(32))
      expect(await waiters.wait(who(0), next, 0, 9)).toBeNull()
      for (let i = 0; i < 10_000; i++) waiters.refusal(random(32))
      expect(await waiters.wait(who(0), next, 0, 9)).toMatchObject({ events: [] })
    })
  })
})

describe('whole deliveries', () => {
  it('cost the rows of one fetch for a keyring, however many sockets there are, and write none', async () => {
    const members = await Promise.all(['ada', 'bob', 'eve'].map((name) => makeClient(world, name)))
    const keyring = makeKeyring('notes', members, 300)
    const first = await publish(world, [keyring])
    await pushAll(relay, world, first, null)
    let last = first.headHash
    const push = async (version: number): Promise<Rows> => {
      keyring.generation++
      const next = await publish(world, [keyring], { version, catalogNumber: version })
      await upload(relay, world, next.objects)
      const counting = await countRows(world.tenant)
      expect((await pushHead(relay, world, next, last)).status).toBe(204)
      last = next.headHash
      return counting.stop()
    }
    const open = async (client: Client): Promise<WebSocket> => {
      const admitted = await pathOf(world.now + HOUR)
      const path = { ...admitted.path, fingerprint: client.fingerprint }
      const caller = { role: 'client' as const, ...admitted, path, standing: await standingNow() }
      const url = listenerUrl(caller, ticket(), world.now)
      const response = await stubOf(world.tenant).fetch(url, { headers: { upgrade: 'websocket' } })
      const socket = response.webSocket!
      socket.accept()
      await askDelivery(relay, world, client, [keyring.id])
      return socket
    }
    const alone = await push(2)
    const sockets = [await open(members[0]!)]
    const told = new Promise<string>((resolve) => {
      sockets[0]!.addEventListener('message', ({ data }) => resolve(String(data)), { once: true })
    })
    const withOne = await push(3)
    expect(JSON.parse(await told)).toMatchObject({ type: 'delivery' })
    for (const client of members.slice(1)) sockets.push(await open(client))
    const withAll = await push(4)
    expect(withOne.read - alone.read).toBeLessThan(20)
    expect(withAll.read).toBeLessThanOrEqual(withOne.read)
    expect([withOne.written, withAll.written]).toEqual([alone.written, alone.written])
    for (const socket of sockets) socket.close()
  })

  it('are looked for so often at most, however many of them turn out too large', async () => {
    await runInDurableObject(stubOf(world.tenant), (_, state) => {
      const events = new Events(state, new Tickets(state.storage.sql, drizzle(state.storage)))
      const most = MAX_WHOLE_EACH_HEAD / MAX_WHOLE
      for (let i = 0; i < most + 5; i++) {
        const { 0: client, 1: server } = new WebSocketPair()
        const recipient = random(32)
        state.acceptWebSocket(server, ['client', base64url(recipient)])
        server.serializeAttachment({ until: world.now })
        client.accept()
        events.remember({ ...NOTHING_HELD, recipient, now: world.now })
      }
      let looked = 0
      events.head(random(32), world.now, () => {
        looked++
        return null
      })
      expect(looked).toBe(most)
      events.closeAll('done')
    })
  })
})
