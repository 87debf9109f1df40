/**
 * One tenant: a Durable Object with its own SQLite database. It compares, stores and notifies; every signature was verified and
 * every hash computed by the gateway (app.ts) before a method here is called. Times are seconds.
 */
import { DurableObject } from 'cloudflare:workers'
import { drizzle } from 'drizzle-orm/durable-sqlite'
import { migrate } from 'drizzle-orm/durable-sqlite/migrator'
import { type Bytes } from '../shared/bytes.ts'
import { isKeyferryError, type ErrorCode } from '../shared/errors.ts'
import { collect } from './collect.ts'
import { Deliveries, type DeliveryAsk, type DeliveryParts } from './deliver.ts'
import { Events } from './events.ts'
import { listHeads } from './heads.ts'
import { Mailbox, type StoredRequest } from './mailbox.ts'
import migrations from './migrations/migrations.js'
import { Objects, type NamedObject } from './objects.ts'
import { Pushes, type PreparedPush, type PushResult } from './push.ts'
import { Refusals, type StoredRefusal } from './refusals.ts'
import {
  addTrust,
  checkCrls,
  findCrl,
  hasTrust,
  newestTrust,
  putCrls,
  readCurrent,
  readStanding,
  type Database,
  type StandingRow,
  type StoredCrl,
} from './store.ts'

/** Milliseconds between collections. */
const COLLECT_EVERY = 6 * 3_600_000

/** A verified trust document, encoded. */
export interface StoredTrust {
  number: number
  hash: Bytes
  envelope: Bytes
}

export class Tenant extends DurableObject<Env> {
  readonly #db: Database
  readonly #objects: Objects
  readonly #refusals: Refusals
  readonly #mailbox: Mailbox
  readonly #pushes: Pushes
  readonly #deliveries: Deliveries
  readonly #events: Events
  #isEnrolled = false

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    const { storage } = ctx
    this.#db = drizzle(storage)
    this.#objects = new Objects(storage.sql)
    this.#refusals = new Refusals(this.#db)
    this.#mailbox = new Mailbox(storage, this.#db, this.#refusals)
    this.#pushes = new Pushes(storage, this.#db, this.#objects)
    this.#deliveries = new Deliveries(this.#db, this.#objects, this.#refusals)
    this.#events = new Events(ctx)
    // Tables are made at enrolment only: a stranger who guesses tenant ids makes no databases.
    const tables = storage.sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'trusts'").toArray()
    if (tables.length > 0) void ctx.blockConcurrencyWhile(() => this.#migrate())
  }

  /** A round trip through the storage. */
  ping(): boolean {
    return this.ctx.storage.sql.exec<{ one: number }>('SELECT 1 AS one').one().one === 1
  }

  /** Stores a genesis trust document, and CRLs in any case. `isNew` is false for a tenant that is enrolled already. */
  async enrol(
    genesis: StoredTrust,
    crls: StoredCrl[],
  ): Promise<{ code: ErrorCode | null; isNew: boolean }> {
    if (!this.#isEnrolled) await this.ctx.blockConcurrencyWhile(() => this.#migrate())
    const isNew = newestTrust(this.#db) === undefined
    const refused = checkCrls(this.#db, crls)
    if (refused !== null) return { code: refused, isNew: false }
    try {
      const code = this.ctx.storage.transactionSync(() => {
        putCrls(this.#db, crls)
        return addTrust(this.#db, genesis)
      })
      if (isNew) await this.ctx.storage.setAlarm(Date.now() + COLLECT_EVERY)
      return { code, isNew }
    } catch (error) {
      if (isKeyferryError(error)) return { code: error.code, isNew: false }
      throw error
    }
  }

  /** What admission needs; `null` for a tenant that is not enrolled. */
  standing(after: number, knownCrls: Bytes[]): StandingRow | null {
    return this.#isEnrolled ? readStanding(this.#db, after, knownCrls) : null
  }

  hasTrust(number: number, hash: Bytes): boolean {
    return hasTrust(this.#db, number, hash)
  }

  addTrust(next: StoredTrust): ErrorCode | null {
    return this.#isEnrolled ? addTrust(this.#db, next) : 'ERR_NOT_FOUND'
  }

  /** Head and catalog, encoded; `null` before the first push. */
  current(): { hash: Bytes; head: Bytes; catalog: Bytes } | null {
    const row = readCurrent(this.#db)
    return row === undefined ? null : { hash: row.hash, head: row.head, catalog: row.catalog }
  }

  /** Heads kept after a number, encoded. */
  heads(after: number): { next: number; envelopes: Bytes[] } {
    return listHeads(this.#db, after)
  }

  addObjects(objects: NamedObject[], now: number): ErrorCode | null {
    return this.#pushes.addObjects(objects, now)
  }

  object(hash: Bytes): Bytes | null {
    return this.#objects.get(hash) ?? findCrl(this.#db, hash)
  }

  push(push: PreparedPush, now: number): PushResult {
    const result = this.#pushes.push(push)
    if (result.code === null && result.isNew) this.#events.head(push.head.hash, now)
    return result
  }

  /** `undefined` before the first push, `null` when there is nothing new. */
  deliver(ask: DeliveryAsk): DeliveryParts | null | undefined {
    return this.#deliveries.deliver(ask)
  }

  addRequest(request: StoredRequest, now: number): ErrorCode | null {
    const { code, isNew } = this.#mailbox.add(request, now)
    if (isNew) this.#events.request(now)
    return code
  }

  requests(after: number, now: number): { next: number; bodies: Bytes[] } {
    return this.#mailbox.list(after, now)
  }

  answer(done: number, refusals: StoredRefusal[], now: number): void {
    this.#mailbox.answer(done, refusals)
    for (const { recipient } of refusals) this.#events.refusal(recipient, now)
  }

  /** The event stream; only the gateway gets here. */
  override fetch(request: Request): Response {
    return this.#events.open(request)
  }

  /** Answers the closing of a socket, which would otherwise stay half open until the object is evicted. 1005 and 1006 cannot be sent. */
  override webSocketClose(socket: WebSocket, code: number): void {
    socket.close(code === 1005 || code === 1006 ? 1000 : code)
  }

  /** Clients have nothing to say; pings are answered by the platform. */
  override webSocketMessage(socket: WebSocket): void {
    socket.close(1008, 'no messages are taken')
  }

  override async alarm(): Promise<void> {
    try {
      this.collect(Math.floor(Date.now() / 1000))
    } finally {
      // An alarm that fails too often is not run again by itself.
      await this.ctx.storage.setAlarm(Date.now() + COLLECT_EVERY)
    }
  }

  /** Returns how many objects went. */
  collect(now: number): number {
    const { storage } = this.ctx
    const parts = {
      db: this.#db,
      objects: this.#objects,
      mailbox: this.#mailbox,
      refusals: this.#refusals,
    }
    this.#pushes.forget()
    return storage.transactionSync(() => collect(parts, now))
  }

  async #migrate(): Promise<void> {
    await migrate(this.#db, migrations)
    this.#isEnrolled = true
  }
}
