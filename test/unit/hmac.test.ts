/** HMAC-SHA-256 of a deriver, and what it leaves in the memory that it uses again. */
import { createHmac, hash } from 'node:crypto'
import { expect, it, vi } from 'vitest'
import { hmac, publicHmac } from '../../deriver/hmac.ts'
import { random } from '../../deriver/random.ts'
import { memoryKey } from '../../deriver/root.ts'
import { hex } from '../../shared/bytes.ts'

vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof import('node:crypto')>()
  return { ...crypto, hash: vi.fn(crypto.hash) }
})

it('HMAC is what Node makes, of every length, and forgets the keys before', () => {
  for (const length of [0, 1, 55, 56, 63, 64, 65, 140, 1_023, 1_024, 1_025, 5_000, 3]) {
    const [key, input] = [random(32), random(length)]
    const theirs = createHmac('sha256', key).update(input).digest('hex')
    expect([hex(hmac(key, input)), hex(publicHmac(key, input))]).toEqual([theirs, theirs])
  }
  const first = hmac(random(32), random(8))
  const copy = hex(first)
  hmac(random(32), random(8))
  expect(hex(first)).toBe(copy)
  for (const length of [0, 31, 33, 64])
    expect(() => hmac(random(length), random(8))).toThrow(RangeError)
})

it('no input is kept, of which the salt may be erased next, and no key', () => {
  for (const length of [8, 140, 1_024, 1_025])
    for (const make of [hmac, publicHmac]) {
      vi.mocked(hash).mockClear()
      make(random(32), random(length).fill(0xa5))
      const [inner, outer] = vi.mocked(hash).mock.calls.map(([, data]) => data as Uint8Array)
      expect(inner).toHaveLength(64 + length)
      expect(outer).toHaveLength(64 + 32)
      expect(inner!.subarray(64).every((byte) => byte === 0)).toBe(true)
      for (const block of [inner!, outer!])
        expect(block.subarray(0, 32).every((byte) => byte === 0)).toBe(true)
    }
})

it('a root in memory has its own key, also of a Buffer, whose slices are the same memory', () => {
  const master = Buffer.alloc(32, 5)
  const key = memoryKey(master)
  const before = hex(key.macNow!(random(0)))
  master.fill(0)
  expect(hex(key.macNow!(random(0)))).toBe(before)
})
