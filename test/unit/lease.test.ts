/** The writer lease: who may write, what a writer that lost it can still do (nothing), and who takes over when. */
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { issueDeriver } from '../../deriver/ca.ts'
import { readConditions } from '../../deriver/conditions.ts'
import { rotateKeyring } from '../../deriver/keyrings.ts'
import {
  createLease,
  fenceStore,
  LEASE_TIME,
  LONGEST_LEASE,
  readWriter,
} from '../../deriver/lease.ts'
import { publish } from '../../deriver/publish.ts'
import { emptyLog } from '../../deriver/log.ts'
import { createService, type Service, type ServiceOptions } from '../../deriver/service.ts'
import { openStore, storePath, type Store } from '../../deriver/store.ts'
import { takeOneTurn } from '../../deriver/turn.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { errorOf } from '../../shared/error-codes.ts'
import { signBytes } from '../../shared/signature.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { tenant, useTenant } from '../lib/deriver.ts'

useTenant()

/** Ends the lease as time does: whoever holds it does not stir. */
const letItEnd = (): void => tenant.store.run('UPDATE lease SET until = 1')
/** A service over the tenant's own store; what differs is said. */
function serviceWith(options: Partial<ServiceOptions>): Promise<Service> {
  const { store, keys, clients, derivers: deriver, clock } = tenant
  return createService({
    store,
    root: keys.root,
    authority: keys.authority,
    issuers: { deriver, client: clients },
    signer: { issuer: deriver, uri: 'keyferry://deriver.acme.example/deriver-1' },
    now: () => clock.now,
    ...options,
  })
}
const away: typeof fetch = () => Promise.reject(new TypeError('no relay is there'))
const writes = (store: Store): [string, () => unknown][] => [
  ['a statement', () => store.run("UPDATE meta SET value = value + 1 WHERE name = 'change'")],
  ['a transaction', () => store.transaction(() => store.counter('change'))],
  ['a counter', () => store.next('change')],
  ['a setting', () => store.set('change', 1)],
]

describe('[deriver-12] a lease', () => {
  it('is held by one, and taken with a higher number by the next', () => {
    const [one, two] = [createLease(tenant.store, 'one'), createLease(tenant.store, 'two')]
    expect(one.take()).toBe(true)
    expect(two.take()).toBe(false)
    expect(readWriter(tenant.store)).toMatchObject({ fence: 1 })
    expect(one.take()).toBe(true)
    letItEnd()
    expect(two.take()).toBe(true)
    expect(one.take()).toBe(false)
    expect(readWriter(tenant.store)).toMatchObject({ fence: 2 })
    two.release()
    expect(readWriter(tenant.store)).toBeNull()
    expect(one.take()).toBe(true)
    expect(readWriter(tenant.store)).toMatchObject({ fence: 3 })
  })

  it('is free at once when the process that held it has ended', () => {
    const lease = createLease(tenant.store, 'one')
    lease.take()
    const { place } = tenant.store.get<{ place: string }>('SELECT place FROM lease')!
    const [machine, pid, start] = JSON.parse(place) as [string, number, string]
    const other = createLease(tenant.store, 'two')
    const held = (by: unknown[]): boolean => {
      tenant.store.run('UPDATE lease SET place = ?, fence = fence + 1', JSON.stringify(by))
      return !other.take()
    }
    // Of another machine, or another container, nothing is known.
    expect(held(['elsewhere', 2 ** 22 + 1, '1'])).toBe(true)
    expect(held([machine, pid, start])).toBe(true)
    expect(held([machine, 2 ** 22 + 1, '1'])).toBe(false)
    // The same number, and another process.
    if (start !== '') expect(held([machine, process.ppid, '1'])).toBe(false)
  })

  it('of a clock that was ahead keeps nobody out once that is right again', () => {
    const { store } = tenant
    onTestFinished(() => void vi.useRealTimers())
    vi.useFakeTimers({ toFake: ['Date'] })
    const now = Date.now()
    const [one, two] = [createLease(store, 'one', 15_000), createLease(store, 'two')]
    const until = () => store.get<{ until: number }>('SELECT until FROM lease')!.until
    // Whoever holds it goes on, and for as long as always.
    vi.setSystemTime(now + LONGEST_LEASE / 2)
    one.take()
    vi.setSystemTime(now)
    expect(two.take()).toBe(false)
    store.transaction(() => one.require())
    expect(until()).toBe(now + 15_000)
    // The machine went down before it was renewed: nothing is known of the process.
    vi.setSystemTime(now + 365 * 86_400_000)
    one.take()
    expect(readWriter(store)).not.toBeNull()
    store.run('UPDATE lease SET place = ?', JSON.stringify(['elsewhere', 1, '1']))
    vi.setSystemTime(now)
    expect(readWriter(store)).toBeNull()
    expect(two.take()).toBe(true)
    expect([one.take(), until()]).toEqual([false, now + LEASE_TIME])
    // The longest that there is holds.
    two.release()
    const long = createLease(store, 'three', LONGEST_LEASE)
    expect([long.take(), two.take()]).toEqual([true, false])
  })

  it('that is lost ends every kind of write, in the transaction that would write; reading goes on', () => {
    const lease = createLease(tenant.store, 'one')
    const store = fenceStore(tenant.store, lease)
    lease.take()
    for (const [, write] of writes(store)) expect(write).not.toThrow()
    letItEnd()
    // Nobody took it: it goes on.
    expect(() => store.next('change')).not.toThrow()
    letItEnd()
    createLease(tenant.store, 'two').take()
    const before = store.counter('change')
    for (const [what, write] of writes(
      fenceStore(tenant.store, createLease(tenant.store, 'three')),
    ))
      expect(write, what).toThrow('writes to this store')
    expect(() => store.next('change')).toThrow('writes to this store')
    expect(store.counter('change')).toBe(before)
  })

  it('that was lost stays lost until it is taken again, also when whoever took it has gone', () => {
    const lease = createLease(tenant.store, 'one')
    const store = fenceStore(tenant.store, lease)
    lease.take()
    letItEnd()
    const other = createLease(tenant.store, 'two')
    other.take()
    other.release()
    // Twice: the first error may have been taken for one of a relay.
    for (const attempt of [1, 2])
      expect(() => store.next('change'), `attempt ${attempt}`).toThrow('writes to this store')
    expect(lease.take()).toBe(true)
    expect(() => store.next('change')).not.toThrow()
  })

  it('is not needed to look at a relay while another one works, and is to rebuild it', async () => {
    createLease(tenant.store, 'one').take()
    const asked: string[] = []
    const service = await serviceWith({
      fetch: (input) => {
        asked.push(new URL(input as URL).host)
        return away('')
      },
    })
    await expectCode(service.check('http://127.0.0.1:9'), 'ERR_RELAY')
    expect(asked.length).toBeGreaterThan(0)
    await expectCode(service.rebuild('http://127.0.0.1:9'), 'ERR_LEASE')
  })

  it('that was lost while a service hangs is not taken anew in the middle of its work', async () => {
    const other = openStore(storePath(tenant.directory))
    onTestFinished(() => other.close())
    const stop = new AbortController()
    const events: string[] = []
    let hang = true
    let calls = 0
    const { promise: hung, resolve: hangs } = Promise.withResolvers<void>()
    const service = await serviceWith({
      lease: 1,
      report: (event) => {
        if (event.type === 'writer') events.push(event.state)
        // The second taking is a new beginning.
        if (events.filter((one) => one === 'taken').length === 2) stop.abort()
      },
      fetch: async () => {
        calls++
        if (hang) {
          hang = false
          hangs()
          const lease = createLease(other, 'two')
          letItEnd()
          lease.take()
          lease.release()
          // The timer renews a lease of a second four times in it.
          await new Promise((resolve) => setTimeout(resolve, 600))
        }
        throw new TypeError('no relay is there')
      },
    })
    const running = service.run(stop.signal)
    await hung
    await running
    expect(events).toEqual(['taken', 'lost', 'taken'])
    expect(readWriter(tenant.store)).toBeNull()
    expect(calls).toBeGreaterThan(0)
  })

  it('is asked between the number of a head and its signature', async () => {
    const lease = createLease(tenant.store, 'one')
    lease.take()
    const store = fenceStore(tenant.store, lease)
    const { keys, trust, clock } = tenant
    await publish(store, keys, trust, emptyLog(), clock.now, 3_600)
    rotateKeyring(tenant.store, 'notes', clock.now)
    // Another one takes over while this one signs.
    const signing = publish(store, keys, trust, emptyLog(), clock.now, 3_600)
    letItEnd()
    createLease(tenant.store, 'two').take()
    await expectCode(signing, 'ERR_LEASE')
    const { n } = tenant.store.get<{ n: number }>(
      'SELECT count(*) AS n FROM heads WHERE envelope IS NOT NULL',
    )!
    expect(n).toBe(1)
  })

  it('that is lost while a call is signed keeps the call back', async () => {
    const other = openStore(storePath(tenant.directory))
    onTestFinished(() => other.close())
    const { key, certificates } = await issueDeriver(
      tenant.store,
      tenant.derivers,
      'keyferry://deriver.acme.example/deriver-1',
      tenant.clock.now,
    )
    let calls = 0
    const service = await serviceWith({
      fetch: () => Promise.reject(new TypeError(`call ${++calls}`)),
      signer: {
        certificates,
        key: {
          alg: key.alg,
          spki: key.spki,
          sign: (data: Bytes) => {
            // What is signed first in a step is a question to a relay.
            createLease(other, 'two').take()
            return signBytes(key, data)
          },
        },
      },
    })
    await expectCode(service.step(), 'ERR_LEASE')
    expect(calls).toBe(0)
    await expectCode(service.step(), 'ERR_LEASE')
  })

  it('that is lost while a root is opened is no failure of the root', async () => {
    const told: unknown[] = []
    const service = await serviceWith({
      report: (event) => told.push(event),
      openRoots: () => Promise.reject(errorOf('ERR_LEASE')),
    })
    await expectCode(service.step(), 'ERR_LEASE')
    expect(told).toEqual([])
    expect(readConditions(tenant.store)).toEqual([])
  })

  it('is held by whoever works once, or rebuilds a relay, and given back; who finds it taken does nothing', async () => {
    const other = openStore(storePath(tenant.directory))
    onTestFinished(() => other.close())
    const second = createLease(other, 'two')
    const meanwhile: boolean[] = []
    const service = await serviceWith({
      fetch: () => {
        meanwhile.push(second.take())
        return away('')
      },
    })
    await service.once()
    expect(new Set(meanwhile)).toEqual(new Set([false]))
    expect(readWriter(tenant.store)).toBeNull()
    meanwhile.length = 0
    await expectCode(service.rebuild('http://127.0.0.1:9'), 'ERR_RELAY')
    expect(new Set(meanwhile)).toEqual(new Set([false]))
    expect(readWriter(tenant.store)).toBeNull()

    expect(second.take()).toBe(true)
    const count = (): unknown[] => [
      tenant.store.get('SELECT count(*) AS n FROM heads'),
      meanwhile.length,
    ]
    const before = count()
    await expectCode(service.once(), 'ERR_LEASE')
    expect(count()).toEqual(before)
    expect(second.take()).toBe(true)
    expect(readWriter(tenant.store)?.holder).toContain('two')
  })

  it('that is taken again finds what stands wrong as another one left it', async () => {
    const service = await serviceWith({
      fetch: away,
    })
    await service.once()
    const found = readConditions(tenant.store).map(({ what, code }) => ({ what, code }))
    expect(found).toContainEqual({ what: expect.stringContaining('relay '), code: 'ERR_RELAY' })
    // Another one reached the relay.
    tenant.store.run('DELETE FROM conditions')
    await service.once()
    expect(readConditions(tenant.store)).toMatchObject(found)
    // So does one that goes on working.
    tenant.store.run('DELETE FROM conditions')
    const stop = new AbortController()
    const running = service.run(stop.signal)
    await expect.poll(() => readConditions(tenant.store)).toMatchObject(found)
    stop.abort()
    await running
  })

  it('is renewed while whoever works once is kept waiting', async () => {
    const { store } = tenant
    const lease = createLease(store, 'one')
    const none = (): never => expect.unreachable()
    const parts = { store, lease, leaseTime: 40, report: none, begin: () => {} }
    const rest = { work: none, poll: none, listen: none, isDue: none }
    const until = () => store.get<{ until: number }>('SELECT until FROM lease')!.until
    await takeOneTurn({ ...parts, ...rest }, async () => {
      const soon = Date.now() + 1_000
      store.run('UPDATE lease SET until = ?', soon)
      await expect.poll(until).toBeGreaterThan(soon)
    })
  })
})
