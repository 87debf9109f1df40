/** Pages out of leaves that lie behind one another: the bytes that everybody else makes of them. */
import { expect, it } from 'vitest'
import { encodeLeaves } from '../../deriver/leaf-pages.ts'
import { random } from '../../deriver/random.ts'
import { concat, hex } from '../../shared/bytes.ts'
import { encodePage } from '../../shared/tree.ts'

it('they are those of encodePage, for every number of leaves', () => {
  for (const length of [1, 64, 136]) {
    const leaves = Array.from({ length: 256 }, () => random(length))
    for (let count = 1; count <= 256; count++) {
      const some = leaves.slice(0, count)
      expect(hex(encodeLeaves(concat(...some), length))).toBe(hex(encodePage(some)))
    }
  }
})

it('leaves may be a part of larger memory', () => {
  const all = random(300 * 136)
  const some = Array.from({ length: 7 }, (_, i) => all.subarray((9 + i) * 136, (10 + i) * 136))
  expect(hex(encodeLeaves(all.subarray(9 * 136, 16 * 136), 136))).toBe(hex(encodePage(some)))
})

it.each([0, 135, 137, 257 * 136])('%i bytes are no leaves of a page', (length) => {
  expect(() => encodeLeaves(new Uint8Array(length), 136)).toThrow(RangeError)
})
