/** Who waits for news at a relay, in memory: what each is told, when, and how many may wait. What callers see of it is in test/relay/waiting.test.ts. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { base64url, type Bytes } from '../../shared/bytes.ts'
import { type News } from '../../shared/news.ts'
import { MAX_WAITING, MAX_WAITING_EACH, Waiters, type Waiting } from '../../worker/waiters.ts'

const bytes = (value: number): Bytes => new Uint8Array(32).fill(value)
const who = (value: number): Waiting => ({
  fingerprint: base64url(bytes(value)),
  path: null as never,
})
const [ALICE, BOB] = [who(1), who(2)]
const ROOM = 100

let waiters: Waiters
beforeEach(() => {
  vi.useFakeTimers()
  waiters = new Waiters()
})
afterEach(() => vi.useRealTimers())

const begin = async (one: Waiting): Promise<string> => (await waiters.wait(one, '', 25, ROOM))!.next
/** What a call is answered that does not wait. */
const now = (one: Waiting, after: string): Promise<News | null> => waiters.wait(one, after, 0, ROOM)

describe('a call that waits', () => {
  it('is answered by a head, as everyone is, and by a refusal of its own', async () => {
    const [a, b] = [await begin(ALICE), await begin(BOB)]
    const [first, second] = [waiters.wait(ALICE, a, 25, ROOM), waiters.wait(BOB, b, 25, ROOM)]
    expect(waiters.size).toBe(2)
    waiters.refusal(bytes(1))
    const refused = await first
    expect(refused).toMatchObject({ events: ['refusal'], head: '' })
    expect(waiters.size).toBe(1)
    waiters.head(bytes(9))
    expect(await second).toMatchObject({ events: ['head'], head: base64url(bytes(9)) })
    expect(waiters.size).toBe(0)
    // What came meanwhile, together; and nothing twice.
    const both = (await now(ALICE, a))!
    expect(both).toMatchObject({ events: ['head', 'refusal'], head: base64url(bytes(9)) })
    expect(await now(ALICE, refused!.next)).toMatchObject({ events: ['head'] })
    expect(await now(ALICE, both.next)).toBeNull()
  })

  it('ends with nothing after its seconds, and leaves its place', async () => {
    const after = await begin(ALICE)
    const answers: (News | null)[] = []
    void waiters.wait(ALICE, after, 2, ROOM).then((answer) => answers.push(answer))
    await vi.advanceTimersByTimeAsync(1_999)
    expect([answers, waiters.size]).toEqual([[], 1])
    await vi.advanceTimersByTimeAsync(1)
    expect([answers, waiters.size]).toEqual([[null], 0])
    // One that was answered has no timer left, and nobody is counted twice.
    const second = waiters.wait(ALICE, after, 2, ROOM)
    waiters.head(bytes(1))
    await second
    expect(vi.getTimerCount()).toBe(0)
    expect(waiters.size).toBe(0)
  })

  it('that ends leaves another one of the same certificate where it waits', async () => {
    const after = await begin(ALICE)
    const [short, long] = [waiters.wait(ALICE, after, 1, ROOM), waiters.wait(ALICE, after, 9, ROOM)]
    await vi.advanceTimersByTimeAsync(1_000)
    expect([await short, waiters.size]).toEqual([null, 1])
    waiters.head(bytes(1))
    expect([(await long)?.events, waiters.size]).toEqual([['head'], 0])
  })

  it('is let go of its kind alone', async () => {
    const [a, b] = [await begin(ALICE), await begin(BOB)]
    const [first, second] = [waiters.wait(ALICE, a, 25, ROOM), waiters.wait(BOB, b, 25, ROOM)]
    waiters.dismiss(({ fingerprint }) => fingerprint === ALICE.fingerprint)
    expect(await first).toBeNull()
    expect(waiters.size).toBe(1)
    waiters.dismiss()
    expect(await second).toBeNull()
    expect(waiters.size).toBe(0)
  })

  it('[relay-13] is one of so many of its certificate, of the tenant, and by the quota', async () => {
    const [a, b] = [await begin(ALICE), await begin(BOB)]
    const own = Array.from({ length: MAX_WAITING_EACH }, () => waiters.wait(ALICE, a, 25, ROOM))
    expect(() => waiters.wait(ALICE, a, 25, ROOM)).toThrow('ERR_QUOTA')
    expect(() => waiters.wait(BOB, b, 25, MAX_WAITING_EACH)).toThrow('ERR_QUOTA')
    const other = waiters.wait(BOB, b, 25, MAX_WAITING_EACH + 1)
    expect(waiters.size).toBe(MAX_WAITING_EACH + 1)
    // Who need not wait is answered.
    expect(await now(ALICE, a)).toBeNull()
    waiters.head(bytes(1))
    await Promise.all([...own, other])
    const { next } = (await now(ALICE, a))!
    const again = waiters.wait(ALICE, next, 25, 1)
    expect(() => waiters.wait(BOB, next, 25, 1)).toThrow('ERR_QUOTA')
    waiters.dismiss()
    expect(await again).toBeNull()

    const all = Array.from({ length: MAX_WAITING }, (_, i) => {
      const one = { ...ALICE, fingerprint: `of ${i}` }
      return waiters.wait(one, next, 25, 2 * MAX_WAITING)
    })
    expect(() => waiters.wait(BOB, next, 25, 2 * MAX_WAITING)).toThrow('ERR_QUOTA')
    waiters.dismiss()
    await Promise.all(all)
    expect(waiters.size).toBe(0)
  })
})

describe('a position', () => {
  it('of another life, from ahead, or that is none, is answered at once: fetch', async () => {
    waiters.head(bytes(1))
    waiters.refusal(bytes(1))
    const next = await begin(ALICE)
    const [life] = next.split('.')
    expect(next).toBe(`${life}.1.1`)
    expect(await now(ALICE, next)).toBeNull()
    const other = await new Waiters().wait(ALICE, '', 0, ROOM)
    const bad = [`${life}.2.1`, `${life}.1.2`, `${life}.1`, `${life}.1.1.1`, ` ${life}.1.1`]
    for (const after of [...bad, `${life}.-1.1`, `${life}.1234567890.1`, 'x.1.1', other!.next])
      expect([after, await now(ALICE, after)]).toEqual([after, { events: [], head: '', next }])
  })

  it('says nothing any more once refusals were forgotten, and counts those of known certificates until then', async () => {
    for (let i = 0; i < 10_000; i++) {
      const one = bytes(0)
      new DataView(one.buffer).setUint32(0, i)
      waiters.refusal(one)
    }
    const known = who(0)
    const next = await begin(known)
    expect(next.endsWith('.0.1')).toBe(true)
    waiters.refusal(bytes(0))
    expect(await now(known, next)).toMatchObject({ events: ['refusal'] })
    waiters.refusal(bytes(255))
    const anew = await now(known, next)
    expect(anew).toMatchObject({ events: [] })
    expect(anew!.next.split('.').slice(1)).toEqual(['0', '0'])
    expect(anew!.next.split('.')[0]).not.toBe(next.split('.')[0])
  })
})
