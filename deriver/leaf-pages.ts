/**
 * Pages of a members tree out of leaves that lie behind one another. The bytes are those of `encodePage`, in half its time: leaves are copied at once, and hashes
 * are written where they belong.
 */
import { hash } from 'node:crypto'
import { viewOf, type Bytes } from '../shared/bytes.ts'
import { nodeCount, PAGE_MAGIC, PAGE_SIZE } from '../shared/tree.ts'

const HEADER = PAGE_MAGIC.length + 8

/** One page object over 1 to 256 leaves of `length` bytes each. Throws `RangeError` for another number of them, or for a part of one. */
export function encodeLeaves(leaves: Bytes, length: number): Bytes {
  const count = leaves.length / length
  if (!Number.isInteger(count) || count < 1 || count > PAGE_SIZE)
    throw new RangeError('a page has 1 to 256 leaves')
  const out = new Uint8Array(HEADER + leaves.length + 32 * nodeCount(count))
  out.set(PAGE_MAGIC)
  const view = viewOf(out)
  view.setUint32(PAGE_MAGIC.length, length)
  view.setUint32(PAGE_MAGIC.length + 4, count)
  out.set(leaves, HEADER)

  const texts = Buffer.from(out.buffer)
  const put = (input: Bytes, at: number): void => {
    texts.write(hash('sha256', input, 'binary'), at, 'latin1')
  }
  let nodes = HEADER + leaves.length
  const leaf = new Uint8Array(1 + length)
  for (let i = 0; i < count; i++) {
    leaf.set(leaves.subarray(i * length, (i + 1) * length), 1)
    put(leaf, nodes + 32 * i)
  }
  const pair = new Uint8Array(65).fill(1, 0, 1)
  for (let n = count; n > 1; n = Math.ceil(n / 2)) {
    const up = nodes + 32 * n
    for (let i = 0; i + 1 < n; i += 2) {
      pair.set(out.subarray(nodes + 32 * i, nodes + 32 * i + 64), 1)
      put(pair, up + 16 * i)
    }
    // The last node of an odd level is carried up.
    if (n % 2 === 1) out.copyWithin(up + 16 * (n - 1), up - 32, up)
    nodes = up
  }
  return out
}
