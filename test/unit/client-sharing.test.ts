// Tabs and processes that share a store, and callers that share a client: who fetches, and under whose head is encrypted.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Bytes } from '../../shared/bytes.ts'
import { parseAppConfig } from '../../shared/config.ts'
import { issueLeaf } from '../../shared/issue.ts'
import { parseMessageHeader } from '../../shared/message.ts'
import { createMemoryStore, type Identity, type Store } from '../../web/index.ts'
import { createFileStore } from '../../web/node.ts'
import { Session } from '../../web/session.ts'
import { createQueue, createShared, emptyState } from '../../web/store.ts'
import { createTransport } from '../../web/transport.ts'
import { ClientRelay, openClient as open } from '../lib/client-relay.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { CLIENT_AUTH, DAY, issueSigner, random, uriOf } from '../lib/world.ts'

async function start(names = ['notes']) {
  const relay = await ClientRelay.start(names)
  const identity = await issueSigner(relay.world.cas.client, uriOf('client', 'kim'), relay.now)
  return { relay, identity }
}

async function rotate(relay: ClientRelay): Promise<void> {
  const [keyring] = relay.keyrings
  const version = keyring!.versions.at(-1)!.version + 1
  keyring!.versions.push({ version, nonce: random(16), secret: random(32) })
  keyring!.number++
  await relay.publish()
}

const kinds: Record<string, () => () => Store> = {
  memory: () => {
    const store = createMemoryStore()
    return () => store
  },
  file: () => {
    const directory = mkdtempSync(join(tmpdir(), 'keyferry-store-'))
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
    return () => createFileStore(join(directory, 'state.json'))
  },
}

describe.each(Object.keys(kinds))('a store in %s, shared', (kind) => {
  it('nobody goes on under a head that another one has replaced, without a fetch of its own', async () => {
    const { relay, identity } = await start()
    const make = kinds[kind]!()
    const clients = [
      await open(relay, { store: make(), identity }),
      await open(relay, { store: make(), identity }),
    ]
    const [notes, other] = await Promise.all(clients.map((one) => one.keyring('notes')))
    // The second one learns nothing but from the store.
    const calls: number[] = []
    clients[1]!.on('key', ({ version }) => calls.push(version))
    await rotate(relay)
    await clients[0]!.refresh()
    const fetched = relay.deliveries.length
    const message = await other!.encrypt('x')
    expect([other!.version, notes!.version, calls]).toEqual([3, 3, [3]])
    expect(parseMessageHeader(message).keyId).toEqual(
      parseMessageHeader(await notes!.encrypt('y')).keyId,
    )
    // What was removed is removed for all.
    relay.policy = 'silent'
    await relay.remove('notes')
    await clients[0]!.refresh()
    await expectCode(other!.encrypt('x'), 'ERR_UNPROVEN')
    expect(relay.deliveries.length - fetched).toBeLessThan(4)
  })

  it('a message under a version that only another one has fetched needs no fetch', async () => {
    const { relay, identity } = await start()
    const make = kinds[kind]!()
    const [one, two] = [
      await open(relay, { store: make(), identity }),
      await open(relay, { store: make(), identity }),
    ]
    const [notes, other] = [await one.keyring('notes'), await two.keyring('notes')]
    await rotate(relay)
    await one.refresh()
    const message = await notes.encrypt('x')
    let calls = 0
    relay.interfere = () => {
      calls++
      throw new TypeError('no network')
    }
    expect(await other.decrypt(message, { as: 'text' })).toBe('x')
    expect(calls).toBe(0)
  })

  it('a message under a version that another one has fetched waits for no relay that hangs', async () => {
    const { relay, identity } = await start()
    // Nobody takes turns: as with stores without them, and where a turn has lasted too long.
    const make = kinds[kind]!()
    const withoutTurns = (): Store => ({ ...make(), turn: (work) => work() })
    const [one, two] = [
      await open(relay, { store: withoutTurns(), identity }),
      await open(relay, { store: withoutTurns(), identity }),
    ]
    const [notes, other] = [await one.keyring('notes'), await two.keyring('notes')]
    await rotate(relay)
    const hangs = Promise.withResolvers<Response>()
    const asked = new Promise<void>((resolve) => {
      relay.interfere = () => {
        relay.interfere = () => undefined
        resolve()
        return hangs.promise
      }
    })
    const fetching = two.refresh()
    await asked
    await one.refresh()
    const message = await notes.encrypt('x')
    let isWaiting = true
    void fetching.finally(() => (isWaiting = false)).catch(() => {})
    expect(await other.decrypt(message, { as: 'text' })).toBe('x')
    expect(isWaiting).toBe(true)
    hangs.resolve(new Response(null, { status: 503 }))
    await fetching
  })
})

it('a store that fails stops nobody who has the keys, and is told of once', async () => {
  const { relay, identity } = await start()
  const memory = createMemoryStore()
  let isGone = false
  const store: Store = {
    ...memory,
    hasNewer: (revision) => (isGone ? Promise.resolve(true) : memory.hasNewer!(revision)),
    read: () => (isGone ? Promise.resolve(null) : memory.read()),
  }
  const client = await open(relay, { store, identity })
  const notes = await client.keyring('notes')
  const codes: string[] = []
  client.on('warning', ({ code }) => codes.push(code))
  isGone = true
  for (let i = 0; i < 5; i++) await notes.encrypt('x')
  expect(codes).toEqual(['ERR_STATE'])
  isGone = false
  await notes.encrypt('x')
  isGone = true
  await notes.encrypt('x')
  expect(codes).toEqual(['ERR_STATE', 'ERR_STATE'])
})

it('3,000 calls at once are one fetch, and so are 3,000 on a keyring that is there', async () => {
  const { relay, identity } = await start()
  const store = createMemoryStore()
  // A client that holds nothing: one fetch brings the trust document, one asks for the keyring, one request, and the last brings it.
  const one = await open(relay, { store: createMemoryStore(), identity })
  await one.keyring('notes')
  const least = { deliveries: relay.deliveries.length, requests: relay.requests.length }
  one.close()
  const { relay: busy, identity: other } = await start()
  const many = await open(busy, { store, identity: other })
  const keyrings = await Promise.all(Array.from({ length: 3_000 }, () => many.keyring('notes')))
  expect(new Set(keyrings).size).toBe(1)
  expect({ deliveries: busy.deliveries.length, requests: busy.requests.length }).toEqual(least)
  await busy.publish()
  const before = busy.deliveries.length
  await Promise.all(Array.from({ length: 3_000 }, () => many.refresh()))
  expect(busy.deliveries.length - before).toBe(1)
})

it('relays are asked in the order of the config, the next one only where the one before is of no use', async () => {
  const { relay, identity } = await start()
  const hosts = ['one.example', 'two.example', 'three.example']
  const config = relay.config(hosts.map((host) => `https://${host}`))
  let useless: string[] = []
  relay.interfere = ({ host }) =>
    useless.includes(host) ? new Response(null, { status: 503 }) : undefined
  const client = await open(relay, { identity, config })
  const notes = await client.keyring('notes')
  expect(new Set(relay.hosts)).toEqual(new Set(hosts.slice(0, 1)))
  for (const count of [1, 2]) {
    useless = hosts.slice(0, count)
    relay.hosts = []
    await relay.publish()
    await client.refresh()
    expect(relay.hosts).toEqual(hosts.slice(0, count + 1))
  }
  useless = hosts
  await expectCode(client.refresh(), 'ERR_RELAY')
  expect(notes.state).toBe('offline')
  await notes.encrypt('x')
})

function sessionOf(
  relay: ClientRelay,
  identity: Awaited<ReturnType<typeof issueSigner>>,
  store: Store,
) {
  const config = parseAppConfig(relay.config())
  const now = (): number => relay.now
  const warn = (): void => {}
  const signer = { ...identity }
  const { relays, tenant } = config
  const transport = createTransport({ relays, tenant, fetch: relay.fetch, signer, now, warn })
  return new Session({ config, identity: signer, store, transport, now, warn })
}

/** The next certificate of this key, as every renewal of this second gets one. */
function renew(relay: ClientRelay, { key }: Identity): Promise<Bytes> {
  return issueLeaf({
    issuer: relay.world.cas.client,
    spki: key.spki,
    commonName: 'device',
    uri: uriOf('client', 'kim'),
    eku: [CLIENT_AUTH],
    notBefore: relay.now - 60,
    notAfter: relay.now + 60 * DAY,
    random,
  })
}

it('a renewed certificate is stored with the identity of its key, and with no other', async () => {
  const { relay, identity } = await start()
  const { client: ca } = relay.world.cas
  const other = await issueSigner(ca, uriOf('client', 'lee'), relay.now)
  for (const [stored, kept] of [
    [null, 'new'],
    [identity, 'new'],
    [other, 'old'],
  ] as const) {
    const store = createMemoryStore()
    await store.write({ ...emptyState(), revision: 1, identity: stored })
    const session = sessionOf(relay, identity, store)
    const certificates = [await renew(relay, identity)]
    await session.renewed({ key: identity.key, certificates })
    expect(session.identity.certificates).toEqual(certificates)
    expect((await store.read())!.identity!.certificates).toEqual(
      kept === 'new' ? certificates : other.certificates,
    )
  }
})

it('of two certificates that tabs renewed in the same second, the stored one counts for both', async () => {
  const { relay, identity } = await start()
  const store = createMemoryStore()
  await store.write({ ...emptyState(), revision: 1, identity })
  const tabs = [sessionOf(relay, { ...identity }, store), sessionOf(relay, { ...identity }, store)]
  for (const tab of tabs)
    await tab.renewed({ key: identity.key, certificates: [await renew(relay, identity)] })
  for (const tab of tabs) await tab.load()
  // Else each would go on replacing the other's package.
  const [one, two] = tabs.map((tab) => tab.identity.certificates)
  expect(one).toEqual(two)
  expect(one).toEqual((await store.read())!.identity!.certificates)
})

describe('a turn', () => {
  const signal = new AbortController().signal

  async function twoSessions() {
    const { relay, identity } = await start()
    const memory = createMemoryStore()
    const client = await open(relay, { store: memory, identity })
    await client.keyring('notes')
    client.close()
    const queue = createQueue()
    const store: Store = { ...memory, turn: (work) => queue(work) }
    const sessions = [sessionOf(relay, identity, store), sessionOf(relay, identity, store)] as const
    for (const one of sessions) await one.load()
    const ids = relay.keyrings.map(({ id }) => id)
    await relay.publish()
    return { relay, sessions, ids }
  }

  it('of one that waits is served by what another has fetched meanwhile', async () => {
    const { relay, sessions, ids } = await twoSessions()
    const before = relay.deliveries.length
    await Promise.all(sessions.map((one) => one.refresh(ids, signal, true)))
    expect(relay.deliveries.length - before).toBe(1)
    expect(sessions.map(({ state }) => state.accepted!.head.version)).toEqual([
      relay.version,
      relay.version,
    ])
    // Once: the next time, it is a fetch.
    await sessions[1].refresh(ids, signal, true)
    expect(relay.deliveries.length - before).toBe(2)
  })

  it('of one that knows of news is a fetch of its own', async () => {
    const { relay, sessions, ids } = await twoSessions()
    const before = relay.deliveries.length
    await Promise.all(sessions.map((one) => one.refresh(ids, signal)))
    expect(relay.deliveries.length - before).toBe(2)
  })

  it('is not served by a head that is old, or by another keyring', async () => {
    const { relay, sessions, ids } = await twoSessions()
    await sessions[0].refresh(ids, signal)
    relay.now += 2_701
    const before = relay.deliveries.length
    await sessions[1].refresh(ids, signal, true)
    expect(relay.deliveries.length - before).toBe(1)
    await relay.publish()
    await sessions[0].refresh(ids, signal)
    const missing = [...ids, random(16)]
    await sessions[1].refresh(missing, signal, true)
    expect(relay.deliveries.length - before).toBeGreaterThan(2)
  })
})

it('shared work: who asks while it runs is served by the next run, also after one that failed', async () => {
  const runs: ((error?: Error) => void)[] = []
  const ask = createShared(
    () =>
      new Promise<number>((resolve, reject) => {
        const number = runs.length
        runs.push((error) => (error === undefined ? resolve(number) : reject(error)))
      }),
  )
  const [first, second, third] = [ask(), ask(), ask()]
  expect(runs).toHaveLength(1)
  runs[0]!(new Error('no'))
  await expect(first).rejects.toThrow('no')
  await expect.poll(() => runs.length).toBe(2)
  const fourth = ask()
  runs[1]!()
  expect(await Promise.all([second, third])).toEqual([1, 1])
  await expect.poll(() => runs.length).toBe(3)
  runs[2]!()
  expect(await fourth).toBe(2)
  const fifth = ask()
  expect(runs).toHaveLength(4)
  runs[3]!()
  expect(await fifth).toBe(3)
})

it('a state that is read beside a fetch is not older than what was written here meanwhile', async () => {
  const relay = await ClientRelay.start()
  const memory = createMemoryStore()
  let gate: Promise<void> | undefined
  const store = {
    ...memory,
    async read() {
      const state = await memory.read()
      const waiting = gate
      gate = undefined
      await waiting
      return state
    },
  }
  const client = await open(relay, { store })
  await client.keyring('notes')
  await relay.publish()
  let goOn = (): void => {}
  gate = new Promise((resolve) => (goOn = resolve))
  const loading = client.load()
  await client.refresh()
  goOn()
  await loading
  expect((await client.keyring('notes')).state).toBe('ready')
})
