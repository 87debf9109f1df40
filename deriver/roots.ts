/**
 * The roots that a deriver's database names, and opening them. A root has a mark, HMAC-SHA-256 of the label `root`: what answers with another one is another
 * key, and nothing is derived from it.
 */
import { equal, fromBase32, type Bytes } from '../shared/bytes.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { rootInput } from '../shared/kdf.ts'
import { awsKmsKey } from './aws-kms.ts'
import { gcpKmsKey } from './gcp-kms.ts'
import { decodeMaster, readCredential, readVariable } from './given-secret.ts'
import { keyFilePath } from './key-files.ts'
import { appendLog } from './log.ts'
import { pkcs11Key } from './pkcs11-keys.ts'
import { parsePlace } from './place.ts'
import { holdRoots, memoryKey, type MacKey, type Root } from './root.ts'
import { readKeyFile } from './secret.ts'
import { markChanged, type Store } from './store.ts'
import { vaultKey } from './vault.ts'
import { addVersion, isAuthorityAway, skipUnused } from './versions.ts'

/** A row of `roots`. */
export interface RootRow {
  number: number
  name: string
  place: string
  /** `null` before it was first opened, in a database from before there were marks. */
  mark: Bytes | null
  /** Seconds. */
  added: number
}

/** What opening needs besides the place. */
export interface Opening {
  directory: string
  /** Of sealed key files; `null` where they are unsealed. */
  passphrase: string | null
}

function keyOf(master: Bytes): MacKey {
  try {
    return memoryKey(master)
  } finally {
    master.fill(0)
  }
}

/** Opens a place. Throws `ERR_USAGE`, `ERR_IO`, `ERR_PASSPHRASE`, `ERR_PIN`, `ERR_ROOT`, `ERR_ROOT_KEY`, `ERR_UNSUPPORTED`. */
export async function openPlace(text: string, opening: Opening): Promise<MacKey> {
  const { directory, passphrase } = opening
  const place = parsePlace(text)
  switch (place.kind) {
    case 'file':
      return keyOf(readKeyFile(keyFilePath(directory, place.name), 'master', passphrase))
    case 'env':
      return keyOf(decodeMaster(readVariable(place.name), `$${place.name}`))
    case 'credential':
      return keyOf(decodeMaster(readCredential(place.name), `the credential ${place.name}`))
    case 'pkcs11':
      return pkcs11Key(place, directory)
    case 'aws-kms':
      return awsKmsKey(place)
    case 'gcp-kms':
      return gcpKmsKey(place)
    case 'vault':
      return vaultKey(place)
  }
}

/** The mark of a root for a tenant: 32 bytes that say nothing of what is derived. */
export function markOf(key: MacKey, tenant: string): Promise<Bytes> {
  return key.mac(rootInput(fromBase32(tenant)))
}

export function listRoots(store: Store): RootRow[] {
  return store.all<RootRow>('SELECT * FROM roots ORDER BY number')
}

/** Number of the root that everything new is derived from. */
export function presentRoot(store: Store): number {
  return store.counter('root')
}

/** The root of a name. Throws `ERR_NOT_FOUND`. */
function findRoot(store: Store, name: string): RootRow {
  const row = listRoots(store).find((one) => one.name === name)
  if (row === undefined)
    throw new KeyferryError('ERR_NOT_FOUND', `no root ${JSON.stringify(name)}`, {
      hint: 'keyferry root list shows them',
    })
  return row
}

/** What is derived from a root and still in use. */
export interface RootUse {
  versions: number
  generations: number
  devices: number
}

export function useOf(store: Store, number: number, now: number): RootUse {
  const count = (sql: string, ...values: number[]): number =>
    store.get<{ n: number }>(`SELECT count(*) AS n FROM ${sql}`, number, ...values)!.n
  return {
    // What is not published yet is still to be derived, for the commitment to it.
    versions: count(
      "versions WHERE root = ? AND (key_id IS NULL OR (state NOT IN ('skipped', 'destroying', 'destroyed') AND decrypt_until >= ?))",
      now,
    ),
    generations: count(
      'generations g JOIN keyrings k ON k.id = g.keyring AND k.generation = g.generation WHERE g.root = ?',
    ),
    devices: count('devices WHERE root = ? AND length(channel_salt) > 0'),
  }
}

/** The highest number that a root ever had: what came from a removed one, and who has it open, goes by its number. */
function highestNumber(store: Store): number {
  const { n } = store.get<{ n: number | null }>(
    'SELECT max(n) AS n FROM (SELECT max(number) AS n FROM roots UNION SELECT max(root) FROM versions)',
  )!
  return Math.max(n ?? 0, store.counter('root-highest'))
}

/** Throws `ERR_EXISTS` where a root has this name or, once that is known, this mark. */
export function requireNewRoot(store: Store, name: string, mark?: Bytes): void {
  for (const one of listRoots(store)) {
    const isSame = mark !== undefined && one.mark !== null && equal(one.mark, mark)
    if (one.name === name || isSame)
      throw new KeyferryError(
        'ERR_EXISTS',
        `root ${one.name} has this ${isSame ? 'key' : 'name'} already`,
      )
  }
}

/** Remembers a root that was opened. Throws `ERR_EXISTS`. Returns its number. */
export function addRoot(
  store: Store,
  { name, place, mark }: { name: string; place: string; mark: Bytes },
  now: number,
): number {
  return store.transaction(() => {
    requireNewRoot(store, name, mark)
    const n = highestNumber(store) + 1
    store.set('root-highest', n)
    store.run('INSERT INTO roots VALUES (?, ?, ?, ?, ?)', n, name, place, mark, now)
    appendLog(store, 'root-added', now, { root: n, name, place })
    return n
  })
}

/**
 * Derives everything new from this root: each keyring gets a new version at once, where the authority's keys are elsewhere with its next catalog; the generations follow with the next step of `keyferry run`, channels
 * with the packages of the devices. Throws `ERR_NOT_FOUND`.
 */
export function useRoot(store: Store, name: string, now: number): void {
  store.transaction(() => {
    const { number } = findRoot(store, name)
    if (number === presentRoot(store)) return
    store.set('root', number)
    appendLog(store, 'root-used', now, { root: number, name })
    const rings = store.all<{ id: Bytes }>('SELECT id FROM keyrings ORDER BY id')
    for (const { id } of isAuthorityAway(store) ? [] : rings) {
      skipUnused(store, id)
      addVersion(store, id, now)
    }
    markChanged(store)
  })
}

/** Forgets a root from which nothing is derived any more. Throws `ERR_NOT_FOUND`, `ERR_CONFLICT` while something is. */
export function removeRoot(store: Store, name: string, now: number): void {
  store.transaction(() => {
    const { number } = findRoot(store, name)
    const { versions, generations, devices } = useOf(store, number, now)
    if (number === presentRoot(store))
      throw new KeyferryError('ERR_CONFLICT', `root ${name} is the one in use`, {
        hint: 'keyferry root use NAME takes another one into use',
      })
    if (versions + generations + devices > 0)
      throw new KeyferryError(
        'ERR_CONFLICT',
        `${versions} versions, ${generations} generations and ${devices} devices come from root ${name}`,
        { hint: 'versions end with their decrypt period, the others while keyferry run is up' },
      )
    store.run('DELETE FROM roots WHERE number = ?', number)
    appendLog(store, 'root-removed', now, { root: number, name })
  })
}

/** Opens a root of the database and knows it again by its mark. Throws what {@link openPlace} throws. */
export async function openRoot(
  store: Store,
  row: RootRow,
  tenant: string,
  opening: Opening,
): Promise<MacKey> {
  try {
    const key = await openPlace(row.place, opening)
    const mark = await markOf(key, tenant)
    if (row.mark === null) store.run('UPDATE roots SET mark = ? WHERE number = ?', mark, row.number)
    else if (!equal(new Uint8Array(row.mark), mark))
      throw new KeyferryError(
        'ERR_ROOT_KEY',
        'the key there is another one than the one that was used',
        {
          hint: 'was the file, the token or the key of the KMS replaced? nothing is derived from it',
        },
      )
    return key
  } catch (cause) {
    if (!isKeyferryError(cause)) throw cause
    const { code, hint } = cause
    throw new KeyferryError(code, `root ${row.name}: ${cause.message}`, {
      cause,
      ...(hint !== undefined && { hint }),
    })
  }
}

/** The roots of a deriver, opened. */
export interface OpenRoots {
  root: Root
  /** Opens those that are not open yet, as many as it can. Throws what {@link openRoot} throws for the first that does not. */
  refresh(): Promise<void>
}

/** Whether something is derived from a root, or will be next. */
function isNeeded(store: Store, number: number): boolean {
  const { versions, generations, devices } = useOf(store, number, Math.floor(Date.now() / 1000))
  return number === presentRoot(store) || versions + generations + devices > 0
}

/** Opens every root of the database. Throws what {@link openRoot} throws for one that is needed: an added one that nothing comes from may follow. */
export async function openRoots(
  store: Store,
  tenant: string,
  opening: Opening,
): Promise<OpenRoots> {
  const keys = new Map<number, MacKey>()
  async function openAll(mayLack: (row: RootRow) => boolean): Promise<void> {
    let first: unknown
    for (const row of listRoots(store)) {
      if (keys.has(row.number)) continue
      try {
        keys.set(row.number, await openRoot(store, row, tenant, opening))
      } catch (error) {
        if (!mayLack(row)) first ??= error
      }
    }
    if (first !== undefined) throw first as Error
  }
  await openAll(({ number }) => !isNeeded(store, number))
  return { root: holdRoots(keys), refresh: () => openAll(() => false) }
}
