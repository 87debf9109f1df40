/** What a raised incarnation does to a database that was restored from a backup. */
import { expect, it } from 'vitest'
import { takeUpIncarnation } from '../../deriver/incarnation.ts'
import { rotateKeyring } from '../../deriver/keyrings.ts'
import { emptyLog } from '../../deriver/log.ts'
import { publish } from '../../deriver/publish.ts'
import { publishTrust } from '../../deriver/trust-change.ts'
import { signWithAuthority } from '../../shared/envelope.ts'
import { type TrustDocument } from '../../shared/trust.ts'
import { deriving, ring, tenant, useTenant } from '../lib/deriver.ts'

useTenant()

/** The next trust document, with the next incarnation. */
async function raise({ body, hash }: TrustDocument): Promise<TrustDocument> {
  const { number, incarnation } = body
  const next = { ...body, number: number + 1, previous: hash, tenant: tenant.trust.tenant }
  const raised = { ...next, incarnation: incarnation + 1 }
  const envelope = await signWithAuthority('trust', raised, tenant.keys.authority)
  return publishTrust(tenant.store, envelope, tenant.clock.now)
}

/** Publishes, and tells the numbers that clients see. */
async function numbers(trust: TrustDocument): Promise<{ catalog: number; manifest: number }> {
  await publish(tenant.store, tenant.keys, trust, emptyLog(), tenant.clock.now, 600)
  return { catalog: tenant.store.counter('catalog'), manifest: ring().number }
}

it('[deriver-6] numbers of catalogs and manifests go on above all that an earlier incarnation gave out', async () => {
  const { store, clock } = tenant
  const before = await numbers(tenant.trust)
  for (let i = 0; i < 5; i++) rotateKeyring(store, 'notes', clock.now)
  const lost = await numbers(tenant.trust)
  // As a restored database has it.
  store.set('catalog', before.catalog)
  store.run('UPDATE keyrings SET number = ?', before.manifest)
  const second = await raise(tenant.trust)
  await takeUpIncarnation(store, deriving(), second, clock.now)
  const again = await numbers(second)
  expect(again.catalog).toBeGreaterThan(lost.catalog)
  expect(again.manifest).toBeGreaterThan(lost.manifest)
  for (const one of Object.values(again)) expect(one).toBeGreaterThan(2 * 2 ** 32)
  // And so above whatever the second one gives out.
  const third = await raise(second)
  await takeUpIncarnation(store, deriving(), third, clock.now)
  for (const one of Object.values(await numbers(third))) expect(one).toBeGreaterThan(3 * 2 ** 32)
  // A number that is higher already stays.
  store.set('catalog', 2 ** 50)
  const fourth = await raise(third)
  await takeUpIncarnation(store, deriving(), fourth, clock.now)
  expect((await numbers(fourth)).catalog).toBe(2 ** 50 + 1)
})
