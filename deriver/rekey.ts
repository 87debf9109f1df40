/**
 * A device whose state may have leaked (docs/PROTOCOL.md [deriver-11]): first another key package, with another channel key, then another generation of every
 * keyring that it is in. Neither alone helps.
 */
import { equal, hex, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { mayStay, type DeviceRow } from './devices.ts'
import { appendLog } from './log.ts'
import { keyringsOf, renewGeneration, type Deriving } from './members.ts'
import { REPEAT, type Word } from './refusals.ts'
import { keyringRow } from './rows.ts'
import { markChanged, type Store } from './store.ts'

interface RekeyRow {
  device: Bytes
  /** The package that is to go. */
  package_hash: Bytes
  /** Seconds. */
  ordered: number
  told: number
}

/** A device that is being re-keyed. */
export interface Rekey {
  uri: string
  /** Hex. */
  keyId: string
  /** Seconds. */
  ordered: number
}

/** Orders new packages of devices, by URI or by the first digits of a key id in hex. Throws `ERR_NOT_FOUND`, `ERR_USAGE`. */
export function orderRekey(
  store: Store,
  who: { uri: string } | { device: string },
  now: number,
): Rekey[] {
  if ('device' in who && !/^[0-9a-f]{8,64}$/.test(who.device))
    throw new KeyferryError('ERR_USAGE', 'a device is named by 8 to 64 digits of its key id')
  return store.transaction(() => {
    const found = store
      .all<DeviceRow>('SELECT * FROM devices WHERE key_id IN (SELECT device FROM members)')
      .filter((one) =>
        'uri' in who ? one.uri === who.uri : hex(one.key_id).startsWith(who.device),
      )
    if (found.length === 0) throw new KeyferryError('ERR_NOT_FOUND', 'no member to be re-keyed')
    if ('device' in who && found.length > 1)
      throw new KeyferryError(
        'ERR_USAGE',
        `several keys begin with ${who.device}: give more digits`,
      )
    for (const { key_id, uri, package_hash } of found) {
      appendLog(store, 'rekey-ordered', now, { device: key_id, uri, package: package_hash })
      store.run('INSERT OR REPLACE INTO rekeys VALUES (?, ?, ?, 0)', key_id, package_hash, now)
    }
    markChanged(store)
    return found.map(({ uri, key_id }) => ({ uri, keyId: hex(key_id), ordered: now }))
  })
}

function deviceOf(store: Store, { device }: RekeyRow): DeviceRow | undefined {
  return store.get<DeviceRow>('SELECT * FROM devices WHERE key_id = ?', device)
}

function rows(store: Store): RekeyRow[] {
  return store.all<RekeyRow>('SELECT * FROM rekeys ORDER BY ordered, device')
}

/** Devices of which the new package, or the new generation, is still to come. */
export function listRekeys(store: Store): Rekey[] {
  return rows(store).map((row) => ({
    uri: deviceOf(store, row)?.uri ?? '',
    keyId: hex(row.device),
    ordered: row.ordered,
  }))
}

/** Demands for new packages that are to be said, again and again until they are met. */
export function dueDemands(store: Store, now: number): { word: Word; isTold: () => void }[] {
  return rows(store).flatMap((row) => {
    const device = deviceOf(store, row)
    const [keyring] = keyringsOf(store, row.device)
    const isMet = device === undefined || !equal(device.package_hash, row.package_hash)
    if (isMet || keyring === undefined || now < row.told + REPEAT) return []
    const word: Word = {
      keyring,
      kind: 'package',
      nonce: new Uint8Array(),
      release: device.package_hash,
      reason: 'the keys of this device are to be replaced',
      recipient: device.fingerprint,
    }
    const isTold = (): void =>
      store.run('UPDATE rekeys SET told = ? WHERE device = ?', now, row.device)
    return [{ word, isTold }]
  })
}

/** Begins new generations for devices whose new package has come. Returns what was finished, with the names of the keyrings. */
export async function finishRekeys(
  store: Store,
  deriving: Deriving,
  now: number,
): Promise<{ uris: string[]; keyrings: string[] }> {
  const isDone = (row: RekeyRow): boolean => {
    const device = deviceOf(store, row)
    const isMember = device !== undefined && keyringsOf(store, row.device).length > 0
    // Who left has no cell of the next generation anyway.
    return !isMember || !equal(device.package_hash, row.package_hash)
  }
  if (!rows(store).some(isDone)) return { uris: [], keyrings: [] }
  return deriving.root.transaction(store, () => {
    const done = rows(store).filter(isDone)
    const keyrings = new Map(
      done.flatMap(({ device }) => keyringsOf(store, device).map((id) => [hex(id), id] as const)),
    )
    for (const { device } of done) appendLog(store, 'device-rekeyed', now, { device })
    // PROTOCOL [deriver-11]
    for (const id of keyrings.values())
      renewGeneration(store, deriving, id, now, (one) => mayStay(store, one, now))
    const uris = done.map((row) => deviceOf(store, row)?.uri ?? hex(row.device))
    for (const { device } of done) store.run('DELETE FROM rekeys WHERE device = ?', device)
    return { uris, keyrings: [...keyrings.values()].map((id) => keyringRow(store, id).name) }
  })
}
