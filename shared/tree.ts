/**
 * RFC 6962 §2.1 trees, whole or in pages (docs/PROTOCOL.md, "Trees"). A page is small enough to be one row at the relay, and carries its
 * inner nodes, so that a relay cuts out a proof without hashing.
 */
import { concat, equal, Reader, u32, utf8, type Bytes } from './bytes.ts'
import { KeyferryError } from './errors.ts'
import { sha256 } from './hash.ts'
import { leafOf, nodeOf, type Proof } from './tree-proof.ts'

/** Leaves of a full page. */
export const PAGE_SIZE = 256

export const PAGE_MAGIC = utf8('KFTPAGE\x01')
const INDEX_MAGIC = utf8('KFTINDX\x01')

/** Root and size of a tree, and the hash of its index object. */
export interface TreeHead {
  index: Bytes
  root: Bytes
  size: number
}

/** A tree cut into objects: one index and its pages, all addressed by their hash. */
export interface PagedTree {
  head: TreeHead
  index: Bytes
  pages: Bytes[]
}

/** What was hashed last of a leaf. The next one of this length takes its place: new memory takes longer than the hash. */
let input: Bytes = new Uint8Array()

export function leafHash(leaf: Uint8Array): Bytes {
  if (input.length === leaf.length + 1) input.set(leaf, 1)
  else input = leafOf(leaf)
  return sha256(input)
}

function nodeHash(left: Uint8Array, right: Uint8Array): Bytes {
  return sha256(nodeOf(left, right))
}

/** All levels from these nodes up to one node; the last node of an odd level is carried up. */
function levels(nodes: Bytes[]): Bytes[][] {
  const out = [nodes]
  for (let level = nodes; level.length > 1;) {
    const up: Bytes[] = []
    for (let i = 0; i < level.length; i += 2) {
      const right = level[i + 1]
      up.push(right === undefined ? level[i]! : nodeHash(level[i]!, right))
    }
    out.push(up)
    level = up
  }
  return out
}

/** Number of nodes in all levels above and including `count` nodes. */
export function nodeCount(count: number): number {
  let sum = count
  for (let n = count; n > 1;) {
    n = Math.ceil(n / 2)
    sum += n
  }
  return sum
}

/** Root of the tree over these leaves. */
export function treeRoot(leaves: readonly Bytes[]): Bytes {
  if (leaves.length === 0) return sha256(new Uint8Array())
  return levels(leaves.map(leafHash)).at(-1)![0]!
}

function path(all: Bytes[][], index: number): Bytes[] {
  const out: Bytes[] = []
  let i = index
  for (const level of all) {
    const sibling = level[i ^ 1]
    if (sibling !== undefined) out.push(sibling)
    i >>>= 1
  }
  return out
}

/** Audit path of leaf `index` in a whole tree. */
export function proveLeaf(leaves: readonly Bytes[], index: number): Proof {
  if (!Number.isInteger(index) || index < 0 || index >= leaves.length)
    throw new RangeError(`no leaf ${index}`)
  return { index, path: path(levels(leaves.map(leafHash)), index) }
}

/** One page object over 1 to 256 leaves of equal length. */
export function encodePage(leaves: readonly Bytes[]): Bytes {
  if (leaves.length === 0 || leaves.length > PAGE_SIZE)
    throw new RangeError('a page has 1 to 256 leaves')
  const nodes = levels(leaves.map(leafHash)).flat()
  return concat(PAGE_MAGIC, u32(leaves[0]!.length), u32(leaves.length), ...leaves, ...nodes)
}

/** Cuts leaves into pages and an index. Pages of unchanged leaves are unchanged bytes. */
export function buildTree(leaves: readonly Bytes[], leafLength: number): PagedTree {
  const pages: Bytes[] = []
  for (let i = 0; i < leaves.length; i += PAGE_SIZE)
    pages.push(encodePage(leaves.slice(i, i + PAGE_SIZE)))
  return { ...joinPages(pages.map(pageRef), leaves.length, leafLength), pages }
}

/** What an index says of a page: its hash as an object, and the root of the subtree over its leaves. */
export interface PageRef {
  hash: Bytes
  root: Bytes
}

export function pageRef(page: Bytes): PageRef {
  return { hash: sha256(page), root: page.slice(-32) }
}

/** The index over pages that exist already: lets a deriver change one page without touching the others. */
export function joinPages(
  pages: readonly PageRef[],
  size: number,
  leafLength: number,
): Omit<PagedTree, 'pages'> {
  const nodes = pages.length === 0 ? [] : levels(pages.map((page) => page.root))
  const hashes = pages.map((page) => page.hash)
  const index = concat(INDEX_MAGIC, u32(leafLength), u32(size), ...hashes, ...nodes.flat())
  const root = nodes.at(-1)?.[0] ?? sha256(new Uint8Array())
  return { head: { index: sha256(index), root, size }, index }
}

/** A parsed page: its leaves, and for each leaf the lower part of its audit path. Views of them are made when they are asked for. */
export interface Page {
  readonly leaves: Bytes[]
  /** `undefined` past the end. */
  leaf(slot: number): Bytes | undefined
  root: Bytes
  path(slot: number): Bytes[]
}

/** A parsed index: hashes of its pages, and for each page the upper part of the audit path. */
export interface Index {
  size: number
  pages: Bytes[]
  root: Bytes
  path(page: number): Bytes[]
}

/** The nodes over `count` ones, level by level as they are stored; views are made of those that are asked for. */
function readLevels(nodes: Bytes, count: number): { root: Bytes; path(index: number): Bytes[] } {
  return {
    root: nodes.subarray(-32),
    path(index) {
      const out: Bytes[] = []
      let [i, first] = [index, 0]
      for (let n = count; n > 1; n = Math.ceil(n / 2)) {
        const sibling = first + (i ^ 1)
        if (sibling < first + n) out.push(nodes.subarray(32 * sibling, 32 * sibling + 32))
        first += n
        i >>>= 1
      }
      return out
    },
  }
}

/** Parses a page. Its nodes are taken as they stand; {@link checkPage} recomputes them. Throws `ERR_MALFORMED`. */
export function parsePage(bytes: Bytes, leafLength: number): Page {
  const reader = new Reader(bytes)
  reader.expect(PAGE_MAGIC, 'tree page')
  if (reader.u32() !== leafLength)
    throw new KeyferryError('ERR_MALFORMED', 'leaves of another length')
  const count = reader.u32()
  // PROTOCOL [dec-4]
  if (
    count < 1 ||
    count > PAGE_SIZE ||
    reader.left !== count * leafLength + nodeCount(count) * 32
  ) {
    throw new KeyferryError('ERR_MALFORMED', 'page of another length')
  }
  const all = reader.take(count * leafLength)
  const leaf = (slot: number): Bytes | undefined =>
    slot < count ? all.subarray(slot * leafLength, (slot + 1) * leafLength) : undefined
  return {
    leaf,
    get leaves() {
      return Array.from({ length: count }, (_, slot) => leaf(slot)!)
    },
    ...readLevels(reader.take(reader.left), count),
  }
}

/** Parses an index. Throws `ERR_MALFORMED`. */
export function parseIndex(bytes: Bytes, leafLength: number): Index {
  const reader = new Reader(bytes)
  reader.expect(INDEX_MAGIC, 'tree index')
  if (reader.u32() !== leafLength)
    throw new KeyferryError('ERR_MALFORMED', 'leaves of another length')
  const size = reader.u32()
  const count = Math.ceil(size / PAGE_SIZE)
  if (reader.left !== (count + nodeCount(count)) * 32)
    throw new KeyferryError('ERR_MALFORMED', 'index of another length')
  const pages = Array.from({ length: count }, () => reader.take(32))
  const nodes = count === 0 ? sha256(new Uint8Array()) : reader.take(reader.left)
  return { size, pages, ...readLevels(nodes, count) }
}

/** Parses a page and recomputes its nodes. Throws `ERR_MALFORMED`. */
export function checkPage(bytes: Bytes, leafLength: number): Page {
  const page = parsePage(bytes, leafLength)
  // PROTOCOL [tree-2]
  if (!equal(encodePage(page.leaves), bytes))
    throw new KeyferryError('ERR_MALFORMED', 'page nodes do not fit its leaves')
  return page
}

/** Checks an index against its pages. Throws `ERR_MALFORMED`. */
export function checkIndex(bytes: Bytes, pages: Bytes[], leafLength: number): Index {
  const index = parseIndex(bytes, leafLength)
  // PROTOCOL [tree-2]
  const counted = pages.reduce((sum, page, i) => {
    const count = parsePage(page, leafLength).leaves.length
    const full = i === pages.length - 1 || count === PAGE_SIZE
    return full ? sum + count : Number.NaN
  }, 0)
  if (
    counted !== index.size ||
    !equal(joinPages(pages.map(pageRef), index.size, leafLength).index, bytes)
  ) {
    throw new KeyferryError('ERR_MALFORMED', 'index does not fit its pages')
  }
  return index
}

/** Audit path of a leaf, from its page and the index. */
export function proveFromPages(index: Index, page: Page, slot: number): Proof {
  return {
    index: slot,
    path: [...page.path(slot % PAGE_SIZE), ...index.path(Math.floor(slot / PAGE_SIZE))],
  }
}
