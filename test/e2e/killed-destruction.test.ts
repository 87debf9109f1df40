/** A deriver that is killed with SIGKILL while it carries out a destruction, again and again, and taken up each time. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { listDestructions, orderDestruction } from '../../deriver/destroy.ts'
import { createKeyring } from '../../deriver/keyrings.ts'
import { emptyLog } from '../../deriver/log.ts'
import { publish } from '../../deriver/publish.ts'
import { handleRequest } from '../../deriver/requests.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { spawnDeriver, until } from '../lib/processes.ts'
import { makeClient, makeRequest, makeTenant, type TestTenant } from '../lib/tenant.ts'

const MEMBERS = 320

let tenant: TestTenant
beforeEach(async () => {
  tenant = await makeTenant({ now: Math.floor(Date.now() / 1000) })
})
afterEach(() => tenant.remove())

function salts(): Bytes[] {
  return tenant.store
    .all<{ salt: Bytes }>(
      'SELECT salt FROM generations UNION ALL SELECT channel_salt FROM devices UNION ALL SELECT salt FROM versions',
    )
    .map(({ salt }) => salt)
    .filter((salt) => salt.length > 0)
}

it('[deriver-10] kill -9 in the middle of a destruction · it goes on where it was, and nothing of what it erased is on the disk', async () => {
  const { store, keys, trust, clock, directory } = tenant
  const rules = ['keyferry://client.acme.example/*']
  const { id } = createKeyring(store, { name: 'mail', rules, kind: 'erasable' }, clock.now)
  for (let i = 0; i < MEMBERS; i++) {
    const client = await makeClient(tenant, `c${i}`)
    await handleRequest(store, keys, trust, await makeRequest(tenant, client, [id]), clock.now)
  }
  await publish(store, keys, trust, emptyLog(), clock.now, 3_600)
  const before = salts()
  expect(before.length).toBe(MEMBERS + 2)
  orderDestruction(store, ['mail@1'], 0, clock.now)
  const row = () => listDestructions(store)[0]!
  // Each time a little later.
  for (let rewelcomed = 1; rewelcomed <= 3 && row().scrubbed === 0; rewelcomed++) {
    const deriver = spawnDeriver(directory)
    const told = () => deriver.events.filter(({ type }) => type === 'rewelcomed').length
    await until(() => told() >= rewelcomed || row().scrubbed === 1, 'devices welcomed anew')
    await deriver.kill()
  }
  const deriver = spawnDeriver(directory)
  await until(() => row().scrubbed === 1, 'the end')
  await deriver.kill()
  const files = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name)))
  const found = before.filter((salt) => files.some((file) => file.includes(Buffer.from(salt))))
  expect(found).toEqual([])
  expect(salts()).toHaveLength(MEMBERS + 2)
}, 120_000)
