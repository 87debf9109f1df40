/** Key requests that wait for the deriver (docs/PROTOCOL.md [relay-9]). */
import { and, asc, eq, gt, gte, lt, lte } from 'drizzle-orm'
import { type Bytes } from '../shared/bytes.ts'
import { type ErrorCode } from '../shared/errors.ts'
import { MAX_PUSH } from '../shared/limits.ts'
import { keyOf } from './bounded.ts'
import { type Refusals, type StoredRefusal } from './refusals.ts'
import { mailbox, requests } from './schema.ts'
import { type Database } from './database.ts'

/** Open requests of a tenant and of one certificate. */
export const MAX_OPEN = 10_000
export const MAX_OPEN_EACH = 16
/** Of one answer to the deriver. */
const BATCH = 100

/** A verified request. `body` is the JSON of package and request. */
export interface StoredRequest {
  /** Document hash of the request. */
  hash: Bytes
  signer: Bytes
  expires: number
  body: Bytes
}

/**
 * What is open, read once when the object wakes up: saves an index, and so a written row for each request, and whoever stands at a limit costs no
 * further scan.
 */
class Open {
  readonly #bySigner = new Map<string, number>()
  readonly #entries = new Map<string, { signer: string; seq: number; expires: number }>()
  /** Not above any expiry. */
  #earliest = Number.POSITIVE_INFINITY
  highest = 0

  get size(): number {
    return this.#entries.size
  }

  has(hash: Bytes): boolean {
    return this.#entries.has(keyOf(hash))
  }

  of(signer: Bytes): number {
    return this.#bySigner.get(keyOf(signer)) ?? 0
  }

  add(row: Omit<StoredRequest, 'body'> & { seq: number }): void {
    const signer = keyOf(row.signer)
    const { seq, expires } = row
    this.#entries.set(keyOf(row.hash), { signer, seq, expires })
    this.#bySigner.set(signer, (this.#bySigner.get(signer) ?? 0) + 1)
    this.#earliest = Math.min(this.#earliest, expires)
    this.highest = Math.max(this.highest, seq)
  }

  /** Forgets what is dealt with or expired; returns the numbers of that. */
  prune(done: number, now: number): number[] {
    const gone: number[] = []
    if (done === 0 && this.#earliest >= now) return gone
    this.#earliest = Number.POSITIVE_INFINITY
    for (const [hash, { signer, seq, expires }] of this.#entries) {
      if (seq > done && expires >= now) {
        this.#earliest = Math.min(this.#earliest, expires)
        continue
      }
      this.#entries.delete(hash)
      const left = this.#bySigner.get(signer)! - 1
      if (left === 0) this.#bySigner.delete(signer)
      else this.#bySigner.set(signer, left)
      gone.push(seq)
    }
    return gone
  }
}

export class Mailbox {
  readonly #storage: DurableObjectStorage
  readonly #db: Database
  readonly #refusals: Refusals
  #open: Open | undefined

  constructor(storage: DurableObjectStorage, db: Database, refusals: Refusals) {
    this.#storage = storage
    this.#db = db
    this.#refusals = refusals
  }

  /** `isNew` is false for a request that is there already. `most` is the tenant's quota. */
  add(
    request: StoredRequest,
    now: number,
    most = MAX_OPEN,
  ): { code: ErrorCode | null; isNew: boolean } {
    const open = this.#read()
    // PROTOCOL [relay-9]
    if (request.expires < now) return { code: 'ERR_REQUEST_EXPIRED', isNew: false }
    if (open.has(request.hash)) return { code: null, isNew: false }
    const isFull = (): boolean => open.size >= most || open.of(request.signer) >= MAX_OPEN_EACH
    if (isFull()) {
      // The last one stays: the next number is one above it.
      for (const seq of open.prune(0, now))
        if (seq < open.highest) this.#db.delete(requests).where(eq(requests.seq, seq)).run()
      if (isFull()) return { code: 'ERR_QUOTA', isNew: false }
    }
    const seq = Math.max(open.highest, this.#done()) + 1
    this.#db
      .insert(requests)
      .values({ seq, ...request })
      .run()
    open.add({ seq, ...request })
    return { code: null, isNew: true }
  }

  /** How many are open. */
  get size(): number {
    return this.#read().size
  }

  /** Requests after a number that have not expired, as many as fit; `next` is where to go on. */
  list(after: number, now: number): { next: number; bodies: Bytes[] } {
    const rows = this.#db
      .select({ seq: requests.seq, body: requests.body })
      .from(requests)
      .where(and(gt(requests.seq, after), gte(requests.expires, now)))
      .orderBy(asc(requests.seq))
      .limit(BATCH)
      .all()
    const bodies: Bytes[] = []
    let next = after
    let size = 0
    for (const { seq, body } of rows) {
      size += body.length
      if (size > MAX_PUSH && bodies.length > 0) break
      bodies.push(body)
      next = seq
    }
    return { next, bodies }
  }

  /** Stores refusals and forgets requests up to `done`, in one transaction. */
  answer(done: number, answers: readonly StoredRefusal[]): void {
    const open = this.#read()
    // Not above what was ever handed out: later requests get higher numbers.
    const upTo = Math.min(done, open.highest)
    try {
      this.#storage.transactionSync(() => {
        for (const refusal of answers) this.#refusals.put(refusal)
        if (upTo <= this.#done()) return
        this.#db.delete(requests).where(lte(requests.seq, upTo)).run()
        this.#db
          .insert(mailbox)
          .values({ id: 1, done: upTo })
          .onConflictDoUpdate({ target: mailbox.id, set: { done: upTo } })
          .run()
      })
    } catch (error) {
      this.forget()
      throw error
    }
    open.prune(upTo, 0)
  }

  /** Deletes expired requests. The last one stays: the next number is one above it. */
  collect(now: number): void {
    const last = this.#read().highest
    this.#db
      .delete(requests)
      .where(and(lt(requests.expires, now), lt(requests.seq, last)))
      .run()
    this.forget()
  }

  /** What is in memory may not be what is stored. */
  forget(): void {
    this.#open = undefined
    this.#refusals.forget()
  }

  #read(): Open {
    if (this.#open !== undefined) return this.#open
    const open = new Open()
    const rows = this.#db
      .select({
        seq: requests.seq,
        hash: requests.hash,
        signer: requests.signer,
        expires: requests.expires,
      })
      .from(requests)
      .all()
    for (const row of rows) open.add(row)
    this.#open = open
    return open
  }

  #done(): number {
    return (
      this.#db.select({ done: mailbox.done }).from(mailbox).where(eq(mailbox.id, 1)).get()?.done ??
      0
    )
  }
}
