// What a client keeps and for how long: stored before use, shared by tabs, bound to this device's clock.
import { describe, expect, it } from 'vitest'
import { createMemoryStore, type StoredState } from '../../web/index.ts'
import { ClientRelay, openClient as open, stored } from '../lib/client-relay.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { emptyState } from '../../web/store.ts'
import { signHead } from '../lib/thief.ts'
import { issueSigner, renewCrl, uriOf } from '../lib/world.ts'
import { subtle } from '../../shared/platform.ts'

describe('state', () => {
  it('without the package that its keys came in is ERR_STATE, and nothing is opened', async () => {
    const relay = await ClientRelay.start()
    const store = createMemoryStore()
    const identity = await issueSigner(relay.world.cas.client, uriOf('client', 'kim'), relay.now)
    const first = await open(relay, { store, identity })
    await first.keyring('notes')
    first.close()
    const state = await stored(store)
    await store.write({ ...state, revision: state.revision + 1, packages: [] })
    relay.interfere = () => Promise.reject(new TypeError('no network'))
    await expectCode((await open(relay, { store, identity })).keyring('notes'), 'ERR_STATE')
  })

  it('[open-21] is stored before a key is used', async () => {
    const relay = await ClientRelay.start()
    const memory = createMemoryStore()
    let isFull = false
    const full = Promise.reject<void>(new Error('disk full'))
    full.catch(() => {})
    const store = {
      ...memory,
      write: (state: StoredState) => (isFull ? full : memory.write(state)),
    }
    const client = await open(relay, { store })
    const notes = await client.keyring('notes')
    relay.keyrings[0]!.versions.push({
      version: 3,
      nonce: crypto.getRandomValues(new Uint8Array(16)),
      secret: crypto.getRandomValues(new Uint8Array(32)),
    })
    relay.keyrings[0]!.number = 2
    await relay.publish()
    isFull = true
    await expect(client.refresh()).rejects.toThrow('disk full')
    expect(notes.version).toBe(2)
    isFull = false
    await client.refresh()
    expect(notes.version).toBe(3)
  })

  it('is shared by two tabs that never take each other back', async () => {
    const relay = await ClientRelay.start()
    const store = createMemoryStore()
    const identity = await issueSigner(relay.world.cas.client, uriOf('client', 'kim'), relay.now)
    const tabs = [await open(relay, { store, identity }), await open(relay, { store, identity })]
    await Promise.all(tabs.map((tab) => tab.keyring('notes')))
    expect((await stored(store)).packageVersion).toBe(1)
    const first = tabs[0]!
    const notes = await first.keyring('notes')
    await relay.publish()
    await tabs[1]!.refresh()
    const { accepted } = await stored(store)
    expect(accepted!.head.version).toBe(relay.version)
    await first.refresh()
    expect(notes.state).toBe('ready')
    await notes.encrypt('x')
  })

  it('moves to a new key package at half of the old one’s life', async () => {
    const relay = await ClientRelay.start()
    const store = createMemoryStore()
    const identity = await issueSigner(relay.world.cas.client, uriOf('client', 'kim'), relay.now)
    const first = await open(relay, { store, identity })
    const message = await (await first.keyring('notes')).encrypt('x')
    first.close()
    relay.now += 16 * 86_400
    await renewCrl(relay.world.cas.deriver, relay.now)
    await renewCrl(relay.world.cas.client, relay.now)
    await relay.publish()
    const client = await open(relay, { store, identity })
    const notes = await client.keyring('notes')
    expect(notes.state).toBe('ready')
    await expect.poll(() => relay.requests.length).toBe(2)
    await client.refresh()
    const { packages, packageVersion } = await stored(store)
    expect([packages.map(({ version }) => version), packageVersion]).toEqual([[2], 2])
    expect(await notes.decrypt(message, { as: 'text' })).toBe('x')
    expect(notes.state).toBe('ready')
  })

  it('[open-14] gets its leaf once for each tree of members', async () => {
    const relay = await ClientRelay.start()
    const client = await open(relay)
    const notes = await client.keyring('notes')
    const leaves: boolean[] = []
    relay.twist = (delivery) => {
      leaves.push(...delivery.keyrings.map(({ member }) => member !== null))
      return delivery
    }
    for (const isNew of [false, true, false]) {
      if (isNew) relay.keyrings[0]!.crowd.push(new Uint8Array(136))
      await relay.publish()
      await client.refresh()
      await notes.decrypt(await notes.encrypt('x'))
    }
    expect(leaves).toEqual([false, true, false])
  })

  it('[open-14] gets its leaf again where the one that it holds is of an earlier package', async () => {
    const relay = await ClientRelay.start(['notes', 'orders'])
    const store = createMemoryStore()
    const first = await open(relay, { store })
    await first.keyring('notes')
    first.close()
    // Another key is another device: in one keyring the earlier one stays beside it.
    const client = await open(relay, { store })
    const keyrings = await Promise.all([client.keyring('notes'), client.keyring('orders')])
    await relay.publish()
    await client.refresh()
    const { accepted } = await stored(store)
    expect(accepted!.head.version).toBe(relay.version)
    expect(keyrings.map(({ state }) => state)).toEqual(['ready', 'ready'])
  })

  it('covers more keyrings than fit into one delivery', async () => {
    const names = Array.from({ length: 70 }, (_, i) => `k${i}`)
    const relay = await ClientRelay.start(names)
    // A relay stops where the next keyring has no room.
    relay.twist = (delivery) => ({ ...delivery, keyrings: delivery.keyrings.slice(0, 30) })
    const client = await open(relay)
    const keyrings = await Promise.all(names.map((name) => client.keyring(name)))
    expect(keyrings.every(({ state }) => state === 'ready')).toBe(true)
    expect(relay.requests).toHaveLength(2)
    await relay.publish()
    await client.refresh()
    expect(keyrings.every(({ state }) => state === 'ready')).toBe(true)
  })

  it('encrypts in the middle of a fetch as before and after it', async () => {
    const relay = await ClientRelay.start(['notes', 'orders'])
    const client = await open(relay)
    const keyrings = await Promise.all([client.keyring('notes'), client.keyring('orders')])
    await relay.publish()
    const encrypted: Promise<unknown>[] = []
    relay.twist = (delivery) => {
      for (const keyring of keyrings) encrypted.push(keyring.encrypt('x'))
      return { ...delivery, keyrings: delivery.keyrings.slice(0, 1) }
    }
    await client.refresh()
    expect((await Promise.all(encrypted)).length).toBeGreaterThanOrEqual(4)
  })

  it('keeps what another tab holds under the newest head', async () => {
    const relay = await ClientRelay.start(['notes', 'orders'])
    const store = createMemoryStore()
    const identity = await issueSigner(relay.world.cas.client, uriOf('client', 'kim'), relay.now)
    const one = await open(relay, { store, identity })
    const notes = await one.keyring('notes')
    const other = await open(relay, { store, identity })
    await other.keyring('orders')
    await relay.publish()
    await other.refresh()
    await one.load()
    expect(notes.state).toBe('ready')
    await notes.encrypt('x')
  })

  it('that goes back under a running client is noticed', async () => {
    const relay = await ClientRelay.start()
    const memory = createMemoryStore()
    let isEmptied = false
    const store = {
      ...memory,
      read: () => (isEmptied ? Promise.resolve(null) : memory.read()),
    }
    const client = await open(relay, { store })
    await client.keyring('notes')
    isEmptied = true
    await expectCode(client.refresh(), 'ERR_STATE')
    isEmptied = false
    await client.refresh()
  })

  it('with the identity of another key is no renewal of this one’s certificate', async () => {
    const relay = await ClientRelay.start()
    const store = createMemoryStore()
    const ca = relay.world.cas.client
    const own = await issueSigner(ca, uriOf('client', 'kim'), relay.now)
    const other = await issueSigner(ca, uriOf('client', 'lee'), relay.now, {
      notAfter: relay.now + 300 * 86_400,
    })
    await store.write({ ...emptyState(), revision: 1, identity: other })
    const client = await open(relay, { store, identity: own })
    await client.keyring('notes')
    const signers = relay.requests.map(({ request }) => request.certificates[0])
    expect(signers).toEqual([own.certificates[0]])
    // And what is stored stays what it was.
    expect((await stored(store)).identity!.certificates).toEqual(other.certificates)
  })

  it('of another tenant is not taken', async () => {
    const [one, two] = [await ClientRelay.start(), await ClientRelay.start()]
    const store = createMemoryStore()
    await (await open(one, { store })).keyring('notes')
    await expectCode(two.connect({ store }), 'ERR_STATE')
  })
})

describe('time', () => {
  it('[use-1] [use-3] [use-5] is this device’s: expiry ends encryption, a clock set back ends everything', async () => {
    const relay = await ClientRelay.start()
    const client = await open(relay)
    const notes = await client.keyring('notes')
    const message = await notes.encrypt('x')
    relay.now -= 3_600
    await expectCode(notes.encrypt('x'), 'ERR_CLOCK')
    await expectCode(notes.decrypt(message), 'ERR_CLOCK')
    relay.now += 3_600
    await notes.encrypt('x')
  })

  it('runs out for those who wait; others go on', async () => {
    const relay = await ClientRelay.start(['notes', 'orders'])
    relay.policy = 'silent'
    const client = await open(relay)
    const reason = new Error('enough')
    const controller = new AbortController()
    const waiting = [
      client.keyring('notes', { timeout: 200 }),
      client.keyring('orders', { signal: controller.signal }),
      client.keyring('notes'),
    ]
    void Promise.allSettled(waiting)
    await expectCode(waiting[0]!, 'ERR_TIMEOUT')
    controller.abort(reason)
    await expect(waiting[1]).rejects.toBe(reason)
    relay.join(relay.keyrings[0]!.id, relay.requests[0]!.package)
    await relay.publish()
    expect((await waiting[2]!).state).toBe('ready')
  })

  it('ends with close', async () => {
    const relay = await ClientRelay.start()
    const stop = new AbortController()
    const client = await open(relay, { signal: stop.signal })
    const notes = await client.keyring('notes')
    stop.abort()
    await expectCode(notes.encrypt('x'), 'ERR_CLOSED')
    await expectCode(client.keyring('notes'), 'ERR_CLOSED')
    await expectCode(client.refresh(), 'ERR_CLOSED')
  })
})

describe('relays that admit nobody', () => {
  const refuse = () => new Response(null, { status: 404 })

  it('are told apart from relays that are not reached, and change nothing else', async () => {
    const relay = await ClientRelay.start()
    const config = relay.config(['https://one.example', 'https://two.example'])
    const client = await open(relay, { config })
    const notes = await client.keyring('notes')
    const states: string[] = []
    client.on('state', ({ state }) => states.push(state))
    relay.interfere = refuse
    await expectCode(client.refresh(), 'ERR_NOT_FOUND')
    expect(notes.state).toBe('unadmitted')
    await notes.decrypt(await notes.encrypt('x'))
    expect((await client.keyring('notes')).state).toBe('unadmitted')
    // One that says so proves nothing about the other.
    relay.interfere = (url) =>
      url.host === 'one.example' ? refuse() : Promise.reject(new TypeError('no network'))
    await expectCode(client.refresh(), 'ERR_RELAY')
    expect(notes.state).toBe('offline')
    relay.interfere = () => undefined
    await client.refresh()
    expect(states).toEqual(['unadmitted', 'offline', 'ready'])
    relay.interfere = refuse
    relay.now += 3_600 + 61
    await expectCode(client.refresh(), 'ERR_NOT_FOUND')
    expect(notes.state).toBe('stale')
  })

  it('are the cause when the time runs out', async () => {
    const relay = await ClientRelay.start()
    relay.interfere = refuse
    const client = await open(relay)
    await expect(client.keyring('notes', { timeout: 300 })).rejects.toMatchObject({
      code: 'ERR_TIMEOUT',
      cause: { code: 'ERR_NOT_FOUND' },
    })
  })
})

it('a state from before trust documents were kept is used, without evidence', async () => {
  const relay = await ClientRelay.start()
  const memory = createMemoryStore()
  const before = await open(relay, { store: memory })
  await before.keyring('notes')
  before.close()
  const read = async () => {
    const state = { ...(await stored(memory)), evidence: [{ code: 'ERR_FORK' }] }
    const earlier = Object.entries(state).filter(([name]) => name !== 'trusts')
    return Object.fromEntries(earlier) as unknown as StoredState
  }
  const client = await open(relay, { store: { ...memory, read } })
  await relay.publish()
  await client.refresh()
  expect((await client.keyring('notes')).state).toBe('ready')
  const head = await signHead({ ...relay.publication!.body, expiresAt: 1 }, relay.world.deriver)
  relay.twist = (delivery) => ({ ...delivery, head })
  await relay.publish()
  await expectCode(client.refresh(), 'ERR_LIFETIME')
  expect(client.evidence).toEqual([])
})

it('[sign-6] a state from before revocation lists were kept is used, and keeps them from then on', async () => {
  const relay = await ClientRelay.start()
  const memory = createMemoryStore()
  let isFirst = true
  const read = async () => {
    const state = await memory.read()
    if (state === null || !isFirst) return state
    const earlier = Object.entries(state).filter(([name]) => name !== 'lists')
    return Object.fromEntries(earlier) as unknown as StoredState
  }
  const client = await open(relay, { store: { ...memory, read } })
  const notes = await client.keyring('notes')
  const signature = await notes.sign('Hello')
  expect(await notes.verify(signature, 'Hello')).toMatchObject({ status: 'current' })
  isFirst = false
  expect((await stored(memory)).lists).toHaveLength(1)
})

describe('a first contact', () => {
  it.each([
    ['has nothing', () => new Response(null, { status: 204 }), 'ERR_TIMEOUT'],
    ['does not admit', () => new Response(null, { status: 401 }), 'ERR_UNAUTHORIZED'],
    ['is not reached', () => Promise.reject(new TypeError('no network')), 'ERR_TIMEOUT'],
  ] as const)('with a relay that %s', async (_, answer, code) => {
    const relay = await ClientRelay.start()
    relay.interfere = answer
    const client = await open(relay)
    await expectCode(client.keyring('notes', { timeout: 500 }), code)
    relay.interfere = () => undefined
    expect((await client.keyring('notes')).state).toBe('ready')
  })

  it('on a platform with none of the suites ends', async () => {
    const platform = subtle()
    const original = platform.generateKey.bind(platform)
    const relay = await ClientRelay.start()
    const client = await open(relay)
    const codes: string[] = []
    client.on('warning', ({ code }) => codes.push(code))
    platform.generateKey = (() => Promise.reject(new DOMException('none'))) as typeof original
    try {
      await expectCode(client.keyring('notes'), 'ERR_SUITE')
    } finally {
      platform.generateKey = original
    }
    expect(codes).toContain('ERR_SUITE')
  })
})

it('something else written while a delivery is on its way loses no head', async () => {
  const relay = await ClientRelay.start()
  const store = createMemoryStore()
  let between = (): Promise<void> => Promise.resolve()
  const fetch: typeof globalThis.fetch = async (url, init) => {
    const answer = await relay.fetch(url, init)
    await between()
    return answer
  }
  const client = await open(relay, { store, fetch })
  await client.keyring('notes')
  between = async () => {
    between = () => Promise.resolve()
    await store.lock(async () => {
      const state = await stored(store)
      await store.write({ ...state, revision: state.revision + 1 })
    })
  }
  const before = (await stored(store)).accepted!.head.version
  await relay.publish()
  await client.refresh()
  expect((await stored(store)).accepted!.head.version).toBeGreaterThan(before)
})
