// What a deriver never does: give a key that rule and policy do not both allow.
import * as fc from 'fast-check'
import { expect, it, onTestFinished } from 'vitest'
import { denyKey } from '../../deriver/devices.ts'
import { createKeyring } from '../../deriver/keyrings.ts'
import { JSON_TYPE, PROBLEM_TYPE } from '../../shared/api.ts'
import { hex, type Bytes } from '../../shared/bytes.ts'
import { signWithAuthority } from '../../shared/envelope.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { sha256 } from '../../shared/hash.ts'
import { decodeManifest, encodeManifest, KEYRING_LEAF, keyringLeaf } from '../../shared/manifest.ts'
import { keyId } from '../../shared/signature.ts'
import { buildTree } from '../../shared/tree.ts'
import { toJson } from '../lib/calls.ts'
import { makeClient, makeRequest, makeTenant } from '../lib/tenant.ts'
import { DAY, WholePath } from '../lib/whole-path.ts'
import { check, LIMIT } from '../lib/commands.ts'

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
  const body = toJson({ call: 'request', ...(await makeRequest(tenant, client, [keyring])) })
  await relay.fetch('https://relay.example/calls', { method: 'POST', body })
  await service.step()
  const sql = 'SELECT 1 FROM members WHERE keyring = ? AND device = ?'
  return tenant.store.get(sql, keyring, device) !== undefined
}

it(
  '9 two-man rule: a cell is made where a rule of the manifest and one of the deriver’s own policy allow it and the key is not denied, and else none',
  { timeout: LIMIT },
  async () => {
    const path = await stage()
    const { store } = path.tenant
    const names = fc.constantFrom('a', 'b', 'c', 'team/a', 'team/b', 'team/a/x', 'teams')
    const rules = fc.uniqueArray(fc.constantFrom(...RULES), { minLength: 1, maxLength: 3 })
    let count = 0
    await check(
      fc.asyncProperty(names, rules, rules, fc.boolean(), async (name, some, allowed, isDenied) => {
        const { id } = createKeyring(store, { name: `ring ${count++}`, rules: some }, path.now())
        store.run('UPDATE keyrings SET policy = ? WHERE id = ?', JSON.stringify(allowed), id)
        const covers = (rule: string): boolean =>
          rule.endsWith('*')
            ? (HOST + name).startsWith(rule.slice(0, -1)) && (HOST + name).length > rule.length - 1
            : HOST + name === rule
        expect(await hasCell(path, name, id, isDenied)).toBe(
          some.some(covers) && allowed.some(covers) && !isDenied,
        )
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

it('9 two-man rule: a wider rule in a manifest, catalog and trust document that the authority’s stolen key signed makes no cell', async () => {
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
