/** Notices over WebSockets (docs/PROTOCOL.md, "HTTP"). */
import { makeRefusal, makeRequest } from '../lib/documents.ts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { paths, SUBPROTOCOL } from '../../shared/api.ts'
import { decodeDelivery } from '../../shared/delivery.ts'
import { eventSchema, type Event } from '../../shared/events.ts'
import { base64url, type Bytes } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import { type Signer } from '../../shared/http-signature.ts'
import { MAX_WHOLE } from '../../shared/limits.ts'
import { signTicket } from '../../shared/ticket.ts'
import { decodeRelease } from '../../shared/release.ts'
import { askDelivery, postTrust, pushAll, readDelivery } from '../lib/calls.ts'
import { mailboxCalls } from '../lib/mailbox-calls.ts'
import { makeKeyring, publish } from '../lib/publication.ts'
import { startRelay, type TestRelay } from '../lib/test-relay.ts'
import {
  makeCa,
  makeClient,
  random,
  renewTrust,
  revoke,
  type Client,
  type World,
} from '../lib/world.ts'

let relay: TestRelay
beforeAll(async () => {
  relay = await startRelay()
})
afterAll(() => relay.close())

const { answer, ask, post, start } = mailboxCalls(() => relay)

/** Hashes of what a client holds that was given everything. */
async function heldBy(world: World, client: Client, keyring: Bytes): Promise<Bytes[]> {
  const { keyrings } = readDelivery(await askDelivery(relay, world, client, [keyring]))
  return keyrings.flatMap(({ bundle, manifest, release, welcome }) => [
    ...[bundle, manifest, welcome].map(sha256),
    decodeRelease(release).members.index,
  ])
}

interface Listening {
  events: Event[]
  next: () => Promise<Event>
  socket: WebSocket
}

async function listen(world: World, signer: Signer): Promise<Listening> {
  const url = new URL(paths.events(world.tenant), relay.url)
  const ticket = await signTicket(url, signer, world.now)
  url.protocol = 'ws:'
  const socket = new WebSocket(url, [SUBPROTOCOL, ticket])
  const events: Event[] = []
  const wakers: (() => void)[] = []
  socket.addEventListener('message', ({ data }) => {
    if (data === 'pong') return
    events.push(eventSchema(JSON.parse(String(data)), ''))
    for (const wake of wakers.splice(0)) wake()
  })
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve())
    socket.addEventListener('error', () => reject(new Error('no stream')))
  })
  const next = async (): Promise<Event> => {
    while (events.length === 0) await new Promise<void>((resolve) => wakers.push(resolve))
    return events.shift()!
  }
  return { events, next, socket }
}

describe('events', () => {
  it('tell everyone of a head, derivers of a request, a client of its refusal', async () => {
    const { world, alice } = await start()
    const bob = await makeClient(world, 'bob')
    const [forDeriver, forAlice, forBob] = [
      await listen(world, world.deriver),
      await listen(world, alice.signer),
      await listen(world, bob.signer),
    ]
    expect(forAlice.socket.protocol).toBe(SUBPROTOCOL)
    const published = await publish(world, [])
    await pushAll(relay, world, published, null)
    for (const listener of [forDeriver, forAlice, forBob]) {
      expect(await listener.next()).toEqual({ type: 'head', hash: published.headHash })
    }
    await ask(world, alice)
    expect(await forDeriver.next()).toEqual({ type: 'request' })
    await answer(world, 1, [await makeRefusal(world, alice.fingerprint, random(16))])
    expect(await forAlice.next()).toEqual({ type: 'refusal' })
    // Neither saw what was for the other.
    const later = await publish(world, [], { version: 2 })
    await pushAll(relay, world, later, published.headHash)
    for (const listener of [forDeriver, forAlice, forBob]) {
      expect(await listener.next()).toEqual({ type: 'head', hash: later.headHash })
      expect(listener.events).toEqual([])
      listener.socket.close()
    }
  })

  it('reach sockets of an object that slept meanwhile', async () => {
    const { world, alice } = await start()
    const listener = await listen(world, alice.signer)
    await relay.harness
      .getWorker()
      .evictDurableObject('TENANT', { name: world.tenant, webSockets: 'hibernate' })
    const published = await publish(world, [])
    await pushAll(relay, world, published, null)
    expect(await listener.next()).toEqual({ type: 'head', hash: published.headHash })
    listener.socket.close()
  })

  it('do not tell of a head or a request that was there already', async () => {
    const { world, alice } = await start()
    const body = { package: alice.package, request: await makeRequest(world, alice, [random(16)]) }
    const published = await publish(world, [])
    await pushAll(relay, world, published, null)
    await post(world, alice.signer, body)
    const listener = await listen(world, world.deriver)
    await pushAll(relay, world, published, published.headHash)
    await post(world, alice.signer, body)
    await ask(world, alice)
    expect(await listener.next()).toEqual({ type: 'request' })
    expect(listener.events).toEqual([])
    listener.socket.close()
  })

  it('take no messages, but answer pings', async () => {
    const { world, alice } = await start()
    const { socket } = await listen(world, alice.signer)
    const message = await new Promise<string>((resolve) => {
      socket.addEventListener('message', ({ data }) => resolve(String(data)), { once: true })
      socket.send('ping')
    })
    expect(message).toBe('pong')
    const code = await new Promise<number>((resolve) => {
      socket.addEventListener('close', (event) => resolve(event.code))
      socket.send('hello')
    })
    expect(code).toBe(1008)
  })

  it('answer the closing of a socket at once, so that no client hangs on a half-open one', async () => {
    const { world, alice } = await start()
    const { socket } = await listen(world, alice.signer)
    const closed = new Promise<CloseEvent>((resolve) => {
      socket.addEventListener('close', resolve)
    })
    socket.close()
    // Without an answer the socket ends by itself after many seconds, uncleanly.
    expect((await closed).wasClean).toBe(true)
  })

  it('a ninth socket of a certificate closes its first', async () => {
    const { world, alice } = await start()
    const first = await listen(world, alice.signer)
    const closed = new Promise<number>((resolve) => {
      first.socket.addEventListener('close', (event) => resolve(event.code))
    })
    const more = []
    for (let i = 0; i < 8; i++) more.push(await listen(world, alice.signer))
    expect(await closed).toBe(1008)
    for (const { socket } of more) socket.close()
  })
})

describe('a small delivery', () => {
  it('comes whole to the socket of a client that has asked, as it would be answered, and else a hint', async () => {
    const { world, alice } = await start()
    const bob = await makeClient(world, 'bob')
    const notes = makeKeyring('notes', [alice, bob], 30)
    const many = Array.from({ length: 12 }, (_, i) => makeKeyring(`of bob ${i}`, [bob]))
    const all = [notes, ...many]
    const first = await publish(world, all)
    await pushAll(relay, world, first, null)
    const [forAlice, forBob, silent] = [
      await listen(world, alice.signer),
      await listen(world, bob.signer),
      await listen(world, alice.signer),
    ]
    const asked = await askDelivery(relay, world, alice, [notes.id])
    await askDelivery(
      relay,
      world,
      bob,
      all.map(({ id }) => id),
    )
    // A heartbeat: nothing but the head is new.
    const second = await publish(world, all, { version: 2 })
    await pushAll(relay, world, second, first.headHash)
    const event = await forAlice.next()
    expect(event).toMatchObject({ type: 'delivery', hash: second.headHash })
    expect(await silent.next()).toEqual(event)
    const { delivery } = event as Event & { type: 'delivery' }
    const [item] = decodeDelivery(delivery).keyrings
    expect([item!.bundle.length, item!.manifest.length, item!.welcome.length]).toEqual([0, 0, 0])
    const objects = [...(await heldBy(world, alice, notes.id))]
    const have = { catalog: 1, head: first.headHash, objects, trust: 1 }
    const slots = [readDelivery(asked).keyrings[0]!.member!.proof.index]
    expect(item!.member).toBeNull()
    expect(delivery).toEqual(
      (await askDelivery(relay, world, alice, [notes.id], { have, slots })).body,
    )
    expect(delivery.length).toBeLessThan(5_000)
    // What does not fit is fetched.
    expect(await forBob.next()).toEqual({ type: 'head', hash: second.headHash })
    // A new generation: its bundle comes along, also after the object slept.
    await relay.harness
      .getWorker()
      .evictDurableObject('TENANT', { name: world.tenant, webSockets: 'hibernate' })
    notes.generation++
    const third = await publish(world, all, { version: 3, catalogNumber: 2 })
    await pushAll(relay, world, third, second.headHash)
    const later = (await forAlice.next()) as Event & { type: 'delivery' }
    const [changed] = decodeDelivery(later.delivery).keyrings
    expect(changed!.bundle.length).toBeGreaterThan(0)
    expect(base64url(later.delivery).length).toBeLessThan(MAX_WHOLE)
    for (const { socket } of [forAlice, forBob, silent]) socket.close()
  })
})

const closing = ({ socket }: Listening): Promise<number> =>
  new Promise((resolve) => socket.addEventListener('close', ({ code }) => resolve(code)))

describe('sockets of certificates that are admitted no more', () => {
  it('[relay-8] are closed at once by a push with a list that revokes them, and no others', async () => {
    const { world, alice } = await start()
    const bob = await makeClient(world, 'bob')
    const published = await publish(world, [])
    await pushAll(relay, world, published, null)
    const [forAlice, forBob] = [await listen(world, alice.signer), await listen(world, bob.signer)]
    const closed = closing(forAlice)
    // Also those of an object that slept meanwhile.
    await relay.harness
      .getWorker()
      .evictDurableObject('TENANT', { name: world.tenant, webSockets: 'hibernate' })
    await revoke(world.cas.client, alice.signer, world.now)
    const next = await publish(world, [], { version: 2 })
    await pushAll(relay, world, next, published.headHash)
    expect(await closed).toBe(1008)
    expect(forAlice.events).toEqual([])
    expect(await forBob.next()).toEqual({ type: 'head', hash: next.headHash })
    forBob.socket.close()
  })

  it('[relay-5] are closed at once by a trust document that changes whom it admits, not by another one', async () => {
    const { world, alice } = await start()
    const listening = await listen(world, alice.signer)
    await postTrust(relay, world, await renewTrust(world))
    const published = await publish(world, [])
    await pushAll(relay, world, published, null)
    expect(await listening.next()).toEqual({ type: 'head', hash: published.headHash })
    const closed = closing(listening)
    const ca = await makeCa('client', world.now)
    const clients = { ...world.trust.clients, anchors: [ca.certificate] }
    await postTrust(relay, world, await renewTrust(world, { clients }))
    expect(await closed).toBe(1008)
  })
})

describe('tickets', () => {
  const open = (world: World, ticket: string): Promise<WebSocket> => {
    const url = new URL(paths.events(world.tenant), relay.url)
    url.protocol = 'ws:'
    const socket = new WebSocket(url, [SUBPROTOCOL, ticket])
    return new Promise((resolve, reject) => {
      socket.addEventListener('open', () => resolve(socket))
      socket.addEventListener('error', () => reject(new Error('no stream')))
    })
  }

  it('[relay-12] a ticket opens one socket, also after the object slept', async () => {
    const { world, alice } = await start()
    const url = new URL(paths.events(world.tenant), relay.url)
    const ticket = await signTicket(url, alice.signer, world.now)
    const socket = await open(world, ticket)
    await expect(open(world, ticket)).rejects.toThrow('no stream')
    socket.close()
    await relay.harness.getWorker().evictDurableObject('TENANT', { name: world.tenant })
    await expect(open(world, ticket)).rejects.toThrow('no stream')
    // Another one of the same second is another one.
    const other = await open(world, await signTicket(url, alice.signer, world.now))
    other.close()
  })
})
