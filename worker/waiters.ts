/**
 * Calls that wait for news (docs/PROTOCOL.md, "HTTP"), for clients that no socket gets through to. All of it is in memory: no row is read or written, and whoever asks after an
 * object was away is told that it may have missed something.
 */
import { base64url, type Bytes } from '../shared/bytes.ts'
import { type News } from '../shared/news.ts'
import { type Listener } from './events.ts'

/** Calls that wait at a time: of a tenant, and of one certificate. */
export const MAX_WAITING = 2_000
export const MAX_WAITING_EACH = 8
/** Certificates whose last refusal is remembered. */
const MAX_REFUSED = 10_000
/** Life of the object, heads in it, and refusals of the one certificate. */
const POSITION = /^(\S{36})\.(\d{1,9})\.(\d{1,9})$/

/** Who waits; as for a socket, but without a ticket. */
export type Waiting = Pick<Listener, 'fingerprint' | 'path'>

interface Waiter extends Waiting {
  after: string
  settle: (news: News | null) => void
}

export class Waiters {
  readonly #waiters = new Map<string, Set<Waiter>>()
  /** Numbers of another life of the object, or from before something was forgotten, say nothing. */
  #life = crypto.randomUUID()
  /** Heads of this life, and the last of them. */
  #head = { number: 0, hash: '' }
  /** Refusals of this life, each certificate's own: a position tells nobody how many others were refused. */
  readonly #refused = new Map<string, number>()
  #size = 0

  /** How many wait. */
  get size(): number {
    return this.#size
  }

  /**
   * News after a position that an earlier answer gave: at once if there is any or the position is of no use, else when there is some; `null` when there is none after so many seconds.
   * `room` is how many may wait by the tenant's quota.
   * Throws `ERR_QUOTA` as the tenant's object does, without a code.
   */
  wait(who: Waiting, after: string, seconds: number, room: number): Promise<News | null> {
    const { fingerprint, path } = who
    const missed = this.#since(fingerprint, after)
    if (missed !== null || seconds === 0) return Promise.resolve(missed)
    const own = this.#waiters.get(fingerprint) ?? new Set()
    // PROTOCOL [relay-13]
    if (this.#size >= Math.min(room, MAX_WAITING) || own.size >= MAX_WAITING_EACH)
      throw new Error('ERR_QUOTA')
    return new Promise((resolve) => {
      const settle = (news: News | null): void => {
        clearTimeout(timer)
        if (own.delete(waiter)) this.#size--
        if (own.size === 0) this.#waiters.delete(fingerprint)
        resolve(news)
      }
      const timer = setTimeout(settle, seconds * 1_000, null)
      const waiter: Waiter = { fingerprint, path, after, settle }
      this.#waiters.set(fingerprint, own.add(waiter))
      this.#size++
    })
  }

  /** There is a new head: everyone is answered. */
  head(hash: Bytes): void {
    this.#head = { number: this.#head.number + 1, hash: base64url(hash) }
    this.#tell(this.#all())
  }

  /** There is a refusal for the client of this certificate. */
  refusal(recipient: Bytes): void {
    const fingerprint = base64url(recipient)
    if (this.#refused.size >= MAX_REFUSED && !this.#refused.has(fingerprint)) {
      this.#refused.clear()
      this.#life = crypto.randomUUID()
    }
    this.#refused.set(fingerprint, (this.#refused.get(fingerprint) ?? 0) + 1)
    this.#tell([...(this.#waiters.get(fingerprint) ?? [])])
  }

  /** Answers those that wait, or those of a kind, with nothing: they have to be admitted anew. */
  dismiss(isMeant: (waiting: Waiting) => boolean = () => true): void {
    for (const waiter of this.#all()) if (isMeant(waiter)) waiter.settle(null)
  }

  #all(): Waiter[] {
    return [...this.#waiters.values()].flatMap((own) => [...own])
  }

  #tell(waiters: readonly Waiter[]): void {
    for (const { fingerprint, after, settle } of waiters) settle(this.#since(fingerprint, after))
  }

  #since(fingerprint: string, after: string): News | null {
    const refused = this.#refused.get(fingerprint) ?? 0
    const next = `${this.#life}.${this.#head.number}.${refused}`
    const [, life, heads, refusals] = POSITION.exec(after) ?? []
    const [isHead, isRefusal] = [this.#head.number > Number(heads), refused > Number(refusals)]
    const isAhead = Number(heads) > this.#head.number || Number(refusals) > refused
    if (life !== this.#life || isAhead) return { events: [], head: '', next }
    if (!isHead && !isRefusal) return null
    const events: News['events'] = isHead ? ['head'] : []
    if (isRefusal) events.push('refusal')
    return { events, head: isHead ? this.#head.hash : '', next }
  }
}
