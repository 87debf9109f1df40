/** A deriver's two databases as they are at one moment, copied while others write: checked before anybody relies on them. */
import { closeSync, mkdirSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { KeyferryError } from '../shared/errors.ts'
import { openLog } from './log.ts'
import { type Store } from './store.ts'

const PREFIX = '.backup-'

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
    } finally {
      closeSync(file)
    }
  }
  rmSync(folder, { recursive: true, force: true })
}

/** Whether a process is there. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Copies that a backup left which was killed. */
function eraseLeft(directory: string): void {
  for (const name of readdirSync(directory)) {
    const pid = new RegExp(`^\\${PREFIX}(\\d+)$`).exec(name)?.[1]
    if (pid !== undefined && (Number(pid) === process.pid || !isAlive(Number(pid))))
      erase(join(directory, name))
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
    const { errcode = 0, message } = cause as Error & { errcode?: number }
    // SQLITE_CORRUPT, SQLITE_NOTADB
    if ((errcode & 0xff) === 11 || (errcode & 0xff) === 26)
      throw new KeyferryError('ERR_STATE', `the database is damaged: ${message}`, { cause })
    throw new KeyferryError('ERR_IO', `the database cannot be copied: ${message}`, { cause })
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
  const folder = join(directory, `${PREFIX}${process.pid}`)
  const close = (): void => erase(folder)
  mkdirSync(folder, { mode: 0o700 })
  try {
    return named(() => {
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
