/** The running service at its edges: it ends when it should, and says what it cannot do. The whole of it runs in test/e2e. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createKeyring } from '../../deriver/keyrings.ts'
import {
  openDeriver,
  type Deriver,
  type OpenOptions,
  type ServiceEvent,
} from '../../deriver/index.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeTenant, type TestTenant } from '../lib/tenant.ts'

let tenant: TestTenant
const events: ServiceEvent[] = []

beforeEach(async () => {
  events.length = 0
  tenant = await makeTenant({ now: Math.floor(Date.now() / 1000) })
  createKeyring(
    tenant.store,
    { name: 'notes', rules: tenant.trust.body.clients.sans },
    tenant.clock.now,
  )
})
afterEach(() => {
  tenant.remove()
})

/** Opens the tenant's directory; port 9 of this machine answers to nobody. */
function open(options: Partial<OpenOptions> = {}): Promise<Deriver> {
  return openDeriver({
    directory: tenant.directory,
    passphrase: null,
    relays: ['http://127.0.0.1:9'],
    report: (event) => events.push(event),
    ...options,
  })
}

it('ends at once on the signal, although its relay is away', async () => {
  const deriver = await open()
  const stop = new AbortController()
  const running = deriver.run(stop.signal)
  await expect.poll(() => events.some((event) => event.type === 'relay-error')).toBe(true)
  const began = performance.now()
  stop.abort()
  await running
  expect(performance.now() - began).toBeLessThan(5_000)
  deriver.close()
})

it('ends with the error when its store breaks, instead of living on without working', async () => {
  const deriver = await open()
  const running = deriver.run(new AbortController().signal)
  await expect.poll(() => events.some((event) => event.type === 'relay-error')).toBe(true)
  deriver.close()
  await expect(running).rejects.toThrow()
})

it('signs heads no later than half of their life, and refuses a heartbeat that would', async () => {
  await expectCode(open({ headLifetime: 600, heartbeat: 301 }), 'ERR_USAGE')
  const clock = { now: tenant.clock.now }
  const deriver = await open({ headLifetime: 60, now: () => clock.now })
  await deriver.step()
  const heads = () => deriver.store.get<{ n: number }>('SELECT count(*) AS n FROM heads')!.n
  expect(heads()).toBe(1)
  await deriver.step()
  expect(heads()).toBe(1)
  clock.now += 30
  await deriver.step()
  expect(heads()).toBe(2)
  deriver.close()
})
