// Chains of trust documents as real clients follow them: long ones, ones that replace everything, forks, and heads of an incarnation that is over.
import { beforeAll, describe, expect, it } from 'vitest'
import { base64url, type Bytes } from '../../shared/bytes.ts'
import { type Envelope } from '../../shared/envelope.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { type ErrorCode } from '../../shared/errors.ts'
import { generateSigningKey, type SigningKey } from '../../shared/signature.ts'
import { type TrustBody } from '../../shared/trust.ts'
import { followTrust } from '../../shared/trust-following.ts'
import { createMemoryStore, type Keyferry } from '../../web/index.ts'
import { ClientRelay, openClient, stored } from '../lib/client-relay.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeKeyring } from '../lib/publication.ts'
import {
  issueSigner,
  makeCa,
  makeTrust,
  makeWorld,
  random,
  renewTrust,
  uriOf,
  type World,
} from '../lib/world.ts'

/** Signs the next trust document with the keys in force and those that take their place, if any. */
async function succeed(
  world: World,
  changes: Partial<TrustBody> = {},
  authority?: SigningKey[],
): Promise<void> {
  const signers = [...new Set([...world.authority, ...(authority ?? [])])]
  const keys = authority?.map(({ spki }) => spki)
  const rotated = keys === undefined ? {} : { authority: { keys, threshold: keys.length } }
  await renewTrust(world, { ...changes, ...rotated }, signers)
  if (authority !== undefined) world.authority = authority
}

const newAuthority = (): Promise<SigningKey[]> =>
  Promise.all([generateSigningKey('Ed25519', true), generateSigningKey('Ed25519', true)])

describe('a long chain', () => {
  let world: World
  let last: Envelope
  beforeAll(async () => {
    world = await makeWorld()
    while (world.trusts.length < 1_024) await succeed(world)
    last = (await makeTrust(world)).envelope
  })

  it('[trust-7] of 1,024 documents is followed by a client that knows the first only', async () => {
    const relay = new ClientRelay(world, [makeKeyring('notes')])
    await relay.publish()
    const store = createMemoryStore()
    const client = await openClient(relay, { store })
    const notes = await client.keyring('notes', { timeout: 60_000 })
    expect(await notes.decrypt(await notes.encrypt('x'), { as: 'text' })).toBe('x')
    expect((await stored(store)).accepted!.trust.body.number).toBe(1_024)
  })

  it('[trust-7] of 1,025 valid documents is ERR_TRUST_CHAIN_TOO_LONG', async () => {
    const follow = (envelopes: Envelope[]) =>
      followTrust(world.tenant, null, envelopes, null, world.now)
    await expectCode(follow([...world.trusts, last]), 'ERR_TRUST_CHAIN_TOO_LONG')
    const known = await follow(world.trusts)
    expect((await followTrust(world.tenant, known, [last], null, world.now)).body.number).toBe(
      1_025,
    )
  })
})

describe('a client that was away', () => {
  it('[open-1] goes from document 1 to 5, past every authority key and CA of its time, as it is configured', async () => {
    const relay = await ClientRelay.start()
    const { world } = relay
    const store = createMemoryStore()
    const identity = await issueSigner(world.cas.client, uriOf('client', 'kim'), relay.now)
    const before = await openClient(relay, { store, identity })
    const message = await (await before.keyring('notes')).encrypt('kept')
    const config = relay.config()
    before.close()

    const { clients, derivers } = world.trust
    const cas = {
      client: await makeCa('client', relay.now),
      deriver: await makeCa('deriver', relay.now),
    }
    const newClients = { ...clients, anchors: [cas.client.certificate] }
    const newDerivers = { ...derivers, anchors: [cas.deriver.certificate] }
    await succeed(world, {}, await newAuthority())
    await succeed(world, { clients: newClients })
    await succeed(world, { derivers: newDerivers }, await newAuthority())
    await succeed(world)
    world.cas = cas
    world.deriver = await issueSigner(cas.deriver, uriOf('deriver', 'two'), relay.now)
    const [notesKeys] = relay.keyrings
    notesKeys!.versions.push({ version: 3, nonce: random(16), secret: random(32) })
    notesKeys!.number++
    notesKeys!.generation++
    notesKeys!.kek = random(32)
    await relay.publish()

    const client = await openClient(relay, { store, identity, config })
    const known = await client.keyring('notes')
    await client.refresh()
    const { accepted } = await stored(store)
    expect([accepted!.trust.body.number, known.version]).toEqual([5, 3])
    expect(relay.deliveries.some(({ have }) => have.trust === 1)).toBe(true)
    expect(await known.decrypt(message, { as: 'text' })).toBe('kept')
    const fresh = await known.encrypt('new')

    // With a certificate of the new CA for the same key it is the same client.
    const renewed = await issueSigner(cas.client, uriOf('client', 'kim'), relay.now)
    client.close()
    const other = await openClient(relay, { store, identity: renewed, config })
    const notes = await other.keyring('notes')
    for (const [sealed, text] of [
      [message, 'kept'],
      [fresh, 'new'],
    ] as const)
      expect(await notes.decrypt(sealed, { as: 'text' })).toBe(text)
  })
})

describe('a fork', () => {
  /** A tenant whose authority was replaced by document 2, and a thief with the earlier keys, an own CA and the relay. */
  async function makeFork() {
    const relay = await ClientRelay.start()
    const { world } = relay
    const old = world.authority
    const ca = await makeCa('deriver', relay.now)
    const derivers = { ...world.trust.derivers, anchors: [ca.certificate] }
    const stolen: World = {
      ...world,
      cas: { ...world.cas, deriver: ca },
      deriver: await issueSigner(ca, uriOf('deriver', 'one'), relay.now),
      trusts: [...world.trusts],
    }
    const thief = new ClientRelay(stolen, relay.keyrings)
    await succeed(stolen, { derivers })
    thief.version = 1_000
    await thief.publish()
    await succeed(world, {}, await newAuthority())
    await relay.publish()
    const honest = { number: 2, hash: documentHash(world.trusts[1]!) }
    return { relay, thief, old, honest }
  }

  const tell = (thief: ClientRelay, trust: Envelope[]): void => {
    thief.twist = (delivery) => ({ ...delivery, trust })
  }

  it('[trust-2] [trust-7] signed by the authority before is not followed by a client that accepted its rival', async () => {
    const { relay, thief, old, honest } = await makeFork()
    let shown = relay
    const store = createMemoryStore()
    const client = await openClient(relay, { store, fetch: (...call) => shown.fetch(...call) })
    const notes = await client.keyring('notes')
    const message = await notes.encrypt('x')
    const refused = async (trust: Envelope[], code: ErrorCode): Promise<void> => {
      tell(thief, trust)
      shown = thief
      await expectCode(client.refresh(), code)
      const { accepted } = await stored(store)
      expect(accepted!.trust.hash).toEqual(honest.hash)
    }
    const [, second] = thief.world.trusts
    await refused([second!], 'ERR_TRUST_DOCUMENT')
    const third = (await makeTrust(thief.world)).envelope
    await refused([third], 'ERR_TRUST_DOCUMENT')
    await refused([second!, third], 'ERR_TRUST_DOCUMENT')
    // After the honest one, but by the keys that it took out.
    await refused([(await makeTrust(relay.world, {}, old)).envelope], 'ERR_SIGNATURE')
    // Kept back, it takes its CA with it.
    await refused([], 'ERR_PATH_INVALID')
    // All is well when the relay is honest again.
    shown = relay
    await relay.publish()
    await client.refresh()
    expect(await notes.decrypt(message, { as: 'text' })).toBe('x')
  })

  it('[open-5] [trust-7] is ERR_FORK where a head names it without showing it', async () => {
    const { relay, thief } = await makeFork()
    const client = await openClient(relay)
    await client.keyring('notes')
    const hash = documentHash(thief.world.trusts[1]!)
    await relay.publish({ head: { trust: { hash, number: 2 } } })
    await expectCode(client.refresh(), 'ERR_FORK')
  })

  it('[trust-7] is ERR_FORK for a client without state that has a floor, and only for such a one', async () => {
    const { relay, thief, honest } = await makeFork()
    const start = (floor: { number: number; hash: Bytes } | null): Promise<Keyferry> => {
      const pinned = floor && { number: floor.number, hash: base64url(floor.hash) }
      return openClient(relay, {
        config: { ...relay.config(), floor: pinned },
        fetch: thief.fetch,
      })
    }
    const ask = async (client: Promise<Keyferry>) => (await client).keyring('notes')
    await expectCode(ask(start(honest)), 'ERR_FORK')
    tell(thief, thief.world.trusts.slice(0, 1))
    await expectCode(ask(start(honest)), 'ERR_ROLLBACK')
    thief.twist = (delivery) => delivery
    expect((await ask(start(null))).name).toBe('notes')
  })
})

describe('an incarnation that is over', () => {
  it('[open-6] is ERR_INCARNATION while no list names the certificate of the thief', async () => {
    const relay = await ClientRelay.start()
    const { world } = relay
    const store = createMemoryStore()
    const client = await openClient(relay, { store })
    await client.keyring('notes')
    const thief = world.deriver
    await succeed(world, { incarnation: 2 })
    world.deriver = await issueSigner(world.cas.deriver, uriOf('deriver', 'two'), relay.now)
    const stolen = { signer: thief, head: { incarnation: 1, version: 1_000 } }
    await relay.publish(stolen)
    await expectCode(client.refresh(), 'ERR_INCARNATION')
    await expectCode((await openClient(relay)).keyring('notes'), 'ERR_INCARNATION')
    // Nor under the document before, which a client that has the new one does not go back to.
    await relay.publish()
    await client.refresh()
    const first = { hash: documentHash(world.trusts[0]!), number: 1 }
    await relay.publish({ ...stolen, head: { ...stolen.head, trust: first } })
    await expectCode(client.refresh(), 'ERR_ROLLBACK')
    const { accepted } = await stored(store)
    expect([accepted!.trust.body.number, accepted!.head.incarnation]).toEqual([2, 2])
  })
})

describe('a clock that is behind', () => {
  it('[trust-9] refuses a new document as ERR_FUTURE, loses nothing, and takes it later', async () => {
    const relay = await ClientRelay.start()
    const store = createMemoryStore()
    const client = await openClient(relay, { store })
    const notes = await client.keyring('notes')
    const message = await notes.encrypt('x')
    const before = await stored(store)
    await succeed(relay.world, { issuedAt: relay.now + 61 })
    await relay.publish()
    await expectCode(client.refresh(), 'ERR_FUTURE')
    await expectCode((await openClient(relay)).keyring('notes'), 'ERR_FUTURE')
    expect(await stored(store)).toEqual(before)
    expect(await notes.decrypt(message, { as: 'text' })).toBe('x')
    await notes.encrypt('y')
    relay.now += 1
    await client.refresh()
    expect((await stored(store)).accepted!.trust.body.number).toBe(2)
    expect((await (await openClient(relay)).keyring('notes')).state).toBe('ready')
  })
})
