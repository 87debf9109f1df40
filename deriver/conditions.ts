/**
 * What stands wrong with the running service, in the database: `status`, the console and health checks read it from processes of their own. It is what the
 * service last found, and says nothing while none runs.
 */
import { type KeyferryError } from '../shared/errors.ts'
import { type Store } from './store.ts'

/** One thing that stands wrong: `root`, `roots`, `heads`, `clock`, `logins`, or `relay` and `unknown` with an address. `since` is seconds. */
export interface Condition {
  what: string
  code: string
  message: string
  since: number
}

/** Seconds: how exact the time is at which a relay last answered. */
const REACHED_STEP = 10

/** What a service notes. */
export interface Conditions {
  /** Notes what is wrong, or with `null` that it is well. */
  set(what: string, error: KeyferryError | null): void
  /** Notes that a relay answered, and that nothing is wrong with it. */
  reached(url: string): void
  /** What was noted may have been changed by another service. */
  forget(): void
}

export function readConditions(store: Store): Condition[] {
  return store
    .all<Condition>('SELECT * FROM conditions ORDER BY since, what')
    .map((row) => ({ ...row }))
}

/** Notes them for a service, and writes only what changes. `now` in seconds. */
export function keepConditions(store: Store, now: () => number): Conditions {
  const known = new Map<string, string>()
  const reachedAt = new Map<string, number>()

  function set(what: string, error: KeyferryError | null): void {
    const said = error === null ? '' : `${error.code} ${error.message}`
    if (known.get(what) === said) return
    if (error === null) store.run('DELETE FROM conditions WHERE what = ?', what)
    else
      store.run(
        `INSERT INTO conditions VALUES (?, ?, ?, ?)
         ON CONFLICT (what) DO UPDATE SET code = excluded.code, message = excluded.message`,
        what,
        error.code,
        error.message,
        now(),
      )
    known.set(what, said)
  }

  return {
    set,
    forget() {
      known.clear()
      reachedAt.clear()
    },
    reached(url) {
      set(`relay ${url}`, null)
      const last = reachedAt.get(url)
      if (last !== undefined && now() < last + REACHED_STEP) return
      store.run('UPDATE relays SET reached = ? WHERE url = ?', now(), url)
      reachedAt.set(url, now())
    },
  }
}
