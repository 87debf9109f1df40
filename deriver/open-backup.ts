/** What opens a backup, and what a backup has to be before anybody relies on it. */
import { equal, type Bytes } from '../shared/bytes.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { type BackupHeader } from './backup-file.ts'
import { checkKeyIds, type KeyIdCheck } from './key-ids.ts'
import { emptyLog, openLog, readLog } from './log.ts'
import { latestHead } from './heads.ts'
import { holdRoots, memoryKey, type Root } from './root.ts'
import { listRoots, markOf, openPlace } from './roots.ts'
import { openKeyBytes, stretch } from './secret.ts'
import { parsePlace } from './place.ts'
import { setName, type Share } from './share-card.ts'
import { combineShares } from './shares.ts'
import { type Store } from './store.ts'
import { newestTrust } from './trust.ts'

/** Cards, or a passphrase. */
export type Opener = { shares: readonly Share[] } | { passphrase: string }

/**
 * The key of a backup: 32 bytes. Whether it is the right one, opening says. Throws `ERR_USAGE` where the other thing opens it, `ERR_DOCUMENT_MISMATCH` for cards of
 * another set, and what `combineShares` throws.
 */
export async function backupKey({ sealing }: BackupHeader, opener: Opener): Promise<Bytes> {
  if ('passphrase' in opener) {
    if (sealing.by !== 'passphrase')
      throw new KeyferryError('ERR_USAGE', `cards of set ${setName(sealing.set)} open this backup`)
    try {
      return new Uint8Array(stretch(opener.passphrase, sealing).subarray(0, 32))
    } catch (cause) {
      if (isKeyferryError(cause)) throw cause
      throw new KeyferryError('ERR_MALFORMED', 'a backup with impossible parameters', { cause })
    }
  }
  if (sealing.by !== 'shares')
    throw new KeyferryError('ERR_USAGE', 'a passphrase opens this backup')
  const [first] = opener.shares
  if (first !== undefined && !equal(first.set, sealing.set))
    throw new KeyferryError(
      'ERR_DOCUMENT_MISMATCH',
      `the cards are of set ${setName(first.set)}, and those of set ${setName(sealing.set)} open this backup`,
    )
  return combineShares(opener.shares)
}

/** A passphrase that opens nothing is a wrong one. */
export function asOpeningError(header: BackupHeader, error: unknown): unknown {
  return header.sealing.by === 'passphrase' && isKeyferryError(error, 'ERR_OPEN')
    ? new KeyferryError(
        'ERR_PASSPHRASE',
        'the passphrase does not open this backup, or it was changed',
        {
          cause: error,
        },
      )
    : error
}

/**
 * Opens the roots that a database names, those in files out of the backup's own key files, and knows each again by its mark. `directory` is for what is not a file.
 * Throws what opening one throws, `ERR_ROOT_KEY`, `ERR_TENANT`.
 */
export async function rootsOf(
  store: Store,
  header: BackupHeader,
  keys: ReadonlyMap<string, Bytes>,
  directory: string,
): Promise<Root> {
  const { tenant } = await newestTrust(store)
  if (tenant !== header.tenant) throw new KeyferryError('ERR_TENANT')
  const open = new Map<number, ReturnType<typeof memoryKey>>()
  for (const { number, name, place, mark } of listRoots(store)) {
    const parsed = parsePlace(place)
    const file = parsed.kind === 'file' ? keys.get(`keys/${parsed.name}.json`) : undefined
    if (parsed.kind === 'file' && file === undefined)
      throw new KeyferryError('ERR_ROOT_KEY', `root ${name}: its key file is not in the backup`)
    const key =
      file === undefined
        ? await openPlace(place, { directory, passphrase: null })
        : memoryKey(openKeyBytes(place, file, null).secret)
    if (mark !== null && !equal(new Uint8Array(mark), await markOf(key, tenant)))
      throw new KeyferryError(
        'ERR_ROOT_KEY',
        `root ${name}: another key than the one that was used`,
      )
    open.set(number, key)
  }
  return holdRoots(open)
}

/**
 * Holds an opened database against the header of its backup, its own log against its newest head, and every key id against the signed manifests. Throws `ERR_STATE`.
 */
export async function checkBackup(
  store: Store,
  header: BackupHeader,
  root: Root,
  names: readonly string[] = [],
): Promise<KeyIdCheck[]> {
  openLog(store)
  const log = readLog(store, emptyLog())
  const head = latestHead(store)
  if (
    log.size !== header.log.size ||
    !equal(log.root, header.log.root) ||
    (head?.version ?? 0) !== header.head.version ||
    store.counter('incarnation') !== header.incarnation
  )
    throw new KeyferryError('ERR_STATE', 'the backup holds another state than it says')
  return checkKeyIds(store, root, header.tenant, names)
}

/** Throws `ERR_ROOT_KEY` where a version is another key than the one that was signed. */
export function requireKeyIds(checks: readonly KeyIdCheck[]): void {
  const wrong = checks.find(({ result }) => result === 'wrong')
  if (wrong !== undefined)
    throw new KeyferryError(
      'ERR_ROOT_KEY',
      `${wrong.keyring}@${wrong.incarnation}.${wrong.version} is another key than the one that was signed`,
    )
}
