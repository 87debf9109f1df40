/** Refusals: the deriver's signed word to one client on one keyring. The newest is kept until it expires. */
import { and, eq, lt } from 'drizzle-orm'
import { type Bytes } from '../shared/bytes.ts'
import { keyOf, Recent } from './bounded.ts'
import { refusals } from './schema.ts'
import { type Database } from './database.ts'

/** A verified refusal. `recipient` is a certificate's fingerprint, `expires` seconds. */
export type StoredRefusal = typeof refusals.$inferSelect

/** Refusals, and the lack of one, that are kept in memory: by weight in bytes. */
const MEMORY = 4 * 1_048_576
const ABSENT = 128

export class Refusals {
  readonly #db: Database
  readonly #known = new Recent<{ envelope: Bytes; expires: number } | null>(
    MEMORY,
    (one) => ABSENT + (one?.envelope.length ?? 0),
  )

  constructor(db: Database) {
    this.#db = db
  }

  /** Inside a transaction. */
  put(refusal: StoredRefusal): void {
    const { expires, envelope } = refusal
    this.#known.delete(keyOf(refusal.recipient) + keyOf(refusal.keyring))
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
      const one = this.#get(recipient, keyring)
      if (one !== null && one.expires >= now) found.push(one.envelope)
    }
    return found
  }

  collect(now: number): void {
    this.#db.delete(refusals).where(lt(refusals.expires, now)).run()
    this.forget()
  }

  /** After a transaction that may have been rolled back, too. */
  forget(): void {
    this.#known.clear()
  }

  #get(recipient: Bytes, keyring: Bytes): { envelope: Bytes; expires: number } | null {
    const key = keyOf(recipient) + keyOf(keyring)
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const row = this.#db
      .select({ envelope: refusals.envelope, expires: refusals.expires })
      .from(refusals)
      .where(and(eq(refusals.recipient, recipient), eq(refusals.keyring, keyring)))
      .get()
    this.#known.set(key, row ?? null)
    return row ?? null
  }
}
