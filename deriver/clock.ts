/** A clock that goes back, as far as this process and the heads that were signed know. */
import { KeyferryError } from '../shared/errors.ts'

/** What a service asks of its clock. Times are seconds. */
export interface ClockWatch {
  /** Whether a time is not yet, by more than what clocks may differ. */
  isAhead(time: number, skew: number): boolean
  /**
   * `ERR_CLOCK` where it was later already, here or when the newest head was signed; else `null`. It is no reason to sign nothing: what is wrong may be the time that
   * is there, or the one that was there before.
   */
  look(issued: number, skew: number): KeyferryError | null
}

/** Watches a clock. */
export function watchClock(now: () => number): ClockWatch {
  let latest = 0
  const isAhead = (time: number, skew: number): boolean => time > now() + skew
  return {
    isAhead,
    look(issued, skew) {
      latest = Math.max(latest, now(), issued)
      if (!isAhead(latest, skew)) return null
      const was = new Date(latest * 1000).toISOString()
      return new KeyferryError('ERR_CLOCK', `the clock was set back: it was ${was} already`)
    },
  }
}
