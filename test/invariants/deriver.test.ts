// What a deriver never does: give a key that rule and policy do not both allow, sign a version twice, take for new what it was sent before.
import * as fc from 'fast-check'
import { expect, it, onTestFinished } from 'vitest'
import { denyKey } from '../../deriver/devices.ts'
import { createKeyring } from '../../deriver/keyrings.ts'
import { markChanged, type Store } from '../../deriver/store.ts'
import { JSON_TYPE, PROBLEM_TYPE, type RequestBody } from '../../shared/api.ts'
import { fromUtf8, hex, type Bytes } from '../../shared/bytes.ts'
import { documentHash, encodeEnvelope, signWithAuthority } from '../../shared/envelope.ts'
import { sha256 } from '../../shared/hash.ts'
import { decodeManifest, encodeManifest, KEYRING_LEAF, keyringLeaf } from '../../shared/manifest.ts'
import { keyId } from '../../shared/signature.ts'
import { type HeadBody } from '../../shared/release.ts'
import { buildTree } from '../../shared/tree.ts'
import { toJson } from '../lib/calls.ts'
import { Campaign, check, checkLives, commands, LIMIT } from '../lib/campaign.ts'
import { makeClient, makeRequest, makeTenant } from '../lib/tenant.ts'
import { DAY, WholePath } from '../lib/whole-path.ts'

const HOST = 'keyferry://client.acme.example/'
const RULES = ['a', 'b', 'team/a', 'team/*', 'team/a/*', '*'].map((rule) => HOST + rule)

/** A tenant and its deriver, closed when the test is over. */
async function stage(): Promise<WholePath> {
  const path = new WholePath(await makeTenant({ suites: ['X25519'] }))
  onTestFinished(() => path.tenant.remove())
  await path.startService()
  await path.service.step()
  return path
}

/** Asks for a keyring as a new device of this name, whose key is denied or not. Returns whether it got a cell. */
async function hasCell(
  { tenant, relay, service, now }: WholePath,
  name: string,
  keyring: Bytes,
  isDenied: boolean,
): Promise<boolean> {
  const client = await makeClient(tenant, name, 'X25519')
  const device = await keyId(client.key.spki)
  if (isDenied) denyKey(tenant.store, device, client.uri, now())
  const body = toJson(await makeRequest(tenant, client, [keyring]))
  await relay.fetch('https://relay.example/requests', { method: 'POST', body })
  await service.step()
  const sql = 'SELECT 1 FROM members WHERE keyring = ? AND device = ?'
  return tenant.store.get(sql, keyring, device) !== undefined
}

it(
  '9 two-man rule (there is one list of rules, of which the manifest is made; the deriver’s own policy is which keys it denies): a cell is made where both allow it, and else none',
  { timeout: LIMIT },
  async () => {
    const path = await stage()
    const { store } = path.tenant
    const names = fc.constantFrom('a', 'b', 'c', 'team/a', 'team/b', 'team/a/x', 'teams')
    const rules = fc.uniqueArray(fc.constantFrom(...RULES), { minLength: 1, maxLength: 3 })
    let count = 0
    await check(
      fc.asyncProperty(names, rules, fc.boolean(), async (name, some, isDenied) => {
        const { id } = createKeyring(store, { name: `ring ${count++}`, rules: some }, path.now())
        const covers = (rule: string): boolean =>
          rule.endsWith('*')
            ? (HOST + name).startsWith(rule.slice(0, -1)) && (HOST + name).length > rule.length - 1
            : HOST + name === rule
        expect(await hasCell(path, name, id, isDenied)).toBe(some.some(covers) && !isDenied)
        const { manifest } = store.get<{ manifest: Bytes }>(
          'SELECT manifest FROM keyrings WHERE id = ?',
          id,
        )!
        const published = decodeManifest(path.relay.objects.get(hex(manifest))!)
        expect(published.rules).toEqual(some.toSorted())
      }),
      20,
    )
  },
)

it('9 two-man rule (there is one list of rules): a wider rule in a manifest, catalog and trust document that the authority’s stolen key signed makes no cell', async () => {
  const path = await stage()
  const { tenant, relay } = path
  const { id } = createKeyring(tenant.store, { name: 'notes', rules: [`${HOST}a`] }, path.now())
  await path.service.step()
  const newest = relay.pushes.at(-1)!
  const shown = relay.shows(newest, id)!
  const manifest = decodeManifest(relay.objects.get(hex(shown.release.manifest))!)
  const wide = encodeManifest({ ...manifest, number: manifest.number + 1, rules: [`${HOST}*`] })
  const tree = buildTree([keyringLeaf(id, sha256(wide))], KEYRING_LEAF)
  const times = { issuedAt: path.now(), expiresAt: path.now() + DAY }
  const { authority } = tenant.keys
  const catalogBody = { ...times, manifests: tree.head, number: 1_000, tenant: tenant.trust.tenant }
  const catalog = await signWithAuthority('catalog', catalogBody, authority)
  const { body, hash } = tenant.trust
  const trustBody = {
    ...body,
    number: 2,
    previous: hash,
    tenant: tenant.trust.tenant,
    headLifetime: 604_800,
  }
  const trust = await signWithAuthority('trust', trustBody, authority)
  for (const one of [wide, tree.index, ...tree.pages]) relay.objects.set(hex(sha256(one)), one)
  relay.trusts[1] = trust
  // Whatever the deriver asks for beside its mailbox, it is told of these; and its first push meets them.
  const asked: string[] = []
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const call = new URL(input as string | URL).pathname.split('/').at(-1)!
    const told = { catalog, crls: newest.crls, head: newest.head, manifest: wide, trust: [trust] }
    const isFirst = call === 'push' && !asked.includes('push')
    asked.push(call)
    if (isFirst)
      return new Response(toJson({ ...told, code: 'ERR_CONFLICT' }), {
        status: 412,
        headers: { 'content-type': PROBLEM_TYPE },
      })
    if ((init?.method ?? 'GET') === 'GET' && call !== 'requests')
      return new Response(toJson(told), { headers: { 'content-type': JSON_TYPE } })
    return relay.fetch(input, init)
  }
  await path.startService({ fetch })
  await path.stepToHead()
  expect(asked).toContain('push')
  expect(await hasCell(path, 'b', id, false)).toBe(false)
  expect(await hasCell(path, 'a', id, false)).toBe(true)
  const has = (sql: string): number => tenant.store.get<{ n: number }>(sql)!.n
  expect(has('SELECT max(number) AS n FROM trust')).toBe(1)
  expect(has('SELECT max(number) AS n FROM catalogs')).toBeLessThan(1_000)
  expect(hex(documentHash(relay.pushes.at(-1)!.catalog))).not.toBe(hex(documentHash(catalog)))
})

/** The database for a process that is killed before it writes so many times. */
function killed(store: Store, writes: number): Store {
  let left = writes
  const live = (): void => {
    if (left-- <= 0) throw new Error('killed')
  }
  return {
    ...store,
    run(...statement) {
      live()
      store.run(...statement)
    },
    transaction(work) {
      live()
      return store.transaction(work)
    },
  }
}

it(
  '10 one head version is one byte string, whatever instances step side by side and wherever one of them is killed',
  { timeout: LIMIT },
  async () => {
    const lives = commands(12, [
      'join',
      'rotate',
      'remove',
      'step',
      'backup',
      'restore',
      'instances',
      'refuse',
    ])
    let [heads, deaths] = [0, 0]
    await checkLives(lives, 5, async (campaign, life) => {
      const { path } = campaign
      const bytes = new Map<string, string>()
      const see = (incarnation: number, version: number, envelope: Bytes): void => {
        const name = `${incarnation} ${version}`
        const before = bytes.get(name) ?? hex(envelope)
        expect(hex(envelope)).toBe(before)
        bytes.set(name, before)
      }
      const look = (): void => {
        const rows = campaign.store.all<{ incarnation: number; version: number; envelope: Bytes }>(
          'SELECT * FROM heads WHERE envelope IS NOT NULL',
        )
        for (const { incarnation, version, envelope } of rows) see(incarnation, version, envelope)
        for (const { head } of [...path.relay.pushes, ...path.relay.refused]) {
          const { incarnation, version } = JSON.parse(fromUtf8(head.payload)) as HeadBody
          see(incarnation, version, encodeEnvelope(head))
        }
      }
      for (const [i, command] of life.entries()) {
        await campaign.run(command)
        const first = path.service
        const writes = (7 * i + 3 * life.length) % 17
        await path.startService({ store: killed(campaign.store, writes) })
        const dying = path.service
        path.service = first
        markChanged(campaign.store)
        const [dead, alive] = await Promise.allSettled([dying.step(), campaign.step()])
        if (alive.status === 'rejected') throw alive.reason
        if (dead.status === 'rejected') deaths++
        look()
      }
      heads += bytes.size
    })
    expect([heads, deaths].every((n) => n > 3)).toBe(true)
  },
)

/** All that a request can change at a deriver, by table. */
function changeable({ store }: Campaign): Record<string, string> {
  const tables = [
    'devices',
    'members',
    'packages',
    'generations',
    'versions',
    'keyrings',
    'requests',
    'log',
  ]
  return Object.fromEntries(
    tables.map((table) => [table, hex(sha256(toJson(store.all(`SELECT * FROM ${table}`))))]),
  )
}

it(
  '12 package replay: a request or a package that comes again, at any time and in any company, makes no welcome, no cell and no other change',
  { timeout: LIMIT },
  async () => {
    const lives = commands(10, [
      'join',
      'join',
      'round',
      'rotate',
      'remove',
      'step',
      'wait',
      'instances',
    ])
    let replays = 0
    await checkLives(lives, 5, async (campaign, life) => {
      const { relay, tenant } = campaign.path
      const again = new Set<RequestBody>()
      await campaign.join()
      for (const [i, command] of life.entries()) {
        await campaign.run(command)
        campaign.pass([0, 30, 700, 2 * DAY][i % 4]!)
        await campaign.step()
        const before = changeable(campaign)
        const welcomes = [...relay.objects.values()].filter(isWelcome).length
        const sent = relay.requests.filter((one) => !again.has(one))
        for (const [at, { request }] of sent.entries()) {
          // With the package that came with it, and with one that came with another.
          for (const { package: keyPackage } of new Set([
            sent[at]!,
            sent[(at * 5 + i) % sent.length]!,
          ])) {
            const replay = { package: keyPackage, request }
            again.add(replay)
            relay.requests.push(replay)
          }
        }
        await campaign.step()
        expect(changeable(campaign)).toEqual(before)
        expect([...relay.objects.values()].filter(isWelcome)).toHaveLength(welcomes)
        // Every cell is for the newest package of its device.
        const behind = tenant.store.all(
          'SELECT 1 FROM members m JOIN packages p ON p.key_id = m.device WHERE substr(m.leaf, 1, 32) <> p.hash',
        )
        expect(behind).toEqual([])
      }
      replays += again.size
    })
    expect(replays).toBeGreaterThan(10)
  },
)

it(
  '12 package replay: a request that the relay kept back until its package was replaced makes no welcome and no cell, in any order',
  { timeout: LIMIT },
  async () => {
    const order = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 500 }))
    await check(
      fc.asyncProperty(order, async ([renewals, delay]) => {
        const campaign = await Campaign.start()
        onTestFinished(() => campaign.end())
        const { path } = campaign
        const { relay } = path
        await campaign.join()
        // Its first requests stay at the relay: each names a package that a new certificate replaces.
        relay.isHolding = true
        const device = await campaign.join()
        for (let i = 0; i < renewals; i++) {
          campaign.pass(30)
          relay.isHolding = i < renewals - 1
          const { client, identity, name } = device
          await client.session.renewed(await path.identityOf(name, identity.key))
          await client.round()
        }
        await campaign.step()
        await device.client.round()
        expect(await device.client.encryptsUnder('notes')).toMatch(/^[0-9a-f]{64}$/)
        expect(relay.held).toHaveLength(renewals + 1)
        campaign.pass(delay)
        await campaign.step()
        const { requests: _, log: __, ...before } = changeable(campaign)
        relay.requests.push(...relay.held)
        await campaign.step()
        expect(changeable(campaign)).toMatchObject(before)
      }),
      4,
    )
  },
)

const isWelcome = (object: Bytes): boolean =>
  Buffer.from(object.subarray(0, 7)).toString() === 'KFWELCM'
