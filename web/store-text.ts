/**
 * State as text, for stores that keep no keys: the private keys of identity and key packages stand in it as PKCS#8. Channel and message keys are
 * not in it: they come out of the stored welcome again.
 */
import { base64url, fromBase64url } from '../shared/bytes.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { subtle } from '../shared/platform.ts'
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
  const pkcs8 = new Uint8Array(await subtle().exportKey('pkcs8', key))
  const { name, namedCurve } = key.algorithm as ExportedKey['algorithm']
  const algorithm = namedCurve === undefined ? { name } : { name, namedCurve }
  return { algorithm, usages: key.usages, pkcs8: base64url(pkcs8) }
}

async function importKey(text: ExportedKey): Promise<CryptoKey | null> {
  if (text.pkcs8 === '') return null
  const { algorithm, usages } = text
  const bytes = fromBase64url(text.pkcs8)
  const key = await subtle().importKey('pkcs8', bytes, algorithm, false, usages)
  texts.set(key, text)
  return key
}

/** Keys of WebCrypto and of what stands in for it. */
function isKey(value: unknown): value is CryptoKey {
  return typeof value === 'object' && value !== null && 'usages' in value && 'extractable' in value
}

/** JSON of a value in which bytes and keys are objects with one field. */
async function toJson(value: unknown): Promise<unknown> {
  if (value instanceof Uint8Array) return { $bytes: base64url(value) }
  if (isKey(value)) return { $key: await exportKey(value) }
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

/** State as text. Throws `ERR_STATE` for a key that cannot be read. */
export async function writeState(state: StoredState): Promise<string> {
  return JSON.stringify(await toJson(state))
}

/** The state that a text holds; `where` it was found is for the message. Throws `ERR_STATE`. */
export async function readState(text: string, where: string): Promise<StoredState> {
  try {
    const state = (await fromJson(JSON.parse(text))) as StoredState
    if (state.format !== 1) throw new KeyferryError('ERR_STATE', 'written by another version')
    return state
  } catch (cause) {
    if (isKeyferryError(cause, 'ERR_STATE')) throw cause
    throw new KeyferryError('ERR_STATE', `${where} is damaged`, { cause })
  }
}

/** A place for one text, such as an entry of a phone's keychain. Nobody else may write it. */
export interface TextPlace {
  /** What was written last; `null` at first. */
  read(): Promise<string | null>
  /** Replaces it, durably and as a whole once it resolves. */
  write(text: string): Promise<void>
}

async function io<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw new KeyferryError('ERR_IO', 'the place for the state failed', { cause })
  }
}

/**
 * A store in a place of the app's own. The text holds private keys in clear: the place has to keep it as secret as the platform can, in a keychain, or encrypted
 * under a key in one.
 *
 * @example
 * const store = createTextStore({ read: () => getItem('keyferry'), write: (text) => setItem('keyferry', text) })
 */
export function createTextStore(place: TextPlace): Store {
  const read = async (): Promise<StoredState | null> => {
    const text = await io(() => place.read())
    return text === null ? null : readState(text, 'the stored text')
  }
  return {
    exportsKeys: true,
    lock: createQueue(),
    read,
    async write(state) {
      if (state.revision <= ((await read())?.revision ?? 0))
        throw new KeyferryError('ERR_STATE', 'the stored state has moved on')
      const text = await writeState(state)
      await io(() => place.write(text))
    },
  }
}
