/** Refusals: the deriver's signed word to one client on one keyring. The newest is kept until it expires. */
import { and, eq, gte, lt } from 'drizzle-orm'
import { type Bytes } from '../shared/bytes.ts'
import { refusals } from './schema.ts'
import { type Database } from './store.ts'

/** A verified refusal. `recipient` is a certificate's fingerprint, `expires` seconds. */
export type StoredRefusal = typeof refusals.$inferSelect

export class Refusals {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  /** Inside a transaction. */
  put(refusal: StoredRefusal): void {
    const { expires, envelope } = refusal
    this.#db
      .insert(refusals)
      .values(refusal)
      .onConflictDoUpdate({
        target: [refusals.recipient, refusals.keyring],
        set: { expires, envelope },
      })
      .run()
  }

  /** Those for this client and these keyrings that have not expired. */
  find(recipient: Bytes, keyrings: readonly Bytes[], now: number): Bytes[] {
    const found: Bytes[] = []
    for (const keyring of keyrings) {
      const row = this.#db
        .select({ envelope: refusals.envelope })
        .from(refusals)
        .where(
          and(
            eq(refusals.recipient, recipient),
            eq(refusals.keyring, keyring),
            gte(refusals.expires, now),
          ),
        )
        .get()
      if (row !== undefined) found.push(row.envelope)
    }
    return found
  }

  collect(now: number): void {
    this.#db.delete(refusals).where(lt(refusals.expires, now)).run()
  }
}
