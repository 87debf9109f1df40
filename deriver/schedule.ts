/** Rotation by the clock, and versions committed ahead of it (docs/PROTOCOL.md, "Deriver"). Needs no secret. */
import { KeyferryError } from '../shared/errors.ts'
import { findKeyring, type KeyringRow, type VersionRow } from './rows.ts'
import { markChanged, type Store } from './store.ts'
import { commitVersion, isAuthorityAway, moveOn, unusedVersions } from './versions.ts'

/** Unused versions below which `status` tells a person to call the authority, where its keys are elsewhere. */
export const FEW_VERSIONS = 8

/** The part of its cryptoperiod that a version has left when the next one takes over: time for whoever is offline. */
const overlap = (cryptoperiod: number): number => Math.floor(cryptoperiod / 10)

/** When the version that is encrypted under gives way to the next one. Seconds. */
export function rotationOf(
  { cryptoperiod, rotate_at }: Pick<KeyringRow, 'cryptoperiod' | 'rotate_at'>,
  { encrypt_until, activated }: Pick<VersionRow, 'encrypt_until' | 'activated'>,
): number {
  // One that an emergency activated early has its cryptoperiod and no more.
  const due = Math.min(encrypt_until, activated + cryptoperiod) - overlap(cryptoperiod)
  return Math.min(due, rotate_at ?? due)
}

/**
 * Lets a keyring rotate at a time, in seconds, or with `null` when it would by itself. Whatever rotates it before that ends the plan. Throws `ERR_USAGE` for a time that
 * is past or later than the rotation by itself, `ERR_NOT_FOUND`.
 */
export function planRotation(store: Store, name: string, at: number | null, now: number): number {
  return store.transaction(() => {
    const row = findKeyring(store, name)
    const present = encrypting(store, row)
    const byItself = present === undefined ? now : rotationOf({ ...row, rotate_at: null }, present)
    if (at !== null && (at <= now || at > byItself))
      throw new KeyferryError(
        'ERR_USAGE',
        at <= now
          ? 'that time is past: rotate without a time'
          : `${name} rotates by itself on ${new Date(byItself * 1000).toISOString()}, before that`,
      )
    store.run('UPDATE keyrings SET rotate_at = ? WHERE id = ?', at, row.id)
    return at ?? byItself
  })
}

function encrypting(store: Store, row: KeyringRow): VersionRow | undefined {
  return store.get<VersionRow>(
    'SELECT * FROM versions WHERE keyring = ? AND incarnation = ? AND version = ?',
    row.id,
    row.encrypt_incarnation,
    row.encrypt_version,
  )
}

/** Puts the next version into the bundle, so that clients have it when it is encrypted under. */
function bundleNext(store: Store, row: KeyringRow, now: number, due: number): void {
  const make = (): void => {
    if (!isAuthorityAway(store)) commitVersion(store, row.id, now, due + row.cryptoperiod)
  }
  if (unusedVersions(store, row.id, now, false).length === 0) make()
  const [next] = unusedVersions(store, row.id, now, false)
  if (next === undefined || next.bundled === 1) return
  store.run(
    'UPDATE versions SET bundled = 1 WHERE keyring = ? AND incarnation = ? AND version = ?',
    row.id,
    next.incarnation,
    next.version,
  )
  markChanged(store, row.id)
}

/**
 * Rotates the keyrings whose time has come, and bundles the next version of those whose time comes within `lead` seconds: a head's lifetime and the skew.
 * Returns the names of those that rotated. Call it from time to time.
 */
export function rotateDue(store: Store, now: number, lead: number): string[] {
  return store.transaction(() =>
    store.all<KeyringRow>('SELECT * FROM keyrings ORDER BY name').flatMap((row) => {
      const present = encrypting(store, row)
      const due = present === undefined ? 0 : rotationOf(row, present)
      const hasNext = (): boolean =>
        !isAuthorityAway(store) || unusedVersions(store, row.id, now, false).length > 0
      if (now > due) {
        // Without a next one it goes on with what it has.
        if (!hasNext()) return []
        moveOn(store, row.id, now, false)
        return [row.name]
      }
      // PROTOCOL [deriver-8]
      if (now >= due - lead) bundleNext(store, row, now, due)
      return []
    }),
  )
}

/** How many versions of a keyring are committed to, in their window, and unknown to everyone. */
export function countUnused(store: Store, row: KeyringRow, now: number): number {
  return unusedVersions(store, row.id, now, true).filter(({ committed }) => committed === 1).length
}

/**
 * Adds versions until `count` unused ones are there, each to be activated when the one before gives way. Their windows overlap: all are open from now on, so
 * that a removal can skip some without the authority. Call it in a transaction. Returns how many were added.
 */
export function commitAhead(store: Store, row: KeyringRow, now: number, count: number): number {
  const there = store.all<VersionRow>(
    "SELECT * FROM versions WHERE keyring = ? AND incarnation = ? AND state = 'pre-active' AND bundled = 0 AND encrypt_until > ? AND root = ?",
    row.id,
    store.counter('incarnation'),
    now,
    store.counter('root'),
  )
  const present = encrypting(store, row)
  let last = Math.max(now, present?.encrypt_until ?? 0, ...there.map((one) => one.encrypt_until))
  for (let i = there.length; i < count; i++) {
    last += row.cryptoperiod - overlap(row.cryptoperiod)
    commitVersion(store, row.id, now, last)
  }
  return Math.max(0, count - there.length)
}
