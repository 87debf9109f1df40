/**
 * Devices: certificate keys with their current key package and channel (docs/PROTOCOL.md, "Key package and request"). A key that was denied stays
 * denied, whatever certificate it comes with.
 */
import { decodeBatch, encodeBatch } from '../shared/deriver-calls.ts'
import { encodeWelcome, welcomeInfo } from '../shared/bundle.ts'
import { concat, fromBase32, hex, type Bytes } from '../shared/bytes.ts'
import { sha256 } from '../shared/hash.ts'
import { KEM_ID } from '../shared/suites.ts'
import { channelIdInput, channelInput } from '../shared/kdf.ts'
import { type KeyPackage } from '../shared/key-package.ts'
import { keyId } from '../shared/signature.ts'
import { type Suite } from '../shared/trust.ts'
import { parseCertificate } from '../shared/x509.ts'
import { isBuiltInCa } from './crls.ts'
import { random } from './random.ts'
import { appendLog } from './log.ts'
import { publicHmac } from './hmac.ts'
import { type Root } from './root.ts'
import { seal } from './seal.ts'
import { type Store } from './store.ts'

/** A row of `devices`. */
export interface DeviceRow {
  key_id: Bytes
  uri: string
  fingerprint: Bytes
  /** The path, as a batch: end-entity first. */
  certificates: Bytes
  /** Key ids of the issuers of the path, 32 bytes each. */
  issuers: Bytes
  package_hash: Bytes
  suite: string
  /** Seconds: the earlier of the package's and the path's end. */
  expires: number
  channel_salt: Bytes
  channel_id: Bytes
  welcome_hash: Bytes
  /** Number of the root that the channel key comes from. */
  root: number
  /** Public key of the package, for another welcome to it; `null` in rows of earlier formats. */
  public_key: Bytes | null
}

/** A welcome that was made and is not yet in the database. */
export interface NewWelcome {
  /** Number of the root that the channel key comes from. */
  root: number
  salt: Bytes
  channelId: Bytes
  welcome: Bytes
}

/** Seals a new channel key to a verified key package. Throws `ERR_KEY_PACKAGE` for a key that cannot be sealed to. */
export function makeWelcome(
  root: Root,
  number: number,
  tenant: string,
  { body, hash }: KeyPackage,
): Promise<NewWelcome> {
  return sealWelcome(root, number, tenant, { ...body, hash })
}

async function sealWelcome(
  root: Root,
  number: number,
  tenant: string,
  { suite, key, signer, hash }: { suite: Suite; key: Bytes; signer: Bytes; hash: Bytes },
): Promise<NewWelcome> {
  const salt = random(32)
  const id = fromBase32(tenant)
  const channel = await root.ask(channelInput(id, hash, salt), number)
  const info = welcomeInfo(id, signer, hash, suite)
  const { encapsulated, ciphertext } = seal(suite, key, channel, info)
  const welcome = encodeWelcome({ kem: KEM_ID[suite], encapsulated, ciphertext })
  const channelId = publicHmac(channel, channelIdInput())
  channel.fill(0)
  return { root: number, salt, channelId, welcome }
}

/** A device's row with another channel, of root `number`, for the package that it has; `null` for a row that does not have its public key. */
export async function rewelcome(
  root: Root,
  number: number,
  tenant: string,
  device: DeviceRow,
): Promise<{ row: DeviceRow; made: NewWelcome } | null> {
  const { suite, public_key: key, fingerprint: signer, package_hash: hash } = device
  if (key === null) return null
  const bytes = (blob: Bytes): Bytes => new Uint8Array(blob)
  const named = { suite: suite as Suite, key: bytes(key), signer: bytes(signer), hash: bytes(hash) }
  const made = await sealWelcome(root, number, tenant, named)
  const { salt, channelId, welcome } = made
  const channel = { channel_salt: salt, channel_id: channelId, welcome_hash: sha256(welcome) }
  return { row: { ...device, ...channel, root: number }, made }
}

/** The row of a device with a new package and welcome. */
export async function deviceOf(
  { path, body, hash, envelope }: KeyPackage,
  made: NewWelcome,
): Promise<DeviceRow> {
  return {
    key_id: await keyId(path.spki),
    uri: path.uri,
    fingerprint: path.fingerprint,
    certificates: encodeBatch(envelope.certificates),
    issuers: concat(...path.issuers.map((issuer) => issuer.keyId)),
    package_hash: hash,
    suite: body.suite,
    expires: Math.min(body.expiresAt, path.notAfter),
    channel_salt: made.salt,
    channel_id: made.channelId,
    welcome_hash: sha256(made.welcome),
    root: made.root,
    public_key: body.key,
  }
}

/** The certificates of a device with the key id of each one's issuer. */
export function issuedPath(device: DeviceRow): { certificate: Bytes; issuer: Bytes }[] {
  return decodeBatch(new Uint8Array(device.certificates)).map((certificate, i) => ({
    certificate,
    issuer: new Uint8Array(device.issuers.slice(32 * i, 32 * i + 32)),
  }))
}

/**
 * Remembers a certificate of the built-in CA that another host issued, so that a revocation lists it, too.
 */
function saveIssued(store: Store, d: DeviceRow): void {
  const [leaf] = issuedPath(d)
  if (leaf === undefined || !isBuiltInCa(store, leaf.issuer)) return
  const { serial, notAfter, notBefore, spki } = parseCertificate(leaf.certificate)
  store.run(
    "INSERT OR IGNORE INTO issued VALUES (?, 'client', ?, ?, ?, NULL, ?, ?)",
    hex(serial),
    d.uri,
    d.key_id,
    notAfter,
    notBefore,
    spki,
  )
}

/** Writes a device's row, with a channel that has held no cell yet. Call it in a transaction. */
export function saveDevice(store: Store, d: DeviceRow): void {
  saveIssued(store, d)
  store.run('DELETE FROM held WHERE device = ?', d.key_id)
  store.run(
    'INSERT OR REPLACE INTO devices VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    d.key_id,
    d.uri,
    d.fingerprint,
    d.certificates,
    d.issuers,
    d.package_hash,
    d.suite,
    d.expires,
    d.channel_salt,
    d.channel_id,
    d.welcome_hash,
    d.root,
    d.public_key,
  )
}

/** The highest package seen of a certificate key, also one that was granted nothing. */
export function lastPackage(store: Store, key: Bytes): { version: number; hash: Bytes } | null {
  return (
    store.get<{ version: number; hash: Bytes }>(
      'SELECT version, hash FROM packages WHERE key_id = ?',
      key,
    ) ?? null
  )
}

/** Remembers a verified package. Call it in a transaction, after `requireRisingPackage`. */
export function savePackage(store: Store, key: Bytes, { body, hash }: KeyPackage): void {
  store.run('INSERT OR REPLACE INTO packages VALUES (?, ?, ?)', key, body.version, hash)
}

/** Whether a certificate key was denied. */
export function isDenied(store: Store, key: Bytes): boolean {
  return store.get('SELECT 1 FROM denied WHERE key_id = ?', key) !== undefined
}

/** Whether a member stays: its key is not denied and its certificate not over. */
export function mayStay(
  store: Store,
  device: Pick<DeviceRow, 'key_id' | 'expires'>,
  now: number,
): boolean {
  return !isDenied(store, device.key_id) && device.expires >= now
}

/** Denies a certificate key for good. Call it in a transaction. */
export function denyKey(store: Store, key: Bytes, uri: string, now: number): void {
  if (isDenied(store, key)) return
  store.run('INSERT INTO denied VALUES (?, ?)', key, now)
  appendLog(store, 'device-denied', now, { device: key, uri })
}
