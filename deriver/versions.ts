/**
 * Key versions from one state of SP 800-57 to the next: committed ahead (pre-active), activated, retired, compromised. A version that was committed
 * is not yet given to anyone; it enters a bundle shortly before it is encrypted under.
 */
import { type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { ALGORITHM } from '../shared/manifest.ts'
import { appendLog } from './log.ts'
import { random } from './random.ts'
import { isFenced, requireUnfenced } from './restored.ts'
import { findKeyring, keyringRow, type KeyringRow, type VersionRow } from './rows.ts'
import { markChanged, type Store } from './store.ts'

/** Versions begin a little earlier than they are made, for clients whose clock is late. Seconds. */
const BACKDATE = 300

/** Whether the authority's keys are elsewhere: then only versions that a ceremony committed to are to be had. */
export function isAuthorityAway(store: Store): boolean {
  return store.counter('authority-away') === 1
}

/**
 * Adds a pre-active version whose window is open from now on until `until`, so that an emergency can have it early. Call it in a transaction.
 * Returns its number.
 */
export function commitVersion(store: Store, keyring: Bytes, now: number, until: number): number {
  // PROTOCOL [restore-1]
  requireUnfenced(store)
  const row = keyringRow(store, keyring)
  const incarnation = store.counter('incarnation')
  const last =
    store.get<{ v: number | null }>(
      'SELECT max(version) AS v FROM versions WHERE keyring = ?',
      keyring,
    )?.v ?? 0
  // PROTOCOL [deriver-1]
  const version = last + 1
  appendLog(store, 'version-created', now, { keyring, incarnation, version })
  store.run(
    `INSERT INTO versions (keyring, incarnation, version, algorithm, nonce, salt, encrypt_from, encrypt_until, decrypt_until, state, committed, bundled, activated, root)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'pre-active', 0, 0, 0, ?)`,
    keyring,
    incarnation,
    version,
    ALGORITHM,
    random(16),
    row.kind === 'erasable' ? random(32) : new Uint8Array(),
    now - BACKDATE,
    until,
    until + row.decrypt_period,
    store.counter('root'),
  )
  store.run('UPDATE keyrings SET number = number + 1 WHERE id = ?', keyring)
  markChanged(store, keyring)
  return version
}

/** Makes a version of the present incarnation the one to encrypt with, 0 for none. Call it in a transaction. */
function activateVersion(store: Store, keyring: Bytes, version: number, now: number): void {
  const incarnation = version === 0 ? 0 : store.counter('incarnation')
  appendLog(store, 'version-activated', now, { keyring, incarnation, version })
  store.run(
    "UPDATE versions SET state = 'active', bundled = 1, activated = ? WHERE keyring = ? AND incarnation = ? AND version = ?",
    now,
    keyring,
    incarnation,
    version,
  )
  store.run(
    'UPDATE keyrings SET encrypt_incarnation = ?, encrypt_version = ?, rotate_at = NULL WHERE id = ?',
    incarnation,
    version,
    keyring,
  )
  markChanged(store, keyring)
}

/** Adds a version and makes it the one to encrypt with. Call it in a transaction. Returns its number. */
export function addVersion(store: Store, keyring: Bytes, now: number): number {
  const { cryptoperiod } = keyringRow(store, keyring)
  const version = commitVersion(store, keyring, now, now + cryptoperiod)
  activateVersion(store, keyring, version, now)
  return version
}

/**
 * Versions that may be activated at `now`, lowest first; those alone that no bundle ever held, if `isFresh`. Versions of a root that is not in use any more are
 * the last resort of a deriver whose authority is elsewhere.
 */
export function unusedVersions(
  store: Store,
  keyring: Bytes,
  now: number,
  isFresh: boolean,
): VersionRow[] {
  const isAway = isAuthorityAway(store) ? 1 : 0
  const root = store.counter('root')
  return store.all<VersionRow>(
    `SELECT * FROM versions WHERE keyring = ? AND incarnation = ? AND state = 'pre-active' AND encrypt_from <= ? AND encrypt_until > ?
       AND bundled <= ? AND committed >= ? AND (root = ? OR ?) ORDER BY root = ? DESC, version`,
    keyring,
    store.counter('incarnation'),
    now,
    now,
    isFresh ? 0 : 1,
    isAway,
    root,
    isAway,
    root,
  )
}

/**
 * Moves encryption on: to the next version committed ahead, or to a new one where the authority is at hand. Where neither is to be had nothing is
 * encrypted any more (0). Call it in a transaction. Returns the version.
 */
export function moveOn(store: Store, keyring: Bytes, now: number, isFresh: boolean): number {
  const [next] = unusedVersions(store, keyring, now, isFresh)
  // Nor under a fence: what this incarnation gave out since the backup is not known.
  if (next === undefined && !isAuthorityAway(store) && !isFenced(store))
    return addVersion(store, keyring, now)
  activateVersion(store, keyring, next?.version ?? 0, now)
  return next?.version ?? 0
}

/** Versions that members may have had before they were used are never used: somebody is leaving with them. Call it in a transaction. */
export function skipBundled(store: Store, keyring: Bytes): void {
  // PROTOCOL [deriver-3]
  store.run(
    "UPDATE versions SET state = 'skipped' WHERE keyring = ? AND state = 'pre-active' AND bundled = 1",
    keyring,
  )
}

/** Versions committed ahead are never used: what comes next is of another root, or of other imported bytes. Call it in a transaction. */
export function skipUnused(store: Store, keyring: Bytes): void {
  store.run(
    "UPDATE versions SET state = 'skipped' WHERE keyring = ? AND state = 'pre-active'",
    keyring,
  )
}

/** Makes the next version of a keyring the one to encrypt with; the others go on decrypting. Throws `ERR_NOT_FOUND`, `ERR_KEY_VERSION`, `ERR_ROLLBACK` under the fence of a restore. */
export function rotateKeyring(store: Store, name: string, now: number): number {
  return store.transaction(() => {
    requireUnfenced(store)
    const { id } = findKeyring(store, name)
    if (isAuthorityAway(store) && unusedVersions(store, id, now, false).length === 0)
      throw new KeyferryError(
        'ERR_KEY_VERSION',
        `no unused version of ${name} is committed: the authority has to sign a catalog`,
      )
    return moveOn(store, id, now, false)
  })
}

/** `notes@3`, or `notes@2.3` for version 3 of incarnation 2: the keyring and the version. Throws `ERR_USAGE`, `ERR_NOT_FOUND`. */
export function findVersion(store: Store, text: string): { ring: KeyringRow; row: VersionRow } {
  const [, name, incarnation, version] = /^(.+)@(?:(\d{1,10})\.)?(\d{1,10})$/.exec(text) ?? []
  if (name === undefined)
    throw new KeyferryError('ERR_USAGE', `a version is named NAME@VERSION: ${text}`)
  const ring = findKeyring(store, name)
  // Version numbers go on rising across incarnations.
  const row = store.get<VersionRow>(
    'SELECT * FROM versions WHERE keyring = ? AND version = ? AND incarnation = coalesce(?, incarnation) ORDER BY incarnation DESC',
    ring.id,
    Number(version),
    incarnation === undefined ? null : Number(incarnation),
  )
  if (row === undefined)
    throw new KeyferryError('ERR_NOT_FOUND', `no version ${version} of ${name}`)
  return { ring, row }
}

const isEncrypting = (ring: KeyringRow, row: VersionRow): boolean =>
  ring.encrypt_incarnation === row.incarnation && ring.encrypt_version === row.version

/** States from which a version can still become deactivated, compromised. */
const BEFORE: Record<'deactivated' | 'compromised', readonly string[]> = {
  deactivated: ['pre-active', 'active'],
  compromised: ['pre-active', 'active', 'deactivated', 'skipped'],
}

/**
 * Deactivates a version, or marks it compromised: it decrypts, and never encrypts again. Where it was the one to encrypt with, the next one takes its place.
 * Throws `ERR_NOT_FOUND`, `ERR_EXISTS` where it is so far already. Returns the version to encrypt with, 0 for none.
 */
export function withdrawVersion(
  store: Store,
  text: string,
  state: 'deactivated' | 'compromised',
  now: number,
): number {
  return store.transaction(() => {
    const { ring, row } = findVersion(store, text)
    const { id: keyring } = ring
    if (!BEFORE[state].includes(row.state))
      throw new KeyferryError('ERR_EXISTS', `${text} is ${row.state} already`)
    const event = state === 'compromised' ? 'version-compromised' : 'version-retired'
    const { incarnation, version } = row
    appendLog(store, event, now, { keyring, incarnation, version })
    setVersionState(store, row, state)
    markChanged(store, keyring)
    return isEncrypting(ring, row) ? moveOn(store, keyring, now, false) : ring.encrypt_version
  })
}

export function setVersionState(
  store: Store,
  { keyring, incarnation, version }: Pick<VersionRow, 'keyring' | 'incarnation' | 'version'>,
  state: VersionRow['state'],
): void {
  store.run(
    'UPDATE versions SET state = ? WHERE keyring = ? AND incarnation = ? AND version = ?',
    state,
    keyring,
    incarnation,
    version,
  )
}
