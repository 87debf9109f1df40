/** One keyring of a restored database, brought to what a relay holds of it: never to more members, rules or uses than it had. */
import { equal, fromBase32, hex, type Bytes } from '../shared/bytes.ts'
import { versionInput } from '../shared/kdf.ts'
import {
  compareVersions,
  versionContext,
  type VersionEntry,
  type VersionId,
} from '../shared/manifest.ts'
import { orderOne } from './destroy.ts'
import { type HeldRing } from './held.ts'
import { insertKeyring } from './keyrings.ts'
import { appendLog } from './log.ts'
import { commit, type Root } from './root.ts'
import { listRoots } from './roots.ts'
import { type KeyringRow, type VersionRow, type VersionState } from './rows.ts'
import { changeRules } from './rules.ts'
import { markChanged, type Store } from './store.ts'
import { setVersionState } from './versions.ts'

/** What changes in a keyring. `what` is for a person. */
export interface RingChange {
  keyring: string
  kind:
    | 'keyring-found'
    | 'version-found'
    | 'version-lost'
    | 'version-withdrawn'
    | 'version-destroyed'
    | 'member-gone'
    | 'rule-gone'
    | 'rule-unknown'
  what: string
}

/** A version of a manifest that the database does not know; `root` is the number of the root that gives it, `null` where none does. */
export interface DerivedVersion {
  entry: VersionEntry
  root: number | null
}

const isSame = (a: VersionId, b: VersionId): boolean => compareVersions(a, b) === 0
const nameOf = ({ incarnation, version }: VersionId): string => `${incarnation}.${version}`

function versionsOf(store: Store, keyring: Bytes): VersionRow[] {
  return store.all<VersionRow>('SELECT * FROM versions WHERE keyring = ?', keyring)
}

/** Derives the versions that were made since the backup, from their manifests, with each root in turn. Throws what roots throw. */
export async function derivedVersions(
  store: Store,
  root: Root,
  tenant: string,
  rings: readonly HeldRing[],
): Promise<Map<string, DerivedVersion[]>> {
  const out = new Map<string, DerivedVersion[]>()
  const names = { tenant: fromBase32(tenant) }
  for (const { manifest } of rings) {
    const { keyring, kind, versions } = manifest
    const known = versionsOf(store, keyring)
    const found: DerivedVersion[] = []
    for (const entry of versions.filter((one) => !known.some((row) => isSame(row, one)))) {
      const context = versionContext({ ...names, keyring }, entry)
      let by: number | null = null
      for (const { number } of kind === 'erasable' ? [] : listRoots(store)) {
        const secret = await root.ask(versionInput(context, entry.nonce, new Uint8Array()), number)
        const id = commit(secret, context)
        secret.fill(0)
        if (equal(id, entry.keyId)) by = number
      }
      found.push({ entry, root: by })
    }
    out.set(hex(keyring), found)
  }
  return out
}

/** What a release says of a version that it still gives to somebody, or not. */
function stateOf({ release }: HeldRing, id: VersionId): VersionState {
  const isIn = (list: readonly VersionId[]): boolean => list.some((one) => isSame(one, id))
  if (isIn(release.compromised)) return isIn(release.skipped) ? 'skipped' : 'compromised'
  // Skipped and not compromised: it is being destroyed, or is.
  if (isIn(release.skipped)) return 'destroying'
  return isIn(release.deactivated) ? 'deactivated' : 'active'
}

function insertVersion(
  store: Store,
  ring: HeldRing,
  { entry, root }: { entry: VersionEntry; root: number },
  now: number,
): void {
  const { keyring } = ring.manifest
  const { incarnation, version } = entry
  const inBundle = ring.bundle.entries.find((one) => isSame(one, entry))
  appendLog(store, 'version-created', now, { keyring, incarnation, version })
  store.run(
    `INSERT INTO versions (keyring, incarnation, version, algorithm, nonce, salt, key_id, encrypt_from, encrypt_until, decrypt_until, state, committed,
       bundled, activated, root, sealed) VALUES (?, ?, ?, ?, ?, X'', ?, ?, ?, ?, ?, 1, 1, ?, ?, ?)`,
    keyring,
    incarnation,
    version,
    entry.algorithm,
    entry.nonce,
    entry.keyId,
    entry.encryptFrom,
    entry.encryptUntil,
    entry.decryptUntil,
    stateOf(ring, entry),
    entry.encryptFrom,
    root,
    inBundle?.sealed ?? null,
  )
}

/** A keyring that was made after the backup. Its name is sealed under a key whose salt is lost. */
function insertRing(store: Store, { manifest }: HeldRing, now: number): KeyringRow {
  const { keyring, rules, kind, offline, generationMaxAge } = manifest
  const name = `restored-${hex(keyring).slice(0, 8)}`
  insertKeyring(store, { name, rules, offline, generationMaxAge, id: keyring }, kind, now)
  return store.get<KeyringRow>('SELECT * FROM keyrings WHERE id = ?', keyring)!
}

/** Withdraws or destroys here what was withdrawn or destroyed there. */
function catchUpVersion(
  store: Store,
  { ring, row, one }: { ring: HeldRing; row: KeyringRow; one: VersionRow },
  retention: number,
  now: number,
): Omit<RingChange, 'keyring'> | null {
  const { keyring, incarnation, version } = one
  const state = stateOf(ring, one)
  const name = `${row.name}@${nameOf(one)}`
  const isOver = one.state === 'destroying' || one.state === 'destroyed'
  const signed = ring.manifest.versions.find((v) => isSame(v, one))
  if (isOver || state === one.state || signed === undefined) return null
  if (state === 'destroying') {
    if (row.kind !== 'erasable') return null
    // The backup may have had it before anybody derived it.
    if (one.key_id === null)
      store.run(
        'UPDATE versions SET key_id = ?, committed = 1 WHERE keyring = ? AND incarnation = ? AND version = ?',
        signed.keyId,
        keyring,
        incarnation,
        version,
      )
    orderOne(store, name, retention, now)
    return { kind: 'version-destroyed', what: `${name} was destroyed: it is again` }
  }
  if (state === 'active' || one.state === 'compromised' || one.state === 'skipped') return null
  if (state !== 'skipped') {
    const event = state === 'compromised' ? 'version-compromised' : 'version-retired'
    appendLog(store, event, now, { keyring, incarnation, version })
  }
  setVersionState(store, one, state)
  return { kind: 'version-withdrawn', what: `${name} is ${state}` }
}

/** Members whose package no cell is made for any more, there: they left, or have another package and ask again. */
function leave(store: Store, ring: HeldRing, row: KeyringRow, now: number): string[] {
  const members = store.all<{ key_id: Bytes; uri: string; package_hash: Bytes }>(
    'SELECT d.key_id, d.uri, d.package_hash FROM members m JOIN devices d ON d.key_id = m.device WHERE m.keyring = ?',
    row.id,
  )
  return members
    .filter(({ package_hash }) => !ring.members.has(hex(package_hash)))
    .map(({ key_id, uri }) => {
      // The new incarnation packs all that stay anew.
      store.run('DELETE FROM members WHERE keyring = ? AND device = ?', row.id, key_id)
      appendLog(store, 'member-removed', now, { keyring: row.id, device: key_id, uri })
      return uri
    })
}

/** Brings a keyring up to what a relay holds. Call it in a transaction, before the new incarnation is taken up. */
export function catchUpRing(
  store: Store,
  {
    ring,
    known,
    derived,
  }: { ring: HeldRing; known: KeyringRow | undefined; derived: readonly DerivedVersion[] },
  retention: number,
  now: number,
): RingChange[] {
  const row = known ?? insertRing(store, ring, now)
  const out: Omit<RingChange, 'keyring'>[] = []
  if (known === undefined)
    out.push({
      kind: 'keyring-found',
      what: `made since the backup; it is named ${row.name} until you name it`,
    })
  for (const { entry, root } of derived) {
    const name = `${row.name}@${nameOf(entry)}`
    if (root === null)
      out.push({
        kind: 'version-lost',
        what: `${name} is LOST: made since the backup, and no root gives it`,
      })
    else {
      insertVersion(store, ring, { entry, root }, now)
      out.push({
        kind: 'version-found',
        what: `${name} was made since the backup, and derived again`,
      })
    }
  }
  for (const one of known === undefined ? [] : versionsOf(store, row.id)) {
    const change = catchUpVersion(store, { ring, row, one }, retention, now)
    if (change !== null) out.push(change)
  }
  for (const uri of leave(store, ring, row, now))
    out.push({
      kind: 'member-gone',
      what: `${uri} is a member no more, or asks again with its present package`,
    })
  const rules = JSON.parse(row.rules) as string[]
  const gone = rules.filter((one) => !ring.manifest.rules.includes(one))
  for (const one of gone) out.push({ kind: 'rule-gone', what: `rule ${one} was taken away` })
  for (const one of ring.manifest.rules.filter((rule) => !rules.includes(rule)))
    out.push({
      kind: 'rule-unknown',
      what: `rule ${one} was added since: add it again if you want it`,
    })
  if (gone.length > 0) changeRules(store, row, { remove: gone }, now)
  if (out.length > 0) markChanged(store, row.id)
  return out.map((one) => ({ keyring: row.name, ...one }))
}
