/** RFC 6962 trees over more leaves than fit into memory: what is kept of them while they go by. */
import { hash } from 'node:crypto'
import { concat, type Bytes } from '../shared/bytes.ts'
import { type Proof } from '../shared/tree-proof.ts'

/** Roots of the perfect subtrees over the leaves so far, largest first. */
export interface Frontier {
  size: number
  subtrees: { size: number; root: Bytes }[]
}

const LEAF = Uint8Array.of(0)
const NODE = Uint8Array.of(1)

function sha256(...parts: Uint8Array[]): Bytes {
  return new Uint8Array(hash('sha256', concat(...parts), 'buffer'))
}

export function emptyFrontier(): Frontier {
  return { size: 0, subtrees: [] }
}

/** Adds a leaf. */
export function addLeaf(frontier: Frontier, leaf: Uint8Array): void {
  const { subtrees } = frontier
  let added = { size: 1, root: sha256(LEAF, leaf) }
  for (let last = subtrees.at(-1); last?.size === added.size; last = subtrees.at(-1)) {
    added = { size: 2 * added.size, root: sha256(NODE, last.root, added.root) }
    subtrees.pop()
  }
  subtrees.push(added)
  frontier.size++
}

/** Root over the leaves so far. */
export function frontierRoot({ subtrees }: Frontier): Bytes {
  const roots = subtrees.map((one) => one.root)
  if (roots.length === 0) return sha256()
  return roots.reduceRight((right, left) => sha256(NODE, left, right))
}

/** Ranges of leaves whose roots are the audit path of a leaf, from the leaf up. */
function pathRanges(index: number, size: number): { from: number; to: number }[] {
  const out: { from: number; to: number }[] = []
  for (let from = 0, to = size; to - from > 1;) {
    let half = 1
    while (2 * half < to - from) half *= 2
    const middle = from + half
    if (index < middle) {
      out.push({ from: middle, to })
      to = middle
    } else {
      out.push({ from, to: middle })
      from = middle
    }
  }
  return out.toReversed()
}

/** The audit path of a leaf, and the leaf, from one pass over the leaves. Throws a `RangeError` where there is no such leaf. */
export function proveStreamed(
  leaves: Iterable<Bytes>,
  index: number,
  size: number,
): { leaf: Bytes; proof: Proof } {
  if (!(index >= 0 && index < size)) throw new RangeError(`no leaf ${index} of ${size}`)
  const ranges = pathRanges(index, size).map((range) => ({ ...range, frontier: emptyFrontier() }))
  let found: Bytes | undefined
  let at = 0
  for (const leaf of leaves) {
    if (at === size) break
    if (at === index) found = leaf
    else {
      const own = ranges.find(({ from, to }) => from <= at && at < to)
      addLeaf(own!.frontier, leaf)
    }
    at++
  }
  if (found === undefined || at < size) throw new RangeError(`no leaf ${index} of ${size}`)
  return {
    leaf: found,
    proof: { index, path: ranges.map(({ frontier }) => frontierRoot(frontier)) },
  }
}
