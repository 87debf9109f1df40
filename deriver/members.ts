/**
 * Memberships: leaves, cells and pages of the members trees, and generations (docs/PROTOCOL.md, "Welcome, cell, bundle"). A join touches one page;
 * only a new generation touches all.
 */
import { MEMBER_LEAF } from '../shared/bundle.ts'
import { concat, equal, fromBase32, hex, type Bytes } from '../shared/bytes.ts'
import { kekInput } from '../shared/kdf.ts'
import { joinPages, PAGE_SIZE, type PageRef } from '../shared/tree.ts'
import { type DeviceRow } from './devices.ts'
import { addGeneration } from './keyrings.ts'
import { encodeLeaves } from './leaf-pages.ts'
import { BOUND, Leaves, makeLeaf, saveLeaves } from './leaves.ts'
import { appendLog } from './log.ts'
import { putObject } from './objects.ts'
import { type Root } from './root.ts'
import { keyringRow } from './rows.ts'
import { seatsOf, type Member } from './seats.ts'
import { markChanged, type Store } from './store.ts'
import { moveOn, skipBundled } from './versions.ts'

/** What deriving cells needs. */
export interface Deriving {
  root: Root
  /** Tenant id, as text. */
  tenant: string
}

/** The key-encryption key of a keyring's present generation: 32 bytes. */
export function currentKek(store: Store, { root, tenant }: Deriving, id: Bytes): Bytes {
  const { generation } = keyringRow(store, id)
  const row = store.get<{ incarnation: number; salt: Bytes; root: number }>(
    'SELECT incarnation, salt, root FROM generations WHERE keyring = ? AND generation = ?',
    id,
    generation,
  )!
  return root.mac(kekInput(fromBase32(tenant), id, row.incarnation, generation, row.salt), row.root)
}

const boundOf = ({ package_hash, channel_id, welcome_hash }: DeviceRow): Bytes =>
  concat(package_hash, channel_id, welcome_hash)

function writePage(store: Store, keyring: Bytes, page: number, leaves: Bytes): void {
  const body = encodeLeaves(leaves, MEMBER_LEAF)
  store.run(
    'INSERT INTO pages VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET hash = ?3, root = ?4',
    keyring,
    page,
    putObject(store, body),
    body.slice(-32),
  )
}

function leavesOf(store: Store, keyring: Bytes, page: number): Bytes {
  const rows = store.all<{ leaf: Bytes }>(
    'SELECT leaf FROM members WHERE keyring = ? AND slot >= ? AND slot < ? ORDER BY slot',
    keyring,
    page * PAGE_SIZE,
    (page + 1) * PAGE_SIZE,
  )
  return concat(...rows.map((row) => row.leaf))
}

function writeIndex(store: Store, keyring: Bytes, size: number): void {
  const pages = store.all<PageRef>(
    'SELECT hash, root FROM pages WHERE keyring = ? ORDER BY page',
    keyring,
  )
  const tree = joinPages(pages, size, MEMBER_LEAF)
  putObject(store, tree.index)
  store.run(
    'UPDATE keyrings SET members_index = ?, members_root = ?, members_size = ? WHERE id = ?',
    tree.head.index,
    tree.head.root,
    size,
    keyring,
  )
  markChanged(store, keyring)
}

/** Ids of the keyrings that a device is a member of. */
export function keyringsOf(store: Store, device: Bytes): Bytes[] {
  return store
    .all<{ keyring: Bytes }>('SELECT keyring FROM members WHERE device = ?', device)
    .map((row) => row.keyring)
}

/** Notes that a device's channel key opens a cell of the keyring's present generation, and of those that follow. */
function noteHeld(store: Store, id: Bytes, device: Bytes, generation: number): void {
  store.run('INSERT OR IGNORE INTO held VALUES (?, ?, ?)', device, id, generation)
}

/** Adds devices to a keyring, or renews their leaves there. Call it in a transaction. Returns whether anything changed. */
export function joinAll(
  store: Store,
  deriving: Deriving,
  id: Bytes,
  devices: readonly DeviceRow[],
  now: number,
): boolean {
  const { members_size: size, generation } = keyringRow(store, id)
  const kek = currentKek(store, deriving, id)
  const touched = new Set<number>()
  let end = size
  const tenant = fromBase32(deriving.tenant)
  for (const device of devices) {
    const member = store.get<{ slot: number; leaf: Bytes }>(
      'SELECT slot, leaf FROM members WHERE device = ? AND keyring = ?',
      device.key_id,
      id,
    )
    const bound = boundOf(device)
    if (member !== undefined && equal(member.leaf.subarray(0, BOUND), bound)) continue
    const slot = member?.slot ?? end++
    const { key_id, uri, package_hash, channel_salt: salt, root } = device
    const isSame = member !== undefined && equal(member.leaf.subarray(0, 32), package_hash)
    const event =
      member === undefined ? 'member-added' : isSame ? 'member-rewelcomed' : 'package-rotated'
    appendLog(store, event, now, { keyring: id, device: key_id, uri, package: package_hash })
    store.run(
      'INSERT INTO members VALUES (?1, ?2, ?3, ?4) ON CONFLICT (keyring, slot) DO UPDATE SET leaf = ?4',
      id,
      slot,
      key_id,
      makeLeaf(deriving.root, tenant, kek, { bound, salt, root }),
    )
    noteHeld(store, id, key_id, generation)
    touched.add(Math.floor(slot / PAGE_SIZE))
  }
  for (const page of touched) writePage(store, id, page, leavesOf(store, id, page))
  if (touched.size > 0) writeIndex(store, id, end)
  return touched.size > 0
}

/** Adds a device to a keyring, or renews its leaf there. Call it in a transaction. Returns whether anything changed. */
export function joinKeyring(
  store: Store,
  deriving: Deriving,
  id: Bytes,
  device: DeviceRow,
  now: number,
): boolean {
  return joinAll(store, deriving, id, [device], now)
}

/**
 * A new generation of a keyring for the members that `stays` keeps, packed from slot 0. Where somebody leaves, encryption moves to a version that
 * no earlier generation's bundle held. Call it in a transaction. Returns how many left.
 */
export function renewGeneration(
  store: Store,
  deriving: Deriving,
  id: Bytes,
  now: number,
  stays: (member: Member) => boolean,
): number {
  addGeneration(store, id, now)
  const last = 'SELECT max(slot) AS slot FROM members WHERE keyring = ?'
  const slots = (store.get<{ slot: number | null }>(last, id)!.slot ?? -1) + 1
  const kek = currentKek(store, deriving, id)
  const leaves = new Leaves(slots, fromBase32(deriving.tenant), kek)
  kek.fill(0)
  try {
    const leaving: Member[] = []
    for (let page = 0; page * PAGE_SIZE < slots; page++) {
      for (const seat of seatsOf(store, id, page)) {
        if (stays(seat)) leaves.put(deriving.root, seat)
        else leaving.push(seat)
      }
      leaves.ready(page)
    }
    removeMembers(store, id, now, leaving)
    leaves.closeGaps((from, to) => {
      store.run('UPDATE members SET slot = ? WHERE keyring = ? AND slot = ?', to, id, from)
    })
    store.run('DELETE FROM pages WHERE keyring = ?', id)
    for (let page = 0; page * PAGE_SIZE < leaves.size; page++) {
      const made = leaves.page(page)
      saveLeaves(store, id, page, made)
      writePage(store, id, page, made)
    }
    writeIndex(store, id, leaves.size)
    return leaving.length
  } finally {
    leaves.end()
  }
}

/** Takes members out of a keyring, and encryption to a version that they have not. */
function removeMembers(store: Store, id: Bytes, now: number, leaving: readonly Member[]): void {
  if (leaving.length === 0) return
  for (const { key_id } of leaving)
    store.run('DELETE FROM members WHERE keyring = ? AND device = ?', id, key_id)
  // PROTOCOL [deriver-3]
  skipBundled(store, id)
  moveOn(store, id, now, true)
  for (const { key_id, uri } of leaving)
    appendLog(store, 'member-removed', now, { keyring: id, device: key_id, uri })
}

/** Takes devices out of every keyring they are in. Call it in a transaction. Returns how many keyrings were re-keyed. */
export function removeDevices(
  store: Store,
  deriving: Deriving,
  devices: readonly DeviceRow[],
  now: number,
): number {
  const leaving = new Set(devices.map((device) => hex(device.key_id)))
  const keyrings = new Map<string, Bytes>()
  // One after the other: ten thousand devices in a hundred keyrings are a million memberships.
  for (const { key_id } of devices)
    for (const id of keyringsOf(store, key_id)) keyrings.set(hex(id), id)
  for (const id of keyrings.values())
    renewGeneration(store, deriving, id, now, (device) => !leaving.has(hex(device.key_id)))
  return keyrings.size
}
