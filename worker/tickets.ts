/** Tickets open one socket each (docs/PROTOCOL.md [relay-12]): those that were used are kept until they would have run out. */
import { lt } from 'drizzle-orm'
import { type Bytes } from '../shared/bytes.ts'
import { tickets } from './schema.ts'
import { type Database } from './database.ts'

/** Seconds. Whoever may open sockets brings a row with each: more of them than live in this time are not kept. */
const COLLECT_EVERY = 60

export class Tickets {
  readonly #sql: SqlStorage
  readonly #db: Database
  /** Seconds: when those that have run out were last deleted. */
  #collected = 0

  constructor(sql: SqlStorage, db: Database) {
    this.#sql = sql
    this.#db = db
  }

  /** False for one that was used. `expires` is the last second in which the gateway would take it. */
  use(hash: Bytes, expires: number): boolean {
    const now = Math.floor(Date.now() / 1_000)
    if (now - this.#collected > COLLECT_EVERY) {
      this.#collected = now
      // The gateway may have looked at its clock a while ago.
      this.collect(now - COLLECT_EVERY)
    }
    const insert = 'INSERT OR IGNORE INTO tickets (hash, expires) VALUES (?, ?)'
    return this.#sql.exec(insert, hash, expires).rowsWritten > 0
  }

  collect(now: number): void {
    this.#db.delete(tickets).where(lt(tickets.expires, now)).run()
  }
}
