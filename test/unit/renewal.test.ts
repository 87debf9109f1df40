/** A new generation of a keyring with many members: leaf for leaf what one after the other would be. */
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { createKeyring } from '../../deriver/keyrings.ts'
import { wrapKey } from '../../deriver/key-wrap.ts'
import { currentKek, renewGeneration } from '../../deriver/members.ts'
import { type WrapJob } from '../../deriver/wrap-job.ts'
import { wrapBeside } from '../../deriver/wrap-thread.ts'
import { keyringRow } from '../../deriver/rows.ts'
import { MEMBER_LEAF } from '../../shared/bundle.ts'
import { concat, fromBase32, hex, type Bytes } from '../../shared/bytes.ts'
import { channelInput } from '../../shared/kdf.ts'
import { buildTree } from '../../shared/tree.ts'
import { fillKeyring, type Filled } from '../lib/many-members.ts'
import { makeTenant, type TestTenant } from '../lib/tenant.ts'

vi.mock('../../deriver/wrap-thread.ts', async (original) => {
  const { wrapBeside: help } = await original<typeof import('../../deriver/wrap-thread.ts')>()
  return { wrapBeside: vi.fn((job: WrapJob) => help(job)) }
})

let tenant: TestTenant
beforeAll(async () => {
  tenant = await makeTenant()
})
afterAll(() => {
  tenant.remove()
})

/** Who is where after some leave: whoever stays keeps the slot, and the last ones move into those that are free, in their order. */
function packed(members: readonly Filled[], stays: (slot: number) => boolean): Filled[] {
  const size = members.filter(({ slot }) => stays(slot)).length
  const late = members.filter(({ slot }) => slot >= size && stays(slot))
  return members.slice(0, size).map((one) => (stays(one.slot) ? one : late.shift()!))
}

const every: [string, number, (slot: number) => boolean][] = [
  ['one that stays', 1, () => true],
  ['one that leaves', 1, () => false],
  ['a page', 256, () => true],
  ['a page and one', 257, () => true],
  ['the first leaves', 600, (slot) => slot !== 0],
  ['the last leaves', 513, (slot) => slot !== 512],
  ['every third leaves', 900, (slot) => slot % 3 !== 1],
  ['a whole page leaves', 800, (slot) => slot < 256 || slot >= 512],
  ['all but the last page leave', 1_000, (slot) => slot >= 768],
  ['all leave', 600, () => false],
  ['two threads', 3_000, (slot) => slot !== 1_111],
  ['two threads again', 2_600, (slot) => slot % 11 !== 5],
]

it.each(every)('%s, of %i', (name, count, stays) => {
  const { store, keys, trust, clock } = tenant
  const deriving = { root: keys.root, tenant: trust.tenant }
  const { id } = createKeyring(store, { name, rules: trust.body.clients.sans }, clock.now)
  const members = fillKeyring(store, id, count)
  const uris = new Map(members.map(({ device }, slot) => [device.uri, slot]))
  const seen: string[] = []
  const left = store.transaction(() =>
    renewGeneration(store, deriving, id, clock.now, ({ key_id, uri, expires }) => {
      seen.push(`${hex(key_id)} ${uri} ${expires}`)
      return stays(uris.get(uri)!)
    }),
  )
  expect(seen).toEqual(
    members.map(({ device: { key_id, uri, expires } }) => `${hex(key_id)} ${uri} ${expires}`),
  )

  const staying = packed(members, stays)
  expect(left).toBe(count - staying.length)
  const kek = currentKek(store, deriving, id)
  const leaves = staying.map(({ device: d }) => {
    const input = channelInput(fromBase32(trust.tenant), d.package_hash, d.channel_salt)
    const cell = wrapKey(keys.root.mac(input), kek)
    return concat(d.package_hash, d.channel_id, d.welcome_hash, cell)
  })
  expect(
    store
      .all<{ device: Bytes; leaf: Bytes }>(
        'SELECT device, leaf FROM members WHERE keyring = ? ORDER BY slot',
        id,
      )
      .map(({ device, leaf }) => `${hex(device)} ${hex(leaf)}`),
  ).toEqual(staying.map(({ device }, i) => `${hex(device.key_id)} ${hex(leaves[i]!)}`))

  const tree = buildTree(leaves, MEMBER_LEAF)
  const objects = store.all<{ body: Bytes; root: Bytes }>(
    'SELECT o.body, p.root FROM pages p JOIN objects o ON o.hash = p.hash WHERE p.keyring = ? ORDER BY p.page',
    id,
  )
  expect(objects.map(({ body }) => hex(body))).toEqual(tree.pages.map(hex))
  expect(objects.map(({ root }) => hex(root))).toEqual(
    tree.pages.map((page) => hex(page.slice(-32))),
  )
  const ring = store.get<{ members_index: Bytes; members_root: Bytes; members_size: number }>(
    'SELECT members_index, members_root, members_size FROM keyrings WHERE id = ?',
    id,
  )!
  expect([hex(ring.members_index), hex(ring.members_root), ring.members_size]).toEqual([
    hex(tree.head.index),
    hex(tree.head.root),
    leaves.length,
  ])
})

it('a device whose bytes are of another length stops it, and nothing is changed', () => {
  const { store, keys, trust, clock } = tenant
  const deriving = { root: keys.root, tenant: trust.tenant }
  const rules = trust.body.clients.sans
  const { id } = createKeyring(store, { name: 'not whole', rules }, clock.now)
  const { generation } = keyringRow(store, id)
  const [first] = fillKeyring(store, id, 3)
  store.run(
    'UPDATE devices SET channel_salt = ? WHERE key_id = ?',
    new Uint8Array(),
    first!.device.key_id,
  )
  expect(() =>
    store.transaction(() => renewGeneration(store, deriving, id, clock.now, () => true)),
  ).toThrow('not whole')
  expect(keyringRow(store, id).generation).toBe(generation)
})

it('no key is left in memory, neither when it is done nor when somebody’s place cannot be judged', () => {
  const { store, keys, trust, clock } = tenant
  const deriving = { root: keys.root, tenant: trust.tenant }
  const rules = trust.body.clients.sans
  const { id } = createKeyring(store, { name: 'wiped', rules }, clock.now)
  fillKeyring(store, id, 2_100)
  // The key of the generation as it was given, and the memory that is wiped.
  const given: { kek: Bytes; memory: Buffer }[] = []
  const pages = Math.ceil(2_100 / 256)
  vi.mocked(wrapBeside).mockImplementation(({ memory }) => {
    const kek = new Uint8Array(memory.slice(4 * (1 + pages), 4 * (1 + pages) + 32)).slice()
    given.push({ kek, memory: Buffer.from(memory) })
  })
  const salts = store.all<{ channel_salt: Bytes; package_hash: Bytes }>(
    'SELECT channel_salt, package_hash FROM devices d JOIN members m ON m.device = d.key_id WHERE m.keyring = ?',
    id,
  )
  store.transaction(() => renewGeneration(store, deriving, id, clock.now, () => true))
  expect(hex(given[0]!.kek)).toBe(hex(currentKek(store, deriving, id)))
  let asked = 0
  const fails = (): boolean => {
    if (asked++ > 2_000) throw new Error('no verdict')
    return true
  }
  expect(() =>
    store.transaction(() => renewGeneration(store, deriving, id, clock.now, fails)),
  ).toThrow('no verdict')
  expect(given).toHaveLength(2)
  const channels = salts.map((one) =>
    keys.root.mac(channelInput(fromBase32(trust.tenant), one.package_hash, one.channel_salt)),
  )
  for (const { kek, memory } of given)
    for (const key of [kek, channels[0]!, channels[300]!, channels.at(-1)!])
      expect(memory.includes(Buffer.from(key))).toBe(false)
})
