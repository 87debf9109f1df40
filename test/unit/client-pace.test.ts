// How often a client looks for news when nobody tells it, and that it does where sockets are blocked.
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type Accepted } from '../../shared/open.ts'
import { listen } from '../../web/events.ts'
import { nextPoll, type Situation } from '../../web/pace.ts'
import { Pause } from '../../web/pause.ts'
import { ClientRelay, openClient } from '../lib/client-relay.ts'
import { issueSigner, uriOf } from '../lib/world.ts'

/** Real work, such as WebCrypto's, goes on beside them. */
const TIMERS = ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] as const
afterEach(() => void vi.useRealTimers())

/** What was accepted at 0, with lives in seconds. */
function accepted(head: number, catalog = 10 * head, trust = 10 * head): Accepted {
  return {
    head: { issuedAt: 0, expiresAt: head },
    catalog: { body: { expiresAt: catalog } },
    trust: { body: { expiresAt: trust, skew: 60 } },
  } as unknown as Accepted
}

const idle: Situation = {
  accepted: accepted(3_600),
  now: 0,
  polls: undefined,
  isComplete: true,
  failure: undefined,
  renewal: Infinity,
}

describe('the pace', () => {
  it.each<[string, Partial<Situation>, number]>([
    ['a sixth of the head’s life', {}, 600_000],
    ['no more often than every 5 s', { accepted: accepted(12) }, 5_000],
    ['no less often than every 15 minutes', { accepted: accepted(604_800) }, 900_000],
    ['every minute for a keyring that is not there', { isComplete: false }, 60_000],
    ['every 15 s without a head', { accepted: null }, 15_000],
    ['every 15 s after a failure', { failure: 'ERR_RELAY' }, 15_000],
    ['at once where somebody waits', { polls: 0 }, 150],
    ['half as often each time', { polls: 3 }, 1_200],
    ['down to every 15 s', { polls: 30 }, 15_000],
    ['where somebody waits, after a failure too', { polls: 1, failure: 'ERR_RELAY' }, 300],
    ['unless a relay asks for patience', { polls: 0, failure: 'ERR_QUOTA' }, 15_000],
    ['when encryption ends, if that is sooner', { now: 3_600 }, 61_000],
    ['as the head, also where the catalog ends first', { accepted: accepted(3_600, 100) }, 161_000],
    ['when encryption has ended, as before', { now: 4_000 }, 600_000],
    ['when the certificate is to be renewed, if that is sooner', { renewal: 60 }, 60_000],
    ['for a renewal that is due, no more often than every 5 s', { renewal: -60 }, 5_000],
  ])('%s', (_, situation, milliseconds) => {
    expect(nextPoll({ ...idle, ...situation })).toBe(milliseconds)
  })

  it('leaves at least three looks before a head is over, whatever its life and the chance', () => {
    for (const life of [60, 600, 3_600, 86_400, 604_800])
      expect((nextPoll({ ...idle, accepted: accepted(life) }) * 1.25 * 3) / 1_000).toBeLessThan(
        life,
      )
  })

  it('is not the same for all: within a quarter of it, by chance', async () => {
    vi.useFakeTimers()
    const times: number[] = []
    const { signal } = new AbortController()
    for (let i = 0; i < 200; i++) {
      const began = Date.now()
      const done = new Pause().sleep(10_000, signal).then(() => times.push(Date.now() - began))
      await vi.advanceTimersByTimeAsync(20_000)
      await done
    }
    expect(Math.min(...times)).toBeGreaterThanOrEqual(7_500)
    expect(Math.max(...times)).toBeLessThanOrEqual(12_500)
    // 200 of them do not all fall into one half.
    expect(Math.min(...times)).toBeLessThan(9_500)
    expect(Math.max(...times)).toBeGreaterThan(10_500)
  })
})

/** As a browser behaves behind a proxy that takes no sockets. */
class BlockedSocket extends EventTarget {
  static opened = 0

  constructor() {
    super()
    BlockedSocket.opened++
    setTimeout(() => this.dispatchEvent(new Event('error')), 1)
  }

  send(): void {}
  close(): void {}
}

function ForbiddenSocket(): never {
  throw new DOMException('not here', 'SecurityError')
}

describe('where sockets are blocked', () => {
  it.each([
    ['by the network', BlockedSocket],
    ['by a policy', ForbiddenSocket],
    ['because there are none', null],
  ])('%s, news come by polling, before the head is over', async (_, Socket) => {
    const relay = await ClientRelay.start()
    const identity = await issueSigner(relay.world.cas.client, uriOf('client', 'kim'), relay.now)
    vi.useFakeTimers({ toFake: [...TIMERS] })
    const client = await openClient(relay, {
      identity,
      WebSocket: Socket as unknown as typeof WebSocket,
    })
    const notes = await run(client.keyring('notes'))
    const versions: number[] = []
    client.on('change', ({ version }) => versions.push(version))
    const last = versions.length
    for (let round = 0; round < 3; round++) {
      await relay.publish()
      // A sixth of an hour, and a quarter of that.
      await advance(751_000)
      // The clock stands: real work may still be at it.
      await expect.poll(() => versions.at(-1), { timeout: 20_000 }).toBe(relay.version)
      await run(notes.encrypt('x'))
    }
    expect(versions.length - last).toBe(3)
    client.close()
  })

  it('attempts are made again, less and less often, down to one a minute', async () => {
    const relay = await ClientRelay.start()
    vi.useFakeTimers({ toFake: [...TIMERS] })
    const signer = await issueSigner(relay.world.cas.client, uriOf('client', 'kim'), relay.now)
    BlockedSocket.opened = 0
    const stop = new AbortController()
    const listening = listen({
      relays: ['https://relay.example'],
      tenant: relay.world.tenant,
      signer,
      now: () => relay.now,
      fetch: () => Promise.resolve(new Response(null, { status: 404 })),
      WebSocket: BlockedSocket as unknown as typeof WebSocket,
      onHint: () => expect.fail('nothing opened'),
      signal: stop.signal,
    })
    await advance(60_000)
    const first = BlockedSocket.opened
    expect(first).toBeGreaterThan(3)
    await advance(600_000)
    expect(BlockedSocket.opened - first).toBeGreaterThanOrEqual(9)
    expect(BlockedSocket.opened - first).toBeLessThanOrEqual(22)
    stop.abort()
    await listening
  })
})

const { setTimeout: setRealTimeout } = globalThis

/** Lets so many milliseconds of timers pass, and what real work they start go on in between. */
async function advance(milliseconds: number): Promise<void> {
  for (let passed = 0; passed < milliseconds; passed += 4_000) {
    await vi.advanceTimersByTimeAsync(4_000)
    await rest(2)
  }
  await rest(200)
}

/** What `work` brings, while time goes on. */
async function run<T>(work: Promise<T>): Promise<T> {
  const end = { isDone: false }
  const done = work.finally(() => (end.isDone = true))
  done.catch(() => {})
  while (!end.isDone) {
    await rest(1)
    await vi.advanceTimersByTimeAsync(5)
  }
  return done
}

function rest(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setRealTimeout(resolve, milliseconds))
}
