/**
 * The store of Node: one JSON file, readable by its owner only. Node cannot keep a key without its bytes, so the file holds them: the private keys
 * of identity and key packages as PKCS#8. Whoever reads the file has what this client has; keep it as you would a TLS key. Channel and
 * message keys are not in it: they come out of the stored welcome again.
 */
import { createHash } from 'node:crypto'
import { open, readFile, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { base64url, fromBase64url } from '../shared/bytes.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { withFileLock } from './file-lock.ts'
import { createQueue, type Store, type StoredState } from './store.ts'

interface ExportedKey {
  algorithm: { name: string; namedCurve?: string }
  usages: KeyUsage[]
  /** base64url; empty for a secret key, which is not kept. */
  pkcs8: string
}

/** Keys that came out of a file are not extractable any more; their text is remembered to write it again. */
const texts = new WeakMap<CryptoKey, ExportedKey>()

async function exportKey(key: CryptoKey): Promise<ExportedKey> {
  const known = texts.get(key)
  if (known !== undefined) return known
  if (key.type !== 'private') return { algorithm: { name: '' }, usages: [], pkcs8: '' }
  if (!key.extractable) throw new KeyferryError('ERR_STATE', 'a file cannot keep this key')
  const pkcs8 = new Uint8Array(await crypto.subtle.exportKey('pkcs8', key))
  const { name, namedCurve } = key.algorithm as ExportedKey['algorithm']
  const algorithm = namedCurve === undefined ? { name } : { name, namedCurve }
  return { algorithm, usages: key.usages, pkcs8: base64url(pkcs8) }
}

async function importKey(text: ExportedKey): Promise<CryptoKey | null> {
  if (text.pkcs8 === '') return null
  const { algorithm, usages } = text
  const bytes = fromBase64url(text.pkcs8)
  const key = await crypto.subtle.importKey('pkcs8', bytes, algorithm, false, usages)
  texts.set(key, text)
  return key
}

/** JSON of a value in which bytes and keys are objects with one field. */
async function toJson(value: unknown): Promise<unknown> {
  if (value instanceof Uint8Array) return { $bytes: base64url(value) }
  if (value instanceof CryptoKey) return { $key: await exportKey(value) }
  if (Array.isArray(value)) return Promise.all(value.map(toJson))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(async ([name, item]) => [name, await toJson(item)])
  return Object.fromEntries((await Promise.all(entries)) as [string, unknown][])
}

async function fromJson(value: unknown): Promise<unknown> {
  if (Array.isArray(value)) return Promise.all(value.map(fromJson))
  if (typeof value !== 'object' || value === null) return value
  if ('$bytes' in value) return fromBase64url(value.$bytes as string)
  if ('$key' in value) return importKey(value.$key as ExportedKey)
  const entries = Object.entries(value).map(async ([name, item]) => [name, await fromJson(item)])
  return Object.fromEntries((await Promise.all(entries)) as [string, unknown][])
}

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

async function readState(path: string): Promise<StoredState | null> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if (hasCode(cause, 'ENOENT')) return null
    throw new KeyferryError('ERR_IO', `${path} cannot be read`, { cause })
  }
  try {
    const state = (await fromJson(JSON.parse(withoutDigest(text)))) as StoredState
    if (state.format !== 1) throw new KeyferryError('ERR_STATE', 'written by another version')
    return state
  } catch (cause) {
    if (isKeyferryError(cause, 'ERR_STATE')) throw cause
    throw new KeyferryError('ERR_STATE', `${path} is damaged`, { cause })
  }
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
    const state = await readState(path)
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
      const text = JSON.stringify(await toJson(state))
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
