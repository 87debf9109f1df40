/**
 * Destruction of versions of erasable keyrings (docs/PROTOCOL.md [deriver-10], "Destruction"): their salts go, with those of every key-encryption key and channel
 * key through which an archived bundle could still be opened. Here it is priced and ordered; carry-out.ts does it.
 */
import { hex, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { type DeviceRow } from './devices.ts'
import { appendLog } from './log.ts'
import { keyringsOf } from './members.ts'
import { type KeyringRow, type VersionRow } from './rows.ts'
import { markChanged, type Store } from './store.ts'
import { findVersion, moveOn, setVersionState } from './versions.ts'

/** A row of `destructions`. Times are seconds; those that are to come are 0, and so is `generation` before the keyring has left the one that bundled it. */
export interface DestructionRow {
  keyring: Bytes
  incarnation: number
  version: number
  ordered: number
  /** How long backups are kept. */
  retention: number
  generation: number
  erased: number
  scrubbed: number
  completes: number
  devices: number
  /** The signed record's envelope, once it is destroyed. */
  record: Bytes | null
}

/** What a destruction costs, stated before it is paid. */
export interface Price {
  /** Devices that are welcomed anew: one HPKE seal each. */
  devices: number
  /** Keyrings in which these devices stand. */
  keyrings: number
  /** Cells that are wrapped anew. */
  cells: number
  /** Bytes of welcomes that relays are sent, and each of these devices fetches one of. */
  welcomes: number
}

/** What destroying versions of these keyrings costs. */
export function priceOf(store: Store, keyrings: readonly Bytes[]): Price {
  const devices = new Map<string, DeviceRow>()
  for (const id of keyrings)
    for (const row of store.all<DeviceRow>(
      'SELECT d.* FROM held h JOIN devices d ON d.key_id = h.device WHERE h.keyring = ? AND length(d.channel_salt) > 0',
      id,
    ))
      devices.set(hex(row.key_id), row)
  const touched = new Map<string, Bytes>(keyrings.map((id) => [hex(id), id]))
  let [cells, members] = [0, 0]
  for (const { key_id } of devices.values()) {
    const own = keyringsOf(store, key_id)
    for (const id of own) touched.set(hex(id), id)
    cells += own.length
    if (own.length > 0) members++
  }
  const length = (one: DeviceRow): number =>
    store.get<{ n: number }>(
      'SELECT length(body) AS n FROM objects WHERE hash = ?',
      one.welcome_hash,
    )?.n ?? 0
  const welcomes = [...devices.values()].reduce((sum, one) => sum + length(one), 0)
  return { devices: members, keyrings: touched.size, cells, welcomes }
}

/** Throws `ERR_RECOVERABLE`, `ERR_EXISTS`, `ERR_CONFLICT` where a version cannot be destroyed. */
export function requireDestructible(text: string, ring: KeyringRow, row: VersionRow): void {
  if (ring.kind !== 'erasable')
    throw new KeyferryError(
      'ERR_RECOVERABLE',
      `${ring.name} is ${ring.kind}: the master secret gives its versions again, so that they cannot be destroyed`,
    )
  if (row.state === 'destroying' || row.state === 'destroyed')
    throw new KeyferryError('ERR_EXISTS', `${text} is being destroyed already`)
  if (row.key_id === null)
    throw new KeyferryError('ERR_CONFLICT', `${text} was not published yet: run keyferry run`)
}

/**
 * Orders the destruction of versions, named `notes@3`. Their own salts go at once; the rest is for carry-out.ts. `retention` is how long backups of the
 * database are kept, in seconds. Throws what `requireDestructible` throws, `ERR_NOT_FOUND`, `ERR_USAGE`; then nothing is done.
 */
export function orderDestruction(
  store: Store,
  texts: readonly string[],
  retention: number,
  now: number,
): void {
  store.transaction(() => {
    for (const text of texts) orderOne(store, text, retention, now)
  })
}

/** {@link orderDestruction} of one version. Call it in a transaction. */
export function orderOne(store: Store, text: string, retention: number, now: number): void {
  const { ring, row } = findVersion(store, text)
  requireDestructible(text, ring, row)
  const { id: keyring } = ring
  const { incarnation, version, key_id } = row
  const { devices } = priceOf(store, [keyring])
  appendLog(store, 'destruction-ordered', now, {
    keyring,
    incarnation,
    version,
    keyId: key_id!,
    retention,
  })
  // PROTOCOL [deriver-10]
  setVersionState(store, row, 'destroying')
  store.run(
    "UPDATE versions SET salt = X'' WHERE keyring = ? AND incarnation = ? AND version = ?",
    keyring,
    incarnation,
    version,
  )
  store.run(
    'INSERT INTO destructions VALUES (?, ?, ?, ?, ?, 0, 0, 0, 0, ?, NULL)',
    keyring,
    incarnation,
    version,
    now,
    retention,
    devices,
  )
  const isEncrypting = ring.encrypt_incarnation === incarnation && ring.encrypt_version === version
  if (isEncrypting) moveOn(store, keyring, now, false)
  markChanged(store, keyring)
}

/** Destructions of which a condition in SQL holds, in the order of versions. */
export function destructionsWhere(store: Store, where: string): DestructionRow[] {
  return store.all<DestructionRow>(
    `SELECT * FROM destructions WHERE ${where} ORDER BY keyring, incarnation, version`,
  )
}

/** All destructions, finished or not. */
export function listDestructions(store: Store): DestructionRow[] {
  return destructionsWhere(store, 'TRUE')
}
