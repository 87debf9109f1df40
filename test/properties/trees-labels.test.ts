// Properties of trees and labels: proofs hold for one leaf, index, size and root; labels encode injectively.
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { equal, hex, utf8 } from '../../shared/bytes.ts'
import { KeyferryError } from '../../shared/errors.ts'
import {
  channelInput,
  commitInput,
  kekInput,
  messageInfo,
  versionInput,
  type VersionContext,
} from '../../shared/kdf.ts'
import {
  buildTree,
  checkIndex,
  PAGE_SIZE,
  parseIndex,
  parsePage,
  proveFromPages,
  proveLeaf,
} from '../../shared/tree.ts'
import { verifyLeaf } from '../../shared/tree-proof.ts'
import { seeded } from '../lib/fixtures-keys.ts'
import { bytesOf, check, RUNS, u32s, u64s } from '../lib/fixtures-arbitraries.ts'

describe('trees', () => {
  const LENGTH = 48
  const all = Array.from({ length: 1_200 }, (_, i) => seeded(`leaf ${i}`, LENGTH))
  const refused = (work: Promise<void>) => expect(work).rejects.toThrow(KeyferryError)

  it('proofs from pages are those of the whole tree, and hold for nothing else', async () => {
    const sizes = fc.integer({ min: 0, max: 1_200 })
    await fc.assert(
      fc.asyncProperty(sizes, u32s, u32s, async (size, a, b) => {
        const leaves = all.slice(0, size)
        const { head, index, pages } = buildTree(leaves, LENGTH)
        const parsed = parseIndex(index, LENGTH)
        expect(parsed.root).toEqual(head.root)
        expect(checkIndex(index, pages, LENGTH).size).toBe(size)
        if (size === 0) return
        const slot = a % size
        const page = parsePage(pages[Math.floor(slot / PAGE_SIZE)]!, LENGTH)
        const proof = proveFromPages(parsed, page, slot)
        expect(proof).toEqual(proveLeaf(leaves, slot))
        const leaf = leaves[slot]!
        await verifyLeaf(leaf, proof, size, head.root)
        const other = b % 1_200
        const { root } = head
        if (other !== slot) {
          await refused(verifyLeaf(leaf, { ...proof, index: other }, size, root))
          await refused(verifyLeaf(all[other]!, proof, size, root))
        }
        // The size alone is not in the root: it is signed beside it. Where it changes the shape, the path no longer fits.
        const levels = (n: number) => proveLength(n, slot)
        if (other > slot && levels(other) !== levels(size)) {
          await refused(verifyLeaf(leaf, proof, other, root))
        }
        await refused(verifyLeaf(leaf, proof, slot, root))
        await refused(verifyLeaf(leaf, proof, size, seeded(`root ${b}`)))
        const path = proof.path
        if (path.length > 0) {
          const at = b % path.length
          const changed = path.map((node, i) =>
            i === at ? node.with(b % 32, node[b % 32]! ^ 1) : node,
          )
          await refused(verifyLeaf(leaf, { ...proof, path: changed }, size, root))
          await refused(verifyLeaf(leaf, { ...proof, path: path.slice(1) }, size, root))
        }
      }),
      { numRuns: process.env['SLOW'] ? 500 : 40 },
    )
  })

  /** How many siblings a leaf has in a tree of a size. */
  function proveLength(size: number, slot: number): number {
    let count = 0
    for (let n = size, i = slot; n > 1; n = Math.ceil(n / 2), i >>= 1) if ((i ^ 1) < n) count++
    return count
  }
})

describe('labels', () => {
  const versions: fc.Arbitrary<VersionContext> = fc.record({
    tenant: bytesOf(32),
    keyring: bytesOf(16),
    incarnation: u64s,
    version: u64s,
    algorithm: u32s,
  })
  const secretSalt = fc.oneof(bytesOf(0), bytesOf(32))
  const inputs = fc.oneof(
    fc
      .tuple(bytesOf(32), bytesOf(32), bytesOf(32))
      .map((f) => ['channel', f, channelInput(...f)] as const),
    fc
      .tuple(bytesOf(32), bytesOf(16), u64s, u64s, bytesOf(32))
      .map((f) => ['kek', f, kekInput(...f)] as const),
    fc
      .tuple(versions, bytesOf(16), secretSalt)
      .map((f) => ['version', f, versionInput(...f)] as const),
    versions.map((f) => ['commit', f, commitInput(f)] as const),
    fc
      .tuple(bytesOf(32), bytesOf(16), bytesOf(32))
      .map((f) => ['message', f, messageInfo(...f)] as const),
  )

  it('encode injectively, and no encoding is the prefix of another', () => {
    const same = (a: unknown, b: unknown) => JSON.stringify(plain(a)) === JSON.stringify(plain(b))
    const plain = (value: unknown): unknown =>
      value instanceof Uint8Array
        ? hex(value)
        : Array.isArray(value)
          ? value.map(plain)
          : typeof value === 'object' && value !== null
            ? Object.entries(value).map(([name, one]) => [name, plain(one)])
            : value
    check(
      fc.property(inputs, inputs, ([labelA, fieldsA, a], [labelB, fieldsB, b]) => {
        const isSame = labelA === labelB && same(fieldsA, fieldsB)
        expect(equal(a, b)).toBe(isSame)
        if (!isSame) expect(equal(a, b.subarray(0, a.length))).toBe(false)
      }),
      5 * RUNS,
    )
  })

  it('change when any one field changes', () => {
    check(
      fc.property(versions, versions, bytesOf(16), (one, other, nonce) => {
        const none = new Uint8Array()
        for (const name of Object.keys(one) as (keyof VersionContext)[]) {
          if (hex(utf8(String(one[name]))) === hex(utf8(String(other[name])))) continue
          const changed = { ...one, [name]: other[name] }
          expect(equal(commitInput(one), commitInput(changed))).toBe(false)
          expect(equal(versionInput(one, nonce, none), versionInput(changed, nonce, none))).toBe(
            false,
          )
        }
      }),
    )
  })
})
