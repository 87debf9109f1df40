/**
 * Manifest, bundle and release of a keyring, and the trees over all keyrings, as objects for the relay. What a keyring costs here does not depend on
 * its members.
 */
import { encodeBundle, encodeName, MEMBER_LEAF } from '../shared/bundle.ts'
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
  type Manifest,
} from '../shared/manifest.ts'
import { releaseLeaf } from '../shared/log.ts'
import { decodeRelease, type Release } from '../shared/release.ts'
import { buildTree, type TreeHead } from '../shared/tree.ts'
import { type KeyringRow, type VersionRow, type VersionState } from './keyrings.ts'
import { openImport, saveImport, sealImport } from './imported.ts'
import { appendLeaf, appendLog } from './log.ts'
import { currentKek } from './members.ts'
import { putObject, treePages } from './objects.ts'
import { commit, wrapKey, type Root } from './root.ts'
import { type Store } from './store.ts'

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
  const bytes = openImport(old, new Uint8Array(from.sealed!), names, new Uint8Array(from.key_id!))
  old.fill(0)
  const sealed = sealImport(secret, bytes, names, version.key_id!)
  bytes.fill(0)
  saveImport(store, version, sealed)
  return sealed
}

/** Builds manifest, bundle and release of one keyring. Call it in a transaction. */
export function publishKeyring(
  store: Store,
  root: Root,
  tenant: string,
  id: Bytes,
  now: number,
): void {
  const row = store.get<KeyringRow>('SELECT * FROM keyrings WHERE id = ?', id)!
  const rows = store.all<VersionRow>(
    'SELECT * FROM versions WHERE keyring = ? ORDER BY incarnation, version',
    id,
  )
  const names = { tenant: fromBase32(tenant), keyring: id }
  const kek = currentKek(store, { root, tenant }, id)
  const entries = []
  for (const [i, version] of rows.entries()) {
    const secret = versionSecret(root, names, version)
    if (version.key_id === null) {
      version.key_id = commit(secret, versionContext(names, version))
      store.run(
        'UPDATE versions SET key_id = ? WHERE keyring = ? AND incarnation = ? AND version = ?',
        version.key_id,
        id,
        version.incarnation,
        version.version,
      )
    }
    if (row.kind === 'imported' && version.sealed === null)
      version.sealed = carryImport(store, root, names, rows.slice(0, i), version, secret)
    if (version.state !== 'skipped' && version.decrypt_until >= now) {
      entries.push({
        incarnation: version.incarnation,
        version: version.version,
        wrapped: wrapKey(kek, secret),
        ...(version.sealed !== null && { sealed: new Uint8Array(version.sealed) }),
      })
    }
    secret.fill(0)
  }
  const manifest = encodeManifest({
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
  const incarnation = store.counter('incarnation')
  const name = wrapKey(kek, encodeName(row.name))
  const bundle = encodeBundle({
    keyring: id,
    incarnation,
    generation: row.generation,
    name,
    entries,
  })
  kek.fill(0)
  const bundleHash = putObject(store, bundle)
  if (row.bundle === null || !equal(row.bundle, bundleHash)) {
    const { generation } = row
    const versions = entries.map((one) => `${one.incarnation}.${one.version}`).join(' ')
    const made = { bundle: bundleHash, generation, incarnation, keyring: id, versions }
    appendLog(store, 'bundle-made', now, made)
  }
  const inState = (state: VersionState): { incarnation: number; version: number }[] =>
    rows
      .filter((v) => v.state === state)
      .map((v) => ({ incarnation: v.incarnation, version: v.version }))
  const contents: Omit<Release, 'log'> = {
    bundle: bundleHash,
    compromised: inState('compromised'),
    deactivated: inState('deactivated'),
    encrypt: { incarnation: row.encrypt_incarnation, version: row.encrypt_version },
    generation: row.generation,
    incarnation,
    keyring: id,
    manifest: putObject(store, manifest),
    members: members(store, row),
    skipped: inState('skipped'),
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
      `SELECT id, ${column} AS hash FROM keyrings ORDER BY id`,
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
