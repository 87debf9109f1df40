/** A lock between processes of one machine: a file that only one can create. */
import { createHash, randomUUID } from 'node:crypto'
import { type Stats } from 'node:fs'
import { open, readFile, readlink, rm, stat, utimes } from 'node:fs/promises'
import { hostname } from 'node:os'
import { KeyferryError } from '../shared/errors.ts'

/** Milliseconds. */
const RETRY = 20
const PATIENCE = 15_000
const REFRESH = 2_000
/** A lock that nobody refreshed for so long belongs to nobody. */
const STALE = 10_000

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds))

/** Where process numbers mean what they mean here: containers that share a directory have their own. */
async function readPlace(): Promise<string> {
  const namespace = await readlink('/proc/self/ns/pid').catch(() => '')
  return `${hostname()}/${namespace}`.replaceAll(/\s/g, '')
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // It runs, but as somebody else.
    return (error as { code?: unknown }).code === 'EPERM'
  }
}

/** Whether nobody refreshed it lately. A time to come is of another clock. */
function isOld({ mtimeMs }: Pick<Stats, 'mtimeMs'>): boolean {
  return Math.abs(Date.now() - mtimeMs) > STALE
}

/** What stands in a lock that belongs to nobody any more; `null` if it is in use or gone. */
async function readStale(path: string, here: string): Promise<string | null> {
  const handle = await open(path).catch(() => null)
  if (handle === null) return null
  try {
    // Age and text of one file: another one may have its name by now.
    const stats = await handle.stat()
    const token = await handle.readFile('utf8')
    const [pid, place] = token.split(' ')
    // A lock that was created but not written yet has no number.
    return isOld(stats) || (place === here && !isRunning(Number(pid))) ? token : null
  } finally {
    await handle.close()
  }
}

/** Creates a file that is not there; false if it is. */
async function create(path: string, text: string): Promise<boolean> {
  try {
    const handle = await open(path, 'wx', 0o600)
    try {
      await handle.writeFile(text)
    } catch (cause) {
      // On a full disk: nobody shall wait for it.
      await rm(path, { force: true })
      throw cause
    } finally {
      await handle.close()
    }
    return true
  } catch (cause) {
    if ((cause as { code?: unknown }).code === 'EEXIST') return false
    throw new KeyferryError('ERR_IO', `${path} cannot be created`, { cause })
  }
}

/**
 * Removes a stale lock. Of those who saw it stale only one may, who creates the file that is named after what stands in it: a lock that somebody made meanwhile says
 * something else, and stays.
 */
async function takeAway(path: string, stale: string, here: string): Promise<void> {
  const claim = `${path}.${createHash('sha256').update(stale).digest('hex').slice(0, 32)}`
  if (!(await create(claim, ''))) {
    // Of one who crashed in the middle of this.
    const stats = await stat(claim).catch(() => null)
    if (stats !== null && isOld(stats)) await rm(claim, { force: true })
    return pause(RETRY)
  }
  try {
    if ((await readStale(path, here)) === stale) await rm(path, { force: true })
  } finally {
    await rm(claim, { force: true })
  }
}

async function acquire(path: string, token: string, here: string): Promise<void> {
  for (const end = Date.now() + PATIENCE; !(await create(path, token));) {
    const stale = await readStale(path, here)
    if (stale !== null) await takeAway(path, stale, here)
    else if (Date.now() > end)
      throw new KeyferryError('ERR_IO', `${path} is held by another process`)
    else await pause(RETRY)
  }
}

/** Runs `work` while this process holds the lock. Throws `ERR_IO` if it cannot be had within 15 s. */
export async function withFileLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const here = await readPlace()
  const token = `${process.pid} ${here} ${randomUUID()}`
  await acquire(path, token, here)
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
