/**
 * Devices and memberships: welcomes, cells and member pages (docs/PROTOCOL.md, "Welcome, cell, bundle"). A join touches one page; only a new
 * generation touches all.
 */
import { encodeMember, encodeWelcome, MEMBER_LEAF, welcomeInfo } from '../shared/bundle.ts'
import { concat, equal, fromBase32, type Bytes } from '../shared/bytes.ts'
import { sha256 } from '../shared/hash.ts'
import { createHpke, KEM_ID } from '../shared/hpke.ts'
import { channelIdInput, channelInput, kekInput } from '../shared/kdf.ts'
import { type KeyPackage } from '../shared/key-package.ts'
import { keyId } from '../shared/signature.ts'
import { encodePage, joinPages, PAGE_SIZE, pageRef, type PageRef } from '../shared/tree.ts'
import { addGeneration, addVersion, random, type KeyringRow } from './keyrings.ts'
import { appendLog } from './log.ts'
import { macWith, wrapKey, type Root } from './root.ts'
import { markChanged, type Store } from './store.ts'

/** A row of `devices`. */
export interface DeviceRow {
  key_id: Bytes
  uri: string
  fingerprint: Bytes
  certificates: Bytes
  package_version: number
  package_hash: Bytes
  suite: string
  expires: number
  channel_salt: Bytes
  channel_id: Bytes
  welcome_hash: Bytes
  denied: number
}

/** Puts an object where the next push finds it, also if it was there before: a relay may have dropped it meanwhile. */
export function putObject(store: Store, body: Bytes): Bytes {
  const hash = sha256(body)
  store.run('DELETE FROM objects WHERE hash = ?', hash)
  store.run('INSERT INTO objects VALUES (?, ?, ?)', store.next('object'), hash, body)
  return hash
}

/** The key-encryption key of a keyring's present generation: 32 bytes. */
export function currentKek(store: Store, root: Root, tenant: string, keyring: KeyringRow): Bytes {
  const row = store.get<{ incarnation: number; salt: Bytes }>(
    'SELECT incarnation, salt FROM generations WHERE keyring = ? AND generation = ?',
    keyring.id,
    keyring.generation,
  )!
  return root.mac(
    kekInput(fromBase32(tenant), keyring.id, row.incarnation, keyring.generation, row.salt),
  )
}

function channelKey(root: Root, tenant: string, packageHash: Bytes, salt: Bytes): Bytes {
  return root.mac(channelInput(fromBase32(tenant), packageHash, salt))
}

/** A welcome that was made and is not yet in the database. */
export interface NewWelcome {
  salt: Bytes
  channelId: Bytes
  welcome: Bytes
}

/** Seals a new channel key to a verified key package. Throws `ERR_KEY_PACKAGE` for a key that cannot be sealed to. */
export async function makeWelcome(
  root: Root,
  tenant: string,
  keyPackage: KeyPackage,
): Promise<NewWelcome> {
  const { suite, key, signer } = keyPackage.body
  const salt = random(32)
  const channel = channelKey(root, tenant, keyPackage.hash, salt)
  const info = welcomeInfo(fromBase32(tenant), signer, keyPackage.hash, suite)
  const { encapsulated, ciphertext } = await createHpke(suite).seal(key, channel, info)
  const welcome = encodeWelcome({ kem: KEM_ID[suite], encapsulated, ciphertext })
  return { salt, channelId: macWith(channel, channelIdInput()), welcome }
}

function leafOf(root: Root, tenant: string, kek: Bytes, device: DeviceRow): Bytes {
  const channel = channelKey(root, tenant, device.package_hash, device.channel_salt)
  return encodeMember({
    packageHash: device.package_hash,
    channelId: device.channel_id,
    welcomeHash: device.welcome_hash,
    cell: wrapKey(channel, kek),
  })
}

function writePage(store: Store, keyring: Bytes, page: number): void {
  const rows = store.all<{ leaf: Bytes }>(
    'SELECT leaf FROM members WHERE keyring = ? AND slot >= ? AND slot < ? ORDER BY slot',
    keyring,
    page * PAGE_SIZE,
    (page + 1) * PAGE_SIZE,
  )
  const body = encodePage(rows.map((row) => row.leaf))
  const { hash, root } = pageRef(body)
  putObject(store, body)
  store.run(
    'INSERT INTO pages VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET hash = ?3, root = ?4',
    keyring,
    page,
    hash,
    root,
  )
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

/** Adds a device to keyrings or renews its leaf where it is a member. Call it in a transaction. Returns whether anything changed. */
export function joinKeyring(
  store: Store,
  root: Root,
  tenant: string,
  keyring: KeyringRow,
  device: DeviceRow,
  now: number,
): boolean {
  const member = store.get<{ slot: number; leaf: Bytes }>(
    'SELECT slot, leaf FROM members WHERE device = ? AND keyring = ?',
    device.key_id,
    keyring.id,
  )
  if (
    member !== undefined &&
    equal(
      member.leaf.subarray(0, 96),
      concat(device.package_hash, device.channel_id, device.welcome_hash),
    )
  ) {
    return false
  }
  const size = store.get<KeyringRow>(
    'SELECT * FROM keyrings WHERE id = ?',
    keyring.id,
  )!.members_size
  const slot = member?.slot ?? size
  const leaf = leafOf(root, tenant, currentKek(store, root, tenant, keyring), device)
  store.run(
    'INSERT INTO members VALUES (?1, ?2, ?3, ?4) ON CONFLICT (keyring, slot) DO UPDATE SET leaf = ?4',
    keyring.id,
    slot,
    device.key_id,
    leaf,
  )
  writePage(store, keyring.id, Math.floor(slot / PAGE_SIZE))
  writeIndex(store, keyring.id, Math.max(size, slot + 1))
  appendLog(store, member === undefined ? 'member-added' : 'package-rotated', now, {
    keyring: keyring.id,
    device: device.key_id,
    uri: device.uri,
    package: device.package_hash,
  })
  return true
}

/** Stores a device with a new package and welcome. Call it in a transaction. */
export async function deviceOf(keyPackage: KeyPackage, made: NewWelcome): Promise<DeviceRow> {
  const { path, body, hash, envelope } = keyPackage
  return {
    key_id: await keyId(path.spki),
    uri: path.uri,
    fingerprint: path.fingerprint,
    certificates: concat(...envelope.certificates.slice(0, 1)),
    package_version: body.version,
    package_hash: hash,
    suite: body.suite,
    expires: body.expiresAt,
    channel_salt: made.salt,
    channel_id: made.channelId,
    welcome_hash: sha256(made.welcome),
    denied: 0,
  }
}

/** Writes a device's row; its denial stays. Call it in a transaction. */
export function saveDevice(store: Store, d: DeviceRow): void {
  store.run(
    `INSERT INTO devices VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (key_id) DO UPDATE SET uri = ?2, fingerprint = ?3,
     certificates = ?4, package_version = ?5, package_hash = ?6, suite = ?7, expires = ?8, channel_salt = ?9, channel_id = ?10, welcome_hash = ?11`,
    d.key_id,
    d.uri,
    d.fingerprint,
    d.certificates,
    d.package_version,
    d.package_hash,
    d.suite,
    d.expires,
    d.channel_salt,
    d.channel_id,
    d.welcome_hash,
    d.denied,
  )
}

/**
 * A new generation of a keyring for the members that `stays` keeps, packed from slot 0. Call it in a transaction.
 * With `removal`, encryption moves to a version that no earlier generation's bundle held ([deriver-3]).
 */
export function renewGeneration(
  store: Store,
  root: Root,
  tenant: string,
  id: Bytes,
  now: number,
  stays: (device: DeviceRow) => boolean,
  removal: boolean,
): void {
  addGeneration(store, id, now)
  // PROTOCOL [deriver-3]
  if (removal) addVersion(store, id, now)
  const keyring = store.get<KeyringRow>('SELECT * FROM keyrings WHERE id = ?', id)!
  const kek = currentKek(store, root, tenant, keyring)
  const devices = store.all<DeviceRow>(
    'SELECT d.* FROM members m JOIN devices d ON d.key_id = m.device WHERE m.keyring = ? ORDER BY m.slot',
    id,
  )
  store.run('DELETE FROM members WHERE keyring = ?', id)
  store.run('DELETE FROM pages WHERE keyring = ?', id)
  let slot = 0
  for (const device of devices) {
    if (!stays(device)) {
      appendLog(store, 'member-removed', now, {
        keyring: id,
        device: device.key_id,
        uri: device.uri,
      })
      continue
    }
    store.run(
      'INSERT INTO members VALUES (?, ?, ?, ?)',
      id,
      slot++,
      device.key_id,
      leafOf(root, tenant, kek, device),
    )
  }
  for (let page = 0; page * PAGE_SIZE < slot; page++) writePage(store, id, page)
  writeIndex(store, id, slot)
}

/** Denies devices and takes them out of every keyring they are in ([deriver-4]). Call it in a transaction. Returns how many left. */
export function denyDevices(
  store: Store,
  root: Root,
  tenant: string,
  denied: readonly DeviceRow[],
  now: number,
): number {
  const ids = denied.filter((device) => device.denied === 0)
  const isDenied = (device: DeviceRow): boolean =>
    denied.some((one) => equal(one.key_id, device.key_id))
  const keyrings = new Map<string, Bytes>()
  for (const device of denied) {
    store.run('UPDATE devices SET denied = 1 WHERE key_id = ?', device.key_id)
    for (const { keyring } of store.all<{ keyring: Bytes }>(
      'SELECT keyring FROM members WHERE device = ?',
      device.key_id,
    )) {
      keyrings.set(Buffer.from(keyring).toString('hex'), keyring)
    }
  }
  for (const device of ids)
    appendLog(store, 'device-denied', now, { device: device.key_id, uri: device.uri })
  // PROTOCOL [deriver-4]
  for (const keyring of keyrings.values()) {
    renewGeneration(store, root, tenant, keyring, now, (device) => !isDenied(device), true)
  }
  return keyrings.size
}
