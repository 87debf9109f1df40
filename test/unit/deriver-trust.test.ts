/** Which trust documents a deriver takes into force. */
import { describe, expect, it } from 'vitest'
import { createMaintenance } from '../../deriver/maintain.ts'
import { loadTrust, newestTrust } from '../../deriver/trust.ts'
import { publishTrust } from '../../deriver/trust-change.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { encodeEnvelope, signWithAuthority } from '../../shared/envelope.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { type TrustBody, type TrustDocument } from '../../shared/trust.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { ask, deriving, maintenance, members, tenant, useTenant } from '../lib/deriver.ts'
import { makeClient } from '../lib/tenant.ts'

useTenant()

type Place = Pick<TrustDocument, 'body' | 'hash'>

/** Signs the successor of a document. */
const signNext = ({ body, hash }: Place, edit: Partial<TrustBody> = {}) => {
  const next = { ...body, number: body.number + 1, previous: hash, tenant: tenant.trust.tenant }
  return signWithAuthority('trust', { ...next, ...edit }, tenant.keys.authority)
}

const now = (): number => tenant.clock.now

it('[trust-9] puts no document from the future into force, and the same one when its time has come', async () => {
  const { expiresAt, skew } = tenant.trust.body
  const dated = await signNext(tenant.trust, { issuedAt: now() + skew + 1, expiresAt })
  await expectCode(publishTrust(tenant.store, dated, now()), 'ERR_FUTURE')
  expect((await newestTrust(tenant.store)).body.number).toBe(1)
  expect((await publishTrust(tenant.store, dated, now() + 1)).body.number).toBe(2)
})

it('[trust-7] takes document 1,024, and no further one, which no client without state would follow', async () => {
  let last: Place = tenant.trust
  while (last.body.number < 1_023) {
    const envelope = await signNext(last)
    const hash = documentHash(envelope)
    const number = last.body.number + 1
    tenant.store.run('INSERT INTO trust VALUES (?, ?, ?)', number, hash, encodeEnvelope(envelope))
    last = { body: { ...last.body, number }, hash }
  }
  const newest = await publishTrust(tenant.store, await signNext(last), now())
  expect(newest.body.number).toBe(1_024)
  const further = publishTrust(tenant.store, await signNext(newest), now())
  await expectCode(further, 'ERR_TRUST_CHAIN_TOO_LONG')
  expect((await newestTrust(tenant.store)).hash).toEqual(newest.hash)
  expect(await loadTrust(tenant.store)).toHaveLength(1_024)
})

describe('[deriver-5] members', () => {
  it('leave under the newest trust document alone, not under one that another process replaced meanwhile', async () => {
    await ask(await makeClient(tenant, 'ada'))
    const { clients } = tenant.trust.body
    const sans = ['keyferry://client.acme.example/nobody']
    const narrow = await signNext(tenant.trust, { clients: { ...clients, sans } })
    const second = await publishTrust(tenant.store, narrow, now())
    const third = await publishTrust(tenant.store, await signNext(second, { clients }), now())
    await maintenance()(now(), second)
    expect(members()).toHaveLength(1)
    await maintenance()(now(), third)
    expect(members()).toHaveLength(1)
  })

  it('leave at once under a newer trust document, although a list was missing under the one before', async () => {
    await ask(await makeClient(tenant, 'ada'))
    const { store } = tenant
    const next = await publishTrust(store, await signNext(tenant.trust), now())
    const crls = store.all<Record<string, Bytes>>('SELECT * FROM crls')
    store.run('DELETE FROM crls')
    const maintain = createMaintenance(store, deriving(), {}, () => {})
    await maintain(now(), next)
    for (const row of crls)
      store.run('INSERT INTO crls VALUES (?, ?, ?, ?, ?)', ...Object.values(row))
    const clients = { ...next.body.clients, sans: ['keyferry://client.acme.example/nobody'] }
    const narrow = await publishTrust(store, await signNext(next, { clients }), now())
    await maintain(now(), narrow)
    expect(members()).toEqual([])
  })

  it('are not looked at under one that says the same of who is admitted', async () => {
    await ask(await makeClient(tenant, 'ada'))
    const { store } = tenant
    await maintenance()(now())
    store.run('DELETE FROM crls')
    const relays = ['https://other.example']
    const next = await publishTrust(store, await signNext(tenant.trust, { relays }), now())
    await createMaintenance(store, deriving(), {}, () => {})(now(), next)
    // A look would not have been complete, without lists.
    expect(store.counter('members-trust')).toBe(2)
  })

  it('who came under one in between are looked at, although the last one says what the first one said', async () => {
    const { clients } = tenant.trust.body
    const narrow = { clients: { ...clients, sans: ['keyferry://client.acme.example/nobody'] } }
    const second = await publishTrust(tenant.store, await signNext(tenant.trust, narrow), now())
    const maintain = maintenance()
    await maintain(now(), second)
    tenant.trust = await publishTrust(tenant.store, await signNext(second, { clients }), now())
    await ask(await makeClient(tenant, 'ada'))
    expect(members()).toHaveLength(1)
    await maintain(
      now(),
      await publishTrust(tenant.store, await signNext(tenant.trust, narrow), now()),
    )
    expect(members()).toEqual([])
  })
})
