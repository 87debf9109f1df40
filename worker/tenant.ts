/**
 * One tenant: a Durable Object with its own SQLite database. It compares, stores and notifies; every signature was verified and
 * every hash computed by the gateway (app.ts) before a method here is called. Times are seconds.
 */
import { DurableObject } from 'cloudflare:workers'
import { base64url, type Bytes } from '../shared/bytes.ts'
import { parseCrl } from '../shared/crl.ts'
import { decodeEnvelope } from '../shared/envelope.ts'
import { type ErrorCode } from '../shared/errors.ts'
import { parseJson } from '../shared/json.ts'
import { MAX_BATCH, MAX_ENVELOPE } from '../shared/limits.ts'
import { type News } from '../shared/news.ts'
import { tenantId } from '../shared/document-hash.ts'
import { collect } from './collect.ts'
import { migrate, openDatabase, type Database } from './database.ts'
import { Deliveries, type DeliveryAsk, type DeliveryParts } from './deliver.ts'
import { enrolIn, type StoredTrust } from './enrol.ts'
import { Events } from './events.ts'
import { listHeads } from './heads.ts'
import { Hot } from './hot.ts'
import { Mailbox, type StoredRequest } from './mailbox.ts'
import migrations from './migrations/migrations.js'
import { Objects, type NamedObject } from './objects.ts'
import { Pushes, type PreparedPush, type PushResult } from './push.ts'
import { registryOf } from './call.ts'
import { MOVED } from './problem.ts'
import { Refusals, type StoredRefusal } from './refusals.ts'
import { Meter, Settings, type Quota, type QuotaChange } from './settings.ts'
import {
  addTrust,
  allCrls,
  findCrl,
  hasTrust,
  newestTrust,
  readStanding,
  trustsAfter,
  type StandingRow,
  type StoredCrl,
} from './store.ts'
import { Tickets } from './tickets.ts'
import { type Documents, type Gauges, type Usage } from './usage.ts'
import { type Waiting } from './waiters.ts'
import { nextAsk, wholeDelivery } from './whole.ts'

/** Every schema there was, oldest first. */
export { migrations }

/** Bytes of objects in one answer to an operator or a deriver: a batch. */
const LIST = MAX_BATCH
/** Milliseconds between two rows of health. */
const PING_EVERY = 60_000
/** Milliseconds between collections. */
const COLLECT_EVERY = 6 * 3_600_000

export class Tenant extends DurableObject<Env> {
  readonly #db: Database
  readonly #hot: Hot
  readonly #objects: Objects
  readonly #refusals: Refusals
  readonly #mailbox: Mailbox
  readonly #pushes: Pushes
  readonly #deliveries: Deliveries
  readonly #tickets: Tickets
  readonly #events: Events
  readonly #settings: Settings
  readonly #meter = new Meter()
  #isEnrolled = false
  /** Milliseconds when health was last written. */
  #pinged = Number.NaN

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    const { storage } = ctx
    this.#db = openDatabase(storage)
    this.#hot = new Hot(this.#db)
    this.#objects = new Objects(storage.sql)
    this.#refusals = new Refusals(this.#db)
    this.#mailbox = new Mailbox(storage, this.#db, this.#refusals)
    this.#pushes = new Pushes(storage, this.#db, this.#hot, this.#objects)
    this.#deliveries = new Deliveries(this.#hot, this.#objects, this.#refusals)
    this.#tickets = new Tickets(storage.sql, this.#db)
    this.#events = new Events(ctx, this.#tickets)
    this.#settings = new Settings(this.#db)
    // Tables are made at enrolment only: a stranger who guesses tenant ids makes no databases.
    const tables = storage.sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'trusts'").toArray()
    if (tables.length > 0) void ctx.blockConcurrencyWhile(() => this.#migrate())
  }

  /** A round trip through the storage: a row that is written once a minute, and read. The answer leaves when it is on disk. */
  ping(): boolean {
    const { sql } = this.ctx.storage
    const now = Date.now()
    if (!(now >= this.#pinged && now - this.#pinged < PING_EVERY)) {
      sql.exec('CREATE TABLE IF NOT EXISTS health (id INTEGER PRIMARY KEY, at INTEGER NOT NULL)')
      sql.exec('INSERT OR REPLACE INTO health (id, at) VALUES (1, ?)', now)
      this.#pinged = now
    }
    return sql.exec<{ at: number }>('SELECT at FROM health').one().at === this.#pinged
  }

  /** Stores a genesis trust document and CRLs: see worker/enrol.ts. */
  async enrol(
    genesis: StoredTrust,
    crls: StoredCrl[],
  ): Promise<{ code: ErrorCode | null; isNew: boolean }> {
    if (!this.#isEnrolled) await this.ctx.blockConcurrencyWhile(() => this.#migrate())
    if (this.#settings.read().isSuspended) return { code: 'ERR_SUSPENDED', isNew: false }
    try {
      const result = enrolIn(this.ctx.storage, this.#db, genesis, crls)
      if (result.isNew) await this.ctx.storage.setAlarm(Date.now() + COLLECT_EVERY)
      return result
    } finally {
      this.#hot.forget()
    }
  }

  /** What admission needs; `null` for a tenant that is not enrolled. */
  standing(after: number, knownCrls: Bytes[]): StandingRow | null {
    return this.#isEnrolled ? readStanding(this.#db, after, knownCrls) : null
  }

  /** Asked by strangers, too: it is not counted, and who does not know the document learns nothing of a suspension. */
  hasTrust(number: number, hash: Bytes): boolean {
    if (!this.#isEnrolled) throw new Error('ERR_NOT_FOUND')
    const isKnown = hasTrust(this.#db, number, hash)
    if (isKnown) this.#requireServed()
    return isKnown
  }

  /** `changesRules`: other certificates are admitted than before, and so everybody is admitted anew. */
  addTrust(next: StoredTrust, changesRules: boolean): ErrorCode | null {
    this.#serve()
    const code = addTrust(this.#db, next)
    this.#hot.forget()
    if (code === null && changesRules) this.#events.closeAll('to be admitted anew')
    return code
  }

  /** Head and catalog, encoded; `null` before the first push. */
  current(): { hash: Bytes; head: Bytes; catalog: Bytes } | null {
    this.#serve()
    const row = this.#hot.current()
    return row === undefined ? null : { hash: row.hash, head: row.head, catalog: row.catalog }
  }

  /** Heads kept after a number, encoded. */
  heads(after: number, standing: string): { next: number; envelopes: Bytes[] } {
    this.#serve(standing)
    return listHeads(this.#db, after)
  }

  addObjects(objects: NamedObject[], now: number): ErrorCode | null {
    return this.#pushes.addObjects(objects, now, this.#serve())
  }

  /** `standing` here and below: the tag of the documents by which the gateway admitted a client. */
  object(hash: Bytes, standing?: string): Bytes | null {
    this.#serve(standing)
    return this.#objects.get(hash) ?? findCrl(this.#db, hash)
  }

  /** Objects after a hash, for whoever looks through all of them. */
  listObjects(after: Bytes): { bodies: Bytes[]; next: Bytes | null } {
    this.#serve()
    return this.#objects.list(after, LIST)
  }

  documents(): Documents {
    this.#serve()
    return this.readDocuments()
  }

  push(push: PreparedPush, now: number): Exclude<PushResult, { code: null }> | { code: null } {
    this.#serve()
    const result = this.#pushes.push(push, now)
    if (result.code !== null) return result
    if (result.changed.length > 0 && this.#events.hasAny) {
      const lists = result.changed.map(({ issuer, der }) => ({
        issuer: base64url(issuer),
        revoked: parseCrl(der).revoked,
      }))
      this.#events.revoke(lists)
    }
    if (result.isNew) {
      this.#events.head(push.head.hash, now, (ask) =>
        wholeDelivery(ask, this.#deliveries, this.#hot),
      )
    }
    return { code: null }
  }

  /** `undefined` before the first push, `null` when there is nothing new. */
  deliver(ask: DeliveryAsk, standing: string): DeliveryParts | null | undefined {
    this.#serve(standing)
    const parts = this.#deliveries.deliver(ask)
    if (this.#events.hasAny) {
      const next = nextAsk(ask, parts, this.#hot)
      if (next !== null) this.#events.remember(next)
    }
    return parts
  }

  addRequest(request: StoredRequest, now: number, standing: string): ErrorCode | null {
    const quota = this.#serve(standing)
    this.#requireRoom(quota)
    const { code, isNew } = this.#mailbox.add(request, now, quota.mailbox)
    if (isNew) this.#events.request(now)
    return code
  }

  requests(after: number, now: number): { next: number; bodies: Bytes[] } {
    this.#serve()
    return this.#mailbox.list(after, now)
  }

  answer(done: number, refusals: StoredRefusal[], now: number): void {
    const quota = this.#serve()
    // Without refusals it only makes room.
    if (refusals.length > 0) this.#requireRoom(quota)
    this.#mailbox.answer(done, refusals)
    for (const { recipient } of refusals) this.#events.refusal(recipient, now)
  }

  /** News for a caller that has no socket, as soon as there is some. */
  wait(who: Waiting, after: string, seconds: number, standing: string): Promise<News | null> {
    return this.#events.wait(who, after, seconds, this.#serve(standing).sockets)
  }

  /** The event stream; only the gateway gets here. */
  override fetch(request: Request): Response {
    const { sockets } = this.#serve()
    return this.#events.open(request, sockets, this.#hot.standingTag())
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
    if (!this.#isEnrolled) return
    try {
      const now = Math.floor(Date.now() / 1000)
      await registryOf(this.env).add(this.#id(), now)
      this.collect(now)
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
      tickets: this.#tickets,
    }
    try {
      return storage.transactionSync(() => collect(parts, now))
    } finally {
      this.#forget()
    }
  }

  /** For the operator, as all that follows: not counted, and not stopped by a suspension. `null` where nobody is enrolled. */
  readUsage(): Usage | null {
    const newest = this.#isEnrolled ? newestTrust(this.#db) : undefined
    if (newest === undefined) return null
    const { isSuspended, quota } = this.#settings.read()
    const row = this.#hot.current()
    return {
      tenant: this.#id(),
      suspended: isSuspended,
      quota,
      usage: {
        bytes: this.ctx.storage.sql.databaseSize,
        objects: this.#objects.count(),
        mailbox: this.#mailbox.size,
        sockets: this.#events.size,
      },
      trust: newest.number,
      head: row === undefined ? null : { incarnation: row.incarnation, version: row.version },
    }
  }

  /** For the operator's metrics; `null` where nobody is enrolled. */
  readGauges(): Gauges | null {
    const newest = this.#isEnrolled ? this.#hot.newestTrust() : undefined
    if (newest === undefined) return null
    const row = this.#hot.current()
    const head =
      row === undefined ? null : parseJson(decodeEnvelope(row.head).payload, MAX_ENVELOPE)
    return {
      bytes: this.ctx.storage.sql.databaseSize,
      mailbox: this.#mailbox.size,
      sockets: this.#events.size,
      suspended: this.#settings.read().isSuspended ? 1 : 0,
      trust: newest.number,
      head_version: row?.version ?? 0,
      head_expires_seconds: (head as { expiresAt: number } | null)?.expiresAt ?? 0,
    }
  }

  changeSettings(change: QuotaChange & { isSuspended?: boolean }): Usage | null {
    if (this.readUsage() === null) return null
    this.#settings.change(change)
    if (change.isSuspended === true) this.#events.closeAll('suspended')
    return this.readUsage()
  }

  readDocuments(): Documents {
    const row = this.#hot.current()
    return {
      trust: trustsAfter(this.#db, 0),
      crls: allCrls(this.#db),
      head: row?.head ?? null,
      catalog: row?.catalog ?? null,
    }
  }

  readObjects(after: Bytes): { bodies: Bytes[]; next: Bytes | null } {
    return this.#objects.list(after, LIST)
  }

  /** Everything of this tenant goes; it may be enrolled again. False where nobody is enrolled. */
  async deleteTenant(): Promise<boolean> {
    if (!this.#isEnrolled) return false
    const tenant = this.#id()
    this.#isEnrolled = false
    this.#events.closeAll('deleted')
    await this.ctx.storage.deleteAlarm()
    await this.ctx.storage.deleteAll()
    this.#forget()
    await registryOf(this.env).remove(tenant)
    return true
  }

  /**
   * Counts a call, and throws one of `REFUSALS` of worker/problem.ts where there is something against it, or `MOVED` where its caller was admitted by other
   * documents than those of now. Returns the quota.
   */
  #serve(standing?: string): Quota {
    // PROTOCOL [relay-4]: also before it learns of a suspension
    if (this.#isEnrolled && standing !== undefined && standing !== this.#hot.standingTag())
      throw new Error(MOVED)
    const quota = this.#requireServed()
    if (!this.#meter.take(quota.calls, Math.floor(Date.now() / 1000))) throw new Error('ERR_QUOTA')
    return quota
  }

  /** What is stored beside objects, too, only while the database has room. */
  #requireRoom({ bytes }: Quota): void {
    if (this.ctx.storage.sql.databaseSize > bytes) throw new Error('ERR_QUOTA')
  }

  #requireServed(): Quota {
    if (!this.#isEnrolled) throw new Error('ERR_NOT_FOUND')
    const { isSuspended, quota } = this.#settings.read()
    if (isSuspended) throw new Error('ERR_SUSPENDED')
    return quota
  }

  /** Whatever was in memory is read again. */
  #forget(): void {
    this.#hot.forget()
    this.#mailbox.forget()
    this.#pushes.forget()
    this.#objects.forget()
    this.#settings.forget()
    this.#deliveries.forget()
  }

  #id(): string {
    return tenantId(decodeEnvelope(trustsAfter(this.#db, 0)[0]!))
  }

  async #migrate(): Promise<void> {
    await migrate(this.ctx.storage, migrations)
    this.#isEnrolled = true
  }
}
