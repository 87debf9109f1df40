/**
 * The store of Node: one JSON file, readable by its owner only. Node cannot keep a key without its bytes, so the file holds them: the private keys
 * of identity and key packages as PKCS#8 (store-text.ts). Whoever reads the file has what this client has; keep it as you would a TLS key.
 */
import { createHash } from 'node:crypto'
import { open, readFile, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { KeyferryError } from '../shared/errors.ts'
import { withFileLock } from './file-lock.ts'
import { readState, writeState } from './store-text.ts'
import { createQueue, type Store, type StoredState } from './store.ts'

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && (error as { code?: unknown }).code === code
}

/** A whole state as text, with its hash behind it: a file that changed on its own is noticed before anything in it is used. */
function withDigest(json: string): string {
  return `${json.slice(0, -1)},"digest":"${digestOf(json)}"}\n`
}

function digestOf(json: string): string {
  return createHash('sha256').update(json).digest('hex')
}

/** The state in such a text. A file without a hash is of an earlier version. Throws for one that does not fit. */
function withoutDigest(text: string): string {
  const [whole, json, digest] = /^(.*),"digest":"([0-9a-f]{64})"\}\n?$/s.exec(text) ?? []
  if (whole !== undefined && digestOf(`${json}}`) !== digest) throw new Error('the hash differs')
  return whole === undefined ? text : `${json}}`
}

/** What tells one writing of a file from another; each is a new file. Empty for none. */
async function printOf(path: string): Promise<string> {
  try {
    const { ino, mtimeNs, size } = await stat(path, { bigint: true })
    return `${ino} ${mtimeNs} ${size}`
  } catch (cause) {
    if (hasCode(cause, 'ENOENT')) return ''
    throw new KeyferryError('ERR_IO', `${path} cannot be read`, { cause })
  }
}

async function readFileState(path: string): Promise<StoredState | null> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if (hasCode(cause, 'ENOENT')) return null
    throw new KeyferryError('ERR_IO', `${path} cannot be read`, { cause })
  }
  let json: string
  try {
    json = withoutDigest(text)
  } catch (cause) {
    throw new KeyferryError('ERR_STATE', `${path} is damaged`, { cause })
  }
  return readState(json, path)
}

async function synced(handle: FileHandle, text?: string): Promise<void> {
  try {
    if (text !== undefined) await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Writes beside the file and moves it into place: after a crash there is the old state or the new one. */
async function replace(path: string, text: string): Promise<void> {
  const beside = `${path}.${process.pid}.tmp`
  await rm(beside, { force: true })
  await synced(await open(beside, 'wx', 0o600), text)
  await rename(beside, path)
  // The directory, so that the new name is durable too; Windows has no such thing.
  if (process.platform !== 'win32') await synced(await open(dirname(path), 'r'))
}

/**
 * A store in a file, whose directory must exist. Processes on one machine take turns with a lock file beside it.
 *
 * @example
 * const store = createFileStore('/var/lib/orders/keyferry.json')
 */
export function createFileStore(path: string): Store {
  const queue = createQueue()
  /** The file as it was last read or written here. */
  let seen = { print: '', revision: 0 }
  const read = async (): Promise<StoredState | null> => {
    // Before it is read: what is written in between is found newer, and read once more.
    const print = await printOf(path)
    const state = await readFileState(path)
    seen = { print, revision: state?.revision ?? 0 }
    return state
  }
  return {
    exportsKeys: true,
    read,
    hasNewer: async (revision) => seen.revision > revision || (await printOf(path)) !== seen.print,
    async write(state) {
      const stored = await read()
      if (state.revision <= (stored?.revision ?? 0))
        throw new KeyferryError('ERR_STATE', 'the stored state has moved on')
      const text = await writeState(state)
      try {
        await replace(path, withDigest(text))
        seen = { print: await printOf(path), revision: state.revision }
      } catch (cause) {
        throw new KeyferryError('ERR_IO', `${path} cannot be written`, { cause })
      }
    },
    lock: (work) => queue(() => withFileLock(`${path}.lock`, work)),
  }
}
