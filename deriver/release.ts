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
  MIN_IMPORT,
} from '../shared/bundle.ts'
import { equal, fromBase32, hex, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { sha256 } from '../shared/hash.ts'
import { encodeJson } from '../shared/json.ts'
import { versionInput } from '../shared/kdf.ts'
import {
  encodeManifest,
  KEYRING_LEAF,
  keyringLeaf,
  versionContext,
  type KeyringKind,
  type Manifest,
  type VersionId,
} from '../shared/manifest.ts'
import { releaseLeaf } from '../shared/log.ts'
import { decodeRelease, type Release } from '../shared/release.ts'
import { buildTree, type TreeHead } from '../shared/tree.ts'
import { openImport, saveImport, sealImport } from './imported.ts'
import { appendLeaf, appendLog } from './log.ts'
import { currentKek } from './members.ts'
import { putObject, treePages } from './objects.ts'
import { commit, wrapKey, type Root } from './root.ts'
import { keyringRow, type KeyringRow, type VersionRow, type VersionState } from './rows.ts'
import { type Store } from './store.ts'
import { isAuthorityAway } from './versions.ts'

export function versionSecret(
  root: Root,
  manifest: Pick<Manifest, 'tenant' | 'keyring'>,
  row: VersionRow,
): Bytes {
  return root.mac(
    versionInput(
      versionContext(manifest, row),
      new Uint8Array(row.nonce),
      new Uint8Array(row.salt),
    ),
    row.root,
  )
}

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

/** The imported bytes of the version before, sealed under the secret of a new one. */
function carryImport(
  store: Store,
  root: Root,
  names: Pick<Manifest, 'tenant' | 'keyring'>,
  before: readonly VersionRow[],
  version: VersionRow,
  secret: Bytes,
): Bytes {
  const from = before.findLast((one) => one.sealed !== null)
  if (from === undefined)
    throw new KeyferryError('ERR_STATE', 'an imported keyring without imports')
  const old = versionSecret(root, names, from)
  // Nothing opens with what is no key: ending here would ask for one keyring after the other, each time in a run of its own.
  if (root.isInVain()) return sealImport(secret, new Uint8Array(MIN_IMPORT), names, version.key_id!)
  const bytes = openImport(old, new Uint8Array(from.sealed!), names, new Uint8Array(from.key_id!))
  old.fill(0)
  const sealed = sealImport(secret, bytes, names, version.key_id!)
  bytes.fill(0)
  saveImport(store, version, sealed)
  return sealed
}

function versionsOf(store: Store, keyring: Bytes): VersionRow[] {
  return store.all<VersionRow>(
    'SELECT * FROM versions WHERE keyring = ? ORDER BY incarnation, version',
    keyring,
  )
}

/** Commits to the versions that have no key id yet, and carries imported bytes to those that have none. Call it in a transaction. */
function commitVersions(
  store: Store,
  root: Root,
  names: Pick<Manifest, 'tenant' | 'keyring'>,
  kind: KeyringKind,
  rows: readonly VersionRow[],
): void {
  for (const [i, row] of rows.entries()) {
    const isCarried = kind === 'imported' && row.sealed === null
    if (row.key_id !== null && !isCarried) continue
    const secret = versionSecret(root, names, row)
    row.key_id ??= commit(secret, versionContext(names, row))
    if (isCarried) row.sealed = carryImport(store, root, names, rows.slice(0, i), row, secret)
    secret.fill(0)
    store.run(
      'UPDATE versions SET key_id = ? WHERE keyring = ? AND incarnation = ? AND version = ?',
      row.key_id,
      row.keyring,
      row.incarnation,
      row.version,
    )
  }
}

/** The manifest of a keyring as its rows have it, signed or not. Call it in a transaction. */
export function draftManifest(
  store: Store,
  root: Root,
  tenant: string,
  id: Bytes,
  rows: VersionRow[] = versionsOf(store, id),
): Bytes {
  const row = keyringRow(store, id)
  const names = { tenant: fromBase32(tenant), keyring: id }
  commitVersions(store, root, names, row.kind, rows)
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

/** Entries of the last bundle by version, if it is of the present generation: AES-KW makes of the same key the same bytes, and no root has to be asked. */
function wrappedBefore(store: Store, row: KeyringRow): Map<string, Bytes> {
  const last =
    row.bundle === null
      ? undefined
      : store.get<{ body: Bytes }>('SELECT body FROM objects WHERE hash = ?', row.bundle)
  if (last === undefined) return new Map()
  const { generation, entries } = decodeBundle(new Uint8Array(last.body))
  if (generation !== row.generation) return new Map()
  return new Map(entries.map((one) => [nameOf(one), one.wrapped]))
}

const nameOf = ({ incarnation, version }: VersionId): string => `${incarnation}.${version}`

/** Who is given which versions: the bundle of the present generation. */
function makeBundle(
  store: Store,
  root: Root,
  tenant: string,
  row: KeyringRow,
  versions: readonly VersionRow[],
): Bytes {
  const names = { tenant: fromBase32(tenant), keyring: row.id }
  const kek = currentKek(store, { root, tenant }, row.id)
  const wrapping = createSecretKey(kek)
  const before = wrappedBefore(store, row)
  const wrap = (version: VersionRow): Bytes => {
    const secret = versionSecret(root, names, version)
    const wrapped = wrapKey(wrapping, secret)
    secret.fill(0)
    return wrapped
  }
  const entries = versions.map((version) => {
    const wrapped = before.get(nameOf(version)) ?? wrap(version)
    const sealed = version.sealed === null ? {} : { sealed: new Uint8Array(version.sealed) }
    return { incarnation: version.incarnation, version: version.version, wrapped, ...sealed }
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
    : putObject(store, draftManifest(store, root, tenant, id, all))
  if (!isAway)
    store.run('UPDATE versions SET committed = 1 WHERE keyring = ? AND committed = 0', id)
  const rows = isAway ? all.filter(({ committed }) => committed === 1) : all
  const given = rows.filter(
    (v) => v.bundled === 1 && !UNUSED.includes(v.state) && v.decrypt_until >= now,
  )
  const bundle = putObject(store, makeBundle(store, root, tenant, row, given))
  const incarnation = store.counter('incarnation')
  const { generation } = row
  if (row.bundle === null || !equal(row.bundle, bundle)) {
    const versions = given.map(nameOf).join(' ')
    appendLog(store, 'bundle-made', now, { bundle, generation, incarnation, keyring: id, versions })
  }
  const idsOf = (isIn: (v: VersionRow) => boolean): { incarnation: number; version: number }[] =>
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
