// How a keyring stands, from one state to the next: what listeners are told, in order, and by whose word.
import { expect, it } from 'vitest'
import { sha256 } from '../../shared/hash.ts'
import { createMemoryStore, type Keyferry, type KeyringState } from '../../web/index.ts'
import { ClientRelay, openClient as open } from '../lib/client-relay.ts'
import { makeRefusal } from '../lib/documents.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { DAY, issueSigner, random, uriOf } from '../lib/world.ts'

/** The states that listeners were told of, each with its reason. */
function watch(client: Keyferry): [KeyringState, string][] {
  const seen: [KeyringState, string][] = []
  client.on('state', ({ keyring, state, reason }) => {
    expect(keyring).toBe('notes')
    seen.push([state, reason])
  })
  return seen
}

const away = (): Promise<never> => Promise.reject(new TypeError('no network'))

it('pending, ready: with the milliseconds until the first key', async () => {
  const relay = await ClientRelay.start()
  const client = await open(relay)
  const seen = watch(client)
  const times: number[] = []
  client.on('ready', ({ milliseconds }) => times.push(milliseconds))
  await client.keyring('notes')
  await client.keyring('notes')
  expect(seen).toEqual([['ready', '']])
  expect(times).toHaveLength(1)
  expect(times[0]).toBeGreaterThan(0)
})

it('ready, offline, stale, ready: by the network, then by the clock, then by a fetch', async () => {
  const relay = await ClientRelay.start()
  const client = await open(relay)
  const notes = await client.keyring('notes')
  const message = await notes.encrypt('x')
  const seen = watch(client)
  relay.interfere = away
  await expectCode(client.refresh(), 'ERR_RELAY')
  expect(notes.state).toBe('offline')
  await notes.encrypt('y')
  relay.now += 3_600 + 60
  expect(notes.state).toBe('offline')
  await notes.encrypt('y')
  relay.now += 1
  expect(notes.state).toBe('stale')
  await expectCode(notes.encrypt('y'), 'ERR_STALE')
  expect(await notes.decrypt(message, { as: 'text' })).toBe('x')
  await expectCode(client.refresh(), 'ERR_RELAY')
  relay.interfere = () => undefined
  await relay.publish()
  await client.refresh()
  await notes.encrypt('y')
  expect(seen).toEqual([
    ['offline', ''],
    ['stale', ''],
    ['ready', ''],
  ])
})

it('ready, unadmitted, ready: a relay’s word is a hint and takes nothing away', async () => {
  const relay = await ClientRelay.start()
  const client = await open(relay)
  const notes = await client.keyring('notes')
  const seen = watch(client)
  relay.interfere = () => new Response(null, { status: 404 })
  await expectCode(client.refresh(), 'ERR_NOT_FOUND')
  await notes.encrypt('y')
  expect(notes.reason).toBe('')
  relay.interfere = () => undefined
  await client.refresh()
  expect(seen).toEqual([
    ['unadmitted', ''],
    ['ready', ''],
  ])
})

it.each(['denied', 'pending'] as const)(
  '%s on the deriver’s word, with the reason that it signed, and ready after another',
  async (policy) => {
    const relay = await ClientRelay.start()
    relay.policy = policy
    const client = await open(relay)
    const seen = watch(client)
    const failure: unknown = await client.keyring('notes').catch((error: unknown) => error)
    expect(failure).toMatchObject({
      code: policy === 'denied' ? 'ERR_DENIED' : 'ERR_PENDING',
      message: 'no rule covers this client',
    })
    relay.join(relay.keyrings[0]!.id, relay.requests[0]!.package)
    await relay.publish()
    const notes = await client.keyring('notes')
    expect(notes.reason).toBe('')
    // Waiting for an administrator is no other state than waiting for a first answer.
    const before = policy === 'denied' ? [['denied', 'no rule covers this client']] : []
    expect(seen).toEqual([...before, ['ready', '']])
  },
)

it('a reason that the relay changed is none: nothing of the refusal counts', async () => {
  const relay = await ClientRelay.start()
  relay.policy = 'denied'
  relay.twist = (delivery) => ({
    ...delivery,
    refusals: delivery.refusals.map((envelope) => {
      const text = new TextDecoder().decode(envelope.payload)
      const payload = new TextEncoder().encode(text.replace('no rule', 'no rule at all'))
      return { ...envelope, payload }
    }),
  })
  const client = await open(relay)
  const seen = watch(client)
  const codes = new Set<string>()
  client.on('warning', ({ code }) => codes.add(code))
  await expectCode(client.keyring('notes', { timeout: 500 }), 'ERR_TIMEOUT')
  expect([seen, [...codes]]).toEqual([[], ['ERR_SIGNATURE']])
})

it('ready, unproven, removed, ready: left out by the relay, then by the deriver’s word, then back', async () => {
  const relay = await ClientRelay.start()
  const identity = await issueSigner(relay.world.cas.client, uriOf('client', 'kim'), relay.now)
  const client = await open(relay, { identity })
  const notes = await client.keyring('notes')
  const message = await notes.encrypt('x')
  const seen = watch(client)
  relay.policy = 'silent'
  await relay.remove('notes')
  await client.refresh()
  await expectCode(notes.encrypt('y'), 'ERR_UNPROVEN')
  relay.refusals = [
    await makeRefusal(relay.world, sha256(identity.certificates[0]!), relay.keyrings[0]!.id, {
      kind: 'removed',
      reason: 'the device was stolen',
      nonce: new Uint8Array(),
      release: random(32),
      head: { incarnation: 1, version: relay.version },
    }),
  ]
  await client.refresh()
  expect(notes.reason).toBe('the device was stolen')
  await expectCode(notes.encrypt('y'), 'ERR_REMOVED')
  expect(await notes.decrypt(message, { as: 'text' })).toBe('x')
  relay.join(relay.keyrings[0]!.id, relay.requests[0]!.package)
  await relay.publish()
  await client.refresh()
  await notes.encrypt('y')
  expect(seen).toEqual([
    ['unproven', ''],
    ['removed', 'the device was stolen'],
    ['ready', ''],
  ])
})

it('after a restart without the network it stands as before: ready, then stale, then nothing decrypts', async () => {
  const relay = await ClientRelay.start()
  const store = createMemoryStore()
  const identity = await issueSigner(relay.world.cas.client, uriOf('client', 'kim'), relay.now)
  const first = await open(relay, { store, identity })
  const message = await (await first.keyring('notes')).encrypt('x')
  first.close()
  relay.interfere = away
  relay.now += 3_600 + 60
  const second = await open(relay, { store, identity })
  await (await second.keyring('notes')).encrypt('y')
  second.close()
  relay.now += 1
  const third = await open(relay, { store, identity })
  const notes = await third.keyring('notes', { timeout: 300 })
  expect(notes.state).toBe('stale')
  await expectCode(notes.encrypt('y'), 'ERR_STALE')
  relay.now += DAY - 1
  expect(await notes.decrypt(message, { as: 'text' })).toBe('x')
  relay.now += 2
  await expectCode(notes.decrypt(message), 'ERR_STALE')
})
