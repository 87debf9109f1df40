/** The small rows that every delivery needs, kept in memory until something is written: a warm delivery reads no row. */
import { equal, type Bytes } from '../shared/bytes.ts'
import { type Database } from './database.ts'
import {
  crlHashes,
  deliveredCrls,
  newestTrust,
  readCurrent,
  standingTag,
  trustsAfter,
  type Current,
} from './store.ts'

/** Bytes of lists that are kept; longer ones are read each time. */
const MOST_CRLS = 4 * 1_048_576

export class Hot {
  readonly #db: Database
  #current: { row: Current | undefined } | undefined
  #newest: { row: ReturnType<typeof newestTrust> } | undefined
  #crls: Bytes[] | undefined
  #tag: string | undefined

  constructor(db: Database) {
    this.#db = db
  }

  current(): Current | undefined {
    this.#current ??= { row: readCurrent(this.#db) }
    return this.#current.row
  }

  newestTrust(): ReturnType<typeof newestTrust> {
    this.#newest ??= { row: newestTrust(this.#db) }
    return this.#newest.row
  }

  /** Envelopes of the trust documents above a number, rising. */
  trustsAfter(number: number): Bytes[] {
    return number >= (this.newestTrust()?.number ?? 0) ? [] : trustsAfter(this.#db, number)
  }

  deliveredCrls(): Bytes[] {
    if (this.#crls !== undefined) return this.#crls
    const crls = deliveredCrls(this.#db)
    if (crls.reduce((sum, { length }) => sum + length, 0) <= MOST_CRLS) this.#crls = crls
    return crls
  }

  /** Of the documents by which the gateway has to admit whoever comes now. */
  standingTag(): string {
    this.#tag ??= standingTag(this.newestTrust()?.hash ?? new Uint8Array(), crlHashes(this.#db))
    return this.#tag
  }

  isCurrent(hash: Bytes): boolean {
    const row = this.current()
    return row !== undefined && equal(row.hash, hash)
  }

  /** After anything was written, or may have been. */
  forget(): void {
    this.#current = undefined
    this.#newest = undefined
    this.#crls = undefined
    this.#tag = undefined
  }
}
