/** Objects and heads (docs/PROTOCOL.md [relay-6], [relay-7]). */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { OCTETS_TYPE, paths } from '../../shared/api.ts'
import { base64url, concat, u32, utf8, type Bytes } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import { MAX_OBJECT } from '../../shared/limits.ts'
import { type HeadBody } from '../../shared/release.ts'
import { encodeEnvelope } from '../../shared/envelope.ts'
import {
  enrol,
  postTrust,
  pushAll,
  pushHead,
  send,
  toJson,
  upload,
  type Answer,
  pushFirst,
} from '../lib/calls.ts'
import { makeKeyring, publish, type Keyring, type Publication } from '../lib/publication.ts'
import { startRelay, type TestRelay } from '../lib/test-relay.ts'
import { issueSigner, makeCa, makeWorld, renewTrust, uriOf, type World } from '../lib/world.ts'

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

async function storedHead(): Promise<Bytes> {
  return (await send(relay, paths.head(world.tenant), world.deriver)).body
}

/** A head that differs from the second one in its body only. */
async function second(changes: Partial<HeadBody>): Promise<Answer> {
  const next = await publish(world, [keyring], { version: 2, head: changes })
  return pushHead(relay, world, next, first.headHash)
}

describe('objects', () => {
  it('are there under their hash, immutable', async () => {
    const body = utf8('an object')
    expect((await upload(relay, world, [body])).status).toBe(204)
    const answer = await send(
      relay,
      paths.object(world.tenant, base64url(sha256(body))),
      world.deriver,
    )
    expect(answer).toMatchObject({ status: 200, body })
    expect(answer.headers.get('content-type')).toBe('application/octet-stream')
    expect(answer.headers.get('cache-control')).toContain('immutable')
  })

  it('are not seen by another tenant', async () => {
    const body = utf8('of one tenant')
    await upload(relay, world, [body])
    const other = await makeWorld()
    await enrol(relay, other)
    const answer = await send(
      relay,
      paths.object(other.tenant, base64url(sha256(body))),
      other.deriver,
    )
    expect(answer).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
  })

  it('[relay-1] an object above the limit of a row is refused, one at the limit is taken', async () => {
    const large = concat(u32(MAX_OBJECT + 1), new Uint8Array(MAX_OBJECT + 1))
    const options = { body: large, type: OCTETS_TYPE }
    expect(await send(relay, paths.objects(world.tenant), world.deriver, options)).toMatchObject({
      status: 400,
    })
    expect(await upload(relay, world, [new Uint8Array(MAX_OBJECT)])).toMatchObject({ status: 204 })
  })

  it.each([
    ['a length without object', Uint8Array.of(0, 0, 0, 9)],
    ['half a length', Uint8Array.of(0, 0)],
    ['an object that ends early', Uint8Array.of(0, 0, 0, 2, 1)],
  ])('[relay-1] %s is malformed', async (_, body) => {
    const answer = await send(relay, paths.objects(world.tenant), world.deriver, {
      body,
      type: OCTETS_TYPE,
    })
    expect(answer).toMatchObject({ status: 400, code: 'ERR_MALFORMED' })
  })
})

describe('push', () => {
  it('is answered by the head from then on', async () => {
    expect(await storedHead()).toEqual(encodeEnvelope(first.head))
    const next = await publish(world, [keyring, makeKeyring('two')], {
      version: 2,
      catalogNumber: 2,
    })
    await pushAll(relay, world, next, first.headHash)
    expect(await storedHead()).toEqual(encodeEnvelope(next.head))
  })

  it('there is no head before the first push', async () => {
    const other = await makeWorld()
    await enrol(relay, other)
    const answer = await send(relay, paths.head(other.tenant), other.deriver)
    expect(answer).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
  })

  it('[relay-6] the same head again changes nothing, whatever If-Match says', async () => {
    expect(await pushHead(relay, world, first, null)).toMatchObject({ status: 204 })
    expect(await pushHead(relay, world, first, sha256(utf8('other')))).toMatchObject({
      status: 204,
    })
    expect(await storedHead()).toEqual(encodeEnvelope(first.head))
  })

  it('[relay-6] a replayed older head is a rollback', async () => {
    const next = await publish(world, [keyring], { version: 2 })
    await pushAll(relay, world, next, first.headHash)
    expect(await pushHead(relay, world, first, next.headHash)).toMatchObject({
      status: 409,
      code: 'ERR_ROLLBACK',
    })
    expect(await storedHead()).toEqual(encodeEnvelope(next.head))
  })

  it('[relay-6] another head of the same version is refused', async () => {
    const other = await publish(world, [keyring], { version: 1, now: world.now - 1 })
    expect(await pushHead(relay, world, other, first.headHash)).toMatchObject({
      status: 409,
      code: 'ERR_ROLLBACK',
    })
  })

  it('[relay-6] an expired head is refused', async () => {
    const times = { issuedAt: world.now - 3_600, expiresAt: world.now - 10 }
    expect(await second(times)).toMatchObject({ status: 400, code: 'ERR_STALE' })
  })

  it.each([
    ['lives too long', { expiresAt: 4_000_000_000 }, 'ERR_LIFETIME'],
    ['is of another tenant', { tenant: 'a'.repeat(52) }, 'ERR_TENANT'],
    ['is of another incarnation', { incarnation: 2 }, 'ERR_INCARNATION'],
    ['names another signer', { signer: new Uint8Array(32) }, 'ERR_SIGNER'],
    [
      'names a trust document to come',
      { trust: { hash: new Uint8Array(32), number: 2 } },
      'ERR_HASH',
    ],
    [
      'names another trust document',
      { trust: { hash: new Uint8Array(32), number: 1 } },
      'ERR_FORK',
    ],
    ['is of no version', { version: 0 }, 'ERR_SCHEMA'],
  ] as const)('[relay-6] a head that %s is refused', async (_, changes, code) => {
    expect(await second(changes as unknown as Partial<HeadBody>)).toMatchObject({ code })
    expect(await storedHead()).toEqual(encodeEnvelope(first.head))
  })

  it('[relay-6] a head under an older trust document is a rollback', async () => {
    const next = await publish(world, [keyring], { version: 2 })
    expect((await postTrust(relay, world, await renewTrust(world))).status).toBe(204)
    expect(await pushHead(relay, world, next, first.headHash)).toMatchObject({
      status: 409,
      code: 'ERR_ROLLBACK',
    })
    const under = await publish(world, [keyring], { version: 3 })
    expect(await pushHead(relay, world, under, first.headHash)).toMatchObject({ status: 204 })
  })

  it('[relay-6] a head signed by another deriver key, by a client or with a bent signature is refused', async () => {
    const stranger = await issueSigner(
      await makeCa('deriver', world.now),
      uriOf('deriver', 'eve'),
      world.now,
    )
    const client = await issueSigner(world.cas.client, uriOf('client', 'eve'), world.now)
    for (const signer of [stranger, client]) {
      const bad = await publish(world, [keyring], { version: 2, signer })
      expect(await pushHead(relay, world, bad, first.headHash)).toMatchObject({
        status: 400,
        code: 'ERR_PATH_INVALID',
      })
    }
    const bent = await publish(world, [keyring], { version: 2 })
    bent.head.signatures[0]!.sig = new Uint8Array(64).fill(1)
    expect(await pushHead(relay, world, bent, first.headHash)).toMatchObject({
      status: 400,
      code: 'ERR_SIGNATURE',
    })
  })

  it('[relay-7] If-Match of another head is a conflict with the stored one', async () => {
    const next = await publish(world, [keyring], { version: 2 })
    for (const previous of [null, sha256(utf8('other'))]) {
      const answer = await pushHead(relay, world, next, previous)
      expect(answer).toMatchObject({ status: 412, code: 'ERR_CONFLICT' })
      const { head } = answer.json as { head: unknown }
      expect(utf8(JSON.stringify(head))).toEqual(encodeEnvelope(first.head))
    }
    expect(await storedHead()).toEqual(encodeEnvelope(first.head))
  })

  it('[relay-7] If-Match of a head where there is none is a conflict with none', async () => {
    const other = await makeWorld()
    await enrol(relay, other)
    const own = await publish(other, [])
    const answer = await pushHead(relay, other, own, sha256(utf8('other')))
    expect(answer).toMatchObject({ status: 412, code: 'ERR_CONFLICT', json: { head: null } })
  })

  it('[relay-7] two pushes at once: one of them wins', async () => {
    const [a, b] = [
      await publish(world, [keyring], {
        version: 2,
        head: { log: { root: new Uint8Array(32), size: 1 } },
      }),
      await publish(world, [keyring], {
        version: 2,
        head: { log: { root: new Uint8Array(32), size: 2 } },
      }),
    ]
    const answers = await Promise.all(
      [a, b].map((one) => pushHead(relay, world, one, first.headHash)),
    )
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([204, 409]))
  })

  it.each([undefined, 'none', '"x"', '*', 'W/"none"'])(
    '[relay-7] If-Match %s is refused',
    async (value) => {
      const next = await publish(world, [keyring], { version: 2 })
      const { catalog, crls, head } = next
      const headers = value === undefined ? {} : { 'if-match': value }
      const options = { body: toJson({ catalog, crls, head }), headers }
      const answer = await send(relay, paths.push(world.tenant), world.deriver, options)
      expect(answer).toMatchObject({ status: 400, code: 'ERR_SCHEMA' })
    },
  )
})
