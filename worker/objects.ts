/** Immutable objects by their hash: one row each, the ones read last kept in memory. */
import { type Bytes } from '../shared/bytes.ts'
import { MAX_BATCH_OBJECTS } from '../shared/limits.ts'
import { relayError } from '../shared/relay-codes.ts'
import { HashSet, keyOf, Recent } from './bounded.ts'

/** Of the 128 MB that an isolate has. */
const MEMORY = 16 * 1_048_576
/** The platform's end of a row. The local runtime does not enforce it. */
export const MAX_ROW = 2_000_000
/** An object's row with its key weighs no less. */
const LEAST_ROW = 48
/** An object sent again when it is older than this is as young as a new one: collection leaves it alone for half a day at least. Seconds. */
const RENEW_AFTER = 12 * 3_600

/** An object with the hash that its receiver computed. */
export interface NamedObject {
  hash: Bytes
  body: Bytes
}

export class Objects {
  readonly #sql: SqlStorage
  readonly #memory = new Recent<Bytes>(MEMORY, (body) => body.length)
  /** Not below how many there are. */
  #atMost: number | undefined

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
    for (const { hash, body } of objects) {
      if (body.length > MAX_ROW) throw relayError('ERR_TOO_LARGE')
      this.#sql.exec(sql, hash, now, body, RENEW_AFTER)
    }
    if (this.#atMost !== undefined) this.#atMost += objects.length
  }

  /** Keeps what was just stored in memory: the head that names it is next, and then who asks for it. A body comes as a part of a batch, which its copy does not hold on to. */
  remember(objects: readonly NamedObject[]): void {
    for (const { hash, body } of objects) this.#memory.set(keyOf(hash), body.slice())
  }

  /** True if there is room for more of them and their bytes. They are counted only where there might be too many. */
  hasRoom(more: readonly NamedObject[], most: { objects: number; bytes: number }): boolean {
    const bytes = more.reduce((sum, { body }) => sum + body.length, this.#sql.databaseSize)
    if (bytes > most.bytes) return false
    if (this.#sql.databaseSize / LEAST_ROW + more.length <= most.objects) return true
    if ((this.#atMost ?? Number.POSITIVE_INFINITY) + more.length <= most.objects) return true
    return this.count() + more.length <= most.objects
  }

  count(): number {
    this.#atMost = this.#sql.exec<{ n: number }>('SELECT count(*) AS n FROM objects').one().n
    return this.#atMost
  }

  /** Bodies after a hash, in the order of their hashes, as many as fit; `next` is the last one's, or `null` at the end. */
  list(after: Bytes, most: number): { bodies: Bytes[]; next: Bytes | null } {
    const bodies: Bytes[] = []
    let next: Bytes | null = null
    let size = 0
    const sql = 'SELECT hash, body FROM objects WHERE hash > ? ORDER BY hash'
    for (const row of this.#sql.exec<{ hash: ArrayBuffer; body: ArrayBuffer }>(sql, after)) {
      size += 4 + row.body.byteLength
      if (size > most || bodies.length === MAX_BATCH_OBJECTS) return { bodies, next }
      bodies.push(new Uint8Array(row.body))
      next = new Uint8Array(row.hash)
    }
    return { bodies, next: null }
  }

  forget(): void {
    this.#memory.clear()
    this.#atMost = undefined
  }

  /** Deletes everything older than `before` (seconds) that is not live; returns how many. */
  sweep(live: HashSet, before: number): number {
    const old = this.#sql
      .exec<{ hash: ArrayBuffer }>('SELECT hash FROM objects WHERE created < ?', before)
      .toArray()
      .map((row) => new Uint8Array(row.hash))
      .filter((hash) => !live.has(hash))
    for (const hash of old) this.#sql.exec('DELETE FROM objects WHERE hash = ?', hash)
    if (old.length > 0) this.forget()
    return old.length
  }
}
