/** A lock between processes of one machine: a file that only one can create. */
import { createHash, randomUUID } from 'node:crypto'
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

/** Milliseconds since somebody created or refreshed it. Throws where it is gone. */
async function ageOf(path: string): Promise<number> {
  return Date.now() - (await stat(path)).mtimeMs
}

/** What stands in a lock that belongs to nobody any more; `null` if it is in use or gone. */
async function readStale(path: string, here: string): Promise<string | null> {
  try {
    const age = await ageOf(path)
    const token = await readFile(path, 'utf8')
    const [pid, place] = token.split(' ')
    // A lock that was created but not written yet has no number.
    return age > STALE || (place === here && !isRunning(Number(pid))) ? token : null
  } catch {
    return null
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
async function takeAway(path: string, stale: string): Promise<void> {
  const claim = `${path}.${createHash('sha256').update(stale).digest('hex').slice(0, 32)}`
  if (!(await create(claim, ''))) {
    // Of one who crashed in the middle of this.
    if ((await ageOf(claim).catch(() => 0)) > STALE) await rm(claim, { force: true })
    return pause(RETRY)
  }
  try {
    if ((await readFile(path, 'utf8').catch(() => null)) === stale) await rm(path, { force: true })
  } finally {
    await rm(claim, { force: true })
  }
}

async function acquire(path: string, token: string, here: string): Promise<void> {
  for (const end = Date.now() + PATIENCE; !(await create(path, token));) {
    const stale = await readStale(path, here)
    if (stale !== null) await takeAway(path, stale)
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
