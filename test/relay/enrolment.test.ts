/** Enrolment, trust documents (docs/PROTOCOL.md [relay-5]), CORS and health. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { paths } from '../../shared/api.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { type Envelope } from '../../shared/envelope.ts'
import { generateSigningKey } from '../../shared/signature.ts'
import { type TrustBody } from '../../shared/trust.ts'
import {
  askDelivery,
  enrol,
  INVITE,
  postTrust,
  pushAll,
  readDelivery,
  send,
  toJson,
  type Answer,
} from '../lib/calls.ts'
import { publish } from '../lib/publication.ts'
import { startRelay, type TestRelay } from '../lib/test-relay.ts'
import {
  crlsOf,
  makeCa,
  makeClient,
  makeTrust,
  makeWorld,
  renewCrl,
  renewTrust,
  seconds,
  type Client,
  type World,
} from '../lib/world.ts'

let relay: TestRelay
beforeAll(async () => {
  relay = await startRelay()
})
afterAll(() => relay.close())

const isEnrolled = async (world: World): Promise<boolean> =>
  (await send(relay, paths.requests(world.tenant), world.deriver)).status === 200

describe('enrolment', () => {
  it('creates a tenant once', async () => {
    const world = await makeWorld()
    expect(await isEnrolled(world)).toBe(false)
    expect(await enrol(relay, world)).toMatchObject({ status: 201, json: { tenant: world.tenant } })
    expect(await enrol(relay, world)).toMatchObject({ status: 200, json: { tenant: world.tenant } })
    expect(await isEnrolled(world)).toBe(true)
  })

  it.each(['', 'wrong', `${INVITE} `, `other,${INVITE}`])(
    '[relay-5] the invite %j is refused',
    async (invite) => {
      const world = await makeWorld()
      expect(await enrol(relay, world, invite)).toMatchObject({
        status: 401,
        code: 'ERR_UNAUTHORIZED',
      })
      expect(await isEnrolled(world)).toBe(false)
    },
  )

  it('[relay-5] a trust document that is not its own genesis is refused', async () => {
    const cases: [Partial<TrustBody>, string][] = [
      [{ number: 2 }, 'ERR_TRUST_DOCUMENT'],
      [{ tenant: 'a'.repeat(52) }, 'ERR_TRUST_DOCUMENT'],
      [{ previous: new Uint8Array(32) }, 'ERR_TRUST_DOCUMENT'],
      [{ expiresAt: seconds() + 500 * 86_400 }, 'ERR_LIFETIME'],
      [
        { authority: { keys: [(await generateSigningKey('Ed25519', true)).spki], threshold: 1 } },
        'ERR_SIGNATURE',
      ],
    ]
    for (const [trust, code] of cases) {
      expect(await enrol(relay, await makeWorld({ trust }))).toMatchObject({ status: 400, code })
    }
  })

  it('[relay-5] a CRL that an anchor of its name did not sign is refused', async () => {
    const world = await makeWorld()
    const other = await makeCa('client', world.now)
    expect(await enrol(relay, world, INVITE, [other.crl])).toMatchObject({
      status: 400,
      code: 'ERR_CRL',
    })
    expect(await enrol(relay, world, INVITE, [new Uint8Array(9)])).toMatchObject({
      status: 400,
      code: 'ERR_CRL',
    })
  })

  it('takes newer CRLs when repeated, and no older ones', async () => {
    const world = await makeWorld()
    await enrol(relay, world)
    const old = crlsOf(world)
    await renewCrl(world.cas.deriver, world.now)
    expect(await enrol(relay, world)).toMatchObject({ status: 200 })
    expect(await enrol(relay, world, INVITE, old)).toMatchObject({
      status: 409,
      code: 'ERR_ROLLBACK',
    })
  })

  it('CRLs of a repeated one are not delivered beside a head that names others', async () => {
    const world = await makeWorld()
    await enrol(relay, world)
    const client = await makeClient(world, 'alice')
    await pushAll(relay, world, await publish(world, []), null)
    const named = world.cas.deriver.crl
    await renewCrl(world.cas.deriver, world.now)
    expect(await enrol(relay, world)).toMatchObject({ status: 200 })
    expect(readDelivery(await askDelivery(relay, world, client, [])).crls).toEqual([named])
  })

  let made = 0
  /** Lists of CAs that no trust document names, each of another name. */
  const strangers = (count: number): Promise<Bytes[]> =>
    Promise.all(
      Array.from({ length: count }, async () => {
        const ca = await makeCa('client', seconds(), 'Ed25519', `Other ${made++}`)
        return ca.crl
      }),
    )
  const stored = async ({ tenant }: World): Promise<Record<string, unknown>[]> => {
    const name = { name: tenant }
    const storage = await relay.harness.getWorker().getDurableObjectStorage('TENANT', name)
    return storage.exec('SELECT * FROM crls')
  }

  it('[relay-5] more lists of CAs that are no anchors than a path can need are refused', async () => {
    const world = await makeWorld()
    const lists = await strangers(17)
    const answer = await enrol(relay, world, INVITE, [...crlsOf(world), ...lists])
    expect(answer).toMatchObject({ status: 429, code: 'ERR_QUOTA' })
    expect(await isEnrolled(world)).toBe(false)
    expect((await enrol(relay, world, INVITE, lists.slice(1))).status).toBe(201)
    expect(await stored(world)).toHaveLength(16)
  })

  it('[relay-5] whoever enrols a tenant again leaves no more unverified lists there', async () => {
    const world = await makeWorld()
    await enrol(relay, world)
    for (let i = 0; i < 3; i++)
      expect((await enrol(relay, world, INVITE, await strangers(4))).status).toBe(200)
    // Those of the anchors, and of the last call.
    expect(await stored(world)).toHaveLength(2 + 4)
    await pushAll(relay, world, await publish(world, []), null)
    expect(await stored(world)).toHaveLength(2)
    expect((await enrol(relay, world, INVITE, await strangers(4))).status).toBe(200)
    expect(await stored(world)).toHaveLength(2)
  })

  it('[relay-5] is closed without invites', async () => {
    const closed = await startRelay({ INVITES: '' })
    try {
      for (const invite of ['', INVITE]) {
        const answer = await enrol(closed, await makeWorld(), invite)
        expect(answer).toMatchObject({ status: 401, code: 'ERR_UNAUTHORIZED' })
      }
    } finally {
      await closed.close()
    }
  })
})

describe('trust documents', () => {
  it('follow one another', async () => {
    const world = await makeWorld()
    await enrol(relay, world)
    for (let i = 0; i < 3; i++)
      expect((await postTrust(relay, world, await renewTrust(world))).status).toBe(204)
    // Again, in any order: nothing changes.
    for (const one of world.trusts) expect((await postTrust(relay, world, one)).status).toBe(204)
  })

  it('move to other authority keys by signatures of both', async () => {
    const world = await makeWorld()
    await enrol(relay, world)
    const key = await generateSigningKey('Ed25519', true)
    const changes = { authority: { keys: [key.spki], threshold: 1 } }
    const { envelope } = await makeTrust(world, changes)
    expect(await postTrust(relay, world, envelope)).toMatchObject({
      status: 400,
      code: 'ERR_SIGNATURE',
    })
    const both = await renewTrust(world, changes, [...world.authority, key])
    expect((await postTrust(relay, world, both)).status).toBe(204)
    world.authority = [key]
    expect((await postTrust(relay, world, await renewTrust(world))).status).toBe(204)
  })

  it('[relay-5] a payload that is no document is answered as by a tenant that is not there', async () => {
    const world = await makeWorld()
    await enrol(relay, world)
    const junk = { ...world.trusts[0]!, payload: new Uint8Array(64).fill(0x78) }
    const stranger = await makeWorld()
    const [here, elsewhere] = [
      await postTrust(relay, world, junk),
      await postTrust(relay, stranger, junk),
    ]
    expect([here.status, here.code]).toEqual([404, 'ERR_NOT_FOUND'])
    expect([elsewhere.status, elsewhere.code]).toEqual([404, 'ERR_NOT_FOUND'])
  })

  it('[relay-5] one that leaves a number out, names another predecessor or falls back is refused', async () => {
    const world = await makeWorld({ trust: { incarnation: 2 } })
    await enrol(relay, world)
    const cases: [Partial<TrustBody>, string][] = [
      [{ number: 3 }, 'ERR_TRUST_DOCUMENT'],
      [{ previous: new Uint8Array(32) }, 'ERR_TRUST_DOCUMENT'],
      [{ incarnation: 1 }, 'ERR_TRUST_DOCUMENT'],
      [{ tenant: 'a'.repeat(52) }, 'ERR_TENANT'],
    ]
    for (const [changes, code] of cases) {
      const { envelope } = await makeTrust(world, changes)
      expect(await postTrust(relay, world, envelope)).toMatchObject({ status: 400, code })
    }
  })

  it('[relay-5] another one of a number that is stored is a fork', async () => {
    const world = await makeWorld()
    await enrol(relay, world)
    const fork = (await makeTrust(world, { skew: 1 })).envelope
    expect((await postTrust(relay, world, await renewTrust(world))).status).toBe(204)
    expect(await postTrust(relay, world, fork)).toMatchObject({ status: 409, code: 'ERR_FORK' })
  })

  it('[relay-4] one that no key of the authority signed is answered as if there were no tenant', async () => {
    const world = await makeWorld()
    await enrol(relay, world)
    const absent = await makeWorld()
    const key = await generateSigningKey('Ed25519', true)
    const forge = async (of: World): Promise<Answer> =>
      postTrust(relay, of, (await makeTrust(of, {}, [key])).envelope)
    const [there, nowhere] = [await forge(world), await forge(absent)]
    expect(there).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
    expect(there.body).toEqual(nowhere.body)
    const odd: Envelope = { ...world.trusts[0]!, payload: new TextEncoder().encode('null') }
    expect(await postTrust(relay, world, odd)).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
  })

  it('[relay-1] one above 64 KiB is refused', async () => {
    const world = await makeWorld()
    const answer = await send(relay, paths.trust(world.tenant), null, {
      body: new Uint8Array(65_537),
    })
    expect(answer).toMatchObject({ status: 413, code: 'ERR_TOO_LARGE' })
  })
})

describe('CORS', () => {
  /** A call as a page of this origin makes it. */
  const callFrom = (tenant: string, { signer }: Client, origin: string): Promise<Answer> => {
    const body = toJson({ after: '', call: 'wait', seconds: 0 })
    return send(relay, paths.calls(tenant), signer, { body, headers: { origin } })
  }

  it('lets in the origins of the trust document, and every page read what its call is answered', async () => {
    const world = await makeWorld()
    const alice = await makeClient(world, 'alice')
    await enrol(relay, world)
    const [origin] = world.trust.origins
    const answer = await callFrom(world.tenant, alice, origin!)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('access-control-allow-origin')).toBe(origin)
    expect(answer.headers.get('vary')).toBe('origin')
    for (const from of [origin!, 'https://evil.example']) {
      const refused = await send(relay, paths.head(world.tenant), null, {
        headers: { origin: from },
      })
      expect(refused.status).toBe(401)
      expect(refused.headers.get('access-control-allow-origin')).toBe(from)
    }
  })

  it('[relay-4] another origin is answered as a tenant that does not exist', async () => {
    const world = await makeWorld()
    await enrol(relay, world)
    const absent = await makeWorld()
    const [alice, eve] = [await makeClient(world, 'alice'), await makeClient(absent, 'eve')]
    const [origin] = world.trust.origins
    const evil = ['https://evil.example', 'null', `${origin}.evil.example`]
    const first = await callFrom(absent.tenant, eve, origin!)
    expect(first).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
    for (const from of evil) {
      const answer = await callFrom(world.tenant, alice, from)
      expect(answer).toMatchObject({ status: 404, body: first.body })
      expect(answer.headers.get('access-control-allow-origin')).toBe(from)
    }
  })

  it('[relay-1] no preflight is answered: no page calls anything that needs one', async () => {
    const world = await makeWorld()
    await enrol(relay, world)
    for (const path of [paths.calls, paths.push, paths.head]) {
      const answer = await send(relay, path(world.tenant), null, {
        method: 'OPTIONS',
        headers: { origin: world.trust.origins[0]!, 'access-control-request-method': 'POST' },
      })
      expect(answer).toMatchObject({ status: 405, code: 'ERR_METHOD' })
      expect(answer.headers.get('access-control-allow-headers')).toBeNull()
    }
  })
})

describe('answers', () => {
  it('health goes through the storage', async () => {
    expect(await send(relay, paths.health, null)).toMatchObject({
      status: 200,
      json: { status: 'ok' },
    })
    expect(
      await send(relay, paths.health, null, { method: 'POST', body: toJson({}) }),
    ).toMatchObject({ status: 405 })
  })

  it('are problem documents with the code and nothing inside', async () => {
    const world = await makeWorld()
    await enrol(relay, world)
    const answer = await send(relay, paths.head(world.tenant), null)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(answer.json).toEqual({
      code: 'ERR_UNAUTHORIZED',
      status: 401,
      title: 'no signature or secret that is admitted here',
      type: 'urn:keyferry:error:ERR_UNAUTHORIZED',
    })
  })
})
