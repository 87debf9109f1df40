/** Leaves of members trees, and the cells in them (docs/PROTOCOL.md, "Welcome, cell, bundle"). */
import { MEMBER_LEAF } from '../shared/bundle.ts'
import { concat, type Bytes } from '../shared/bytes.ts'
import { channelInput } from '../shared/kdf.ts'
import { PAGE_SIZE } from '../shared/tree.ts'
import { wrapKey } from './key-wrap.ts'
import { type Root } from './root.ts'
import { type Store } from './store.ts'
import { WrapJob } from './wrap-job.ts'
import { wrapBeside } from './wrap-thread.ts'

/** What a member leaf binds: hash of the key package, id of the channel, hash of the welcome. The cell is behind it. */
export const BOUND = 96

/** Where the salt of a channel and the hash of a key package are in the input of a channel key, from its end: each has its length before it, and a byte comes last. */
const [SALT, HASH] = [33, 67]
const NONE: Bytes = new Uint8Array(32)

/** Where a member leaf is made from: what it binds, and the salt and root of its channel key. */
export interface Channel {
  bound: Bytes
  salt: Bytes
  root: number
}

/** A member leaf of a keyring's present generation; its cell is the key of that generation, wrapped under the channel key of a device. */
export function makeLeaf(
  root: Root,
  tenant: Bytes,
  kek: Bytes,
  { bound, salt, root: number }: Channel,
): Bytes {
  const channel = root.mac(channelInput(tenant, bound.subarray(0, 32), salt), number)
  const cell = wrapKey(channel, kek)
  channel.fill(0)
  return concat(bound, cell)
}

/**
 * The leaves of a new generation while it is made, all in one place: a hundred thousand members are few buffers that way. Call {@link Leaves.put} for all that
 * stay and {@link Leaves.ready} for every page, then {@link Leaves.closeGaps} once, then read pages; {@link Leaves.end} whatever happens.
 */
export class Leaves {
  readonly #bytes: Bytes
  readonly #input: Bytes
  readonly #job: WrapJob
  size = 0

  /** `kek`, 32 bytes, is the caller's to wipe, at once. */
  constructor(slots: number, tenant: Bytes, kek: Bytes, help: (job: WrapJob) => void = wrapBeside) {
    this.#bytes = new Uint8Array(slots * MEMBER_LEAF)
    this.#input = channelInput(tenant, NONE, NONE)
    this.#job = WrapJob.of(kek, slots)
    help(this.#job)
  }

  /** The leaf of a slot, for whose cell the channel key is derived. */
  put(root: Root, { slot, bound, salt, root: number }: Channel & { slot: number }): void {
    // All inputs are the same but for these two: to put them together anew takes longer than a hash.
    this.#input.set(bound.subarray(0, 32), this.#input.length - HASH)
    this.#input.set(salt, this.#input.length - SALT)
    const channel = root.mac(this.#input, number)
    this.#job.put(slot, channel)
    channel.fill(0)
    this.#bytes.set(bound, slot * MEMBER_LEAF)
    this.size++
  }

  /** Whoever stays of a page has a leaf. */
  ready(page: number): void {
    this.#job.ready(page)
  }

  /** Who stays keeps the slot, and the last ones move into those that are free. */
  closeGaps(moved: (from: number, to: number) => void): void {
    let free = 0
    for (let slot = this.size; slot < this.#job.slots; slot++) {
      if (!this.#job.isTaken(slot)) continue
      while (this.#job.isTaken(free)) free++
      this.#finish(Math.floor(slot / PAGE_SIZE))
      this.#bytes.copyWithin(free * MEMBER_LEAF, slot * MEMBER_LEAF, (slot + 1) * MEMBER_LEAF)
      moved(slot, free++)
    }
  }

  /** The leaves of a page, behind one another: a view. */
  page(page: number): Bytes {
    this.#finish(page)
    const end = Math.min((page + 1) * PAGE_SIZE, this.size)
    return this.#bytes.subarray(page * PAGE_SIZE * MEMBER_LEAF, end * MEMBER_LEAF)
  }

  /** Wipes the keys. */
  end(): void {
    this.#job.end()
    this.#input.fill(0)
  }

  #finish(page: number): void {
    this.#job.finish(page, (slot, cell) => {
      this.#bytes.set(cell, slot * MEMBER_LEAF + BOUND)
    })
  }
}

/** Stores the leaves of a page's slots: in one statement, a third of the time of one for each. */
export function saveLeaves(store: Store, keyring: Bytes, page: number, leaves: Bytes): void {
  store.run(
    `UPDATE members SET leaf = substr(?1, ${MEMBER_LEAF} * (slot - ?2) + 1, ${MEMBER_LEAF})
       WHERE keyring = ?3 AND slot >= ?2 AND slot < ?4`,
    leaves,
    page * PAGE_SIZE,
    keyring,
    (page + 1) * PAGE_SIZE,
  )
}
