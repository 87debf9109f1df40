/** What HMAC leaves in the memory that it uses again. */
import { hash } from 'node:crypto'
import { expect, it, vi } from 'vitest'
import { hmac, publicHmac } from '../../deriver/hmac.ts'
import { random } from '../../deriver/random.ts'

vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof import('node:crypto')>()
  return { ...crypto, hash: vi.fn(crypto.hash) }
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
