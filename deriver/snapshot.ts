/** A deriver's two databases as they are at one moment, copied while others write: checked before anybody relies on them. */
import {
  closeSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { KeyferryError } from '../shared/errors.ts'
import { openLog } from './log.ts'
import { hasEnded, placeOf } from './process-place.ts'
import { storeError } from './store-error.ts'
import { type Store } from './store.ts'

const PREFIX = '.backup-'
/** Who makes the copies, in a file beside them. */
const OWNER = 'owner'
/** Milliseconds: no backup takes a day. */
const LONGEST = 86_400_000

/** The copies; `close` erases them. */
export interface Snapshot {
  files: { name: string; path: string; size: number }[]
  close(): void
}

/** Overwrites and deletes: the copies hold the salts that a destruction will erase. */
function erase(folder: string): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name)
    const { size } = statSync(path)
    const file = openSync(path, 'r+')
    try {
      const zeros = new Uint8Array(Math.min(size, 1_048_576))
      for (let at = 0; at < size; at += zeros.length)
        writeSync(file, zeros, 0, Math.min(zeros.length, size - at), at)
      // Of a file that is gone, the system writes nothing any more.
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
  }
  rmSync(folder, { recursive: true, force: true })
}

/** Whether whoever made the copies has certainly ended; of another machine or container, only after a day. */
function isLeft(folder: string): boolean {
  try {
    return hasEnded(readFileSync(join(folder, OWNER), 'utf8'))
  } catch {
    // Not there yet, or of an earlier version.
    return false
  }
}

/** Erases copies that a backup left which was killed. Another backup may end, or erase them, at the same time. Returns whether there are no others. */
function eraseLeft(directory: string): boolean {
  let isClear = true
  for (const name of readdirSync(directory).filter((one) => one.startsWith(PREFIX))) {
    const folder = join(directory, name)
    try {
      if (isLeft(folder) || Date.now() - statSync(folder).mtimeMs > LONGEST) erase(folder)
      else isClear = false
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return isClear
}

/**
 * Erases what killed backups left beside a database. Returns whether no copy is there any more: those of a backup that runs, or that may run on another machine,
 * stay until later, and so do those that this user may not erase.
 */
export function eraseCopies(store: Store): boolean {
  const { file } = store.get<{ file: string }>(
    "SELECT file FROM pragma_database_list WHERE name = 'main'",
  )!
  try {
    return eraseLeft(dirname(file))
  } catch {
    return false
  }
}

function requireSound(store: Store, schema: 'main' | 'ca'): void {
  const [first] = store.all<{ integrity_check: string }>(`PRAGMA ${schema}.integrity_check`)
  if (first?.integrity_check !== 'ok')
    throw new KeyferryError('ERR_STATE', `the database is damaged: ${first?.integrity_check}`)
}

/** Turns what SQLite says of a damaged, locked or full disk into a named error. */
function named<T>(work: () => T): T {
  try {
    return work()
  } catch (cause) {
    if (cause instanceof KeyferryError) throw cause
    const { message } = cause as Error
    throw (
      storeError(cause) ??
      new KeyferryError('ERR_IO', `the database cannot be copied: ${message}`, { cause })
    )
  }
}

/** Throws `ERR_STATE` for damaged databases, or a log that is not what the newest head says. */
export function requireSoundStore(store: Store): void {
  named(() => {
    requireSound(store, 'main')
    requireSound(store, 'ca')
    openLog(store)
  })
}

/**
 * Copies the databases into the deriver's own directory, where they are as safe as the originals. Throws `ERR_STATE` for damaged ones, `ERR_IO` for a disk that is locked or full; then nothing stays.
 */
export function takeSnapshot(store: Store, directory: string): Snapshot {
  eraseLeft(directory)
  // Made with a name of its own, readable by its owner alone.
  const folder = mkdtempSync(join(directory, PREFIX))
  const close = (): void => erase(folder)
  try {
    return named(() => {
      writeFileSync(join(folder, OWNER), placeOf(process.pid), { mode: 0o600 })
      // The CA's last: what it revoked meanwhile is more than the other one knows, never less.
      const files = (['main', 'ca'] as const).map((schema) => {
        const name = schema === 'main' ? 'deriver.db' : 'ca.db'
        const path = join(folder, name)
        store.run(`VACUUM ${schema} INTO '${path.replaceAll("'", "''")}'`)
        return { name, path, size: statSync(path).size }
      })
      return { files, close }
    })
  } catch (error) {
    close()
    throw error
  }
}
