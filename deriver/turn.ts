/**
 * A service's turn: it waits for the lease of its store, works for as long as it holds it, wakes up when there is something to do, and gives the lease back. What the
 * work is says service.ts.
 */
import { isKeyferryError } from '../shared/errors.ts'
import { createBell } from './events.ts'
import { waitForLease, type Lease } from './lease.ts'
import { type Store } from './store.ts'

/** Milliseconds: how often the database is looked at for changes of other processes, and the mailbox without a notice. */
const CHANGE_POLL = 250
const MAILBOX_POLL = 15_000

/** What happens to the lease. */
export type WriterEvent =
  { type: 'writer'; state: 'waiting'; holder: string } | { type: 'writer'; state: 'taken' | 'lost' }

/** What a turn is made of. */
export interface TurnParts {
  /** Not fenced: the lease itself is in it. */
  store: Store
  lease: Lease
  /** Milliseconds that the lease holds without being renewed. */
  leaseTime: number
  report: (event: WriterEvent) => void
  /** The lease was taken: what another one wrote meanwhile is not known here. */
  begin: () => void
  /** Everything that is due, once. */
  work: () => Promise<void>
  /** What may be slow and keeps nobody waiting. */
  poll: () => Promise<void>
  /** Keeps the event streams of the relays open until the signal, and rings. */
  listen: (ring: () => void, stop: AbortSignal) => Promise<void>[]
  /** Whether there is something to do although nothing rang. */
  isDue: () => boolean
}

/** Also while a relay or a root keeps it waiting. It is not taken anew here: what is under way began with the lease that was lost. */
function keepRenewed(
  { store, lease, leaseTime }: TurnParts,
  fail: (error: unknown) => void,
): () => void {
  const timer = setInterval(() => {
    try {
      store.transaction(() => lease.require())
    } catch (error) {
      fail(error)
    }
  }, leaseTime / 4)
  return () => clearInterval(timer)
}

/** Works, with the lease, until the signal. Throws `ERR_LEASE` once another one has it. */
async function lead(parts: TurnParts, signal: AbortSignal): Promise<void> {
  const bell = createBell()
  const stop = new AbortController()
  const end = (): void => {
    stop.abort()
    bell.ring()
  }
  signal.addEventListener('abort', end)
  if (signal.aborted) end()
  let streams: Promise<void>[] = []
  let polling: Promise<void> | undefined
  let failure: unknown
  const fail = (error: unknown): void => {
    failure ??= error
    bell.ring()
  }
  const release = keepRenewed(parts, fail)
  const poll = (): void => {
    polling ??= parts
      .poll()
      .catch(fail)
      .finally(() => {
        polling = undefined
      })
  }
  try {
    while (!stop.signal.aborted) {
      if (failure !== undefined) throw failure as Error
      poll()
      await parts.work()
      if (streams.length === 0)
        streams = parts.listen(bell.ring, stop.signal).map((stream) => stream.catch(fail))
      const quiet = Date.now() + MAILBOX_POLL
      while (!(await bell.wait(CHANGE_POLL)) && !stop.signal.aborted && Date.now() < quiet) {
        if (parts.isDue()) break
      }
    }
  } finally {
    // Whatever ended it: no stream outlives the service.
    release()
    signal.removeEventListener('abort', end)
    stop.abort()
    await Promise.all([...streams, polling])
  }
}

/** Takes turns until the signal: of several services over one store one works, and the others wait to take over. */
export async function takeTurns(parts: TurnParts, signal: AbortSignal): Promise<void> {
  const { store, lease, report } = parts
  const waits = (holder: string): void => report({ type: 'writer', state: 'waiting', holder })
  while (await waitForLease(store, lease, signal, waits)) {
    report({ type: 'writer', state: 'taken' })
    parts.begin()
    try {
      await lead(parts, signal)
      lease.release()
      return
    } catch (error) {
      if (!isKeyferryError(error, 'ERR_LEASE')) {
        lease.release()
        throw error
      }
      report({ type: 'writer', state: 'lost' })
    }
  }
}

/** One piece of work with the lease, which is given back after it. Throws `ERR_LEASE` where another one holds it, or took it meanwhile. */
export async function takeOneTurn<T>(parts: TurnParts, work: () => Promise<T>): Promise<T> {
  const { lease } = parts
  lease.claim()
  parts.begin()
  // Should it be lost, the next write or call of the work says so.
  const release = keepRenewed(parts, () => {})
  try {
    return await work()
  } finally {
    release()
    lease.release()
  }
}
