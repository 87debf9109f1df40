/** Those who wait for a keyring: each until its answer, its timeout or its signal. */
import { type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'

/** How long to wait for a keyring. */
export interface WaitOptions {
  /** Milliseconds; 30,000 by default, at most 2e9 (23 days). */
  timeout?: number
  signal?: AbortSignal
}

const TIMEOUT = 30_000

/** What a keyring's waiters are told; `undefined` to go on waiting. */
export type Verdict = 'ready' | KeyferryError | undefined

interface Waiter {
  id: Bytes
  settle: (verdict: 'ready' | Error) => void
}

export class Waiting {
  readonly #waiters = new Set<Waiter>()

  get size(): number {
    return this.#waiters.size
  }

  /** Resolves when the keyring is ready. `onTimeout` says what it is when the time runs out. */
  wait(id: Bytes, options: WaitOptions, onTimeout: () => 'ready' | KeyferryError): Promise<void> {
    const { timeout = TIMEOUT, signal } = options
    signal?.throwIfAborted()
    return new Promise((resolve, reject) => {
      const abort = (): void => waiter.settle(signal!.reason as Error)
      // Above the last number timers fire at once.
      const timer = setTimeout(() => waiter.settle(onTimeout()), Math.min(timeout, 2e9))
      const waiter: Waiter = {
        id,
        settle: (verdict) => {
          clearTimeout(timer)
          signal?.removeEventListener('abort', abort)
          this.#waiters.delete(waiter)
          if (verdict === 'ready') resolve()
          else reject(verdict)
        },
      }
      signal?.addEventListener('abort', abort)
      this.#waiters.add(waiter)
    })
  }

  /** Asks for every waiter's verdict. */
  settle(verdictOf: (id: Bytes) => Verdict): void {
    for (const waiter of this.#waiters) {
      const verdict = verdictOf(waiter.id)
      if (verdict !== undefined) waiter.settle(verdict)
    }
  }
}
