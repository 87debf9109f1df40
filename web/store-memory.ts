/** A store that lasts as long as the page or process: for tests and for clients that may start over with a new certificate. */
import { KeyferryError } from '../shared/errors.ts'
import { createQueue, type Store, type StoredState } from './store.ts'

/**
 * A store in memory. What it forgets cannot be made up for: with the same certificate key, a deriver refuses the key packages of a client that
 * lost count of them.
 */
export function createMemoryStore(): Store {
  let stored: StoredState | null = null
  return {
    exportsKeys: false,
    lock: createQueue(),
    read: () => Promise.resolve(stored),
    hasNewer: (revision) => Promise.resolve((stored?.revision ?? 0) > revision),
    write(state) {
      if (state.revision <= (stored?.revision ?? 0))
        return Promise.reject(new KeyferryError('ERR_STATE', 'the stored state has moved on'))
      stored = state
      return Promise.resolve()
    },
  }
}
