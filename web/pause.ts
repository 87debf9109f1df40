/** The sleep between two fetches, which news ends. */
import { sleep } from './bounded.ts'

/** Milliseconds between two fetches at least. */
const LEAST_GAP = 100

export class Pause {
  /** Something may be new since the last fetch began. */
  #isDue = false
  #end = (): void => {}

  /** A fetch begins: it sees all news until now. */
  begin(): void {
    this.#isDue = false
  }

  /** Something may be new. */
  wake(): void {
    this.#isDue = true
    this.#end()
  }

  /** Resolves after about so many milliseconds, at news, or when the signal aborts. */
  async sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
    const ended = new AbortController()
    const end = (): void => ended.abort()
    this.#end = end
    signal.addEventListener('abort', end)
    if (signal.aborted || this.#isDue) end()
    try {
      await sleep(milliseconds * (0.75 + Math.random() / 2), ended.signal)
    } catch {
      // A relay that hints without end is not listened to without end.
      if (!signal.aborted) await sleep(LEAST_GAP, signal).catch(() => {})
    } finally {
      signal.removeEventListener('abort', end)
    }
  }
}
