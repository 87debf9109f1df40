/** What an upload has in memory at a time, how it tells of itself, and that one that was cut off goes on. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createKeyring } from '../../deriver/keyrings.ts'
import { emptyLog } from '../../deriver/log.ts'
import { putObject } from '../../deriver/objects.ts'
import { publish } from '../../deriver/publish.ts'
import { pushToRelay } from '../../deriver/push.ts'
import { random } from '../../deriver/random.ts'
import { type RelayAccess } from '../../deriver/relay.ts'
import { type Store } from '../../deriver/store.ts'
import { makeTenant, type TestTenant } from '../lib/tenant.ts'

const MIB = 2 ** 20
let tenant: TestTenant
beforeEach(async () => {
  tenant = await makeTenant()
  const { store, keys, trust, clock } = tenant
  createKeyring(store, { name: 'notes', rules: trust.body.clients.sans }, clock.now)
  await publish(store, keys, trust, emptyLog(), clock.now, 3_600)
})
afterEach(() => tenant.remove())

/** A relay that answers so to the call of each name. */
function relayThat(answer: (name: string) => Response): RelayAccess {
  return {
    url: 'https://relay.example',
    tenant: tenant.trust.tenant,
    signer: () => tenant.keys.signer,
    now: () => tenant.clock.now,
    fetch: (input) =>
      Promise.resolve(answer(new URL(input as string | URL).pathname.split('/').at(-1)!)),
  }
}

/** Pushes to what takes so many batches; returns the bytes of each look into the database, and what was told. */
async function push(batches = Infinity) {
  const loads: number[] = []
  const told: string[] = []
  const store: Store = {
    ...tenant.store,
    all: <T>(sql: string, ...values: []) => {
      const rows = tenant.store.all<T & { body?: Uint8Array }>(sql, ...values)
      const bytes = rows.reduce((sum, { body }) => sum + (body?.length ?? 0), 0)
      if (bytes > 0) loads.push(bytes)
      return rows
    },
  }
  let left = batches
  const access = relayThat((name) => {
    const status = name === 'objects' && left-- <= 0 ? 503 : 204
    return new Response(null, { status })
  })
  const result = await pushToRelay(store, access, [], undefined, (done, of) => {
    told.push(`${done} of ${of}`)
  }).catch((error: unknown) => error)
  return { result, loads, told }
}

it('holds 8 MiB beside the largest object, and 256 objects', async () => {
  for (let i = 0; i < 20; i++) putObject(tenant.store, random(1.4 * MIB))
  for (let i = 0; i < 300; i++) putObject(tenant.store, random(10))
  const { result, loads, told } = await push()
  expect(result).toBe(1)
  expect(Math.max(...loads)).toBeLessThanOrEqual(8 * MIB)
  expect(Math.max(...loads)).toBeGreaterThan(6 * MIB)
  const { n } = tenant.store.get<{ n: number }>('SELECT count(*) AS n FROM objects')!
  expect(told.length).toBe(loads.length)
  expect(told.at(-1)).toBe(`${n} of ${n}`)
})

it('that was cut off goes on where it was, and tells of what is left', async () => {
  for (let i = 0; i < 20; i++) putObject(tenant.store, random(1.4 * MIB))
  for (let i = 0; i < 300; i++) putObject(tenant.store, random(10))
  const first = await push(2)
  expect(first.result).toMatchObject({ code: 'ERR_RELAY' })
  const done = Number(first.told.at(-1)!.split(' ')[0])
  const second = await push()
  expect(second.result).toBe(1)
  const { n } = tenant.store.get<{ n: number }>('SELECT count(*) AS n FROM objects')!
  expect(second.told.at(-1)).toBe(`${n - done} of ${n - done}`)
})

it('a relay of several places, one of which has not heard of the enrolment yet, is asked again', async () => {
  const calls: string[] = []
  let isHeard = false
  const access = relayThat((name) => {
    calls.push(name)
    if (name === 'tenants') return new Response(null, { status: 201 })
    const isAway = !isHeard
    isHeard = calls.filter((one) => one !== 'tenants').length > 2
    return isAway
      ? new Response('{"code":"ERR_NOT_FOUND"}', { status: 404 })
      : new Response(null, { status: 204 })
  })
  const documents = [tenant.trust.envelope]
  const pushWith = (invite?: string): Promise<unknown> =>
    pushToRelay(tenant.store, access, documents, invite, () => {}).catch((error: unknown) => error)
  expect(await pushWith()).toMatchObject({ code: 'ERR_NOT_FOUND' })
  calls.length = 0
  isHeard = false
  expect(await pushWith('invite')).toBe(1)
  expect(calls.filter((one) => one === 'tenants')).toHaveLength(1)
  expect(calls.at(-1)).toBe('push')
})
