/** What a change would do: it is made, looked at, and rolled back. */
import { type Store } from './store.ts'

class Enough extends Error {}

/** Returns what `work` returns, with the store as it was before. `work` must not wait. Throws what `work` throws. */
export function preview<T>(store: Store, work: (store: Store) => T): T {
  const found: T[] = []
  try {
    store.transaction(() => {
      found.push(work({ ...store, transaction: (inner) => inner() }))
      throw new Enough()
    })
  } catch (error) {
    if (!(error instanceof Enough)) throw error
  }
  return found[0]!
}
