/** Immutable objects by their hash: one row each, the ones read last kept in memory. */
import { type Bytes } from '../shared/bytes.ts'
import { HashSet, keyOf, Recent } from './bounded.ts'

/** Of the 128 MB that an isolate has. */
const MEMORY = 16 * 1_048_576
/** Beyond this a tenant gets no more objects; the platform's end is at 10 GB. */
export const MAX_DATABASE = 8 * 2 ** 30
/** An object sent again is as young as a new one: collection leaves it alone. Seconds. */
const RENEW_AFTER = 12 * 3_600

/** An object with the hash that its receiver computed. */
export interface NamedObject {
  hash: Bytes
  body: Bytes
}

export class Objects {
  readonly #sql: SqlStorage
  readonly #memory = new Recent<Bytes>(MEMORY, (body) => body.length)

  constructor(sql: SqlStorage) {
    this.#sql = sql
  }

  has(hash: Bytes): boolean {
    return this.#sql.exec('SELECT 1 FROM objects WHERE hash = ?', hash).toArray().length > 0
  }

  get(hash: Bytes): Bytes | undefined {
    const key = keyOf(hash)
    const known = this.#memory.get(key)
    if (known !== undefined) return known
    const [row] = this.#sql
      .exec<{ body: ArrayBuffer }>('SELECT body FROM objects WHERE hash = ?', hash)
      .toArray()
    if (row === undefined) return undefined
    const body = new Uint8Array(row.body)
    this.#memory.set(key, body)
    return body
  }

  /** Stores what is not there; inside a transaction. An object that is there and young costs no write. */
  put(objects: readonly NamedObject[], now: number): void {
    const sql =
      'INSERT INTO objects (hash, created, body) VALUES (?1, ?2, ?3) ' +
      'ON CONFLICT (hash) DO UPDATE SET created = ?2 WHERE created < ?2 - ?4'
    for (const { hash, body } of objects) this.#sql.exec(sql, hash, now, body, RENEW_AFTER)
  }

  /** Deletes everything older than `before` (seconds) that is not live; returns how many. */
  sweep(live: HashSet, before: number): number {
    const old = this.#sql
      .exec<{ hash: ArrayBuffer }>('SELECT hash FROM objects WHERE created < ?', before)
      .toArray()
      .map((row) => new Uint8Array(row.hash))
      .filter((hash) => !live.has(hash))
    for (const hash of old) this.#sql.exec('DELETE FROM objects WHERE hash = ?', hash)
    if (old.length > 0) this.#memory.clear()
    return old.length
  }
}
