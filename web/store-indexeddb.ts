/**
 * The store of browsers: one record in IndexedDB. Keys are kept by structured clone and cannot be read out of it; tabs take turns with Web Locks,
 * and a write compares revisions in its own transaction, so that none goes back.
 */
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { createQueue, type Store, type StoredState } from './store.ts'

const TABLE = 'state'
const KEY = 'client'

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

async function openDatabase(name: string): Promise<IDBDatabase> {
  const request = indexedDB.open(name, 1)
  request.addEventListener('upgradeneeded', () => request.result.createObjectStore(TABLE))
  const database = await settle(request)
  database.addEventListener('versionchange', () => database.close())
  return database
}

function checkFormat(state: StoredState | undefined): StoredState | null {
  if (state === undefined) return null
  if (state.format !== 1) throw new KeyferryError('ERR_STATE', 'written by another version')
  return state
}

/** Opens the store of this origin; clients of several tenants need several names. Throws `ERR_IO`. */
export async function openIndexedDbStore(name: string = 'keyferry'): Promise<Store> {
  const database = await openDatabase(name)
  const queue = createQueue()

  const write = (state: StoredState): Promise<void> =>
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
      const request = table.get(KEY) as IDBRequest<StoredState | undefined>
      request.addEventListener('success', () => {
        if (state.revision <= (request.result?.revision ?? 0))
          return fail(new KeyferryError('ERR_STATE', 'the stored state has moved on'))
        try {
          table.put(state, KEY)
        } catch (error) {
          // A key that this browser does not store.
          fail(error)
        }
      })
    })

  return {
    exportsKeys: false,
    async read() {
      try {
        const table = database.transaction(TABLE).objectStore(TABLE)
        return checkFormat(await settle(table.get(KEY) as IDBRequest<StoredState | undefined>))
      } catch (error) {
        // Another tab may have had the database closed, for a newer version or to delete it.
        throw ioError(error)
      }
    },
    async write(state) {
      try {
        await write(state)
      } catch (error) {
        throw ioError(error)
      }
    },
    async lock(work) {
      const { locks } = navigator as { locks?: LockManager }
      // Without Web Locks the comparison of revisions remains.
      if (locks === undefined) return queue(work)
      return locks.request(`keyferry ${name}`, work)
    },
  }
}
