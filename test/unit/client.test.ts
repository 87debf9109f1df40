// The client against a relay and deriver in one function: real signatures, real keys, a clock that the test moves.
import { describe, expect, it } from 'vitest'
import { utf8 } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import { encodeEnvelope } from '../../shared/envelope.ts'
import { decodeEvidence } from '../../shared/evidence.ts'
import { createMemoryStore } from '../../web/index.ts'
import { callOf } from '../lib/client-call.ts'
import { ClientRelay, openClient as open, stored } from '../lib/client-relay.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeRefusal } from '../lib/documents.ts'
import { issueSigner, random, uriOf } from '../lib/world.ts'

/** Two clients, and a message of the first one under a version that the second has not heard of. */
async function messageAhead() {
  const relay = await ClientRelay.start()
  const lee = await issueSigner(relay.world.cas.client, uriOf('client', 'lee'), relay.now)
  const [first, second] = [await open(relay), await open(relay, { identity: lee })]
  const [sender, receiver] = [await first.keyring('notes'), await second.keyring('notes')]
  const [ring] = relay.keyrings
  ring!.versions.push({ version: 3, nonce: random(16), secret: random(32) })
  ring!.number++
  await relay.publish()
  await first.refresh()
  const message = await sender.encrypt('under the new one')
  return { relay, second, receiver, message }
}

describe('a keyring', () => {
  it('is asked for, granted, and encrypts and decrypts', async () => {
    const relay = await ClientRelay.start()
    const client = await open(relay)
    const seen: [string, unknown][] = []
    for (const event of ['state', 'change', 'key', 'ready', 'warning'] as const)
      client.on(event, (detail) => seen.push([event, detail]))
    const notes = await client.keyring('notes')
    expect([notes.name, notes.state, notes.version]).toEqual(['notes', 'ready', 2])
    const message = await notes.encrypt('Grüße', { context: 'note/1' })
    expect(await notes.decrypt(message, { context: 'note/1', as: 'text' })).toBe('Grüße')
    expect(await notes.decrypt(message, { context: utf8('note/1') })).toEqual(utf8('Grüße'))
    await expectCode(notes.decrypt(message), 'ERR_OPEN')
    await expectCode(
      notes.decrypt(message, { context: 'note/1', minVersion: 3 }),
      'ERR_KEY_VERSION',
    )
    expect(relay.requests).toHaveLength(1)
    expect(seen.map(([event]) => event)).toEqual(['change', 'change', 'state', 'key', 'ready'])
  })

  it('streams both ways', async () => {
    const relay = await ClientRelay.start()
    const notes = await (await open(relay)).keyring('notes')
    const data = crypto.getRandomValues(new Uint8Array(60_000))
    const message = await new Response(
      new Blob([data]).stream().pipeThrough(notes.encryptStream({ context: 'x' })),
    ).bytes()
    expect(await notes.decrypt(message, { context: 'x' })).toEqual(data)
    const back = new Blob([message]).stream().pipeThrough(notes.decryptStream({ context: 'x' }))
    expect(await new Response(back).bytes()).toEqual(data)
    const wrong = new Blob([message]).stream().pipeThrough(notes.decryptStream({ context: 'y' }))
    await expectCode(new Response(wrong).bytes(), 'ERR_OPEN')
  })

  it('refuses the messages of another keyring', async () => {
    const relay = await ClientRelay.start(['notes', 'orders'])
    const client = await open(relay)
    const [notes, orders] = await Promise.all([client.keyring('notes'), client.keyring('orders')])
    await expectCode(notes.decrypt(await orders.encrypt('x')), 'ERR_UNKNOWN_KEY')
    // One fetch for trust, one before and one after the one request.
    expect(relay.requests).toHaveLength(1)
    expect(relay.deliveries.filter(({ keyrings }) => keyrings.length === 2).length).toBeLessThan(4)
  })

  it('works again after a reload, without the network, inside its signed time', async () => {
    const relay = await ClientRelay.start()
    const store = createMemoryStore()
    const identity = await issueSigner(relay.world.cas.client, uriOf('client', 'kim'), relay.now)
    const first = await open(relay, { store, identity })
    const message = await (await first.keyring('notes')).encrypt('x')
    first.close()
    await expectCode(first.keyring('notes'), 'ERR_CLOSED')
    relay.interfere = () => Promise.reject(new TypeError('no network'))
    const second = await open(relay, { store, identity })
    const notes = await second.keyring('notes')
    expect(await notes.decrypt(message, { as: 'text' })).toBe('x')
    await notes.encrypt('y')
    relay.now += 3_600 + 61
    expect(notes.state).toBe('stale')
    await expectCode(notes.encrypt('y'), 'ERR_STALE')
    expect(await notes.decrypt(message, { as: 'text' })).toBe('x')
    relay.now += 86_400
    await expectCode(notes.decrypt(message), 'ERR_STALE')
  })

  it('fetches once for a message under a version that it has not heard of', async () => {
    const { relay, receiver, message } = await messageAhead()
    expect(receiver.version).toBe(2)
    expect(await receiver.decrypt(message, { as: 'text' })).toBe('under the new one')
    // Messages under keys that nobody has do not make it fetch again and again.
    const before = relay.deliveries.length
    message[20]! ^= 1
    for (let i = 0; i < 3; i++) await expectCode(receiver.decrypt(message), 'ERR_UNKNOWN_KEY')
    expect(relay.deliveries.length).toBe(before)
  })

  it('waits for a fetch that is on its way before it makes another one for a message', async () => {
    const { relay, second, receiver, message } = await messageAhead()
    const before = relay.deliveries.length
    const asked = new Promise<void>((resolve) => {
      relay.interfere = () => {
        resolve()
        return undefined
      }
    })
    const fetching = second.refresh()
    await asked
    expect(await receiver.decrypt(message, { as: 'text' })).toBe('under the new one')
    await fetching
    expect(relay.deliveries.length).toBe(before + 1)
  })

  it('has its first key after two deliveries and one request: nobody knows a package that is just made', async () => {
    const relay = await ClientRelay.start()
    const calls: (string | undefined)[] = []
    relay.interfere = (url, init) => void calls.push(callOf(url, init))
    await (await open(relay)).keyring('notes')
    expect(calls).toEqual(['delivery', 'request', 'delivery'])
  })

  it('is not in the config', async () => {
    const relay = await ClientRelay.start()
    await expectCode((await open(relay)).keyring('other'), 'ERR_KEYRING')
  })

  it('[bundle-2] has the name that its deriver sealed, not the one that the config gives it', async () => {
    const relay = await ClientRelay.start(['notes', 'orders'])
    const config = relay.config()
    config.keyrings.reverse()
    config.keyrings = config.keyrings.map(({ id }, i) => ({ id, name: relay.keyrings[i]!.name }))
    await expectCode((await open(relay, { config })).keyring('notes'), 'ERR_KEYRING')
  })
})

describe('a no', () => {
  it.each(['denied', 'pending'] as const)(
    '[refusal-2] is %s on the deriver’s word',
    async (policy) => {
      const relay = await ClientRelay.start()
      relay.policy = policy
      const client = await open(relay)
      await expectCode(client.keyring('notes'), policy === 'denied' ? 'ERR_DENIED' : 'ERR_PENDING')
      // A denied client may ask again; one that is pending need not.
      if (policy === 'denied') relay.policy = 'grant'
      else {
        await expectCode(client.keyring('notes'), 'ERR_PENDING')
        expect(relay.requests).toHaveLength(1)
        relay.join(relay.keyrings[0]!.id, relay.requests[0]!.package)
        await relay.publish()
      }
      expect((await client.keyring('notes')).state).toBe('ready')
    },
  )

  it('[refusal-2] answers another request: it is not taken', async () => {
    const relay = await ClientRelay.start()
    relay.policy = 'silent'
    const identity = await issueSigner(relay.world.cas.client, uriOf('client', 'kim'), relay.now)
    const recipient = sha256(identity.certificates[0]!)
    relay.refusals = [await makeRefusal(relay.world, recipient, relay.keyrings[0]!.id)]
    const client = await open(relay, { identity })
    const codes = new Set<string>()
    client.on('warning', ({ code }) => codes.add(code))
    await expectCode(client.keyring('notes', { timeout: 1_000 }), 'ERR_TIMEOUT')
    expect([...codes]).toEqual(['ERR_UNPROVEN'])
  })

  it('[refusal-1] is for another client: it is not taken', async () => {
    const relay = await ClientRelay.start()
    relay.policy = 'silent'
    relay.refusals = [await makeRefusal(relay.world, new Uint8Array(32), relay.keyrings[0]!.id)]
    const client = await open(relay)
    const codes = new Set<string>()
    client.on('warning', ({ code }) => codes.add(code))
    await expectCode(client.keyring('notes', { timeout: 500 }), 'ERR_TIMEOUT')
    expect([...codes]).toEqual(['ERR_NOT_RECIPIENT'])
  })

  it('[refusal-2] is removed only under the accepted head; without proof it is unproven', async () => {
    const relay = await ClientRelay.start()
    const identity = await issueSigner(relay.world.cas.client, uriOf('client', 'kim'), relay.now)
    const client = await open(relay, { identity })
    const notes = await client.keyring('notes')
    const message = await notes.encrypt('x')
    relay.policy = 'silent'
    await relay.remove('notes')
    await client.refresh()
    expect(notes.state).toBe('unproven')
    await expectCode(notes.encrypt('y'), 'ERR_UNPROVEN')
    expect(await notes.decrypt(message, { as: 'text' })).toBe('x')
    await expectCode(client.keyring('notes', { timeout: 300 }), 'ERR_UNPROVEN')
    const removal = (version: number) =>
      makeRefusal(relay.world, sha256(identity.certificates[0]!), relay.keyrings[0]!.id, {
        kind: 'removed',
        nonce: new Uint8Array(),
        release: random(32),
        head: { incarnation: 1, version },
      })
    relay.refusals = [await removal(relay.version + 1)]
    await client.refresh()
    expect(notes.state).toBe('unproven')
    relay.refusals = [await removal(relay.version)]
    await client.refresh()
    expect(notes.state).toBe('removed')
    await expectCode(notes.encrypt('y'), 'ERR_REMOVED')
    await expectCode(client.keyring('notes'), 'ERR_REMOVED')
    expect(await notes.decrypt(message, { as: 'text' })).toBe('x')
    // Back again: a leaf outweighs it.
    relay.join(relay.keyrings[0]!.id, relay.requests[0]!.package)
    await relay.publish()
    await client.refresh()
    expect(notes.state).toBe('ready')
  })

  it('[refusal-3] that is expired, or lives too long, is not taken', async () => {
    const relay = await ClientRelay.start()
    const identity = await issueSigner(relay.world.cas.client, uriOf('client', 'kim'), relay.now)
    const client = await open(relay, { identity })
    const notes = await client.keyring('notes')
    relay.policy = 'silent'
    await relay.remove('notes')
    const removal = (issuedAt: number, expiresAt: number) =>
      makeRefusal(relay.world, sha256(identity.certificates[0]!), relay.keyrings[0]!.id, {
        kind: 'removed',
        nonce: new Uint8Array(),
        release: random(32),
        head: { incarnation: 1, version: relay.version },
        issuedAt,
        expiresAt,
      })
    const codes: string[] = []
    client.on('warning', ({ code }) => codes.push(code))
    for (const [from, to] of [
      [-3_000, -61],
      [0, 3_601],
    ] as const) {
      relay.refusals = [await removal(relay.now + from, relay.now + to)]
      await client.refresh()
      expect(notes.state).toBe('unproven')
    }
    expect(new Set(codes)).toEqual(new Set(['ERR_STALE']))
    relay.refusals = [await removal(relay.now, relay.now + 600)]
    await client.refresh()
    expect(notes.state).toBe('removed')
    // Its time is over, also for a client that took it when it was fresh.
    relay.now += 661
    expect(notes.state).toBe('unproven')
  })
})

describe('a relay that lies', () => {
  it('[open-8] goes back: the client stays where it is and goes on', async () => {
    const relay = await ClientRelay.start()
    const client = await open(relay)
    const old = relay.publication!
    const notes = await client.keyring('notes')
    const message = await notes.encrypt('x')
    const now = relay.publication
    relay.publication = old
    await expectCode(client.refresh(), 'ERR_ROLLBACK')
    expect(await notes.decrypt(message, { as: 'text' })).toBe('x')
    await notes.encrypt('y')
    relay.publication = now
    await client.refresh()
  })

  it('[open-8] shows a fork: both heads are kept as evidence', async () => {
    const relay = await ClientRelay.start()
    const store = createMemoryStore()
    const client = await open(relay, { store })
    await client.keyring('notes')
    relay.version--
    relay.now += 1
    await relay.publish()
    await expectCode(client.refresh(), 'ERR_FORK')
    const { evidence, head } = await stored(store)
    const known = evidence.map(({ file }) => encodeEnvelope(decodeEvidence(file).known))
    expect([evidence[0]?.code, known]).toEqual(['ERR_FORK', [head]])
    expect(client.evidence).toHaveLength(1)
  })

  it('[open-15] swaps the welcome', async () => {
    const relay = await ClientRelay.start()
    const client = await open(relay)
    relay.twist = (delivery) => ({
      ...delivery,
      keyrings: delivery.keyrings.map((item) => ({ ...item, welcome: new Uint8Array(100) })),
    })
    await expectCode(client.keyring('notes'), 'ERR_HASH')
  })

  it('is passed over for an honest one', async () => {
    const relay = await ClientRelay.start()
    relay.interfere = (url) =>
      url.host === 'bad.example' ? new Response('nonsense', { status: 200 }) : undefined
    const config = relay.config(['https://bad.example', 'https://relay.example'])
    const client = await open(relay, { config })
    await client.keyring('notes')
    expect(new Set(relay.hosts)).toEqual(new Set(['bad.example', 'relay.example']))
  })
})
