/** The operator's API (docs/OPERATIONS.md): its secret, the list of tenants, suspension, quotas, export and deletion. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { paths, SUBPROTOCOL } from '../../shared/api.ts'
import { base64url, fromBase64url } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import { signTicket } from '../../shared/ticket.ts'
import {
  deleteTenant,
  exportTenant,
  listTenants,
  setQuota,
  showTenant,
  suspendTenant,
  type OperatorAccess,
} from '../../deriver/operator.ts'
import { makeRequest } from '../lib/documents.ts'
import { enrol, INVITE, pushAll, pushHead, send, sendCall, toJson, upload } from '../lib/calls.ts'
import { makeKeyring, publish, type Publication } from '../lib/publication.ts'
import { signedCalls } from '../lib/signed-calls.ts'
import { startRelay, type TestRelay } from '../lib/test-relay.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeClient, makeWorld, random, type Client, type World } from '../lib/world.ts'

const SECRET = 'an-operator-secret-of-more-than-32-characters'
let relay: TestRelay
let operator: OperatorAccess
let world: World
let alice: Client
let first: Publication

const accessTo = (to: TestRelay, secret = SECRET): OperatorAccess => ({
  url: to.url.href,
  secret,
  fetch: ((url: URL, init: RequestInit) => to.fetch(url, init)) as typeof fetch,
})

beforeAll(async () => {
  relay = await startRelay({ INVITES: INVITE, OPERATOR_SECRET: SECRET })
  operator = accessTo(relay)
})
afterAll(() => relay.close())
beforeEach(async () => {
  world = await makeWorld()
  alice = await makeClient(world, 'alice')
  await enrol(relay, world)
  first = await publish(world, [makeKeyring('one', [alice])])
  await pushAll(relay, world, first, null)
})

/** A trust document of another tenant: anybody has one. */
const unknownTrust = ({ trusts }: World) => ({ body: toJson(trusts[0]!) })

async function listen(): Promise<WebSocket> {
  const url = new URL(paths.events(world.tenant), relay.url)
  const ticket = await signTicket(url, alice.signer, world.now)
  url.protocol = 'ws:'
  const socket = new WebSocket(url, [SUBPROTOCOL, ticket])
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve())
    socket.addEventListener('error', () => reject(new Error('no stream')))
  })
  return socket
}

const ends = (socket: WebSocket): Promise<number> =>
  new Promise((resolve) => socket.addEventListener('close', ({ code }) => resolve(code)))

const askKey = async (): Promise<number> => {
  const request = await makeRequest(world, alice, [random(16)])
  const call = { call: 'request', package: alice.package, request } as const
  return (await sendCall(relay, world, alice.signer, call)).status
}

const tenants = async (): Promise<string[]> => {
  const found: string[] = []
  for await (const { tenant } of listTenants(operator)) found.push(tenant)
  return found
}

describe('secret', () => {
  it('another one, and none, are refused', async () => {
    for (const secret of ['wrong', `${SECRET}x`, SECRET.slice(1)]) {
      await expectCode(showTenant(accessTo(relay, secret), world.tenant), 'ERR_UNAUTHORIZED')
      await expectCode(deleteTenant(accessTo(relay, secret), world.tenant), 'ERR_UNAUTHORIZED')
    }
    const answer = await send(relay, '/operator/tenants', null)
    expect(answer).toMatchObject({ status: 401, code: 'ERR_UNAUTHORIZED' })
    expect(await tenants()).toContain(world.tenant)
  })

  it.each(['', 'short'])('with %j for a secret there is no such API', async (secret) => {
    const other = await startRelay({ INVITES: INVITE, OPERATOR_SECRET: secret })
    try {
      const answer = await send(other, '/operator/tenants', null, {
        headers: { authorization: `Bearer ${secret}` },
      })
      expect(answer).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
    } finally {
      await other.close()
    }
  })

  it('goes to no address in clear but of this machine', async () => {
    await expectCode(
      showTenant({ ...operator, url: 'http://relay.example' }, world.tenant),
      'ERR_USAGE',
    )
  })
})

describe('tenants', () => {
  it('are listed, once each, with what they have', async () => {
    await enrol(relay, world)
    expect((await tenants()).filter((one) => one === world.tenant)).toHaveLength(1)
    expect(await showTenant(operator, world.tenant)).toMatchObject({
      tenant: world.tenant,
      suspended: false,
      usage: { objects: new Set(first.objects.map((body) => base64url(sha256(body)))).size },
      trust: 1,
      head: { incarnation: 1, version: 1 },
    })
    const stranger = await makeWorld()
    await expectCode(showTenant(operator, stranger.tenant), 'ERR_NOT_FOUND')
    await expectCode(suspendTenant(operator, stranger.tenant, true), 'ERR_NOT_FOUND')
    await expectCode(deleteTenant(operator, stranger.tenant), 'ERR_NOT_FOUND')
  })

  it('are exported whole', async () => {
    const written: string[] = []
    for await (const line of exportTenant(operator, world.tenant)) written.push(line)
    const [documents, ...lines] = written
    expect(JSON.parse(documents!)).toMatchObject({
      tenant: world.tenant,
      documents: JSON.parse(
        new TextDecoder().decode(toJson({ head: first.head, catalog: first.catalog })),
      ) as object,
    })
    const bodies = lines.map((line) => (JSON.parse(line) as { object: string }).object)
    const hashes = bodies.map((body) => base64url(sha256(fromBase64url(body))))
    expect(new Set(hashes)).toEqual(new Set(first.objects.map((body) => base64url(sha256(body)))))
    expect(hashes.length).toBe(new Set(hashes).size)
  })
})

describe('suspension', () => {
  it('ends every call and socket of a tenant, of no other, and nothing is lost', async () => {
    const other = await makeWorld()
    await enrol(relay, other)
    const socket = await listen()
    const closed = ends(socket)
    expect(await suspendTenant(operator, world.tenant, true)).toMatchObject({ suspended: true })
    expect(await closed).toBe(1008)
    for (const { path, roles, options } of signedCalls) {
      const signer = roles[0] === 'client' ? alice.signer : world.deriver
      const { status } = await send(relay, path(world.tenant), signer, options)
      // What is not even well-formed is still refused as such.
      expect([400, 403]).toContain(status)
    }
    expect(await send(relay, paths.head(world.tenant), world.deriver)).toMatchObject({
      status: 403,
      code: 'ERR_SUSPENDED',
    })
    expect(await enrol(relay, world)).toMatchObject({ status: 403, code: 'ERR_SUSPENDED' })
    await expect(listen()).rejects.toThrow('no stream')
    expect((await send(relay, paths.requests(other.tenant), other.deriver)).status).toBe(200)
    await suspendTenant(operator, world.tenant, false)
    expect((await send(relay, paths.head(world.tenant), world.deriver)).status).toBe(200)
  })

  it('says nothing to a stranger', async () => {
    const stranger = await makeWorld()
    await suspendTenant(operator, world.tenant, true)
    expect(await send(relay, paths.head(world.tenant), stranger.deriver)).toMatchObject({
      status: 404,
    })
    // No signature is needed to send a trust document.
    expect(
      await send(relay, paths.trust(world.tenant), null, unknownTrust(stranger)),
    ).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
  })
})

describe('quotas', () => {
  const refused = { status: 429, code: 'ERR_QUOTA' }

  it('of objects and bytes stop uploads, not the head of what is there', async () => {
    const { usage } = await showTenant(operator, world.tenant)
    await setQuota(operator, world.tenant, { objects: usage.objects + 1 })
    expect((await upload(relay, world, [random(10)])).status).toBe(204)
    expect(await upload(relay, world, [random(11)])).toMatchObject(refused)
    await setQuota(operator, world.tenant, { objects: null, bytes: 1_000 })
    expect(await upload(relay, world, [random(12)])).toMatchObject(refused)
    const next = await publish(world, [], { version: 2, catalogNumber: 1 })
    const { status } = await pushHead(relay, world, next, first.headHash)
    expect(status).not.toBe(429)
    await setQuota(operator, world.tenant, { bytes: null })
    expect((await upload(relay, world, [random(13)])).status).toBe(204)
  })

  it('of the mailbox and of sockets', async () => {
    await setQuota(operator, world.tenant, { mailbox: 2, sockets: 1 })
    expect([await askKey(), await askKey(), await askKey()]).toEqual([202, 202, 429])
    const socket = await listen()
    await expect(listen()).rejects.toThrow('no stream')
    socket.close()
  })

  it('of calls in a minute, which another tenant does not feel', async () => {
    const other = await makeWorld()
    await enrol(relay, other)
    await setQuota(operator, world.tenant, { calls: 5 })
    const answers = []
    // Also where the minute ends in the middle.
    for (let i = 0; i < 12; i++)
      answers.push(await send(relay, paths.head(world.tenant), world.deriver))
    const limited = answers.filter(({ status }) => status === 429)
    expect(limited.length).toBeGreaterThan(0)
    expect(limited[0]).toMatchObject(refused)
    expect(limited[0]!.headers.get('retry-after')).toBe('60')
    expect((await send(relay, paths.requests(other.tenant), other.deriver)).status).toBe(200)
    expect(await setQuota(operator, world.tenant, { calls: null })).toMatchObject({
      quota: { calls: 60_000 },
    })
  })

  it('of calls are not used up by strangers, who learn nothing of them', async () => {
    const stranger = await makeWorld()
    await setQuota(operator, world.tenant, { calls: 5 })
    for (let i = 0; i < 12; i++)
      expect(
        await send(relay, paths.trust(world.tenant), null, unknownTrust(stranger)),
      ).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
    expect((await send(relay, paths.head(world.tenant), world.deriver)).status).toBe(200)
  })

  it('are numbers, and of known names', async () => {
    for (const change of [{ bytes: -1 }, { bytes: 1.5 }, { space: 1 }] as object[])
      await expectCode(setQuota(operator, world.tenant, change), 'ERR_SCHEMA')
  })
})

describe('deletion', () => {
  it('leaves nothing, and the deriver can bring everything back', async () => {
    const socket = await listen()
    const closed = ends(socket)
    await deleteTenant(operator, world.tenant)
    expect(await closed).toBe(1008)
    expect(await tenants()).not.toContain(world.tenant)
    const storage = await relay.harness
      .getWorker()
      .getDurableObjectStorage('TENANT', { name: world.tenant })
    expect(await storage.exec("SELECT name FROM sqlite_master WHERE name = 'objects'")).toEqual([])
    expect(await send(relay, paths.head(world.tenant), world.deriver)).toMatchObject({
      status: 404,
      code: 'ERR_NOT_FOUND',
    })
    await expectCode(showTenant(operator, world.tenant), 'ERR_NOT_FOUND')
    expect((await enrol(relay, world)).status).toBe(201)
    await pushAll(relay, world, first, null)
    expect((await send(relay, paths.head(world.tenant), world.deriver)).status).toBe(200)
    expect(await tenants()).toContain(world.tenant)
  })
})

describe('metrics', () => {
  const scrape = async (query = '', secret = SECRET): Promise<{ status: number; text: string }> => {
    const headers = { authorization: `Bearer ${secret}` }
    const answer = await relay.fetch(new URL(`/metrics${query}`, relay.url), { headers })
    return { status: answer.status, text: await answer.text() }
  }

  it('are the operator’s alone', async () => {
    const { status, text } = await scrape('', `${SECRET}x`)
    expect(status).toBe(401)
    expect(text).not.toContain(world.tenant)
  })

  it('have a sample of every gauge for every tenant, in the format of Prometheus', async () => {
    await askKey()
    const socket = await listen()
    await suspendTenant(operator, (await makeOther()).tenant, true)
    const { text } = await scrape()
    const samples = new Map<string, number>()
    for (const line of text.trimEnd().split('\n')) {
      if (line.startsWith('#')) {
        expect(line).toMatch(/^# (HELP keyferry_\w+ \S.*|TYPE keyferry_\w+ gauge)$/)
        continue
      }
      const [, name, value] = /^(keyferry_\w+(?:\{tenant="[a-z2-7]{52}"\})?) (\d+)$/.exec(line)!
      expect(samples.has(name!)).toBe(false)
      samples.set(name!, Number(value))
    }
    const of = (name: string, { tenant } = world) =>
      samples.get(`keyferry_${name}{tenant="${tenant}"}`)
    expect(of('mailbox')).toBe(1)
    expect(of('sockets')).toBe(1)
    expect(of('trust')).toBe(1)
    expect(of('suspended')).toBe(0)
    expect(of('suspended', other)).toBe(1)
    expect(of('head_version')).toBe(1)
    expect(of('head_version', other)).toBe(0)
    expect(of('head_expires_seconds')).toBe(first.body.expiresAt)
    expect(of('bytes')).toBeGreaterThan(4_096)
    expect(samples.get('keyferry_tenants_listed')).toBe((await tenants()).length)
    const after = (await tenants()).at(-1)!
    expect((await scrape(`?after=${after}`)).text).toContain('keyferry_tenants_listed 0\n')
    expect((await scrape('?after=x')).status).toBe(400)
    socket.close()
  })
})

let other: World
async function makeOther(): Promise<World> {
  other = await makeWorld()
  await enrol(relay, other)
  return other
}
