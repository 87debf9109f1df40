/** Which certificates a tenant admits, and what strangers learn (docs/PROTOCOL.md [relay-3], [relay-4]). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OCTETS_TYPE, paths } from '../../shared/api.ts'
import { base64url, utf8, type Bytes } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import { signCall, type Signer } from '../../shared/http-signature.ts'
import { enrol, send, sendCall, toJson, type Answer, pushFirst } from '../lib/calls.ts'
import { signedCalls } from '../lib/signed-calls.ts'
import { makeKeyring, publish } from '../lib/publication.ts'
import { startRelay, type TestRelay } from '../lib/test-relay.ts'
import {
  DAY,
  issueSigner,
  makeCa,
  makeClient,
  makeWorld,
  renewTrust,
  revoke,
  seconds,
  uriOf,
  type Client,
  type World,
} from '../lib/world.ts'

let relay: TestRelay
let world: World
let alice: Client
/** Hash of an index that is there. */
let tree: Bytes
beforeAll(async () => {
  relay = await startRelay()
  world = await makeWorld()
  alice = await makeClient(world, 'alice')
  const { first } = await pushFirst(relay, world, [alice])
  tree = first.body.releases.index
})
afterAll(() => relay.close())

describe('[relay-3] certificate', () => {
  const head = (signer: Signer): Promise<Answer> => send(relay, paths.head(world.tenant), signer)

  it.each(signedCalls.filter(({ roles }) => roles.length === 1))(
    '[relay-3] $name by the other role is refused',
    async ({ roles, path, options }) => {
      const wrong = roles[0] === 'deriver' ? alice.signer : world.deriver
      const answer = await send(relay, path(world.tenant), wrong, options)
      expect(answer).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
    },
  )

  it.each(signedCalls)(
    '[relay-3] $name with a certificate of another CA is refused',
    async ({ roles, path, options }) => {
      for (const role of roles) {
        const ca = await makeCa(role, world.now)
        const stranger = await issueSigner(ca, uriOf(role, 'one'), world.now)
        const answer = await send(relay, path(world.tenant), stranger, options)
        expect(answer).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
      }
    },
  )

  it.each(signedCalls)(
    '[relay-3] $name with an expired certificate is refused',
    async ({ roles, path, options }) => {
      const times = { notBefore: world.now - 10 * DAY, notAfter: world.now - DAY }
      for (const role of roles) {
        const expired = await issueSigner(world.cas[role], uriOf(role, 'old'), world.now, times)
        const answer = await send(relay, path(world.tenant), expired, options)
        expect(answer).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
      }
    },
  )

  it('[relay-3] a certificate with the name of the other role is refused', async () => {
    const other = await makeWorld({ trust: {} })
    // One CA for both roles: only the SAN rules keep them apart.
    const both = { ...other.trust.derivers, anchors: [other.cas.client.certificate] }
    const joint = await makeWorld({ trust: { derivers: both } })
    await enrol(relay, joint, undefined, [])
    const misnamed = await issueSigner(other.cas.client, uriOf('client', 'x'), joint.now)
    expect(await send(relay, paths.head(joint.tenant), misnamed)).toMatchObject({ status: 404 })
  })

  it('[relay-3] a signature by another key than the certificate is refused', async () => {
    const mixed = { key: alice.signer.key, certificates: world.deriver.certificates }
    expect(await head(mixed)).toMatchObject({ status: 401, code: 'ERR_UNAUTHORIZED' })
  })

  it('[relay-3] a key id of another certificate is refused', async () => {
    const url = new URL(paths.head(world.tenant), relay.url)
    const headers = await signCall(
      { method: 'GET', url, body: new Uint8Array() },
      world.deriver,
      seconds(),
    )
    headers['keyferry-certificates'] = base64url(alice.signer.certificates[0]!)
    expect(await send(relay, url.pathname, null, { headers })).toMatchObject({
      status: 401,
      code: 'ERR_UNAUTHORIZED',
    })
  })

  it('[relay-3] certificates of a known caller, cut elsewhere, are others', async () => {
    expect(await head(world.deriver)).toMatchObject({ status: 200 })
    const url = new URL(paths.head(world.tenant), relay.url)
    const call = { method: 'GET', url, body: new Uint8Array() }
    const headers = await signCall(call, world.deriver, seconds())
    const [leaf, ...more] = world.deriver.certificates
    const cut = [leaf!.subarray(0, 90), leaf!.subarray(90), ...more]
    headers['keyferry-certificates'] = cut.map(base64url).join(',')
    expect((await send(relay, url.pathname, null, { headers })).status).toBe(401)
  })

  it.each(signedCalls)(
    '[relay-3] $name with a revoked certificate is refused',
    async ({ roles, path, options }) => {
      for (const role of roles) {
        const own = await makeWorld()
        const victim = await issueSigner(own.cas[role], uriOf(role, 'lost'), own.now)
        await revoke(own.cas[role], victim, own.now)
        await enrol(relay, own)
        const answer = await send(relay, path(own.tenant), victim, options)
        expect(answer).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
        // Derivers have their operator to tell them.
        const list = role === 'client' ? base64url(own.cas.client.crl) : undefined
        expect(answer.json).toMatchObject({ code: 'ERR_NOT_FOUND' })
        expect((answer.json as { crl?: string }).crl).toBe(list)
        const other = await issueSigner(own.cas[role], uriOf(role, 'kept'), own.now)
        expect((await send(relay, path(own.tenant), other, options)).status).not.toBe(401)
      }
    },
  )

  it('[relay-3] without a CRL nobody is admitted', async () => {
    const own = await makeWorld()
    await enrol(relay, own, undefined, [])
    expect(await send(relay, paths.head(own.tenant), own.deriver)).toMatchObject({
      status: 404,
      code: 'ERR_NOT_FOUND',
    })
    expect(
      await send(relay, paths.objects(own.tenant), own.deriver, signedCalls[0]!.options),
    ).toMatchObject({ status: 404 })
  })

  it('[relay-3] an anchor that a newer trust document drops admits nobody', async () => {
    const own = await makeWorld()
    await enrol(relay, own)
    const objects = signedCalls[0]!
    expect((await send(relay, objects.path(own.tenant), own.deriver, objects.options)).status).toBe(
      204,
    )
    const ca = await makeCa('deriver', own.now)
    const next = await renewTrust(own, {
      derivers: { ...own.trust.derivers, anchors: [ca.certificate] },
    })
    expect((await send(relay, paths.trust(own.tenant), null, { body: toJson(next) })).status).toBe(
      204,
    )
    expect((await send(relay, objects.path(own.tenant), own.deriver, objects.options)).status).toBe(
      404,
    )
  })
})

describe('[relay-4] alike', () => {
  it.each(signedCalls)(
    '[relay-4] $name at a tenant that does not exist looks like one that refuses',
    async (one) => {
      const stranger = await makeWorld()
      for (const role of one.roles) {
        const signer =
          role === 'deriver' ? stranger.deriver : (await makeClient(stranger, 'eve')).signer
        const [absent, refusing] = await Promise.all([
          send(relay, one.path(stranger.tenant), signer, one.options),
          send(relay, one.path(world.tenant), signer, one.options),
        ])
        expect(absent).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
        expect(refusing.status).toBe(absent.status)
        expect(refusing.body).toEqual(absent.body)
        const names = (answer: Answer): string[] =>
          [...answer.headers.keys()].filter((name) => name !== 'date')
        expect(names(refusing)).toEqual(names(absent))
      }
    },
  )

  it('[relay-4] a list is for the holder of a client’s certificate that it names, and for nobody else', async () => {
    const own = await makeWorld()
    const { client } = own.cas
    const [lost, foreign] = [
      await issueSigner(client, uriOf('client', 'lost'), own.now),
      await issueSigner(client, 'keyferry://printers.acme.example/lost', own.now),
    ]
    await revoke(client, lost, own.now)
    await revoke(client, foreign, own.now)
    await enrol(relay, own)
    const url = new URL(paths.heads(own.tenant), relay.url)
    const call = { method: 'GET', url, body: new Uint8Array() }
    const ask = async (signer: Signer): Promise<Answer> =>
      send(relay, url.pathname, null, { headers: await signCall(call, signer, own.now) })
    const told = await ask(lost)
    expect(told).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
    expect(told.json).toMatchObject({ crl: base64url(client.crl) })
    const plain = (
      await ask(await issueSigner(await makeCa('client', own.now), uriOf('client', 'eve'), own.now))
    ).body
    // Revoked, but never a client; and one who only shows the certificate.
    expect((await ask(foreign)).body).toEqual(plain)
    const thief = await issueSigner(client, uriOf('client', 'eve'), own.now)
    const shown = await ask({ key: thief.key, certificates: lost.certificates })
    expect(shown).toMatchObject({ status: 401, code: 'ERR_UNAUTHORIZED' })
    expect(shown.json).not.toHaveProperty('crl')
  })

  it('[relay-4] the list, which may be a megabyte, is shown a few times a minute, and then whoever it names is a stranger', async () => {
    const own = await makeWorld()
    const { client } = own.cas
    const lost = await issueSigner(client, uriOf('client', 'lost'), own.now)
    await revoke(client, lost, own.now)
    await enrol(relay, own)
    const eve = await issueSigner(await makeCa('client', own.now), uriOf('client', 'eve'), own.now)
    const { body: plain } = await send(relay, paths.heads(own.tenant), eve)
    for (let i = 0; i < 4; i++) {
      const { json } = await send(relay, paths.heads(own.tenant), lost)
      expect(json).toMatchObject({ crl: base64url(client.crl) })
    }
    for (let i = 0; i < 3; i++)
      expect(await send(relay, paths.heads(own.tenant), lost)).toMatchObject({
        status: 404,
        body: plain,
      })
  })

  it('[relay-4] an unsigned call is answered alike at both', async () => {
    const stranger = await makeWorld()
    const absent = await send(relay, paths.head(stranger.tenant), null)
    const there = await send(relay, paths.head(world.tenant), null)
    expect(there).toMatchObject({ status: 401, body: absent.body })
  })

  it('[relay-4] a tenant that does not exist gets no storage', async () => {
    const stranger = await makeWorld()
    await send(relay, paths.head(stranger.tenant), stranger.deriver)
    const storage = await relay.harness
      .getWorker()
      .getDurableObjectStorage('TENANT', { name: stranger.tenant })
    expect(await storage.exec("SELECT name FROM sqlite_master WHERE name = 'trusts'")).toEqual([])
  })

  it('[relay-4] an object that is not there, a bad name and a tree that the caller may not see are one answer', async () => {
    const own = await publish(world, [makeKeyring('two')])
    const index = base64url(own.body.releases.index)
    await send(relay, paths.objects(world.tenant), world.deriver, {
      body: new Uint8Array([0, 0, 0, 0]),
      type: OCTETS_TYPE,
    })
    const absent = sha256(utf8('?'))
    for (const name of [base64url(absent), 'x', 'AAAA', index]) {
      const answer = await send(relay, paths.object(world.tenant, name), world.deriver)
      expect(answer).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
    }
    const answers = await Promise.all(
      [absent, own.body.releases.index, tree].map((hash) =>
        sendCall(relay, world, alice.signer, { call: 'object', hash }),
      ),
    )
    for (const { status, body } of answers)
      expect({ status, body }).toEqual({ status: 404, body: answers[0]!.body })
  })
})

describe('rate limit', () => {
  it('brakes strangers of one address, not callers that are known', async () => {
    const stranger = await makeWorld()
    const headers = { 'cf-connecting-ip': '192.0.2.1' }
    // More than two periods' worth at once.
    const answers = await Promise.all(
      Array.from({ length: 250 }, () =>
        send(relay, paths.head(world.tenant), stranger.deriver, { headers }),
      ),
    )
    const limited = answers.find(({ status }) => status === 429)
    expect(limited).toMatchObject({ code: 'ERR_QUOTA' })
    expect(limited?.headers.get('retry-after')).toBe('10')
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([404, 429]))
    expect(await send(relay, paths.head(world.tenant), world.deriver, { headers })).toMatchObject({
      status: 200,
    })
  })
})
