/**
 * A deriver out of its backup, in an empty directory. The database comes under its name last of all, and with the fence in it: until a new incarnation, what relays
 * know was taken in, and lists are fresh, no head is signed ([restore-1], [restore-2], [restore-3]).
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { concat, type Bytes } from '../shared/bytes.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { backupFiles, openBackup, type BackupHeader, type Progress } from './backup-file.ts'
import {
  asOpeningError,
  backupKey,
  checkBackup,
  requireKeyIds,
  rootsOf,
  type Opener,
} from './open-backup.ts'
import { appendLog } from './log.ts'
import { writeNewFile } from './new-file.ts'
import { noteRestored } from './restored.ts'
import { openKeyBytes, writeKeyFile } from './secret.ts'
import { openStore, storePath } from './store.ts'

/** What a restore is told. */
export interface RestoreOptions {
  path: string
  /** Empty, or not there yet. */
  directory: string
  opener: Opener
  /** Seals the key files that were sealed; asked for once the backup has opened. */
  seal: () => Promise<string>
  /** The tenant that it has to be of. */
  tenant?: string
  /** Seconds. */
  now: number
  progress?: Progress
}

/** Seconds that two machines' clocks may be apart. */
const CLOCKS_DIFFER = 300
/** Name of the database before everything is there: no command takes such a directory for a deriver's. */
const PART = 'deriver.db.part'

function requireEmpty(directory: string): void {
  if (existsSync(directory) && readdirSync(directory).length > 0)
    throw new KeyferryError('ERR_EXISTS', `${directory} is not empty: a restore overwrites nothing`)
}

/** Writes the databases and returns the small files, as they stand in the backup. */
async function unpack(
  file: ReturnType<typeof openBackup>,
  key: Bytes,
  directory: string,
  progress: Progress | undefined,
): Promise<Map<string, Bytes>> {
  const small = new Map<string, Bytes>()
  let open: number | null = null
  try {
    for await (const { entry, piece, isLast } of backupFiles(file, key, progress)) {
      if (entry.form !== 'database') {
        small.set(entry.name, concat(small.get(entry.name) ?? new Uint8Array(), piece))
        continue
      }
      const name = entry.name === 'deriver.db' ? PART : 'ca.db'
      open ??= openSync(join(directory, name), 'wx', 0o600)
      for (let at = 0; at < piece.length;) at += writeSync(open, piece, at)
      if (!isLast) continue
      fsyncSync(open)
      closeSync(open)
      open = null
    }
    return small
  } catch (cause) {
    if (isKeyferryError(cause)) throw cause
    throw new KeyferryError('ERR_IO', `${directory} cannot be written`, { cause })
  } finally {
    if (open !== null) closeSync(open)
  }
}

async function writeKeys(
  { files }: BackupHeader,
  small: ReadonlyMap<string, Bytes>,
  { directory, seal }: RestoreOptions,
): Promise<void> {
  const isSealed = files.some(({ form }) => form === 'sealed-key')
  const passphrase = isSealed ? await seal() : null
  for (const { form, name } of files) {
    const bytes = small.get(name)
    if (bytes === undefined) continue
    if (form === 'public') writeNewFile(join(directory, name), bytes)
    else {
      const { purpose, secret } = openKeyBytes(name, bytes, null)
      const by = form === 'sealed-key' ? passphrase : null
      writeKeyFile(join(directory, name), secret, purpose, by)
      secret.fill(0)
    }
  }
}

/**
 * Restores a backup, and checks that every key is the one that was signed. Throws `ERR_EXISTS` for a directory that is not empty, `ERR_TENANT`, `ERR_CLOCK` for a
 * backup of the future, what opening one throws; then the directory is as it was.
 */
export async function restoreBackup(options: RestoreOptions): Promise<BackupHeader> {
  const { path, directory, opener, tenant, now, progress } = options
  requireEmpty(directory)
  const file = openBackup(path)
  const { header } = file
  const isThere = existsSync(directory)
  let isDone = false
  const small = new Map<string, Bytes>()
  try {
    if (tenant !== undefined && tenant !== header.tenant)
      throw new KeyferryError('ERR_TENANT', `the backup is of tenant ${header.tenant}`)
    if (header.made > now + CLOCKS_DIFFER)
      throw new KeyferryError(
        'ERR_CLOCK',
        `the backup is of the future, by ${header.made - now} s: the clock is wrong`,
        { hint: 'set the clock of this machine, then restore again' },
      )
    const key = await backupKey(header, opener)
    mkdirSync(join(directory, 'keys'), { recursive: true, mode: 0o700 })
    for (const [name, bytes] of await unpack(file, key, directory, progress)) small.set(name, bytes)
    key.fill(0)
    const store = openStore(join(directory, PART))
    try {
      const root = await rootsOf(store, header, small, directory)
      requireKeyIds(await checkBackup(store, header, root))
      await writeKeys(header, small, options)
      store.transaction(() => {
        const { incarnation, made, head } = header
        appendLog(store, 'backup-restored', now, { head: head.version, incarnation, made })
        noteRestored(store, now)
      })
    } finally {
      store.close()
    }
    renameSync(join(directory, PART), storePath(directory))
    isDone = true
    return header
  } catch (error) {
    throw asOpeningError(header, error)
  } finally {
    file.close()
    for (const bytes of small.values()) bytes.fill(0)
    if (!isDone && existsSync(directory)) {
      // It was empty.
      for (const name of readdirSync(directory))
        rmSync(join(directory, name), { recursive: true, force: true })
      if (!isThere) rmSync(directory, { recursive: true, force: true })
    }
  }
}
