// Trees: roots and proofs as RFC 6962 has them, whole and in pages.
import { describe, expect, it } from 'vitest'
import { concat, hex, u32, utf8, type Bytes } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import {
  buildTree,
  checkIndex,
  checkPage,
  encodePage,
  joinPages,
  leafHash,
  PAGE_SIZE,
  pageRef,
  parseIndex,
  parsePage,
  proveFromPages,
  proveLeaf,
  treeRoot,
} from '../../shared/tree.ts'
import { verifyLeaf, type Proof } from '../../shared/tree-proof.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { seeded } from '../lib/fixtures-keys.ts'

const LENGTH = 48
const leavesOf = (size: number): Bytes[] =>
  Array.from({ length: size }, (_, i) => seeded(`leaf ${i}`, LENGTH))

/** RFC 6962 §2.1, as it is written there. */
function rfcRoot(leaves: Bytes[]): Bytes {
  if (leaves.length === 0) return sha256(new Uint8Array())
  if (leaves.length === 1) return sha256(concat(Uint8Array.of(0), leaves[0]!))
  let k = 1
  while (2 * k < leaves.length) k *= 2
  return sha256(concat(Uint8Array.of(1), rfcRoot(leaves.slice(0, k)), rfcRoot(leaves.slice(k))))
}

/** RFC 6962 §2.1.1. */
function rfcPath(leaves: Bytes[], m: number): Bytes[] {
  if (leaves.length <= 1) return []
  let k = 1
  while (2 * k < leaves.length) k *= 2
  const [left, right] = [leaves.slice(0, k), leaves.slice(k)]
  return m < k ? [...rfcPath(left, m), rfcRoot(right)] : [...rfcPath(right, m - k), rfcRoot(left)]
}

describe('roots and proofs', () => {
  it('are those of RFC 6962 for every small size', async () => {
    for (let size = 0; size <= 40; size++) {
      const leaves = leavesOf(size)
      const root = treeRoot(leaves)
      expect(root).toEqual(rfcRoot(leaves))
      for (let i = 0; i < size; i++) {
        const proof = proveLeaf(leaves, i)
        expect(proof.path).toEqual(rfcPath(leaves, i))
        await verifyLeaf(leaves[i]!, proof, size, root)
      }
    }
  })

  it('are the known ones of Certificate Transparency', () => {
    expect(hex(treeRoot([]))).toBe(
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    )
    expect(hex(leafHash(new Uint8Array()))).toBe(
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    )
  })

  it('a leaf that is not there is a RangeError for the prover', () => {
    for (const index of [-1, 3, 0.5])
      expect(() => proveLeaf(leavesOf(3), index)).toThrow(RangeError)
  })
})

describe('a verifier', () => {
  const leaves = leavesOf(7)
  const root = treeRoot(leaves)
  const proof = proveLeaf(leaves, 4)
  const refuses = (edit: Partial<Proof>, leaf = leaves[4]!, size = 7, r = root) =>
    expectCode(() => verifyLeaf(leaf, { ...proof, ...edit }, size, r), 'ERR_HASH')

  it('[tree-1] an index beyond the size is ERR_HASH', async () => {
    for (const index of [7, 8, 2 ** 32 - 1]) await refuses({ index })
    await refuses({ index: 0, path: [] }, leaves[0], 0, treeRoot([]))
    // Without the check, the root of a tree of one leaf would fit any index.
    for (const index of [1, 5])
      await refuses({ index, path: [] }, leaves[0], 1, treeRoot([leaves[0]!]))
    await refuses({ index: 0, path: [] }, leaves[0], 0, treeRoot([leaves[0]!]))
  })

  it('[tree-1] another index or size is ERR_HASH', async () => {
    for (const index of [0, 1, 2, 3, 5, 6]) await refuses({ index })
    for (const size of [5, 6, 9, 16]) await refuses({}, leaves[4], size)
  })

  it('[tree-1] a path that is too short or too long is ERR_HASH', async () => {
    await refuses({ path: [] })
    await refuses({ path: proof.path.slice(0, -1) })
    await refuses({ path: proof.path.slice(1) })
    await refuses({ path: [...proof.path, seeded('more')] })
    await refuses({ path: [...proof.path, root] })
  })

  it('[tree-1] another leaf, node or root is ERR_HASH', async () => {
    await refuses({}, leaves[3])
    await refuses({ path: proof.path.toReversed() })
    for (let i = 0; i < proof.path.length; i++) {
      await refuses({ path: proof.path.map((node, j) => (i === j ? seeded('x') : node)) })
    }
    await refuses({}, leaves[4], 7, seeded('root'))
  })

  it('[tree-1] an inner node is no leaf, nor a node of another length', async () => {
    const node = concat(leafHash(leaves[4]!), leafHash(leaves[5]!))
    await refuses({ index: 2, path: proof.path.slice(1) }, node, 4)
    await refuses({ path: proof.path.map((one) => one.slice(1)) })
  })

  it('[tree-1] sizes above 2^31 are counted right', async () => {
    // With a size of 2^32 - 1 the last leaf has no sibling at level 0: 31 levels, not 32.
    const index = 2 ** 32 - 2
    const path = Array.from({ length: 31 }, (_, i) => seeded(`node ${i}`))
    let hash = leafHash(leaves[0]!)
    for (const sibling of path) hash = sha256(concat(Uint8Array.of(1), sibling, hash))
    await verifyLeaf(leaves[0]!, { index, path }, 2 ** 32 - 1, hash)
    await refuses({ index, path: [...path, seeded('x')] }, leaves[0], 2 ** 32 - 1, hash)
  })
})

describe('pages', () => {
  it.each([0, 1, 2, 255, 256, 257, 511, 512, 513, 1_000])('%i leaves', (size) => {
    const leaves = leavesOf(size)
    const { head, index, pages } = buildTree(leaves, LENGTH)
    expect(head.size).toBe(size)
    expect(head.root).toEqual(treeRoot(leaves))
    expect(head.index).toEqual(sha256(index))
    const parsed = checkIndex(index, pages, LENGTH)
    expect(parsed.root).toEqual(head.root)
    expect(parsed.pages).toEqual(pages.map(sha256))
    expect(pages.length).toBe(Math.ceil(size / PAGE_SIZE))
    for (const slot of [0, 1, 254, 255, 256, size - 1].filter((i) => i >= 0 && i < size)) {
      const page = checkPage(pages[Math.floor(slot / PAGE_SIZE)]!, LENGTH)
      expect(page.leaves[slot % PAGE_SIZE]).toEqual(leaves[slot])
      expect(proveFromPages(parsed, page, slot)).toEqual(proveLeaf(leaves, slot))
    }
  })

  it('one changed leaf changes one page and the index', () => {
    const leaves = leavesOf(600)
    const before = buildTree(leaves, LENGTH)
    const after = buildTree(leaves.with(300, seeded('new', LENGTH)), LENGTH)
    expect(after.pages.map((page, i) => page.join() === before.pages[i]!.join())).toEqual([
      true,
      false,
      true,
    ])
    const joined = joinPages(after.pages.map(pageRef), 600, LENGTH)
    expect(joined).toEqual({ head: after.head, index: after.index })
  })

  it('a page of no leaves, or of more than 256, cannot be made', () => {
    expect(() => encodePage([])).toThrow(RangeError)
    expect(() => encodePage(leavesOf(257))).toThrow(RangeError)
  })
})

describe('parsing', () => {
  const { index, pages } = buildTree(leavesOf(300), LENGTH)
  const page = pages[1]!
  const more = Uint8Array.of(0)
  const at = (bytes: Bytes, offset: number, n: number) =>
    concat(bytes.slice(0, offset), u32(n), bytes.slice(offset + 4))
  const flip = (bytes: Bytes, i: number) => bytes.with(i, bytes[i]! ^ 1)

  it('[dec-4] a page of another magic, length or count is ERR_MALFORMED', async () => {
    for (const bad of [
      more,
      flip(page, 0),
      page.slice(0, -1),
      concat(page, more),
      page.slice(0, 16),
      at(page, 8, 47),
      at(page, 12, 0),
      at(page, 12, 43),
      at(page, 12, 257),
      at(page, 12, 0xffffffff),
    ]) {
      await expectCode(() => parsePage(bad, LENGTH), 'ERR_MALFORMED')
    }
    await expectCode(() => parsePage(page, 136), 'ERR_MALFORMED')
    const none = concat(utf8('KFTPAGE\x01'), u32(LENGTH), u32(0))
    await expectCode(() => parsePage(none, LENGTH), 'ERR_MALFORMED')
    // 257 + 129 + 65 + 33 + 17 + 9 + 5 + 3 + 2 + 1 nodes.
    const body = new Uint8Array(257 * LENGTH + 521 * 32)
    const large = concat(utf8('KFTPAGE\x01'), u32(LENGTH), u32(257), body)
    await expectCode(() => parsePage(large, LENGTH), 'ERR_MALFORMED')
  })

  it('[dec-4] an index of another magic, length or size is ERR_MALFORMED', async () => {
    for (const bad of [
      more,
      flip(index, 0),
      index.slice(0, -1),
      concat(index, more),
      at(index, 8, 47),
      at(index, 12, 256),
      at(index, 12, 513),
      at(index, 12, 0),
      at(index, 12, 0xffffffff),
    ]) {
      await expectCode(() => parseIndex(bad, LENGTH), 'ERR_MALFORMED')
    }
  })

  it('[tree-2] nodes that do not fit the leaves are ERR_MALFORMED', async () => {
    for (const i of [16, 16 + LENGTH, 16 + 44 * LENGTH, page.length - 1]) {
      parsePage(flip(page, i), LENGTH)
      await expectCode(() => checkPage(flip(page, i), LENGTH), 'ERR_MALFORMED')
    }
  })

  it('[tree-2] an index that does not fit its pages is ERR_MALFORMED', async () => {
    for (const i of [16, 48, 80, index.length - 1]) {
      parseIndex(flip(index, i), LENGTH)
      await expectCode(() => checkIndex(flip(index, i), pages, LENGTH), 'ERR_MALFORMED')
    }
    for (const other of [[], pages.slice(1), [...pages, page], pages.toReversed()]) {
      await expectCode(() => checkIndex(index, other, LENGTH), 'ERR_MALFORMED')
    }
    await expectCode(() => checkIndex(at(index, 12, 301), pages, LENGTH), 'ERR_MALFORMED')
  })

  it('[tree-2] a page in the middle that is not full is ERR_MALFORMED', async () => {
    const leaves = leavesOf(300)
    const odd = [encodePage(leaves.slice(0, 44)), encodePage(leaves.slice(44))]
    const made = joinPages(odd.map(pageRef), 300, LENGTH)
    await expectCode(() => checkIndex(made.index, odd, LENGTH), 'ERR_MALFORMED')
  })
})
