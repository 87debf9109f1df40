/**
 * The store of browsers: one record in IndexedDB. Keys are kept by structured clone and cannot be read out of it; tabs take turns with Web Locks,
 * and a write compares revisions in its own transaction, so that none goes back. A browser that keeps nothing, or no keys, gets a store for as long as the page
 * lasts, which says so.
 */
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { lazily } from '../shared/lazy.ts'
import { createMemoryStore } from './store-memory.ts'
import { createQueue, type Store, type StoredState } from './store.ts'

const TABLE = 'state'
const KEY = 'client'
/** The revision alone, to be looked at without reading the rest. */
const REVISION = 'revision'
/** Milliseconds to wait for another tab's fetch. */
const PATIENCE = 10_000
/** Milliseconds for which it is enough that no other tab said anything: a look into the database costs more than an encryption. */
const LOOK = 1_000

function settle<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.addEventListener('success', () => resolve(request.result))
    request.addEventListener('error', () => reject(ioError(request.error)))
  })
}

function ioError(cause: unknown): KeyferryError {
  return isKeyferryError(cause)
    ? cause
    : new KeyferryError('ERR_IO', 'IndexedDB refused', { cause })
}

async function openDatabase(name: string, onClose: () => void): Promise<IDBDatabase> {
  const request = indexedDB.open(name, 1)
  request.addEventListener('upgradeneeded', () => request.result.createObjectStore(TABLE))
  const database = await settle(request)
  // Another tab deletes it or has a newer version: it waits until everybody lets go.
  database.addEventListener('versionchange', () => {
    database.close()
    onClose()
  })
  // The browser gave it up by itself.
  database.addEventListener('close', onClose)
  return database
}

function checkFormat(state: StoredState | undefined): StoredState | null {
  if (state === undefined) return null
  if (state.format !== 1) throw new KeyferryError('ERR_STATE', 'written by another version')
  return state
}

/** Whether the browser has no IndexedDB for this page, which is another matter than one that is full or broken: behind that may be a state. */
function isAbsent(error: unknown): boolean {
  const { name = '' } = ((error as { cause?: unknown }).cause ?? error) as Partial<Error>
  return (
    globalThis.indexedDB === undefined || name === 'SecurityError' || name === 'InvalidStateError'
  )
}

/** Whether the browser keeps keys. Where there is a state it did. */
async function keepsKeys(database: IDBDatabase): Promise<boolean> {
  const table = database.transaction(TABLE).objectStore(TABLE)
  if ((await settle(table.get(KEY))) !== undefined) return true
  const { tryKeys } = await lazily(() => import('./store-probe.ts'))
  return tryKeys((samples) => {
    const probe = database.transaction(TABLE, 'readwrite').objectStore(TABLE)
    probe.put(samples, 'probe')
    return settle(probe.delete('probe'))
  })
}

/**
 * Opens the store of this origin; clients of several tenants need several names. Where the browser keeps no keys, as in some private windows or with storage
 * blocked, it is a store in memory, with `sessionOnly` saying why. Throws `ERR_IO`.
 */
export async function openIndexedDbStore(name: string = 'keyferry'): Promise<Store> {
  const connection = connectTo(name)
  try {
    await connection.open()
  } catch (error) {
    if (isAbsent(error)) return createSessionStore(error)
    throw ioError(error)
  }
  try {
    if (await keepsKeys(await connection.open())) return createStore(connection, name)
  } catch (error) {
    throw ioError(error)
  }
  ;(await connection.open()).close()
  return createSessionStore(undefined)
}

function createSessionStore(cause: unknown): Store {
  const message = 'this browser keeps no keys: what this client has ends with the page'
  return { ...createMemoryStore(), sessionOnly: new KeyferryError('ERR_IO', message, { cause }) }
}

/** A database that is opened again after others closed it: it may be there still, and if not, that has to be seen. */
interface Connection {
  open(): Promise<IDBDatabase>
  /** Called when it was closed. */
  onClose: () => void
}

function connectTo(name: string): Connection {
  let opened: Promise<IDBDatabase> | undefined
  const connection: Connection = {
    open() {
      if (opened !== undefined) return opened
      const forget = (): void => {
        opened = undefined
        connection.onClose()
      }
      opened = openDatabase(name, forget)
      opened.catch(forget)
      return opened
    },
    onClose() {},
  }
  return connection
}

function createStore(connection: Connection, name: string): Store {
  const queue = createQueue()
  const { locks } = navigator as { locks?: LockManager }
  const news = new BroadcastChannel(`keyferry ${name}`)
  /** The highest revision that was written here or that another tab told of. */
  let heard = 0
  let looked = performance.now()
  /** What was read or written last: states are replaced, never changed. */
  let last: StoredState | null = null
  news.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
    if (typeof data === 'number' && data > heard) heard = data
  })
  connection.onClose = () => {
    heard = 0
    last = null
  }
  const open = (): Promise<IDBDatabase> => connection.open()
  const get = async <T>(key: string): Promise<T | undefined> => {
    try {
      const table = (await open()).transaction(TABLE).objectStore(TABLE)
      return await settle(table.get(key) as IDBRequest<T | undefined>)
    } catch (error) {
      throw ioError(error)
    }
  }
  const write = (database: IDBDatabase, state: StoredState): Promise<void> =>
    new Promise((resolve, reject) => {
      const transaction = database.transaction(TABLE, 'readwrite', { durability: 'strict' })
      let failure: unknown
      const fail = (error: unknown): void => {
        failure ??= error
        transaction.abort()
      }
      transaction.addEventListener('complete', () => resolve())
      transaction.addEventListener('abort', () => reject(ioError(failure ?? transaction.error)))
      const table = transaction.objectStore(TABLE)
      const request = table.get(REVISION) as IDBRequest<number | undefined>
      request.addEventListener('success', () => {
        if (state.revision <= (request.result ?? 0))
          return fail(new KeyferryError('ERR_STATE', 'the stored state has moved on'))
        try {
          table.put(state, KEY)
          table.put(state.revision, REVISION)
        } catch (error) {
          // A key that this browser does not store.
          fail(error)
        }
      })
    })

  return {
    exportsKeys: false,
    async read() {
      // A browser takes longer to make the keys of a state anew than to check all signatures of a delivery.
      if (last === null || (await get(REVISION)) !== last.revision)
        last = checkFormat(await get<StoredState>(KEY))
      return last
    },
    async write(state) {
      try {
        await write(await open(), state)
        last = state
        heard = Math.max(heard, state.revision)
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel has none
        news.postMessage(state.revision)
      } catch (error) {
        throw ioError(error)
      }
    },
    async lock(work) {
      // Without Web Locks the comparison of revisions remains.
      if (locks === undefined) return queue(work)
      return locks.request(`keyferry ${name}`, work)
    },
    async hasNewer(revision) {
      if (heard > revision) return true
      // What was said may have been lost: the other tab ended in between, or this one slept.
      if (performance.now() - looked < LOOK) return false
      looked = performance.now()
      return ((await get<number>(REVISION)) ?? 0) > revision
    },
    async turn(work, signal) {
      if (locks === undefined) return work()
      const patience = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)])
      let hasTurn = false
      try {
        return await locks.request(`keyferry ${name} fetch`, { signal: patience }, () => {
          hasTurn = true
          return work()
        })
      } catch (error) {
        if (hasTurn || signal.aborted) throw error
        return work()
      }
    },
  }
}
