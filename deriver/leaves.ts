/** Leaves of members trees, and the cells in them (docs/PROTOCOL.md, "Welcome, cell, bundle"). */
import { MEMBER_LEAF } from '../shared/bundle.ts'
import { concat, type Bytes } from '../shared/bytes.ts'
import { channelInput } from '../shared/kdf.ts'
import { PAGE_SIZE } from '../shared/tree.ts'
import { wrapKey } from './key-wrap.ts'
import { type Root } from './root.ts'
import { type Store } from './store.ts'

/** What a member leaf binds: hash of the key package, id of the channel, hash of the welcome. */
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

/** A cell: the key of a generation, wrapped under the channel key of a device, which is wiped. */
function makeCell(channel: Bytes, kek: Bytes): Bytes {
  const cell = wrapKey(channel, kek)
  channel.fill(0)
  return cell
}

/** A member leaf of a keyring's present generation. */
export function makeLeaf(
  root: Root,
  tenant: Bytes,
  kek: Bytes,
  { bound, salt, root: number }: Channel,
): Bytes {
  const channel = root.mac(channelInput(tenant, bound.subarray(0, 32), salt), number)
  return concat(bound, makeCell(channel, kek))
}

/** The leaves of a new generation while it is made, all in one place: a hundred thousand members are few buffers that way. */
export class Leaves {
  #bytes: Bytes
  #isTaken: Uint8Array
  #input: Bytes
  size = 0

  constructor(slots: number, tenant: Bytes) {
    this.#bytes = new Uint8Array(slots * MEMBER_LEAF)
    this.#isTaken = new Uint8Array(slots)
    this.#input = channelInput(tenant, NONE, NONE)
  }

  /** Makes the leaf of a slot. */
  make(
    root: Root,
    kek: Bytes,
    { slot, bound, salt, root: number }: Channel & { slot: number },
  ): void {
    // All inputs are the same but for these two: to put them together anew takes longer than a hash.
    this.#input.set(bound.subarray(0, 32), this.#input.length - HASH)
    this.#input.set(salt, this.#input.length - SALT)
    const at = slot * MEMBER_LEAF
    this.#bytes.set(bound, at)
    this.#bytes.set(makeCell(root.mac(this.#input, number), kek), at + BOUND)
    this.#isTaken[slot] = 1
    this.size++
  }

  /** Stores the leaves of a page's slots: in one statement, a third of the time of one for each. */
  save(store: Store, keyring: Bytes, page: number): void {
    const [first, end] = [page * PAGE_SIZE, (page + 1) * PAGE_SIZE]
    store.run(
      `UPDATE members SET leaf = substr(?1, ${MEMBER_LEAF} * (slot - ?2) + 1, ${MEMBER_LEAF})
         WHERE keyring = ?3 AND slot >= ?2 AND slot < ?4`,
      this.#bytes.subarray(first * MEMBER_LEAF, end * MEMBER_LEAF),
      first,
      keyring,
      end,
    )
  }

  /** Who stays keeps the slot, and the last ones move into those that are free. */
  closeGaps(moved: (from: number, to: number) => void): void {
    let free = 0
    for (let slot = this.size; slot < this.#isTaken.length; slot++) {
      if (this.#isTaken[slot] === 0) continue
      while (this.#isTaken[free] === 1) free++
      this.#bytes.copyWithin(free * MEMBER_LEAF, slot * MEMBER_LEAF, (slot + 1) * MEMBER_LEAF)
      moved(slot, free++)
    }
  }

  /** The leaves of a page, behind one another: a view. */
  page(page: number): Bytes {
    const end = Math.min((page + 1) * PAGE_SIZE, this.size)
    return this.#bytes.subarray(page * PAGE_SIZE * MEMBER_LEAF, end * MEMBER_LEAF)
  }
}
