/**
 * Bringing a key in: bytes that were made elsewhere become a version of an imported keyring. Two people propose the same thing, each with the bytes in hand;
 * of the bytes nothing is kept before the second one did but a mark that the master secret makes.
 */
import { equal, fromBase32, type Bytes } from '../shared/bytes.ts'
import { MAX_IMPORT, MIN_IMPORT } from '../shared/bundle.ts'
import { KeyferryError } from '../shared/errors.ts'
import { sha256 } from '../shared/hash.ts'
import { encodeJson } from '../shared/json.ts'
import { pendingInput } from '../shared/kdf.ts'
import { versionContext } from '../shared/manifest.ts'
import { saveImport, sealImport } from './imported.ts'
import { insertKeyring, type KeyringOptions } from './keyrings.ts'
import { appendLog } from './log.ts'
import { type Deriving } from './members.ts'
import { versionSecret } from './version-secrets.ts'
import { commit, isRootError } from './root.ts'
import { listRoots, presentRoot } from './roots.ts'
import { type KeyringRow, type VersionRow } from './rows.ts'
import { type Store } from './store.ts'
import { addVersion, isAuthorityAway, skipUnused } from './versions.ts'

/** Seconds that a proposal waits for the second person. */
const WAITS = 86_400

/** What is imported, where, and who says so. */
export interface ImportOptions extends Omit<KeyringOptions, 'kind'> {
  /** 16 to 512. */
  bytes: Bytes
  /** Who confirms, as the log names them. */
  by: string
}

/** What came of it. `keyId` is the commitment to the version. */
export type ImportOutcome =
  | { state: 'waiting'; until: number; by: string }
  | { state: 'imported'; version: number; keyId: Bytes; by: string[] }

interface Pending {
  mark: Bytes
  by: string
  expires: number
}

function requireFit(store: Store, { name, bytes, by }: ImportOptions): void {
  if (bytes.length < MIN_IMPORT || bytes.length > MAX_IMPORT)
    throw new KeyferryError(
      'ERR_USAGE',
      `a key of ${MIN_IMPORT} to ${MAX_IMPORT} bytes is imported, not of ${bytes.length}`,
    )
  if (!/^[\x21-\x7e][\x20-\x7e]{0,62}$/.test(by))
    throw new KeyferryError('ERR_USAGE', 'a name of who confirms is needed')
  const row = store.get<KeyringRow>('SELECT * FROM keyrings WHERE name = ?', name)
  if (row !== undefined && row.kind !== 'imported')
    throw new KeyferryError(
      'ERR_KEYRING',
      `keyring ${name} is ${row.kind}: nothing is imported into it`,
      {
        hint: 'name a keyring that does not exist yet: it is made with the import',
      },
    )
  if (row !== undefined && isAuthorityAway(store))
    throw new KeyferryError(
      'ERR_SIGNATURE',
      `an import makes a version of ${name} at once, and the authority that has to sign it is elsewhere`,
      {
        hint: 'import where the keys of the authority are, or into a keyring that does not exist yet',
      },
    )
}

/** Everything that the second person confirms, in 32 bytes. */
function digestOf({ bytes, name, rules, ...periods }: ImportOptions): Bytes {
  const { offline, generationMaxAge, cryptoperiod, decryptPeriod } = periods
  const settings = [offline, generationMaxAge, cryptoperiod, decryptPeriod].map((one) => one ?? '')
  return sha256(encodeJson({ bytes, name, rules, settings }))
}

function readPending(store: Store, name: string, now: number): Pending | undefined {
  return store.get<Pending>('SELECT * FROM imports WHERE name = ? AND expires >= ?', name, now)
}

/** Marks of what is proposed: by the present root, and, where something else waits, by the others that are open, since another one may have been in use when it was proposed. */
async function marksOf(
  store: Store,
  { root, tenant }: Deriving,
  options: ImportOptions,
  now: number,
): Promise<[Bytes, ...Bytes[]]> {
  const input = pendingInput(fromBase32(tenant), digestOf(options))
  const present = presentRoot(store)
  const mark = await root.ask(input, present)
  const pending = readPending(store, options.name, now)
  if (pending === undefined || equal(new Uint8Array(pending.mark), mark)) return [mark]
  const others: Bytes[] = []
  for (const { number } of listRoots(store)) {
    if (number === present) continue
    try {
      others.push(await root.ask(input, number))
    } catch (error) {
      if (!isRootError(error)) throw error
    }
  }
  return [mark, ...others]
}

/** Notes the proposal; or, where somebody else proposed the same, whom. Throws `ERR_CONFLICT`, `ERR_COMMITMENT`. */
function propose(
  store: Store,
  { name, by }: ImportOptions,
  marks: [Bytes, ...Bytes[]],
  now: number,
): Pending | null {
  const pending = readPending(store, name, now)
  if (pending === undefined) {
    store.run('INSERT OR REPLACE INTO imports VALUES (?, ?, ?, ?)', name, marks[0], by, now + WAITS)
    appendLog(store, 'import-proposed', now, { name, by })
    return null
  }
  const proposed = new Uint8Array(pending.mark)
  if (!marks.some((mark) => equal(mark, proposed)))
    throw new KeyferryError(
      'ERR_COMMITMENT',
      `${pending.by} proposed other bytes, or other settings`,
      {
        hint: 'compare the fingerprints, and whether a root was removed since; keyferry import --cancel takes the proposal back',
      },
    )
  if (pending.by === by)
    throw new KeyferryError('ERR_CONFLICT', `${by} proposed this: somebody else confirms it`, {
      hint: 'the second person runs the same command with another --by',
    })
  return pending
}

/** Takes a proposal back. Throws `ERR_NOT_FOUND`. */
export function cancelImport(store: Store, name: string): void {
  store.transaction(() => {
    if (store.get('SELECT 1 FROM imports WHERE name = ?', name) === undefined)
      throw new KeyferryError('ERR_NOT_FOUND', `no import into ${name} is waiting`)
    store.run('DELETE FROM imports WHERE name = ?', name)
  })
}

/**
 * One confirmation of an import; with the second one the version is there, and the keyring, if there was none of this name. Throws `ERR_USAGE`,
 * `ERR_KEYRING`, `ERR_SIGNATURE` where the authority is elsewhere, `ERR_CONFLICT` for the same person twice, `ERR_COMMITMENT` where the two differ, and what a root throws.
 */
export async function importKey(
  store: Store,
  deriving: Deriving,
  options: ImportOptions,
  now: number,
): Promise<ImportOutcome> {
  const { root, tenant } = deriving
  const id = fromBase32(tenant)
  requireFit(store, options)
  const marks = await marksOf(store, deriving, options, now)
  return root.transaction(store, () => {
    requireFit(store, options)
    const pending = propose(store, options, marks, now)
    const { name, by } = options
    if (pending === null) return { state: 'waiting', until: now + WAITS, by }
    store.run('DELETE FROM imports WHERE name = ?', name)
    const row = store.get<{ id: Bytes }>('SELECT id FROM keyrings WHERE name = ?', name)
    const keyring = new Uint8Array((row ?? insertKeyring(store, options, 'imported', now)).id)
    // Versions committed ahead have the bytes of the import before.
    skipUnused(store, keyring)
    const number = addVersion(store, keyring, now)
    const sql = 'SELECT * FROM versions WHERE keyring = ? AND incarnation = ? AND version = ?'
    const version = store.get<VersionRow>(sql, keyring, store.counter('incarnation'), number)!
    const names = { tenant: id, keyring }
    const secret = versionSecret(root, names, version)
    const keyId = commit(secret, versionContext(names, version))
    saveImport(store, version, sealImport(secret, options.bytes, names, keyId))
    secret.fill(0)
    const both = [pending.by, by]
    const { incarnation } = version
    const details = { keyring, incarnation, version: number, keyId, by: both.join(', ') }
    appendLog(store, 'version-imported', now, details)
    return { state: 'imported', version: number, keyId, by: both }
  })
}
