/**
 * One key wrapped under the channel keys of a keyring's slots, by one thread or by two that share this memory. Pages are claimed: the thread beside goes
 * through them from the first, the main thread takes from the last on what is left. Neither ever waits for a page that the other one has.
 */
import { PAGE_SIZE } from '../shared/tree.ts'
import { wrapKey } from './key-wrap.ts'

/** Bytes of a key, and of one that is wrapped: of a cell. */
const [KEY, CELL] = [32, 40]

/** States of a page: its channel keys are not there yet; they are; the thread beside works on it; and is done; it is the main thread's alone. */
const [EMPTY, READY, CLAIMED, DONE, OWN] = [0, 1, 2, 3, 4] as const

/** Bytes in memory that threads share. */
export type SharedBytes = Uint8Array<SharedArrayBuffer>

const pagesOf = (slots: number): number => Math.ceil(slots / PAGE_SIZE)

export class WrapJob {
  readonly memory: SharedArrayBuffer
  readonly slots: number
  /** The number of slots, and the state of each page. */
  readonly #words: Int32Array<SharedArrayBuffer>
  readonly #kek: SharedBytes
  readonly #keys: SharedBytes
  readonly #cells: SharedBytes
  readonly #isTaken: SharedBytes
  /** Above it no page is ready. */
  #last: number

  /** Over the memory of a job that another thread began. */
  constructor(memory: SharedArrayBuffer) {
    this.memory = memory
    const [slots] = new Int32Array(memory, 0, 1)
    this.slots = slots!
    this.#words = new Int32Array(memory, 0, 1 + pagesOf(slots!))
    let at = this.#words.byteLength
    const next = (length: number): SharedBytes =>
      new Uint8Array(memory, (at += length) - length, length)
    this.#kek = next(KEY)
    this.#keys = next(KEY * slots!)
    this.#cells = next(CELL * slots!)
    this.#isTaken = next(slots!)
    this.#last = pagesOf(slots!) - 1
  }

  /** A new one. `kek`, 32 bytes, is copied: {@link WrapJob.end} wipes the copy, the caller the original. */
  static of(kek: Uint8Array, slots: number): WrapJob {
    const bytes = 4 * (1 + pagesOf(slots)) + KEY + (KEY + CELL + 1) * slots
    const memory = new SharedArrayBuffer(bytes)
    new Int32Array(memory, 0, 1)[0] = slots
    const job = new WrapJob(memory)
    job.#kek.set(kek)
    return job
  }

  /** Gives a slot its channel key: 32 bytes, which the caller wipes. */
  put(slot: number, key: Uint8Array): void {
    this.#keys.set(key, KEY * slot)
    this.#isTaken[slot] = 1
  }

  isTaken(slot: number): boolean {
    return this.#isTaken[slot] === 1
  }

  /** All slots of a page have their keys. */
  ready(page: number): void {
    Atomics.store(this.#words, 1 + page, READY)
    Atomics.notify(this.#words, 1 + page)
  }

  /** All that the thread beside does: page after page, as they become ready, until {@link WrapJob.end} at the latest. */
  work(): void {
    for (let page = 0; page < pagesOf(this.slots); page++) {
      Atomics.wait(this.#words, 1 + page, EMPTY)
      if (!this.#move(page, READY, CLAIMED)) continue
      this.#wrap(page, (slot, cell) => {
        this.#cells.set(cell, CELL * slot)
      })
      // Not where the main thread has done it meanwhile and wiped its keys.
      this.#move(page, CLAIMED, DONE)
    }
  }

  /** On the main thread: hands out the cells of a page that is ready, and of others before it, each page once. */
  finish(page: number, out: (slot: number, cell: Uint8Array) => void): void {
    while (Atomics.load(this.#words, 1 + page) !== OWN) {
      if (this.#move(page, DONE, OWN)) {
        for (const slot of this.#slotsOf(page))
          out(slot, this.#cells.subarray(CELL * slot, CELL * (slot + 1)))
        this.#wipe(page)
        continue
      }
      const last = this.#takeLast()
      if (last !== undefined) {
        this.#wrap(last, out)
        this.#wipe(last)
        continue
      }
      // The thread beside has it, and may be slow or dead: at most one page is made twice. Its keys are not wiped before that of the keyring.
      Atomics.store(this.#words, 1 + page, OWN)
      this.#wrap(page, out)
    }
  }

  /** Wipes all keys, and ends the work of the thread beside. Nothing can be asked afterwards. */
  end(): void {
    this.#kek.fill(0)
    this.#keys.fill(0)
    for (let page = 0; page < pagesOf(this.slots); page++) {
      Atomics.store(this.#words, 1 + page, OWN)
      Atomics.notify(this.#words, 1 + page)
    }
  }

  #move(page: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.#words, 1 + page, from, to) === from
  }

  #takeLast(): number | undefined {
    while (this.#last >= 0) {
      const page = this.#last--
      if (this.#move(page, READY, OWN)) return page
    }
    return undefined
  }

  *#slotsOf(page: number): Iterable<number> {
    const end = Math.min(this.slots, (page + 1) * PAGE_SIZE)
    for (let slot = page * PAGE_SIZE; slot < end; slot++) if (this.isTaken(slot)) yield slot
  }

  #wrap(page: number, out: (slot: number, cell: Uint8Array) => void): void {
    for (const slot of this.#slotsOf(page))
      out(slot, wrapKey(this.#keys.subarray(KEY * slot, KEY * (slot + 1)), this.#kek))
  }

  #wipe(page: number): void {
    this.#keys.fill(0, KEY * page * PAGE_SIZE, KEY * (page + 1) * PAGE_SIZE)
  }
}
