/** Secrets of versions, and what is committed to before anybody has them: key ids, and imports carried on. */
import { MIN_IMPORT } from '../shared/bundle.ts'
import { concat, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { versionInput } from '../shared/kdf.ts'
import { versionContext, type KeyringKind, type Manifest } from '../shared/manifest.ts'
import { openImport, saveImport, sealImport } from './imported.ts'
import { publicHmac } from './hmac.ts'
import { type Root } from './root.ts'
import { type VersionRow } from './rows.ts'
import { type Store } from './store.ts'
import { VersionInputs } from './version-inputs.ts'

type Version = Omit<VersionRow, 'activated'>

export function versionSecret(
  root: Root,
  manifest: Pick<Manifest, 'tenant' | 'keyring'>,
  row: Version,
): Bytes {
  return root.mac(versionInput(versionContext(manifest, row), row.nonce, row.salt), row.root)
}

/** Secrets of the versions of one keyring, each derived once for all that is made of it. */
export class Secrets {
  readonly root: Root
  readonly names: Pick<Manifest, 'tenant' | 'keyring'>
  readonly #inputs: VersionInputs
  readonly #made = new Map<Version, Bytes>()

  constructor(root: Root, names: Pick<Manifest, 'tenant' | 'keyring'>) {
    this.root = root
    this.names = names
    this.#inputs = new VersionInputs(names)
  }

  of(row: Version): Bytes {
    const known = this.#made.get(row)
    if (known !== undefined) return known
    const secret = this.root.mac(this.#inputs.version(row), row.root)
    this.#made.set(row, secret)
    return secret
  }

  /** The key id of a version: the commitment to its secret. */
  keyId(row: Version): Bytes {
    return publicHmac(this.of(row), this.#inputs.commit(row))
  }

  wipe(): void {
    for (const secret of this.#made.values()) secret.fill(0)
    this.#inputs.wipe()
  }
}

/** Work on secrets that are gone from memory after it. */
export function withSecrets<T>(
  root: Root,
  names: Pick<Manifest, 'tenant' | 'keyring'>,
  work: (secrets: Secrets) => T,
): T {
  const secrets = new Secrets(root, names)
  try {
    return work(secrets)
  } finally {
    secrets.wipe()
  }
}

/** The imported bytes of the version before, sealed under the secret of a new one. */
function carryImport(
  store: Store,
  secrets: Secrets,
  before: readonly Version[],
  version: Version,
): Bytes {
  const { root, names } = secrets
  const secret = secrets.of(version)
  const from = before.findLast((one) => one.sealed !== null)
  if (from === undefined)
    throw new KeyferryError('ERR_STATE', 'an imported keyring without imports')
  const old = secrets.of(from)
  // Nothing opens with what is no key: ending here would ask for one keyring after the other, each time in a run of its own.
  if (root.isInVain()) return sealImport(secret, new Uint8Array(MIN_IMPORT), names, version.key_id!)
  const bytes = openImport(old, new Uint8Array(from.sealed!), names, new Uint8Array(from.key_id!))
  const sealed = sealImport(secret, bytes, names, version.key_id!)
  bytes.fill(0)
  saveImport(store, version, sealed)
  return sealed
}

/** Stores the key ids of versions: one statement for those with consecutive numbers, a third of the time of one for each. */
function saveKeyIds(store: Store, keyring: Bytes, rows: readonly Version[]): void {
  for (let from = 0; from < rows.length;) {
    const { incarnation, version } = rows[from]!
    let to = from + 1
    while (rows[to]?.incarnation === incarnation && rows[to]!.version === version + to - from) to++
    const ids = concat(...rows.slice(from, to).map((row) => row.key_id!))
    store.run(
      `UPDATE versions SET key_id = substr(?1, 32 * (version - ?2) + 1, 32)
         WHERE keyring = ?3 AND incarnation = ?4 AND version BETWEEN ?2 AND ?5`,
      ids,
      version,
      keyring,
      incarnation,
      version + to - from - 1,
    )
    from = to
  }
}

/** Commits to the versions that have no key id yet, and carries imported bytes to those that have none. Call it in a transaction. */
export function commitVersions(
  store: Store,
  secrets: Secrets,
  kind: KeyringKind,
  rows: readonly Version[],
): void {
  const committed: Version[] = []
  for (const [i, row] of rows.entries()) {
    if (row.key_id === null) {
      row.key_id = secrets.keyId(row)
      committed.push(row)
    }
    if (kind === 'imported' && row.sealed === null)
      row.sealed = carryImport(store, secrets, rows.slice(0, i), row)
  }
  saveKeyIds(store, secrets.names.keyring, committed)
}
