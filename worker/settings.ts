/** What the operator decides about a tenant: whether it is served, and how much of everything it may have. */
import { type Database } from './database.ts'
import { settings } from './schema.ts'
import { MAX_OPEN } from './mailbox.ts'

/** Bytes of the database, objects, open requests, open sockets, and calls in a minute. */
export interface Quota {
  bytes: number
  objects: number
  mailbox: number
  sockets: number
  calls: number
}

export const QUOTA_NAMES = ['bytes', 'objects', 'mailbox', 'sockets', 'calls'] as const

/** Where the operator says nothing. The platform ends at 10 GB and 32,768 sockets; one object serves about 1,000 calls a second. */
export const DEFAULT_QUOTA: Quota = {
  bytes: 8 * 2 ** 30,
  objects: 1_000_000,
  mailbox: MAX_OPEN,
  sockets: 30_000,
  calls: 60_000,
}

/** Of a quota, what the operator sets: `null` is the default again. */
export type QuotaChange = { [K in keyof Quota]?: number | null }

export class Settings {
  readonly #db: Database
  #known: { isSuspended: boolean; quota: Quota } | undefined

  constructor(db: Database) {
    this.#db = db
  }

  read(): { isSuspended: boolean; quota: Quota } {
    if (this.#known !== undefined) return this.#known
    const row = this.#db.select().from(settings).get()
    const quota = { ...DEFAULT_QUOTA }
    for (const name of QUOTA_NAMES) quota[name] = row?.[name] ?? DEFAULT_QUOTA[name]
    this.#known = { isSuspended: row?.isSuspended ?? false, quota }
    return this.#known
  }

  change(change: QuotaChange & { isSuspended?: boolean }): void {
    const { isSuspended } = this.read()
    this.#db
      .insert(settings)
      .values({ id: 1, isSuspended, ...change })
      .onConflictDoUpdate({ target: settings.id, set: { isSuspended, ...change } })
      .run()
    this.forget()
  }

  forget(): void {
    this.#known = undefined
  }
}

/** Calls of the running minute. In memory: an object that slept has had none. */
export class Meter {
  #minute = 0
  #count = 0

  /** False when that many were counted in this minute. `now` in seconds; a clock that goes back begins a new minute. */
  take(limit: number, now: number): boolean {
    const minute = Math.floor(now / 60)
    if (minute !== this.#minute) {
      this.#minute = minute
      this.#count = 0
    }
    this.#count++
    return this.#count <= limit
  }
}
