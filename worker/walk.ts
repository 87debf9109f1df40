/** Everything that a head names, directly or through trees (docs/PROTOCOL.md, "Trees", "Release and head"). */
import { MEMBER_LEAF, welcomeHashOf } from '../shared/bundle.ts'
import { equal, type Bytes } from '../shared/bytes.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { KEYRING_LEAF } from '../shared/manifest.ts'
import { decodeRelease } from '../shared/release.ts'
import { parseIndex, parsePage, type TreeHead } from '../shared/tree.ts'
import { HashSet } from './bounded.ts'
import { type Objects } from './objects.ts'

/** The two trees under a head. */
export interface Roots {
  releases: TreeHead
  manifests: TreeHead
}

function incomplete(what: string, cause?: unknown): KeyferryError {
  return new KeyferryError('ERR_INCOMPLETE', what, { cause })
}

/** Walks down from the roots, past whatever is in `known` and below it; returns all that was visited. */
class Walk {
  readonly visited = new HashSet()
  readonly #objects: Objects
  readonly #known: HashSet

  constructor(objects: Objects, known: HashSet) {
    this.#objects = objects
    this.#known = known
  }

  /** True when there is more to see below this object. */
  #enter(hash: Bytes): boolean {
    return !this.#known.has(hash) && this.visited.add(hash)
  }

  #read(hash: Bytes, what: string): Bytes {
    const body = this.#objects.get(hash)
    if (body === undefined) throw incomplete(`no ${what}`)
    return body
  }

  #require(hash: Bytes, what: string): void {
    if (this.#enter(hash) && !this.#objects.has(hash)) throw incomplete(`no ${what}`)
  }

  /** Calls `visit` with the leaves of every page that is new. */
  tree({ index, root, size }: TreeHead, leafLength: number, visit: (leaf: Bytes) => void): void {
    if (!this.#enter(index)) return
    const parsed = parseIndex(this.#read(index, 'tree index'), leafLength)
    if (parsed.size !== size || !equal(parsed.root, root)) throw incomplete('another tree')
    for (const page of parsed.pages) {
      if (!this.#enter(page)) continue
      parsePage(this.#read(page, 'tree page'), leafLength).leaves.forEach(visit)
    }
  }

  manifest(leaf: Bytes): void {
    this.#require(leaf.subarray(16), 'manifest')
  }

  release(leaf: Bytes): void {
    const hash = leaf.subarray(16)
    if (!this.#enter(hash)) return
    const release = decodeRelease(this.#read(hash, 'release'))
    if (!equal(release.keyring, leaf.subarray(0, 16)))
      throw incomplete('release of another keyring')
    this.#require(release.manifest, 'manifest')
    this.#require(release.bundle, 'bundle')
    this.tree(release.members, MEMBER_LEAF, (member) =>
      this.#require(welcomeHashOf(member), 'welcome'),
    )
  }
}

/**
 * The hashes of all objects under a head, without `known` ones and what is below these. Throws `ERR_INCOMPLETE` where one is
 * not stored or not what its place asks for.
 */
export function walkHead(objects: Objects, roots: Roots, known: HashSet): HashSet {
  const walk = new Walk(objects, known)
  try {
    // PROTOCOL [relay-8]
    walk.tree(roots.manifests, KEYRING_LEAF, (leaf) => walk.manifest(leaf))
    walk.tree(roots.releases, KEYRING_LEAF, (leaf) => walk.release(leaf))
  } catch (error) {
    if (isKeyferryError(error) && error.code !== 'ERR_INCOMPLETE') {
      throw incomplete('an object of another form', error)
    }
    throw error
  }
  return walk.visited
}

/** Adds what a replaced head named, as far as it is still there, to `live`. */
export function walkPast(objects: Objects, roots: Roots, live: HashSet): void {
  const walk = new Walk(objects, live)
  try {
    walk.tree(roots.manifests, KEYRING_LEAF, (leaf) => walk.manifest(leaf))
    walk.tree(roots.releases, KEYRING_LEAF, (leaf) => walk.release(leaf))
  } catch (error) {
    if (!isKeyferryError(error)) throw error
  }
  live.addAll(walk.visited)
}
