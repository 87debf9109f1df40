/**
 * The writer lease: of the services over one store, one works, and the others wait to take over. Each taking has a higher number, the fence, and everything
 * that a service writes is refused in its own transaction once the fence is no longer its own; so a process that was stopped and wakes up changes nothing.
 */
import { hostname } from 'node:os'
import { KeyferryError } from '../shared/errors.ts'
import { hasEnded, placeOf } from './process-place.ts'
import { type Store } from './store.ts'

/** Milliseconds that a lease holds without being renewed. */
export const LEASE_TIME = 15_000
/** No lease holds longer. */
export const LONGEST_LEASE = 3_600_000
/** By so much clocks are set without anything being wrong. */
const CORRECTION = 60_000
/** Milliseconds between two looks of one that waits. */
const LOOK = 250

/** Who holds the lease. Times are seconds. */
export interface Writer {
  /** `deriver-1, process 4711 on host`. */
  holder: string
  fence: number
  since: number
  /** Not before this another one takes over, unless the holder ends. */
  until: number
}

interface Row {
  fence: number
  holder: string
  place: string
  taken: number
  until: number
}

/** One service's part in the lease of a store. */
export interface Lease {
  /** Takes or renews it. False while another one holds it. */
  take(): boolean
  /** Takes or renews it. Throws `ERR_LEASE` while another service holds it. */
  claim(): void
  /**
   * Throws `ERR_LEASE` where another service holds it, and, once it was lost, until it is taken again; renews it where it is held. Call it in the transaction of what it
   * is to guard, or before a call.
   */
  require(): void
  /** Gives it back, so that nobody has to wait. */
  release(): void
}

const rowOf = (store: Store): Row | undefined =>
  store.get<Row>('SELECT fence, holder, place, taken, until FROM lease')

/** Whether a lease has ended. One that lasts longer than any does was taken by a clock that was ahead; it would keep everybody out until that time comes. */
function isOver({ until }: Row): boolean {
  const now = Date.now()
  return until <= now || until > now + LONGEST_LEASE + CORRECTION
}

/** Who writes to a store; `null` for nobody. */
export function readWriter(store: Store): Writer | null {
  const row = rowOf(store)
  if (row === undefined || isOver(row)) return null
  const { holder, fence, taken, until } = row
  return { holder, fence, since: Math.floor(taken / 1000), until: Math.floor(until / 1000) }
}

/** Makes a service's part in the lease of a store. `time` is how long it holds without being renewed, in milliseconds, at most {@link LONGEST_LEASE}. */
export function createLease(store: Store, name: string, time: number = LEASE_TIME): Lease {
  const holder = `${name}, process ${process.pid} on ${hostname()}`
  const place = placeOf(process.pid)
  let mine: number | null = null
  /** Whoever took it may have gone again: what was read before that is old nevertheless. */
  let isLost = false

  function isFree(row: Row): boolean {
    return isOver(row) || (row.place !== place && hasEnded(row.place))
  }

  function renew({ until }: Row): void {
    const now = Date.now()
    // Also where the clock was ahead when it was renewed last.
    if (until - now < (2 * time) / 3 || until > now + time)
      store.run('UPDATE lease SET until = ?', now + time)
  }

  function lost(row: Row): KeyferryError {
    isLost ||= mine !== null
    mine = null
    return new KeyferryError('ERR_LEASE', `${row.holder} writes to this store`)
  }

  const take = (): boolean =>
    store.transaction(() => {
      const row = rowOf(store)
      if (row !== undefined && row.fence === mine) {
        renew(row)
        return true
      }
      mine = null
      isLost = false
      if (row !== undefined && !isFree(row)) return false
      const now = Date.now()
      const fence = (row?.fence ?? 0) + 1
      store.run(
        'INSERT OR REPLACE INTO lease VALUES (1, ?, ?, ?, ?, ?)',
        fence,
        holder,
        place,
        now,
        now + time,
      )
      mine = fence
      return true
    })

  return {
    take,
    claim() {
      if (!take()) throw lost(rowOf(store)!)
    },
    require() {
      const row = rowOf(store)
      if (row !== undefined && row.fence === mine) return renew(row)
      // One that held it does not go on without it, however the error was taken that said so first.
      if (mine !== null || isLost) throw lost(row!)
      if (row !== undefined && !isFree(row)) throw lost(row)
    },
    release() {
      if (mine === null) return
      store.run('UPDATE lease SET until = 0 WHERE fence = ?', mine)
      mine = null
    },
  }
}

/** The store as a service writes to it: each write is in a transaction that begins with the lease. Reading needs none. */
export function fenceStore(store: Store, lease: Lease): Store {
  let isInside = false
  const guarded = <T>(work: () => T): T => {
    if (isInside) return work()
    return store.transaction(() => {
      isInside = true
      try {
        lease.require()
        return work()
      } finally {
        isInside = false
      }
    })
  }
  return {
    ...store,
    run(sql, ...values) {
      // It makes a transaction of its own, and changes nothing that is read.
      if (!sql.startsWith('VACUUM')) return guarded(() => store.run(sql, ...values))
      lease.require()
      store.run(sql, ...values)
    },
    transaction(work) {
      // SQLite would refuse one in another; so does this.
      if (isInside) return store.transaction(work)
      return guarded(work)
    },
    next: (name) => guarded(() => store.next(name)),
    set: (name, value) => guarded(() => store.set(name, value)),
  }
}

/** Waits for the lease until the signal; false if the signal came first. `waits` is told once who holds it. */
export async function waitForLease(
  store: Store,
  lease: Lease,
  signal: AbortSignal,
  waits: (holder: string) => void,
): Promise<boolean> {
  for (let isTold = false; !signal.aborted;) {
    if (lease.take()) return true
    if (!isTold) waits(rowOf(store)?.holder ?? '')
    isTold = true
    await new Promise<void>((resolve) => {
      const end = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', end)
        resolve()
      }
      const timer = setTimeout(end, LOOK)
      signal.addEventListener('abort', end)
    })
  }
  return false
}
