/**
 * Manifest, bundle and release of a keyring, and the trees over all keyrings, as objects for the relay. What a keyring costs here does not depend on
 * its members.
 */
import { createSecretKey } from 'node:crypto'
import {
  decodeBundle,
  encodeBundle,
  encodeName,
  MEMBER_LEAF,
  type BundleEntry,
} from '../shared/bundle.ts'
import { equal, fromBase32, hex, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { sha256 } from '../shared/hash.ts'
import { encodeJson } from '../shared/json.ts'
import {
  compareVersions,
  encodeManifest,
  KEYRING_LEAF,
  keyringLeaf,
  type VersionId,
} from '../shared/manifest.ts'
import { releaseLeaf } from '../shared/log.ts'
import { decodeRelease, type Release } from '../shared/release.ts'
import { buildTree, type TreeHead } from '../shared/tree.ts'
import { wrapKey, wrapKeys } from './key-wrap.ts'
import { appendLeaf, appendLog } from './log.ts'
import { currentKek } from './members.ts'
import { putObject, treePages } from './objects.ts'
import { type Root } from './root.ts'
import { keyringRow, type KeyringRow, type VersionRow, type VersionState } from './rows.ts'
import { type Store } from './store.ts'
import { commitVersions, withSecrets, type Secrets } from './version-secrets.ts'
import { isAuthorityAway } from './versions.ts'

type Version = Omit<VersionRow, 'activated'>

/** Index of a release's entry in the log: that of the last release where nothing changed, or of a new one. */
function logIndex(store: Store, row: KeyringRow, contents: Omit<Release, 'log'>): number {
  const leaf = releaseLeaf(contents)
  const last =
    row.release === null
      ? undefined
      : store.get<{ body: Bytes }>('SELECT body FROM objects WHERE hash = ?', row.release)
  if (last !== undefined) {
    const before = decodeRelease(new Uint8Array(last.body))
    if (equal(releaseLeaf(before), leaf)) return before.log
  }
  // PROTOCOL [log-2]
  return appendLeaf(store, leaf)
}

const NO_SALT = new Uint8Array()

const NONCE = 16

/** What a manifest and a bundle are made of. Bytes cost the most to read: the nonces come as one, the same keyring and salts that versions do not have are left out. */
function versionsOf(store: Store, keyring: Bytes): Version[] {
  const rows = store.all<Version>(
    `SELECT incarnation, version, algorithm, nullif(salt, x'') AS salt, key_id, encrypt_from, encrypt_until,
       decrypt_until, state, root, sealed, committed, bundled
       FROM versions WHERE keyring = ? ORDER BY incarnation, version`,
    keyring,
  )
  const { nonces } = store.get<{ nonces: Bytes | null }>(
    `SELECT CAST(group_concat(nonce, '' ORDER BY incarnation, version) AS BLOB) AS nonces
       FROM versions WHERE keyring = ?`,
    keyring,
  )!
  if ((nonces?.length ?? 0) !== NONCE * rows.length)
    throw new KeyferryError('ERR_STATE', 'a version of a keyring is not whole')
  for (const [i, row] of rows.entries()) {
    row.keyring = keyring
    row.salt ??= NO_SALT
    row.nonce = nonces!.subarray(NONCE * i, NONCE * (i + 1))
  }
  return rows
}

/** The manifest of a keyring as its rows have it, signed or not. Call it in a transaction. */
export function draftManifest(store: Store, root: Root, tenant: string, id: Bytes): Bytes {
  const names = { tenant: fromBase32(tenant), keyring: id }
  return withSecrets(root, names, (secrets) => manifestOf(store, secrets, versionsOf(store, id)))
}

function manifestOf(store: Store, secrets: Secrets, rows: readonly Version[]): Bytes {
  const { names } = secrets
  const row = keyringRow(store, names.keyring)
  commitVersions(store, secrets, row.kind, rows)
  return encodeManifest({
    ...names,
    number: row.number,
    kind: row.kind,
    offline: row.offline,
    generationMaxAge: row.generation_max_age,
    rules: JSON.parse(row.rules) as string[],
    versions: rows.map((v) => ({
      incarnation: v.incarnation,
      version: v.version,
      algorithm: v.algorithm,
      encryptFrom: v.encrypt_from,
      encryptUntil: v.encrypt_until,
      decryptUntil: v.decrypt_until,
      nonce: v.nonce,
      keyId: v.key_id!,
      ...(v.sealed !== null && { importHash: sha256(new Uint8Array(v.sealed)) }),
    })),
  })
}

/** States in which nobody is given a version any more. */
const UNUSED: readonly VersionState[] = ['skipped', 'destroying', 'destroyed']

/** Entries of the last bundle, if it is of the present generation: AES-KW makes of the same key the same bytes, and no root has to be asked. */
function wrappedBefore(store: Store, row: KeyringRow): BundleEntry[] {
  const last =
    row.bundle === null
      ? undefined
      : store.get<{ body: Bytes }>('SELECT body FROM objects WHERE hash = ?', row.bundle)
  if (last === undefined) return []
  const { generation, entries } = decodeBundle(new Uint8Array(last.body))
  return generation === row.generation ? entries : []
}

const nameOf = ({ incarnation, version }: VersionId): string => `${incarnation}.${version}`

/** Who is given which versions: the bundle of the present generation. Both lists of versions rise. */
function makeBundle(
  store: Store,
  secrets: Secrets,
  row: KeyringRow,
  versions: readonly Version[],
  tenant: string,
): Bytes {
  const kek = currentKek(store, { root: secrets.root, tenant }, row.id)
  const wrapping = createSecretKey(kek)
  const before = wrappedBefore(store, row)
  let at = 0
  const known = versions.map((version) => {
    while (before[at] !== undefined && compareVersions(before[at]!, version) < 0) at++
    const entry = before[at]
    return entry !== undefined && compareVersions(entry, version) === 0 ? entry.wrapped : undefined
  })
  const fresh = versions.filter((_, i) => known[i] === undefined)
  const wrapped = wrapKeys(
    wrapping,
    fresh.map((version) => secrets.of(version)),
  )
  at = 0
  const entries = versions.map(({ incarnation, version, sealed }, i): BundleEntry => {
    const entry = { incarnation, version, wrapped: known[i] ?? wrapped[at++]! }
    return sealed === null ? entry : { ...entry, sealed: new Uint8Array(sealed) }
  })
  const name = wrapKey(wrapping, encodeName(row.name))
  kek.fill(0)
  const incarnation = store.counter('incarnation')
  return encodeBundle({ keyring: row.id, incarnation, generation: row.generation, name, entries })
}

/**
 * Builds manifest, bundle and release of one keyring; without the authority's keys, bundle and release under the manifest that it signed last. A keyring
 * of which it never signed one waits for it. Call it in a transaction.
 */
export function publishKeyring(
  store: Store,
  root: Root,
  tenant: string,
  id: Bytes,
  now: number,
): void {
  const names = { tenant: fromBase32(tenant), keyring: id }
  withSecrets(root, names, (secrets) => publishWith(store, secrets, tenant, now))
}

function publishWith(store: Store, secrets: Secrets, tenant: string, now: number): void {
  const id = secrets.names.keyring
  const isAway = isAuthorityAway(store)
  const row = keyringRow(store, id)
  if (isAway && row.manifest === null) {
    store.run('UPDATE keyrings SET dirty = 0 WHERE id = ?', id)
    return
  }
  // PROTOCOL [deriver-9]
  const all = versionsOf(store, id)
  const manifest = isAway
    ? new Uint8Array(row.manifest!)
    : putObject(store, manifestOf(store, secrets, all))
  if (!isAway)
    store.run('UPDATE versions SET committed = 1 WHERE keyring = ? AND committed = 0', id)
  const rows = isAway ? all.filter(({ committed }) => committed === 1) : all
  const given = rows.filter(
    (v) => v.bundled === 1 && !UNUSED.includes(v.state) && v.decrypt_until >= now,
  )
  const bundle = putObject(store, makeBundle(store, secrets, row, given, tenant))
  const incarnation = store.counter('incarnation')
  const { generation } = row
  if (row.bundle === null || !equal(row.bundle, bundle)) {
    const versions = given.map(nameOf).join(' ')
    appendLog(store, 'bundle-made', now, { bundle, generation, incarnation, keyring: id, versions })
  }
  const idsOf = (isIn: (v: Version) => boolean): { incarnation: number; version: number }[] =>
    rows.filter(isIn).map((v) => ({ incarnation: v.incarnation, version: v.version }))
  const contents: Omit<Release, 'log'> = {
    bundle,
    // One that was skipped although members may have it is as good as known.
    compromised: idsOf((v) => v.state === 'compromised' || v.state === 'skipped'),
    deactivated: idsOf((v) => v.state === 'deactivated'),
    encrypt: { incarnation: row.encrypt_incarnation, version: row.encrypt_version },
    generation,
    incarnation,
    keyring: id,
    manifest,
    members: members(store, row),
    skipped: idsOf((v) => UNUSED.includes(v.state)),
    tenant,
  }
  const release: Release = { ...contents, log: logIndex(store, row, contents) }
  const releaseHash = putObject(store, encodeJson(release))
  store.run(
    'UPDATE keyrings SET dirty = 0, manifest = ?, bundle = ?, release = ? WHERE id = ?',
    release.manifest,
    release.bundle,
    releaseHash,
    id,
  )
}

function members(store: Store, row: KeyringRow): TreeHead {
  if (row.members_index !== null && row.members_root !== null) {
    return { index: row.members_index, root: row.members_root, size: row.members_size }
  }
  const empty = buildTree([], MEMBER_LEAF)
  putObject(store, empty.index)
  return empty.head
}

/** Builds the trees over one hash per keyring and puts their objects out for pushing. Call it when a keyring was published. */
export function publishTrees(store: Store): void {
  for (const column of ['manifest', 'release'] as const) {
    const rows = store.all<{ id: Bytes; hash: Bytes }>(
      `SELECT id, ${column} AS hash FROM keyrings WHERE ${column} IS NOT NULL ORDER BY id`,
    )
    const tree = buildTree(
      rows.map((row) => keyringLeaf(row.id, row.hash)),
      KEYRING_LEAF,
    )
    // Pages of the tree before are at the relay, and stay there while a head names them.
    const before = new Set(treePages(store, column).map(hex))
    const pages = tree.pages.filter((page) => !before.has(hex(sha256(page))))
    for (const object of [tree.index, ...pages]) putObject(store, object)
    const { index, root, size } = tree.head
    store.run('INSERT OR REPLACE INTO trees VALUES (?, ?, ?, ?)', column, index, root, size)
  }
}

export function readTree(store: Store, name: 'manifest' | 'release'): TreeHead {
  const row = store.get<{ tree_index: Bytes; root: Bytes; size: number }>(
    'SELECT * FROM trees WHERE name = ?',
    name,
  )!
  return { index: row.tree_index, root: row.root, size: row.size }
}
