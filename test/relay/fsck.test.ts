/** What a deriver's look through everything that a relay stores makes of requests that wait there. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { checkRelay } from '../../deriver/fsck.ts'
import { followTrust } from '../../shared/trust-following.ts'
import { enrol, pushAll, sendCall } from '../lib/calls.ts'
import { makeRequest } from '../lib/documents.ts'
import { makeKeyring, publish } from '../lib/publication.ts'
import { startRelay, type TestRelay } from '../lib/test-relay.ts'
import { makeClient, makeWorld, random, revoke } from '../lib/world.ts'

let relay: TestRelay
beforeAll(async () => {
  relay = await startRelay()
})
afterAll(() => relay.close())

it('[relay-9] a request that waits since before its client was revoked is no problem of the relay', async () => {
  const world = await makeWorld()
  await enrol(relay, world)
  const alice = await makeClient(world, 'alice')
  const keyring = makeKeyring('one', [alice])
  const first = await publish(world, [keyring])
  await pushAll(relay, world, first, null)
  const request = await makeRequest(world, alice, [random(16)])
  const call = { call: 'request', package: alice.package, request } as const
  expect((await sendCall(relay, world, alice.signer, call)).status).toBe(202)
  const trust = await followTrust(world.tenant, null, world.trusts, null, null)
  const access = {
    url: relay.url.origin,
    tenant: world.tenant,
    signer: () => world.deriver,
    now: () => world.now,
  }
  expect(await checkRelay(access, trust)).toMatchObject({ requests: 1, problems: [] })
  await revoke(world.cas.client, alice.signer, world.now)
  await pushAll(relay, world, await publish(world, [keyring], { version: 2 }), first.headHash)
  expect(await checkRelay(access, trust)).toMatchObject({ requests: 1, problems: [] })
})
