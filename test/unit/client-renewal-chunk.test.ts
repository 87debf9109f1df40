/** What renews is loaded when it is time; where it does not load, that is told, and tried again after a pause. */
import { expect, it, vi } from 'vitest'
import { type ClientEvents, type Emitter } from '../../web/emitter.ts'
import { Renewal } from '../../web/renewal.ts'
import { type Session } from '../../web/session.ts'
import { DAY, issueSigner, makeWorld, uriOf } from '../lib/world.ts'

vi.mock('../../web/renewal-attempt.ts', () => {
  throw new TypeError('Failed to fetch dynamically imported module')
})

it('a chunk that does not load is told, and not asked for again at once', async () => {
  const world = await makeWorld()
  const identity = await issueSigner(world.cas.client, uriOf('client', 'kim'), world.now)
  const events: ClientEvents['renewal'][] = []
  let now = world.now
  const emitter = { emit: (_: string, event: ClientEvents['renewal']) => events.push(event) }
  const renewal = new Renewal({
    session: { load: () => Promise.resolve(), identity } as unknown as Session,
    emitter: emitter as unknown as Emitter<ClientEvents>,
    now: () => now,
    renew: () => Promise.reject(new Error('never asked')),
  })
  await renewal.check()
  expect([events, renewal.wait > DAY]).toEqual([[], true])
  // Within its life, and near its end.
  now += renewal.wait + 60
  await renewal.check()
  await expect.poll(() => events.length).toBe(1)
  expect(events[0]!.failure).toMatchObject({ code: 'ERR_IO' })
  expect(renewal.wait).toBe(60)
  await renewal.check()
  expect(events).toHaveLength(1)
  now += 60
  await renewal.check()
  await expect.poll(() => events.length).toBe(2)
})
