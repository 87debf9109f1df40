/**
 * Destructions carried out (docs/PROTOCOL.md [deriver-10], "Destruction"), after they were ordered by destroy.ts. Each step is a transaction that leaves the next
 * one to be done, by whichever process comes.
 */
import { equal, hex, type Bytes } from '../shared/bytes.ts'
import { destructionEnd, verifyDestruction } from '../shared/destruction.ts'
import { encodeEnvelope, signWithCertificate } from '../shared/envelope.ts'
import { documentHash } from '../shared/document-hash.ts'
import { isKeyferryError } from '../shared/errors.ts'
import { sha256 } from '../shared/hash.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { parsedCrls } from './crls.ts'
import { destructionsWhere, type DestructionRow } from './destroy.ts'
import { mayStay, rewelcome, saveDevice, type DeviceRow } from './devices.ts'
import { appendLog } from './log.ts'
import { joinAll, keyringsOf, removeDevices, renewGeneration, type Deriving } from './members.ts'
import { putObject } from './objects.ts'
import { type PublishKeys } from './publish.ts'
import { type Root } from './root.ts'
import { type VersionRow } from './rows.ts'
import { eraseCopies } from './snapshot.ts'
import { markChanged, type Store } from './store.ts'
import { setVersionState } from './versions.ts'

/** How many devices are welcomed anew in one transaction. */
const BATCH = 64

/** Puts an end to the generations that bundled the version. */
async function leaveGenerations(store: Store, deriving: Deriving, now: number): Promise<void> {
  if (destructionsWhere(store, 'generation = 0').length === 0) return
  await deriving.root.transaction(store, () => {
    const keyrings = new Map(
      destructionsWhere(store, 'generation = 0').map(({ keyring }) => [hex(keyring), keyring]),
    )
    for (const id of keyrings.values()) {
      renewGeneration(store, deriving, id, now, (one) => mayStay(store, one, now))
      store.run(
        'UPDATE destructions SET generation = (SELECT generation FROM keyrings WHERE id = ?1) WHERE keyring = ?1 AND generation = 0',
        id,
      )
    }
  })
}

/** Devices whose channel key opens a cell of a generation that bundled what is being destroyed. */
function holders(store: Store): DeviceRow[] {
  return store.all<DeviceRow>(
    `SELECT * FROM devices d WHERE length(channel_salt) > 0 AND EXISTS (
       SELECT 1 FROM held h JOIN destructions x ON x.keyring = h.keyring
       WHERE h.device = d.key_id AND x.erased = 0 AND h.generation < x.generation
     ) ORDER BY key_id LIMIT ?`,
    BATCH,
  )
}

/** The channel salt of a device that needs none goes; with its next request it is welcomed anew. Call it in a transaction. */
function forgetChannel(store: Store, device: Bytes): void {
  store.run("UPDATE devices SET channel_salt = X'' WHERE key_id = ?", device)
  store.run('DELETE FROM held WHERE device = ?', device)
}

/** Gives some devices another channel, in all their keyrings. */
async function rewelcomeSome(
  store: Store,
  deriving: Deriving,
  devices: readonly DeviceRow[],
  now: number,
): Promise<void> {
  const made = await Promise.all(
    devices.map((one) =>
      keyringsOf(store, one.key_id).length === 0
        ? Promise.resolve(null)
        : rewelcome(deriving.root, store.counter('root'), deriving.tenant, one),
    ),
  )
  await deriving.root.transaction(store, () => {
    const fresh: DeviceRow[] = []
    for (const [i, device] of devices.entries()) {
      const known = store.get<DeviceRow>('SELECT * FROM devices WHERE key_id = ?', device.key_id)
      // A new package came meanwhile, or another process was faster.
      if (known === undefined || !equal(known.channel_salt, device.channel_salt)) continue
      const one = made[i]
      if (one == null) {
        // Of a row of an earlier format the key to seal to is not known: such a device has to ask again.
        if (keyringsOf(store, device.key_id).length > 0)
          removeDevices(store, deriving, [device], now)
        forgetChannel(store, device.key_id)
        continue
      }
      saveDevice(store, one.row)
      putObject(store, one.made.welcome)
      fresh.push(one.row)
    }
    const keyrings = new Map<string, { id: Bytes; of: DeviceRow[] }>()
    for (const device of fresh)
      for (const id of keyringsOf(store, device.key_id)) {
        const one = keyrings.get(hex(id)) ?? { id, of: [] }
        one.of.push(device)
        keyrings.set(hex(id), one)
      }
    for (const { id, of } of keyrings.values()) joinAll(store, deriving, id, of, now)
  })
}

/** Erases the salts of the generations that are left, once no channel key opens a cell of them any more. */
function eraseGenerations(store: Store, skew: number, now: number): void {
  store.transaction(() => {
    if (holders(store).length > 0) return
    for (const row of destructionsWhere(store, 'generation > 0 AND erased = 0')) {
      const { keyring, incarnation, version, generation, retention } = row
      const completes = destructionEnd(now, retention, skew)
      appendLog(store, 'salts-erased', now, { keyring, incarnation, version, completes })
      // PROTOCOL [deriver-10]
      store.run(
        "UPDATE generations SET salt = X'' WHERE keyring = ? AND generation < ?",
        keyring,
        generation,
      )
      store.run(
        'UPDATE destructions SET erased = ?, completes = ? WHERE keyring = ? AND incarnation = ? AND version = ?',
        now,
        completes,
        keyring,
        incarnation,
        version,
      )
    }
  })
}

/** Keys that were erased go from the memory of every process, too. */
function forgetErased(store: Store, root: Root): void {
  const { n } = store.get<{ n: number }>('SELECT count(*) AS n FROM destructions WHERE erased > 0')!
  root.forget(n)
}

/**
 * Writes the database anew and empties its write-ahead log, so that no page of either still holds what was erased. Returns false while another process reads an
 * older state: then the next call does it.
 */
function scrub(store: Store): boolean {
  try {
    store.run('VACUUM main')
    const { busy } = store.get<{ busy: number }>('PRAGMA main.wal_checkpoint(TRUNCATE)')!
    return busy === 0
  } catch (error) {
    // SQLITE_BUSY: somebody else is at work.
    if ((error as { errcode?: number }).errcode === 5) return false
    throw error
  }
}

/** Signs the records of what is destroyed by now. Returns what is. */
async function complete(
  store: Store,
  { signer }: PublishKeys,
  trust: TrustDocument,
  now: number,
): Promise<DestructionRow[]> {
  const due = destructionsWhere(store, 'scrubbed = 1 AND record IS NULL').filter(
    (one) => now >= one.completes,
  )
  const destroyed: DestructionRow[] = []
  const { key, certificates } = signer
  for (const row of due) {
    const { keyring, incarnation, version } = row
    const { key_id } = store.get<VersionRow>(
      'SELECT * FROM versions WHERE keyring = ? AND incarnation = ? AND version = ?',
      keyring,
      incarnation,
      version,
    )!
    const body = {
      completedAt: now,
      erasedAt: row.erased,
      keyId: key_id!,
      keyring,
      orderedAt: row.ordered,
      retention: row.retention,
      signer: sha256(certificates[0]!),
      tenant: trust.tenant,
      version: { incarnation, version },
    }
    const record = await signWithCertificate('destruction', body, key, certificates)
    try {
      await verifyDestruction(record, { trust, crls: parsedCrls(store) })
    } catch (error) {
      // With a certificate or a list that is about to be renewed nobody would believe it: the next call signs another one.
      if (!isKeyferryError(error)) throw error
      continue
    }
    destroyed.push(row)
    store.transaction(() => {
      appendLog(store, 'version-destroyed', now, {
        keyring,
        incarnation,
        version,
        keyId: key_id!,
        record: documentHash(record),
      })
      setVersionState(store, row, 'destroyed')
      store.run(
        'UPDATE destructions SET record = ? WHERE keyring = ? AND incarnation = ? AND version = ?',
        encodeEnvelope(record),
        keyring,
        incarnation,
        version,
      )
      markChanged(store)
    })
  }
  return destroyed
}

/** How far the destructions are. */
export interface Progress {
  /** Devices that were welcomed anew by this call. */
  rewelcomed: number
  /** Versions whose salts are erased by now. */
  erased: DestructionRow[]
  /** Versions that are destroyed by now. */
  destroyed: DestructionRow[]
}

/**
 * Carries destructions on as far as they can go now; it may be cut off anywhere and is then taken up again. `progress` is told of devices welcomed anew.
 * The date of the end counts from the second at which the last salt was erased.
 */
export async function carryOut(
  store: Store,
  keys: PublishKeys,
  trust: TrustDocument,
  now: number,
  progress: (rewelcomed: number) => void = () => {},
): Promise<Progress> {
  const done: Progress = { rewelcomed: 0, erased: [], destroyed: [] }
  forgetErased(store, keys.root)
  if (destructionsWhere(store, 'record IS NULL').length === 0) return done
  const deriving = { root: keys.root, tenant: trust.tenant }
  await leaveGenerations(store, deriving, now)
  for (let some = holders(store); some.length > 0; some = holders(store)) {
    await rewelcomeSome(store, deriving, some, now)
    done.rewelcomed += some.length
    progress(done.rewelcomed)
  }
  if (destructionsWhere(store, 'generation > 0 AND erased = 0').length > 0)
    eraseGenerations(store, trust.body.skew, now)
  forgetErased(store, keys.root)
  const unscrubbed = destructionsWhere(store, 'erased > 0 AND scrubbed = 0')
  // A copy that a backup has beside the database may be of before.
  if (unscrubbed.length > 0 && eraseCopies(store) && scrub(store)) {
    done.erased = unscrubbed
    for (const { keyring, incarnation, version } of unscrubbed)
      store.run(
        'UPDATE destructions SET scrubbed = 1 WHERE keyring = ? AND incarnation = ? AND version = ?',
        keyring,
        incarnation,
        version,
      )
  }
  done.destroyed = await complete(store, keys, trust, now)
  return done
}
