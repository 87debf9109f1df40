/** A client's store that fails once when it is told to: before a write took effect, or after it. */
import { KeyferryError } from '../../shared/errors.ts'
import { createMemoryStore } from '../../web/index.ts'
import { type Store, type StoredState } from '../../web/store.ts'

export type Moment = 'before' | 'after'

export interface CrashingStore extends Store {
  /** Lets the write after so many others fail. */
  arm(writes: number, moment: Moment): void
  /** Whether it failed since; it fails no more. */
  disarm(): boolean
}

/** `written` is told of every change that took effect. */
export function createCrashingStore(
  written: (before: StoredState | null, after: StoredState) => void,
): CrashingStore {
  const inner = createMemoryStore()
  let armed: { writes: number; moment: Moment } | null = null
  let hasCrashed = false
  const crash = (): never => {
    armed = null
    hasCrashed = true
    throw new KeyferryError('ERR_IO', 'the power is gone')
  }
  return {
    ...inner,
    arm(writes, moment) {
      armed = { writes, moment }
      hasCrashed = false
    },
    disarm() {
      armed = null
      return hasCrashed
    },
    async write(state) {
      const moment = armed !== null && armed.writes-- === 0 ? armed.moment : undefined
      if (moment === 'before') crash()
      const before = await inner.read()
      await inner.write(state)
      written(before, state)
      if (moment === 'after') crash()
    },
  }
}
