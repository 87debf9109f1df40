/** A lock between processes of one machine: a file that only one can create. */
import { randomUUID } from 'node:crypto'
import { link, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises'
import { KeyferryError } from '../shared/errors.ts'

/** Milliseconds. */
const RETRY = 20
const PATIENCE = 15_000
const REFRESH = 2_000
/** A lock that nobody refreshed for so long belongs to nobody. */
const STALE = 10_000

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds))

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // It runs, but as somebody else.
    return (error as { code?: unknown }).code === 'EPERM'
  }
}

/** What stands in a lock that belongs to nobody any more; `null` if it is in use or gone. */
async function readStale(path: string): Promise<string | null> {
  try {
    const age = Date.now() - (await stat(path)).mtimeMs
    const token = await readFile(path, 'utf8')
    const pid = Number(token.split(' ')[0])
    // A lock that was created but not written yet has no number.
    return age > STALE || (pid > 0 && !isRunning(pid)) ? token : null
  } catch {
    return null
  }
}

/** Takes a stale lock away, and puts it back if it was a new one: somebody else may have been faster. */
async function takeAway(path: string, stale: string): Promise<void> {
  const away = `${path}.${randomUUID()}`
  try {
    await rename(path, away)
    if ((await readFile(away, 'utf8')) !== stale) await link(away, path)
  } catch {
    // Gone already.
  } finally {
    await rm(away, { force: true })
  }
}

async function acquire(path: string, token: string): Promise<void> {
  for (const end = Date.now() + PATIENCE; ;) {
    try {
      const handle = await open(path, 'wx', 0o600)
      try {
        await handle.writeFile(token)
      } finally {
        await handle.close()
      }
      return
    } catch (cause) {
      if ((cause as { code?: unknown }).code !== 'EEXIST')
        throw new KeyferryError('ERR_IO', `${path} cannot be created`, { cause })
    }
    const stale = await readStale(path)
    if (stale !== null) await takeAway(path, stale)
    else if (Date.now() > end)
      throw new KeyferryError('ERR_IO', `${path} is held by another process`)
    else await pause(RETRY)
  }
}

/** Runs `work` while this process holds the lock. Throws `ERR_IO` if it cannot be had within 15 s. */
export async function withFileLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const token = `${process.pid} ${randomUUID()}`
  await acquire(path, token)
  const timer = setInterval(() => {
    const now = new Date()
    utimes(path, now, now).catch(() => {})
  }, REFRESH)
  try {
    return await work()
  } finally {
    clearInterval(timer)
    // Not if it was taken away meanwhile: then it is somebody else's.
    const held = await readFile(path, 'utf8').catch(() => '')
    if (held === token) await rm(path, { force: true })
  }
}
