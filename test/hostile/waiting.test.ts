/** A relay that keeps a deriver waiting in the middle of a step. */
import { expect, it } from 'vitest'
import { revokeClient } from '../../deriver/revocation.ts'
import { createService } from '../../deriver/service.ts'
import { toJson } from '../lib/calls.ts'
import { ask, members, notes, tenant, useTenant } from '../lib/deriver.ts'
import { HidingRelay } from '../lib/hiding-relay.ts'
import { makeClient, makeRequest } from '../lib/tenant.ts'

useTenant()

it('[deriver-4] a client that was revoked while the relay kept the deriver waiting is out of the next head', async () => {
  const [ada, ben] = [await makeClient(tenant, 'ada'), await makeClient(tenant, 'ben')]
  await ask(ben)
  const relay = new HidingRelay()
  const request = toJson({ call: 'request', ...(await makeRequest(tenant, ada, [notes])) })
  let heads = 0
  const slow: typeof fetch = async (input, init) => {
    const response = await relay.fetch(input, init)
    const isMailbox = new URL(input as string | URL).pathname.endsWith('/requests')
    if (isMailbox && heads === 0) {
      heads = relay.pushes.length
      expect(members()).toEqual([ben.uri])
      revokeClient(tenant.store, ben.uri, tenant.clock.now)
    }
    return response
  }
  const { store, keys, derivers, clients, clock } = tenant
  const service = await createService({
    store,
    root: keys.root,
    authority: keys.authority,
    signer: keys.signer,
    issuers: { deriver: derivers, client: clients },
    now: () => clock.now,
    fetch: slow,
  })
  await relay.fetch('https://relay.example/calls', { method: 'POST', body: request })
  await service.step()
  expect(relay.pushes.length).toBe(heads + 1)
  expect(members()).toEqual([ada.uri])
})
