/** What a head names has to be there (docs/PROTOCOL.md [relay-8]). */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { paths } from '../../shared/api.ts'
import { base64url, equal, utf8 } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import { generateSigningKey } from '../../shared/signature.ts'
import { type HeadBody } from '../../shared/release.ts'
import {
  enrol,
  postTrust,
  pushAll,
  pushHead,
  send,
  sendCall,
  toJson,
  upload,
  type Answer,
  pushFirst,
} from '../lib/calls.ts'
import {
  makeHead,
  makeKeyring,
  publish,
  type Keyring,
  type Publication,
} from '../lib/publication.ts'
import { startRelay, type TestRelay } from '../lib/test-relay.ts'
import {
  crlsOf,
  issueSigner,
  makeCa,
  makeWorld,
  renewCrl,
  renewTrust,
  revoke,
  uriOf,
  type World,
} from '../lib/world.ts'

let relay: TestRelay
let world: World
let keyring: Keyring
let first: Publication

beforeAll(async () => {
  relay = await startRelay()
})
afterAll(() => relay.close())
beforeEach(async () => {
  world = await makeWorld()
  ;({ keyring, first } = await pushFirst(relay, world))
})

/** A head that differs from the second one in its body only. */
async function second(changes: Partial<HeadBody>): Promise<Answer> {
  const next = await publish(world, [keyring], { version: 2, head: changes })
  return pushHead(relay, world, next, first.headHash)
}

describe('completeness', () => {
  it('[relay-8] without any one object under the head the push is incomplete', async () => {
    const make = (): Keyring[] => [makeKeyring('one', [], 300), makeKeyring('two', [], 3)]
    const { objects } = await publish(world, make())
    for (const i of objects.keys()) {
      const own = await makeWorld()
      await enrol(relay, own)
      const published = await publish(own, make())
      const missing = published.objects[i]!
      // The crowds share one welcome, which is there twice.
      await upload(
        relay,
        own,
        published.objects.filter((body) => !equal(body, missing)),
      )
      expect(await pushHead(relay, own, published, null)).toMatchObject({
        status: 422,
        code: 'ERR_INCOMPLETE',
      })
      await upload(relay, own, [missing])
      expect(await pushHead(relay, own, published, null)).toMatchObject({ status: 204 })
    }
  })

  it('[relay-8] an object of another form in the place of a tree is incomplete', async () => {
    const rubbish = utf8('not a tree')
    await upload(relay, world, [rubbish])
    const releases = { index: sha256(rubbish), root: new Uint8Array(32), size: 1 }
    expect(await second({ releases })).toMatchObject({ status: 422, code: 'ERR_INCOMPLETE' })
  })

  it('[relay-8] a tree of another root or size is incomplete', async () => {
    const { releases } = first.body
    for (const bent of [
      { ...releases, root: new Uint8Array(32) },
      { ...releases, size: 9 },
    ]) {
      // The index is known from the first push; a new object begins a new walk.
      const extra = makeKeyring('two')
      const next = await publish(world, [keyring, extra], { version: 2, catalogNumber: 2 })
      await upload(relay, world, next.objects)
      const head = await makeHead(world, {
        ...next.body,
        releases: { ...bent, index: next.body.releases.index },
      })
      const answer = await pushHead(relay, world, { ...next, head }, first.headHash)
      expect(answer).toMatchObject({ status: 422, code: 'ERR_INCOMPLETE' })
    }
  })

  it('[relay-8] another catalog than the head names is incomplete', async () => {
    const next = await publish(world, [keyring], { version: 2, catalogNumber: 2 })
    await upload(relay, world, next.objects)
    const answer = await pushHead(relay, world, { ...next, catalog: first.catalog }, first.headHash)
    expect(answer).toMatchObject({ status: 422, code: 'ERR_INCOMPLETE' })
  })

  it('[relay-8] a catalog that is not sent again is the stored one', async () => {
    const next = await publish(world, [keyring], { version: 2 })
    const body = toJson({ catalog: null, crls: next.crls, head: next.head })
    const headers = { 'if-match': `"${base64url(first.headHash)}"` }
    expect(
      await send(relay, paths.push(world.tenant), world.deriver, { body, headers }),
    ).toMatchObject({ status: 204 })
  })

  it('[relay-8] a catalog that another authority signed, or of a lower number, is refused', async () => {
    const key = await generateSigningKey('Ed25519', true)
    const forged = await publish({ ...world, authority: [key] }, [keyring], {
      version: 2,
      catalogNumber: 2,
    })
    expect(await pushHead(relay, world, forged, first.headHash)).toMatchObject({
      status: 400,
      code: 'ERR_SIGNATURE',
    })
    const higher = await publish(world, [keyring], { version: 2, catalogNumber: 3 })
    await pushAll(relay, world, higher, first.headHash)
    const lower = await publish(world, [keyring], { version: 3, catalogNumber: 2 })
    expect(await pushHead(relay, world, lower, higher.headHash)).toMatchObject({
      status: 409,
      code: 'ERR_ROLLBACK',
    })
    const fork = await publish(world, [keyring], {
      version: 3,
      catalogNumber: 3,
      catalog: { issuedAt: world.now - 5 },
    })
    expect(await pushHead(relay, world, fork, higher.headHash)).toMatchObject({
      status: 409,
      code: 'ERR_FORK',
    })
  })

  it('[relay-8] CRLs are just those that the head names', async () => {
    const next = await publish(world, [keyring], { version: 2 })
    await renewCrl(world.cas.client, world.now)
    // One that it does not name.
    const more = { ...next, crls: crlsOf(world) }
    expect(await pushHead(relay, world, more, first.headHash)).toMatchObject({
      status: 422,
      code: 'ERR_INCOMPLETE',
    })
    // One that it names is not there.
    const renewed = await publish(world, [keyring], { version: 2 })
    expect(await pushHead(relay, world, { ...renewed, crls: [] }, first.headHash)).toMatchObject({
      status: 422,
      code: 'ERR_INCOMPLETE',
    })
    expect(await pushHead(relay, world, renewed, first.headHash)).toMatchObject({ status: 204 })
    // Stored ones need not come again.
    const third = await publish(world, [keyring], { version: 3 })
    expect(await pushHead(relay, world, { ...third, crls: [] }, renewed.headHash)).toMatchObject({
      status: 204,
    })
  })

  it('[relay-8] a head without the CRL of its own signer is incomplete', async () => {
    const crls = first.body.crls.filter(
      ({ hash }) => base64url(hash) !== base64url(sha256(world.cas.deriver.crl)),
    )
    const next = await publish(world, [keyring], { version: 2, head: { crls } })
    const answer = await pushHead(relay, world, { ...next, crls: [] }, first.headHash)
    expect(answer).toMatchObject({ status: 422, code: 'ERR_INCOMPLETE' })
  })

  it('[relay-8] a CRL never goes back, nor has another of the same number', async () => {
    const old = { crl: world.cas.client.crl, number: world.cas.client.number }
    await renewCrl(world.cas.client, world.now)
    const renewed = await publish(world, [keyring], { version: 2 })
    await pushAll(relay, world, renewed, first.headHash)
    Object.assign(world.cas.client, old)
    const back = await publish(world, [keyring], { version: 3 })
    expect(await pushHead(relay, world, back, renewed.headHash)).toMatchObject({
      status: 409,
      code: 'ERR_ROLLBACK',
    })
    world.cas.client.number = 1
    await renewCrl(world.cas.client, world.now - 1)
    const fork = await publish(world, [keyring], { version: 3 })
    expect(await pushHead(relay, world, fork, renewed.headHash)).toMatchObject({
      status: 409,
      code: 'ERR_FORK',
    })
  })

  it('[relay-8] a CRL of another signer than its issuer is refused', async () => {
    const other = await makeCa('client', world.now)
    other.number = 5
    world.cas.client.crl = await renewCrl(other, world.now)
    world.cas.client.number = other.number
    const next = await publish(world, [keyring], { version: 2 })
    expect(await pushHead(relay, world, next, first.headHash)).toMatchObject({
      status: 400,
      code: 'ERR_CRL',
    })
  })

  it('a revocation in a push locks out at once', async () => {
    const client = await issueSigner(world.cas.client, uriOf('client', 'mallory'), world.now)
    const ask = (): Promise<Answer> =>
      sendCall(relay, world, client, { call: 'object', hash: first.body.releases.index })
    const asObject = (): Promise<Answer> =>
      sendCall(relay, world, client, { call: 'object', hash: sha256(first.objects[0]!) })
    expect((await asObject()).status).toBe(200)
    expect((await ask()).status).toBe(404)
    await revoke(world.cas.client, client, world.now)
    await pushAll(relay, world, await publish(world, [keyring], { version: 2 }), first.headHash)
    expect(await asObject()).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
  })

  it('a deriver comes back after its CRL has run out, by a push that brings a new one', async () => {
    const own = await makeWorld()
    await renewCrl(own.cas.deriver, own.now, {
      thisUpdate: own.now - 100,
      nextUpdate: own.now - 50,
    })
    await enrol(relay, own)
    const published = await publish(own, [])
    expect((await upload(relay, own, published.objects)).status).toBe(404)
    await renewCrl(own.cas.deriver, own.now)
    const renewed = await publish(own, [])
    expect(await pushHead(relay, own, renewed, null)).toMatchObject({
      status: 422,
      code: 'ERR_INCOMPLETE',
    })
    expect(await enrol(relay, own)).toMatchObject({ status: 200 })
    await pushAll(relay, own, renewed, null)
  })

  it('[relay-8] a CRL below the lowest good one is refused', async () => {
    const issuer = world.cas.deriver.keyId
    await postTrust(relay, world, await renewTrust(world, { lowestCrls: [{ issuer, number: 3 }] }))
    const next = await publish(world, [keyring], { version: 2 })
    expect(await pushHead(relay, world, next, first.headHash)).toMatchObject({
      status: 409,
      code: 'ERR_ROLLBACK',
    })
  })
})
