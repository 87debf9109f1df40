// The event stream: hints to fetch, from whoever is at the other end of a socket.
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { takeOffered } from '../../web/offered.ts'
import { emptyState, type StoredState } from '../../web/store.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { verifyCall } from '../../shared/http-signature.ts'
import { readTicket } from '../../shared/ticket.ts'
import { base64url, concat, equal, utf8, type Bytes } from '../../shared/bytes.ts'
import { decodeDelivery, type Delivery } from '../../shared/delivery.ts'
import { toJson } from '../lib/calls.ts'
import { askedIn, callOf } from '../lib/client-call.ts'
import { ClientRelay, openClient } from '../lib/client-relay.ts'
import { issueSigner, uriOf } from '../lib/world.ts'
import { frame, writeDelivery, type AnyDelivery } from '../vectors/delivery-body.ts'

/** A socket whose other end is the test. */
class TestSocket extends EventTarget {
  static all: TestSocket[] = []
  readonly url: string
  readonly protocols: string[]
  sent: string[] = []
  isClosed = false

  constructor(url: string | URL, protocols?: string | string[]) {
    super()
    this.url = String(url)
    this.protocols = [protocols ?? []].flat()
    TestSocket.all.push(this)
  }

  send(text: string): void {
    this.sent.push(text)
  }

  close(): void {
    this.isClosed = true
  }

  tell(data: unknown): void {
    this.dispatchEvent(new MessageEvent('message', { data }))
  }
}

async function start(names = ['notes']) {
  TestSocket.all = []
  onTestFinished(() => void (TestSocket.all = []))
  const relay = await ClientRelay.start(names)
  const identity = await issueSigner(relay.world.cas.client, uriOf('client', 'kim'), relay.now)
  const client = await openClient(relay, {
    identity,
    WebSocket: TestSocket as unknown as typeof WebSocket,
  })
  const notes = await client.keyring('notes')
  for (const name of names) await client.keyring(name)
  await expect.poll(() => TestSocket.all.length).toBe(1)
  return { relay, client, notes, identity, socket: TestSocket.all[0]! }
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 400))

it('is opened with a ticket of the certificate, and closed with the client', async () => {
  const { relay, client, identity, socket } = await start()
  expect(socket.url).toBe(`wss://relay.example/v1/${relay.world.tenant}/events`)
  const [protocol, ticket] = socket.protocols
  expect(protocol).toBe('keyferry.v1')
  const read = readTicket(ticket!, new URL(socket.url))
  await verifyCall(read, { fingerprint: read.keyid, spki: identity.key.spki }, relay.now, 60)
  client.close()
  await expect.poll(() => socket.isClosed).toBe(true)
})

it('leads to a fetch when there is a new head, and to none for the one that is known', async () => {
  const { relay, client, socket } = await start()
  await settled()
  const before = relay.deliveries.length
  const hash = base64url(documentHash(relay.publication!.head))
  socket.tell(JSON.stringify({ type: 'head', hash }))
  await settled()
  expect(relay.deliveries.length).toBe(before)
  const changes: number[] = []
  client.on('change', ({ version }) => changes.push(version))
  await relay.publish()
  socket.tell(JSON.stringify({ type: 'head', hash: base64url(relay.publication!.headHash) }))
  await expect.poll(() => changes).toEqual([relay.version])
})

it('is not believed: nonsense does nothing, and a flood of hints is a few fetches', async () => {
  const { relay, socket, notes } = await start()
  await settled()
  const before = relay.deliveries.length
  for (const data of ['{', '{"type":"head"}', '{"type":"x"}', 'x'.repeat(5_000), new Blob(), null])
    socket.tell(data)
  await settled()
  expect(relay.deliveries.length).toBe(before)
  for (let i = 0; i < 1_000; i++) {
    socket.tell('{"type":"refusal"}')
    if (i % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 10))
  }
  await settled()
  expect(relay.deliveries.length - before).toBeLessThan(10)
  expect(notes.state).toBe('ready')
})

it('is opened again when it breaks', async () => {
  const { socket } = await start()
  socket.dispatchEvent(new Event('close'))
  await expect.poll(() => TestSocket.all.length, { timeout: 4_000 }).toBe(2)
})

/** What the relay would answer to the client's last ask now. */
async function answerTo(relay: ClientRelay): Promise<Delivery> {
  const ask = relay.deliveries.at(-1)!
  const body = toJson({ call: 'delivery', ...ask, have: { ...ask.have, head: new Uint8Array() } })
  const url = `https://relay.example/v1/${relay.world.tenant}/calls`
  const answer = await relay.fetch(url, { method: 'POST', body })
  relay.deliveries.pop()
  return decodeDelivery(await answer.bytes())
}

const tell = (body: Bytes, hash: Bytes): string =>
  JSON.stringify({ delivery: base64url(body), hash: base64url(hash), type: 'delivery' })
const deliver = (relay: ClientRelay, delivery: AnyDelivery): string =>
  tell(writeDelivery(delivery), relay.publication!.headHash)

describe('a delivery on the socket', () => {
  it('is taken in place of a fetch', async () => {
    const { relay, client, socket } = await start()
    await settled()
    const changes: number[] = []
    client.on('change', ({ version }) => changes.push(version))
    for (const left of [1, 0]) {
      await relay.publish()
      const before = relay.deliveries.length
      socket.tell(deliver(relay, await answerTo(relay)))
      await expect.poll(() => changes.at(-1)).toBe(relay.version)
      await settled()
      expect(relay.deliveries.length, `${left} left`).toBe(before)
    }
  })

  it('that does not verify is as if it had not come: the relay is asked', async () => {
    const { relay, client, socket } = await start()
    await settled()
    const old = await answerTo(relay)
    const changes: number[] = []
    client.on('change', ({ version }) => changes.push(version))
    const warnings: string[] = []
    client.on('warning', ({ code }) => warnings.push(code))
    const forge: ((delivery: Delivery) => Bytes)[] = [
      () => new Uint8Array(),
      () => frame(utf8('{"head":1}')),
      (delivery) => writeDelivery({ ...delivery, keyrings: [] }),
      (delivery) => writeDelivery({ ...delivery, head: old.head }),
      (delivery) => {
        const [item] = delivery.keyrings
        return writeDelivery({ ...delivery, keyrings: [{ ...item!, release: new Uint8Array(3) }] })
      },
      (delivery) => writeDelivery({ ...delivery, more: 1 }),
      (delivery) => concat(writeDelivery(delivery), Uint8Array.of(0)),
    ]
    for (const change of forge) {
      await relay.publish()
      const before = relay.deliveries.length
      socket.tell(tell(change(await answerTo(relay)), relay.publication!.headHash))
      await expect.poll(() => changes.at(-1)).toBe(relay.version)
      await settled()
      expect(relay.deliveries.length).toBe(before + 1)
    }
    expect(warnings).toEqual([])
    expect(client.evidence).toEqual([])
  })

  it('is fetched where the part of the client that looks at it does not load', async () => {
    const { relay, client, socket } = await start()
    await settled()
    vi.doMock('../../web/offered.ts', () => {
      throw new Error('no such chunk')
    })
    onTestFinished(() => vi.doUnmock('../../web/offered.ts'))
    const warnings: string[] = []
    client.on('warning', ({ code }) => warnings.push(code))
    const changes: number[] = []
    client.on('change', ({ version }) => changes.push(version))
    await relay.publish()
    const before = relay.deliveries.length
    socket.tell(deliver(relay, await answerTo(relay)))
    await expect.poll(() => changes).toEqual([relay.version])
    expect([relay.deliveries.length, warnings]).toEqual([before + 1, []])
  })

  it('that contradicts what was accepted is refused, told, and kept as a proof', async () => {
    const { relay, client, socket, notes } = await start()
    await settled()
    const warnings: [string, number][] = []
    client.on('warning', ({ code }) => warnings.push([code, client.evidence.length]))
    const known = relay.publication
    relay.version--
    relay.now += 1
    await relay.publish()
    const fork = deliver(relay, await answerTo(relay))
    relay.publication = known
    const before = relay.deliveries.length
    socket.tell(fork)
    await expect.poll(() => warnings).toEqual([['ERR_FORK', 1]])
    await expect.poll(() => relay.deliveries.length).toBe(before + 1)
    expect(client.evidence.map(({ code }) => code)).toEqual(['ERR_FORK'])
    expect(notes.state).toBe('ready')
  })

  it('of the head that is there already keeps nobody from asking the relay', async () => {
    const { relay, socket } = await start()
    await settled()
    const same = writeDelivery(await answerTo(relay))
    for (let i = 1; i <= 2; i++) {
      const before = relay.deliveries.length
      socket.tell(tell(same, new Uint8Array(32)))
      await expect.poll(() => relay.deliveries.length).toBe(before + 1)
      await settled()
    }
  })

  type Items = Delivery['keyrings']
  it.each<[string, (items: Items, notes: Bytes) => Items]>([
    ['all', () => []],
    ['one of two', (items, notes) => items.filter(({ keyring }) => !equal(keyring, notes))],
    [
      'the membership',
      (items, notes) =>
        items.map((item) => (equal(item.keyring, notes) ? { ...item, member: null } : item)),
    ],
  ])(
    'that leaves out %s of what the client holds takes nothing away while the relay is silent',
    async (_, twist) => {
      const { relay, client, socket, notes } = await start(['notes', 'orders'])
      await settled()
      const { version } = relay
      // Another tree of members: what the client holds of the one before proves nothing.
      relay.keyrings[0]!.crowd.push(new Uint8Array(136))
      await relay.publish()
      const whole = await answerTo(relay)
      expect(whole.keyrings).toHaveLength(2)
      const less = { ...whole, keyrings: twist(whole.keyrings, relay.keyrings[0]!.id) }
      let asked = 0
      relay.interfere = () => {
        asked++
        return Promise.reject(new TypeError('no network'))
      }
      const changes: number[] = []
      client.on('change', (change) => changes.push(change.version))
      socket.tell(deliver(relay, less))
      await expect.poll(() => asked).toBeGreaterThan(0)
      await expect.poll(() => notes.state).toBe('offline')
      await notes.encrypt('x')
      expect([changes, relay.version > version]).toEqual([[], true])
    },
  )

  it('is taken under the state by which it was judged, whatever comes meanwhile', async () => {
    const { relay } = await start()
    await relay.publish()
    const state = emptyState()
    let used: StoredState | undefined
    const take = (base: StoredState): Promise<boolean> => {
      used = base
      return Promise.resolve(true)
    }
    const judged = takeOffered(writeDelivery(await answerTo(relay)), state, take, () => {})
    expect(await judged).toBe(true)
    expect(used).toBe(state)
  })

  it('of an earlier head, or too long a one, changes nothing', async () => {
    const { relay, client, socket, notes } = await start()
    await settled()
    const old = await answerTo(relay)
    const hash = relay.publication!.headHash
    await relay.publish()
    await client.refresh()
    const before = relay.deliveries.length
    socket.tell(tell(writeDelivery(old), hash))
    await settled()
    expect(relay.deliveries.length).toBe(before + 1)
    socket.tell(deliver(relay, { ...old, more: 'x'.repeat(20_000) }))
    await settled()
    expect(relay.deliveries.length).toBe(before + 1)
    expect(notes.state).toBe('ready')
  })
})

it('where no socket opens, waits by calls, and is not made to ask without end', async () => {
  const { relay, client, socket } = await start()
  const waits: unknown[] = []
  let answer: object | null = { events: [], head: '', next: '1' }
  relay.interfere = (url, init) => {
    if (callOf(url, init) !== 'wait') return undefined
    waits.push(askedIn(init.body))
    if (answer === null) return new Promise(() => {})
    return Response.json(answer)
  }
  socket.dispatchEvent(new Event('error'))
  await expect.poll(() => waits.length, { timeout: 4_000 }).toBe(2)
  expect(waits).toEqual([
    { after: '', call: 'wait', seconds: 25 },
    { after: '1', call: 'wait', seconds: 25 },
  ])
  // A relay that always has news is asked once a second.
  await settled()
  expect(waits.length).toBe(2)
  const changes: number[] = []
  client.on('change', ({ version }) => changes.push(version))
  await relay.publish()
  answer = { events: ['head'], head: base64url(relay.publication!.headHash), next: '2' }
  await expect.poll(() => changes, { timeout: 4_000 }).toEqual([relay.version])
  answer = null
  client.close()
})

it.each([
  ['gives no position', () => Response.json({ events: [], head: '', next: '' })],
  ['has nothing new', () => new Response(null, { status: 204 })],
])(
  'a relay that answers a waiting call at once, and %s, is not asked without end',
  async (_, answer) => {
    const { relay, socket } = await start()
    let waits = 0
    relay.interfere = (url, init) => {
      if (callOf(url, init) !== 'wait') return undefined
      waits++
      return answer()
    }
    socket.dispatchEvent(new Event('error'))
    await expect.poll(() => waits, { timeout: 4_000 }).toBe(2)
    await settled()
    expect(waits).toBe(2)
  },
)
