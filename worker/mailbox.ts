/** Key requests that wait for the deriver (docs/PROTOCOL.md [relay-9]). */
import { and, asc, eq, gt, gte, lt, lte, max } from 'drizzle-orm'
import { type Bytes } from '../shared/bytes.ts'
import { type ErrorCode } from '../shared/errors.ts'
import { MAX_PUSH } from '../shared/limits.ts'
import { keyOf } from './bounded.ts'
import { type Refusals, type StoredRefusal } from './refusals.ts'
import { mailbox, requests } from './schema.ts'
import { type Database } from './store.ts'

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

/** What is open, counted once when the object wakes up: saves an index, and so a written row for each request. */
interface Open {
  hashes: Set<string>
  bySigner: Map<string, number>
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

  /** `isNew` is false for a request that is there already. */
  add(request: StoredRequest, now: number): { code: ErrorCode | null; isNew: boolean } {
    const key = keyOf(request.hash)
    const signer = keyOf(request.signer)
    let open = this.#count()
    // PROTOCOL [relay-9]
    if (open.hashes.has(key)) return { code: null, isNew: false }
    const isFull = (): boolean =>
      open.hashes.size >= MAX_OPEN || (open.bySigner.get(signer) ?? 0) >= MAX_OPEN_EACH
    if (isFull()) {
      this.collect(now)
      open = this.#count()
      if (isFull()) return { code: 'ERR_QUOTA', isNew: false }
    }
    const seq = Math.max(this.#highest(), this.#done()) + 1
    this.#db
      .insert(requests)
      .values({ seq, ...request })
      .run()
    open.hashes.add(key)
    open.bySigner.set(signer, (open.bySigner.get(signer) ?? 0) + 1)
    return { code: null, isNew: true }
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
    // Not above what was ever handed out: later requests get higher numbers.
    const upTo = Math.min(done, this.#highest())
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
    this.#open = undefined
  }

  /** Deletes expired requests. The last one stays: the next number is one above it. */
  collect(now: number): void {
    const last = this.#highest()
    this.#db
      .delete(requests)
      .where(and(lt(requests.expires, now), lt(requests.seq, last)))
      .run()
    this.#open = undefined
  }

  #count(): Open {
    if (this.#open !== undefined) return this.#open
    const open: Open = { hashes: new Set(), bySigner: new Map() }
    const rows = this.#db
      .select({ hash: requests.hash, signer: requests.signer })
      .from(requests)
      .all()
    for (const { hash, signer } of rows) {
      const key = keyOf(signer)
      open.hashes.add(keyOf(hash))
      open.bySigner.set(key, (open.bySigner.get(key) ?? 0) + 1)
    }
    this.#open = open
    return open
  }

  #highest(): number {
    return (
      this.#db
        .select({ seq: max(requests.seq) })
        .from(requests)
        .get()?.seq ?? 0
    )
  }

  #done(): number {
    return (
      this.#db.select({ done: mailbox.done }).from(mailbox).where(eq(mailbox.id, 1)).get()?.done ??
      0
    )
  }
}
