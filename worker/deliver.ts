/**
 * What a client is given (docs/PROTOCOL.md, "HTTP"): per keyring the release, the manifest, the bundle and the client's own leaf,
 * with proofs cut out of stored pages. Nothing is hashed here.
 */
import { decodeMember, MEMBER_LEAF } from '../shared/bundle.ts'
import { compare, equal, type Bytes } from '../shared/bytes.ts'
import { type DeliveryRequest } from '../shared/client-calls.ts'
import { type DeliveredKeyring } from '../shared/delivery.ts'
import { type StoredDelivery } from '../shared/encode-delivery.ts'
import { MAX_DELIVERY } from '../shared/limits.ts'
import { KEYRING_LEAF } from '../shared/manifest.ts'
import { decodeRelease, type Release } from '../shared/release.ts'
import {
  PAGE_SIZE,
  parseIndex,
  parsePage,
  proveFromPages,
  type Index,
  type Page,
  type TreeHead,
} from '../shared/tree.ts'
import { type Proof } from '../shared/tree-proof.ts'
import { HashSet, keyOf, Recent } from './bounded.ts'
import { type Hot } from './hot.ts'
import { type Objects } from './objects.ts'
import { type Refusals } from './refusals.ts'
import { rootsOf, type Current } from './store.ts'

/** Where keyrings and members were found, for as long as the trees stay the same. */
const PLACES = 10_000
/** Room for the fields of the answer and the commas of its lists. */
const OVERHEAD = 64 * 1_024

/** Parts of a delivery. */
export interface DeliveryParts extends StoredDelivery {
  /** Of each of its keyrings, the client's slot and the hash of its welcome: not everything that it holds is delivered. */
  places: { slot: number; welcomeHash: Bytes }[]
}

/** What a client asks for. `recipient` is the fingerprint of its certificate. */
export interface DeliveryAsk extends DeliveryRequest {
  recipient: Bytes
  /** Seconds. */
  now: number
}

interface Place {
  slot: number
  leaf: Bytes
  proof: Proof
}

/** How many bytes they are together. */
export function lengthOf(...parts: readonly Bytes[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0)
}

export class Deliveries {
  readonly #hot: Hot
  readonly #objects: Objects
  readonly #refusals: Refusals
  readonly #keyrings = new Recent<Place | 'absent'>(PLACES)
  readonly #slots = new Recent<number>(PLACES)

  constructor(hot: Hot, objects: Objects, refusals: Refusals) {
    this.#hot = hot
    this.#objects = objects
    this.#refusals = refusals
  }

  /** After objects may have gone. */
  forget(): void {
    this.#keyrings.clear()
    this.#slots.clear()
  }

  /** `undefined` where no head was pushed, `null` where the client has everything. */
  deliver(ask: DeliveryAsk): DeliveryParts | null | undefined {
    const row = this.#hot.current()
    if (row === undefined) return undefined
    const trust = this.#hot.trustsAfter(ask.have.trust)
    // Under a new trust document the signatures on the client's catalog may be worth nothing any more [catalog-1].
    const isKept = ask.have.catalog === row.catalogNumber && trust.length === 0
    const catalog = isKept ? null : row.catalog
    const crls = this.#hot.deliveredCrls()
    const refusals = this.#refusals.find(ask.recipient, ask.keyrings, ask.now)
    let size = OVERHEAD + lengthOf(row.head, row.catalog, ...crls, ...trust, ...refusals)
    const held = new HashSet()
    for (const hash of ask.have.objects) held.add(hash)
    const keyrings: DeliveredKeyring[] = []
    const places: DeliveryParts['places'] = []
    let isNew =
      !equal(ask.have.head, row.hash) || trust.length > 0 || catalog !== null || refusals.length > 0
    const seen = new HashSet()
    for (const [i, keyring] of ask.keyrings.entries()) {
      if (!seen.add(keyring)) continue
      const found = this.#item(row, keyring, ask.package, ask.slots[i] ?? 0, held)
      if (found === undefined) continue
      const { item, isComplete, place } = found
      // Release and welcome go as base64url, which is longer; what is called a welcome may be any object.
      const { bundle, manifest, release, welcome } = item
      size += 8_192 + lengthOf(bundle, manifest, release, release, welcome, welcome)
      // The client asks again for what did not fit.
      if (size > MAX_DELIVERY) break
      isNew ||= !isComplete
      keyrings.push(item)
      places.push(place)
    }
    return isNew ? { head: row.head, catalog, trust, crls, keyrings, places, refusals } : null
  }

  /**
   * One keyring for a member of it; `undefined` for one that is unknown and for one that the package is no member of, so that
   * nobody learns of keyrings of others [relay-4]. `isComplete`: the client holds all of its objects.
   */
  #item(
    row: Current,
    keyring: Bytes,
    packageHash: Bytes,
    hint: number,
    held: HashSet,
  ):
    | { item: DeliveredKeyring; isComplete: boolean; place: DeliveryParts['places'][number] }
    | undefined {
    if (packageHash.length === 0) return undefined
    const { releases, manifests } = rootsOf(row)
    const release = this.#place(releases, keyring)
    const manifest = this.#place(manifests, keyring)
    if (release === undefined || manifest === undefined) return undefined
    const releaseBytes = this.#objects.get(release.leaf.subarray(16))
    if (releaseBytes === undefined) return undefined
    const body = decodeRelease(releaseBytes)
    const member = this.#member(body, packageHash, hint)
    if (member === undefined) return undefined
    const { welcomeHash } = decodeMember(member.leaf)
    const wanted = [body.bundle, body.manifest, welcomeHash]
    const [bundle, manifestBytes, welcome] = wanted.map((hash) =>
      held.has(hash) ? new Uint8Array() : this.#objects.get(hash),
    )
    if (bundle === undefined || manifestBytes === undefined || welcome === undefined)
      return undefined
    const item: DeliveredKeyring = {
      bundle,
      keyring,
      manifest: manifestBytes,
      manifestProof: manifest.proof,
      // Whoever holds a leaf of this tree has shown that it is there.
      member: held.has(body.members.index) ? null : { leaf: member.leaf, proof: member.proof },
      release: releaseBytes,
      releaseProof: release.proof,
      welcome,
    }
    const place = { slot: member.slot, welcomeHash }
    return { item, isComplete: wanted.every((hash) => held.has(hash)), place }
  }

  #index({ index }: TreeHead, leafLength: number): Index | undefined {
    const bytes = this.#objects.get(index)
    return bytes === undefined ? undefined : parseIndex(bytes, leafLength)
  }

  #page(index: Index, number: number, leafLength: number): Page | undefined {
    const hash = index.pages[number]
    const bytes = hash === undefined ? undefined : this.#objects.get(hash)
    return bytes === undefined ? undefined : parsePage(bytes, leafLength)
  }

  /** The leaf of a keyring in a tree sorted by keyring, by bisection. */
  #place(tree: TreeHead, keyring: Bytes): Place | undefined {
    const key = keyOf(tree.index) + keyOf(keyring)
    let place = this.#keyrings.get(key)
    if (place === undefined) {
      place = this.#bisect(tree, keyring) ?? 'absent'
      this.#keyrings.set(key, place)
    }
    return place === 'absent' ? undefined : place
  }

  #bisect(tree: TreeHead, keyring: Bytes): Place | undefined {
    const index = this.#index(tree, KEYRING_LEAF)
    if (index === undefined) return undefined
    let low = 0
    let high = index.pages.length - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const page = this.#page(index, middle, KEYRING_LEAF)
      if (page === undefined) return undefined
      const order = (leaf: Bytes): number => compare(keyring, leaf.subarray(0, 16))
      const { leaves } = page
      if (order(leaves[0]!) < 0) high = middle - 1
      else if (order(leaves.at(-1)!) > 0) low = middle + 1
      else {
        const at = leaves.findIndex((leaf) => order(leaf) === 0)
        if (at < 0) return undefined
        const slot = middle * PAGE_SIZE + at
        return { slot, leaf: leaves[at]!.slice(), proof: proveFromPages(index, page, slot) }
      }
    }
    return undefined
  }

  /** The leaf of a package among the members: where the client says, where it was last, else by a scan. */
  #member({ members }: Release, packageHash: Bytes, hint: number): Place | undefined {
    const index = this.#index(members, MEMBER_LEAF)
    if (index === undefined) return undefined
    const isAt = (page: Page | undefined, at: number): boolean => {
      const leaf = page?.leaf(at)
      return leaf !== undefined && equal(leaf.subarray(0, 32), packageHash)
    }
    const prove = (slot: number): Place | undefined => {
      const page = this.#page(index, Math.floor(slot / PAGE_SIZE), MEMBER_LEAF)
      if (page === undefined || !isAt(page, slot % PAGE_SIZE)) return undefined
      return {
        slot,
        leaf: page.leaf(slot % PAGE_SIZE)!.slice(),
        proof: proveFromPages(index, page, slot),
      }
    }
    const hinted = prove(hint)
    if (hinted !== undefined) return hinted
    const key = keyOf(members.index) + keyOf(packageHash)
    let slot = this.#slots.get(key)
    if (slot === undefined) {
      slot = this.#scan(index, packageHash)
      this.#slots.set(key, slot)
    }
    return slot < 0 ? undefined : prove(slot)
  }

  /** −1 where it is not; compares in the raw pages, since there may be hundreds of them. */
  #scan(index: Index, packageHash: Bytes): number {
    const first = 16 // magic, leaf length, count
    for (const [number, hash] of index.pages.entries()) {
      const page = this.#objects.get(hash)
      if (page === undefined) return -1
      const count = Math.min(PAGE_SIZE, index.size - number * PAGE_SIZE)
      for (let i = 0; i < count; i++) {
        const at = first + i * MEMBER_LEAF
        if (page[at] === packageHash[0] && equal(page.subarray(at, at + 32), packageHash)) {
          return number * PAGE_SIZE + i
        }
      }
    }
    return -1
  }
}
