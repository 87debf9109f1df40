/** What a client is given, and what it is not (docs/PROTOCOL.md, "HTTP"). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OCTETS_TYPE, paths } from '../../shared/api.ts'
import { type Delivery } from '../../shared/delivery.ts'
import { base64url, concat, equal, utf8, type Bytes } from '../../shared/bytes.ts'
import { decodeMember } from '../../shared/bundle.ts'
import { type DeliveryRequest } from '../../shared/client-calls.ts'
import { sha256 } from '../../shared/hash.ts'
import { openDelivery, type Opened } from '../../shared/open.ts'
import {
  askDelivery,
  enrol,
  postTrust,
  pushAll,
  pushHead,
  readDelivery,
  send,
  sendCall,
  toJson,
  type Answer,
} from '../lib/calls.ts'
import {
  makeKeyring,
  publish,
  welcomeOf,
  type Keyring,
  type Publication,
} from '../lib/publication.ts'
import { startRelay, type TestRelay } from '../lib/test-relay.ts'
import { makeClient, makeWorld, random, renewTrust, type Client, type World } from '../lib/world.ts'

let relay: TestRelay
let world: World
let alice: Client
let bob: Client
let small: Keyring
let large: Keyring
let others: Keyring
let published: Publication

beforeAll(async () => {
  relay = await startRelay()
  world = await makeWorld()
  await enrol(relay, world)
  alice = await makeClient(world, 'alice')
  bob = await makeClient(world, 'bob')
  small = makeKeyring('small', [bob, alice])
  large = makeKeyring('large', [alice], 600)
  others = makeKeyring('others', [bob])
  // Enough keyrings for two pages.
  const many = Array.from({ length: 300 }, (_, i) => makeKeyring(`k${i}`))
  published = await publish(world, [small, large, others, ...many])
  await pushAll(relay, world, published, null)
}, 60_000)
afterAll(() => relay.close())

function open(delivery: Delivery, client: Client, keyrings: Bytes[]): Promise<Opened> {
  return openDelivery(delivery, {
    tenant: world.tenant,
    floor: null,
    packageHash: client.packageHash,
    keyrings,
    now: world.now,
    last: null,
    trust: null,
    kept: () => undefined,
    held: () => null,
  })
}

const getObject = (hash: Bytes): Promise<Answer> =>
  sendCall(relay, world, alice.signer, { call: 'object', hash })

describe('delivery', () => {
  it('is bytes, with lists, bundle and manifest at its end as they were sent', async () => {
    const answer = await askDelivery(relay, world, alice, [large.id])
    expect(answer.headers.get('content-type')).toBe(OCTETS_TYPE)
    const { crls, keyrings } = readDelivery(answer)
    const [item] = keyrings
    for (const one of [...crls, item!.bundle, item!.manifest])
      expect([...published.objects, ...published.crls]).toContainEqual(one)
    const objects = concat(...crls, item!.bundle, item!.manifest)
    expect(answer.body.slice(-objects.length)).toEqual(objects)
    expect(new Set(crls.map((der) => base64url(sha256(der)))).size).toBe(crls.length)
  })

  it('opens for a member, wherever its keyrings and slots are', async () => {
    const ids = [small.id, large.id]
    const answer = await askDelivery(relay, world, alice, ids)
    expect(answer.status).toBe(200)
    const { keyrings } = await open(readDelivery(answer), alice, ids)
    expect(keyrings.map(({ slot }) => slot)).toEqual([1, 600])
    for (const { welcome } of keyrings) expect(welcome).toEqual(await welcomeOf(world, alice))
  })

  it('a right and a wrong hint of the slot lead to the same place', async () => {
    for (const slot of [600, 3, 599, 5_000, 0xffffffff]) {
      const answer = await askDelivery(relay, world, alice, [large.id], { slots: [slot] })
      expect(readDelivery(answer).keyrings[0]?.member?.proof.index).toBe(600)
    }
  })

  it('leaves out the objects that the client has, but never the release', async () => {
    const { body, bytes } = published.releases.get(small)!
    const have = {
      catalog: 1,
      head: published.headHash,
      objects: [body.bundle, sha256(bytes)],
      trust: 1,
    }
    const delivery = readDelivery(await askDelivery(relay, world, alice, [small.id], { have }))
    expect(delivery).toMatchObject({ catalog: null, trust: [] })
    expect(delivery.keyrings[0]).toMatchObject({ bundle: new Uint8Array(), release: bytes })
    expect(sha256(delivery.keyrings[0]!.manifest)).toEqual(body.manifest)
  })

  it('[open-14] leaves out the leaf of a tree that the client holds its leaf of, and no other', async () => {
    const { body } = published.releases.get(small)!
    const have = { catalog: 0, head: new Uint8Array(), trust: 1 }
    const ask = async (objects: Bytes[]) =>
      readDelivery(
        await askDelivery(relay, world, alice, [small.id], { have: { ...have, objects } }),
      )
    expect((await ask([body.members.index])).keyrings[0]?.member).toBeNull()
    for (const other of [body.members.root, published.releases.get(large)!.body.members.index])
      expect((await ask([other])).keyrings[0]?.member).not.toBeNull()
    // Who is no member learns nothing by it.
    const { index } = published.releases.get(others)!.body.members
    const foreign = await askDelivery(relay, world, alice, [others.id], {
      have: { ...have, objects: [index] },
    })
    expect(readDelivery(foreign).keyrings).toEqual([])
  })

  it('there is nothing new for a client that has everything', async () => {
    const { body } = published.releases.get(small)!
    const objects = [body.bundle, body.manifest, sha256(await welcomeOf(world, alice))]
    const have = { catalog: 1, head: published.headHash, objects, trust: 1 }
    const ask = (changes: Partial<DeliveryRequest['have']>): Promise<Answer> =>
      askDelivery(relay, world, alice, [small.id], { have: { ...have, ...changes } })
    expect(await ask({})).toMatchObject({ status: 204, body: new Uint8Array() })
    expect((await ask({ head: random(32) })).status).toBe(200)
    expect((await ask({ trust: 0 })).status).toBe(200)
    expect((await ask({ catalog: 0 })).status).toBe(200)
    for (const hash of objects) {
      expect((await ask({ objects: objects.filter((one) => !equal(one, hash)) })).status).toBe(200)
    }
  })

  it('CRLs are those of the derivers: clients check nobody else', async () => {
    const delivery = readDelivery(await askDelivery(relay, world, alice, []))
    expect(delivery.crls).toEqual([world.cas.deriver.crl])
  })

  it('[relay-4] a keyring that is unknown, and one of others, have no item', async () => {
    const unknown = random(16)
    const answer = await askDelivery(relay, world, alice, [unknown, others.id])
    expect(readDelivery(answer).keyrings).toEqual([])
    const first = await askDelivery(relay, world, alice, [unknown])
    const second = await askDelivery(relay, world, alice, [others.id])
    expect(second.body).toEqual(first.body)
  })

  it('[relay-4] a client without package learns of no keyring', async () => {
    const answer = await askDelivery(relay, world, alice, [small.id], { package: new Uint8Array() })
    expect(readDelivery(answer).keyrings).toEqual([])
  })

  it('[relay-4] trees are for derivers', async () => {
    const hashes = [
      published.body.releases.index,
      published.releases.get(small)!.body.members.index,
      ...published.objects
        .filter((body) => equal(body.subarray(0, 7), utf8('KFTPAGE')))
        .map(sha256),
    ]
    for (const hash of hashes) {
      expect(await getObject(hash)).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
      const path = paths.object(world.tenant, base64url(hash))
      expect((await send(relay, path, world.deriver)).status).toBe(200)
    }
  })

  it('one object is given as it is, and kept by nobody on the way', async () => {
    const { bundle } = published.releases.get(small)!.body
    const answer = await getObject(bundle)
    expect([answer.status, sha256(answer.body)]).toEqual([200, bundle])
    expect(answer.headers.get('content-type')).toBe('application/octet-stream')
    expect(answer.headers.get('cache-control')).toBe('no-store')
    // By GET, which browsers ask about for each object, they are for derivers.
    const path = paths.object(world.tenant, base64url(bundle))
    expect(await send(relay, path, alice.signer)).toMatchObject({
      status: 404,
      code: 'ERR_NOT_FOUND',
    })
  })

  it('[sign-6] the newest list of every CA is an object, by its hash', async () => {
    const get = (der: Bytes) => getObject(sha256(der))
    const own = await makeWorld()
    for (const { crl } of [world.cas.client, world.cas.deriver]) {
      const answer = await get(crl)
      expect(answer.status).toBe(200)
      expect(answer.body).toEqual(crl)
    }
    for (const other of [own.cas.client.crl, world.cas.client.certificate])
      expect(await get(other)).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
  })

  it('[relay-4] before the first push there is nothing', async () => {
    const fresh = await makeWorld()
    await enrol(relay, fresh)
    const client = await makeClient(fresh, 'carol')
    expect(await askDelivery(relay, fresh, client, [])).toMatchObject({
      status: 404,
      code: 'ERR_NOT_FOUND',
    })
  })

  it('[relay-1] slots go with keyrings, and there are at most 64', async () => {
    const wrong = await askDelivery(relay, world, alice, [small.id], { slots: [] })
    expect(wrong).toMatchObject({ status: 400, code: 'ERR_SCHEMA' })
    const many = Array.from({ length: 65 }, () => random(16))
    expect(await askDelivery(relay, world, alice, many)).toMatchObject({
      status: 400,
      code: 'ERR_SCHEMA',
    })
  })

  it('a keyring that is asked for twice is answered once', async () => {
    const answer = await askDelivery(relay, world, alice, [small.id, small.id])
    expect(readDelivery(answer).keyrings).toHaveLength(1)
  })

  it('a member that leaves is found no more, the others are at their new slots', async () => {
    const own = await makeWorld()
    await enrol(relay, own)
    const [ann, ben] = [await makeClient(own, 'ann'), await makeClient(own, 'ben')]
    const keyring = makeKeyring('one', [ann, ben])
    const before = await publish(own, [keyring])
    await pushAll(relay, own, before, null)
    expect(readDelivery(await askDelivery(relay, own, ann, [keyring.id])).keyrings).toHaveLength(1)
    keyring.members = [ben]
    keyring.generation++
    await pushAll(relay, own, await publish(own, [keyring], { version: 2 }), before.headHash)
    expect(readDelivery(await askDelivery(relay, own, ann, [keyring.id])).keyrings).toEqual([])
    const [item] = readDelivery(
      await askDelivery(relay, own, ben, [keyring.id], { slots: [1] }),
    ).keyrings
    expect(item?.member?.proof.index).toBe(0)
    expect(decodeMember(item!.member!.leaf).packageHash).toEqual(ben.packageHash)
  })

  it('trust documents after the known one come along', async () => {
    const own = await makeWorld()
    await enrol(relay, own)
    const client = await makeClient(own, 'ann')
    await postTrust(relay, own, await renewTrust(own))
    await postTrust(relay, own, await renewTrust(own))
    await pushAll(relay, own, await publish(own, []), null)
    for (const known of [0, 1, 2, 3]) {
      const have = { catalog: 0, head: new Uint8Array(), objects: [], trust: known }
      const { trust } = readDelivery(await askDelivery(relay, own, client, [], { have }))
      expect(toJson(trust)).toEqual(toJson(own.trusts.slice(known)))
    }
  })

  it('[catalog-1] the catalog comes along with trust documents, also one that the client has', async () => {
    const own = await makeWorld()
    await enrol(relay, own)
    const client = await makeClient(own, 'ann')
    await postTrust(relay, own, await renewTrust(own))
    const current = await publish(own, [])
    await pushAll(relay, own, current, null)
    for (const [trust, isSent] of [
      [1, true],
      [2, false],
    ] as const) {
      const have = { catalog: 1, head: new Uint8Array(), objects: [], trust }
      const { catalog } = readDelivery(await askDelivery(relay, own, client, [], { have }))
      expect(catalog).toEqual(isSent ? current.catalog : null)
    }
  })

  it('answers no more than a client reads; the rest it asks for again', async () => {
    const own = await makeWorld()
    await enrol(relay, own)
    const client = await makeClient(own, 'ann')
    // Bundles of about 1.4 MB: the most that a keyring can have.
    const keyrings = Array.from({ length: 6 }, (_, i) => makeKeyring(`big ${i}`, [client]))
    const big = await publish(own, keyrings, { pad: 29_000 })
    for (const body of big.objects)
      await send(relay, paths.objects(own.tenant), own.deriver, batchOf(body))
    expect((await pushHead(relay, own, big, null)).status).toBe(204)
    const answer = await askDelivery(
      relay,
      own,
      client,
      keyrings.map(({ id }) => id),
    )
    expect(answer.body.length).toBeLessThan(8_388_608)
    const given = readDelivery(answer).keyrings.length
    expect(given).toBeGreaterThan(0)
    expect(given).toBeLessThan(6)
    const rest = keyrings.slice(given).map(({ id }) => id)
    expect(readDelivery(await askDelivery(relay, own, client, rest)).keyrings).toHaveLength(
      6 - given,
    )
  })

  it('answers no more than a client reads, whatever a deriver calls a welcome', async () => {
    const own = await makeWorld()
    await enrol(relay, own)
    const client = await makeClient(own, 'ann')
    const keyrings = Array.from({ length: 8 }, (_, i) => makeKeyring(`odd ${i}`, [client]))
    const odd = await publish(own, keyrings, { welcome: new Uint8Array(1_400_000) })
    for (const body of odd.objects)
      await send(relay, paths.objects(own.tenant), own.deriver, batchOf(body))
    expect((await pushHead(relay, own, odd, null)).status).toBe(204)
    const ids = keyrings.map(({ id }) => id)
    const answer = await askDelivery(relay, own, client, ids)
    expect(answer.status).toBe(200)
    expect(answer.body.length).toBeLessThan(8_388_608)
  })
})

function batchOf(body: Bytes): { body: Bytes; type: string } {
  const batch = new Uint8Array(4 + body.length)
  new DataView(batch.buffer).setUint32(0, body.length)
  batch.set(body, 4)
  return { body: batch, type: 'application/octet-stream' }
}
