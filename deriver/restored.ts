/**
 * The fence of a deriver that was restored from a backup: what it does not know any more must not be undone. Numbers in `meta`: `restored` is the newest incarnation
 * that is known to have been in use, 0 without a fence, `restored-at` when, in seconds, `caught-up` whether relays were asked, and `listed-again-…` when a CA's list
 * was last seen.
 */
import { hex, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { dropAccess } from './console/access.ts'
import { type Store } from './store.ts'

const listName = (issuer: Bytes): string => `listed-again-${hex(issuer)}`

/** Puts up the fence. Call it in the transaction that restores. */
export function noteRestored(store: Store, now: number): void {
  store.set('restored', store.counter('incarnation'))
  store.set('restored-at', now)
  store.set('caught-up', 0)
  store.run("DELETE FROM meta WHERE name LIKE 'listed-again-%'")
  // Whoever was let out of the console since the backup is not let in again; and no service of that day runs.
  dropAccess(store)
  store.run('DELETE FROM conditions')
  store.run('UPDATE lease SET until = 0')
}

/** Whether the fence of a restore is up. */
export function isFenced(store: Store): boolean {
  return store.counter('restored') > 0
}

/** Notes that a CA's list came from outside since the restore. */
export function noteListed(store: Store, issuer: Bytes, now: number): void {
  if (isFenced(store)) store.set(listName(issuer), now)
}

/** Notes that a person has taken in what relays know, up to an incarnation, and confirmed what they do not. */
export function noteCaughtUp(store: Store, incarnation: number): void {
  store.set('restored', Math.max(store.counter('restored'), incarnation))
  store.set('caught-up', 1)
}

/** Issuers of lists in force that nobody has seen since the restore. */
function staleIssuers(store: Store): Bytes[] {
  const since = store.counter('restored-at')
  return store
    .all<{ issuer: Bytes }>('SELECT issuer FROM crls ORDER BY issuer')
    .map(({ issuer }) => new Uint8Array(issuer))
    .filter((issuer) => store.counter(listName(issuer)) < since)
}

/** Throws `ERR_ROLLBACK` under a fence: numbers that were given out since the backup would be given out again. */
export function requireUnfenced(store: Store): void {
  if (!isFenced(store)) return
  throw new KeyferryError(
    'ERR_ROLLBACK',
    'this database was restored from a backup: no version is made before its incarnation was raised',
    { hint: 'keyferry catch-up, then trust propose --raise-incarnation' },
  )
}

/**
 * Throws `ERR_ROLLBACK` in a restored database before relays were asked what happened since the backup: whatever the authority and built-in CAs signed then has
 * the numbers that come next here.
 */
export function requireCaughtUp(store: Store): void {
  if (!isFenced(store) || store.counter('caught-up') > 0) return
  throw new KeyferryError(
    'ERR_ROLLBACK',
    'this database was restored from a backup, and relays were not asked what happened since',
    { hint: 'keyferry catch-up' },
  )
}

/** What keeps a restored database from signing, in words; `null` where nothing does. */
export function fenceProblem(store: Store): string | null {
  if (!isFenced(store)) return null
  const next =
    store.counter('caught-up') > 0
      ? 'its incarnation is raised (trust propose --raise-incarnation)'
      : 'keyferry catch-up'
  return `restored from a backup: signs nothing before ${next}`
}

/**
 * Throws where something is missing before the fence can come down: `ERR_ROLLBACK` before relays were asked what happened since the backup and while the trust document
 * is of an incarnation that was in use, `ERR_CRL` for a list that is still the one of the backup.
 */
export function requireTakenUp(store: Store, { body }: TrustDocument): void {
  if (!isFenced(store)) return
  // PROTOCOL [restore-2]
  requireCaughtUp(store)
  // PROTOCOL [restore-3]
  const [stale] = staleIssuers(store)
  if (stale !== undefined)
    throw new KeyferryError(
      'ERR_CRL',
      `the list of issuer ${hex(stale).slice(0, 16)} is the one of the backup: who was revoked since is not known`,
      { hint: 'keyferry crl import FILE, with the list that this CA has published last' },
    )
  // PROTOCOL [restore-1]
  if (body.incarnation <= store.counter('restored'))
    throw new KeyferryError(
      'ERR_ROLLBACK',
      `incarnation ${body.incarnation} was in use before this database was restored: it needs a new one`,
      { hint: 'keyferry trust propose --raise-incarnation, then trust sign and trust publish' },
    )
}

/** Takes the fence down. Call it in the transaction that takes up the new incarnation: numbers of the one before are not to be given out in between. */
export function takeFenceDown(store: Store): void {
  store.set('restored', 0)
}
