/** A service's turn by itself: when it works again, and what ends it. */
import { afterEach, expect, it, vi } from 'vitest'
import { createLease, readWriter } from '../../deriver/lease.ts'
import { takeTurns, type TurnParts } from '../../deriver/turn.ts'
import { tenant, useTenant } from '../lib/deriver.ts'

useTenant()
afterEach(() => void vi.useRealTimers())

function makeParts(parts: Partial<TurnParts>): TurnParts {
  const { store } = tenant
  return {
    store,
    lease: createLease(store, 'one'),
    leaseTime: 15_000,
    report: () => {},
    begin: () => {},
    work: () => Promise.resolve(),
    poll: () => Promise.resolve(),
    listen: () => [],
    isDue: () => false,
    ...parts,
  }
}

it('works again as soon as something is due, although nothing rang', async () => {
  const stop = new AbortController()
  let dues = 0
  const seen: number[] = []
  const work = (): Promise<void> => {
    if (seen.push(dues) === 3) stop.abort()
    return Promise.resolve()
  }
  await takeTurns(makeParts({ work, isDue: () => ++dues > 0 }), stop.signal)
  expect(seen).toEqual([0, 1, 2])
})

it.each<[string, Partial<TurnParts>]>([
  ['polls', { poll: () => Promise.reject(new Error('broken')) }],
  ['listens', { listen: () => [Promise.reject(new Error('broken'))] }],
  ['works', { work: () => Promise.reject(new Error('broken')) }],
])('ends with what fails while it %s, and gives the lease back', async (_, parts) => {
  const stop = new AbortController()
  await expect(takeTurns(makeParts(parts), stop.signal)).rejects.toThrow('broken')
  expect(readWriter(tenant.store)).toBeNull()
})

it('looks at its mailbox every 15 seconds', async () => {
  vi.useFakeTimers()
  const stop = new AbortController()
  let works = 0
  const work = (): Promise<void> => {
    if (++works === 3) stop.abort()
    return Promise.resolve()
  }
  const lease = createLease(tenant.store, 'one', 60_000)
  const running = takeTurns(makeParts({ lease, leaseTime: 60_000, work }), stop.signal)
  await vi.advanceTimersByTimeAsync(14_000)
  expect(works).toBe(1)
  await vi.advanceTimersByTimeAsync(2_000)
  expect(works).toBe(2)
  await vi.advanceTimersByTimeAsync(16_000)
  expect(works).toBe(3)
  await running
})
