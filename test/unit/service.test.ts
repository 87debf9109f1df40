/** The running service at its edges: it ends when it should, and says what it cannot do. The whole of it runs in test/e2e. */
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { exportKey } from '../../deriver/key-files.ts'
import { createKeyring } from '../../deriver/keyrings.ts'
import {
  openDeriver,
  type Deriver,
  type OpenOptions,
  type ServiceEvent,
} from '../../deriver/index.ts'
import { readAlarms } from '../../deriver/alarms.ts'
import { readConditions } from '../../deriver/conditions.ts'
import { memoryKey } from '../../deriver/root.ts'
import { readStatus } from '../../deriver/status.ts'
import { addRoot, markOf, removeRoot, useRoot } from '../../deriver/roots.ts'
import { writeKeyFile } from '../../deriver/secret.ts'
import { makeDraft, publishTrust, signDraft } from '../../deriver/trust-change.ts'
import { parseCrl } from '../../shared/crl.ts'
import { generateSigningKey, keyId } from '../../shared/signature.ts'
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

const conditionsOf = (what: string) =>
  readConditions(tenant.store).filter((one) => one.what === what)

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

it('signs on, and says so, where it cannot open a root that was added beside it; until that is needed', async () => {
  const deriver = await open()
  const stop = new AbortController()
  const running = deriver.run(stop.signal)
  await expect.poll(() => events.some((event) => event.type === 'relay-error')).toBe(true)
  const mark = new Uint8Array(32)
  const heads = () => tenant.store.get<{ n: number }>('SELECT count(*) AS n FROM heads')!.n
  const before = heads()
  addRoot(tenant.store, { name: 'new', place: 'env:NOT_HERE', mark }, tenant.clock.now)
  const rules = tenant.trust.body.clients.sans
  createKeyring(tenant.store, { name: 'orders', rules }, tenant.clock.now)
  const alarm = { type: 'alarm', what: 'a root cannot be opened' }
  await expect.poll(() => events).toContainEqual(expect.objectContaining(alarm))
  await expect.poll(heads).toBeGreaterThan(before)
  expect(readConditions(tenant.store)).toContainEqual(
    expect.objectContaining({ what: 'roots', code: 'ERR_ROOT' }),
  )
  const { problems } = await readStatus(tenant.store, tenant.clock.now)
  expect(problems).toContainEqual(expect.stringMatching(/NOT_HERE.* \(ERR_ROOT\)$/))
  // Nothing stands wrong once it is taken away again.
  removeRoot(tenant.store, 'new', tenant.clock.now)
  await expect.poll(() => conditionsOf('roots')).toEqual([])
  addRoot(tenant.store, { name: 'new', place: 'env:NOT_HERE', mark }, tenant.clock.now)
  await expect.poll(() => conditionsOf('roots')).toHaveLength(1)
  // A restart without it is possible, too.
  stop.abort()
  await running
  // It said that of a service that runs.
  const after = await readStatus(tenant.store, tenant.clock.now)
  expect(after.problems.filter((one) => one.includes('NOT_HERE'))).toEqual([])
  deriver.close()
  const again = await open()
  await again.step()
  useRoot(tenant.store, 'new', tenant.clock.now)
  const end = new AbortController()
  const rerunning = again.run(end.signal)
  const away = { type: 'root', state: 'away', code: 'ERR_ROOT' }
  await expect.poll(() => events).toContainEqual(expect.objectContaining(away))
  expect(events.find((event) => event.type === 'root')).toMatchObject({
    message: expect.stringContaining('NOT_HERE'),
  })
  end.abort()
  await rerunning
  again.close()
})

it('does not start without the root in use, though nothing comes from it yet', async () => {
  const mark = new Uint8Array(32)
  addRoot(tenant.store, { name: 'new', place: 'env:NOT_HERE', mark }, tenant.clock.now)
  const deriver = await open()
  deriver.close()
  // As it is where it was taken into use before there was a keyring.
  tenant.store.set('root', 2)
  await expectCode(open(), 'ERR_IO')
})

it('does not start without a root that versions come from, though another one is in use', async () => {
  const master = new Uint8Array(32).fill(9)
  writeKeyFile(join(tenant.directory, 'keys/second.json'), master, 'master', null)
  const mark = await markOf(memoryKey(master), tenant.trust.tenant)
  addRoot(tenant.store, { name: 'new', place: 'file:second', mark }, tenant.clock.now)
  useRoot(tenant.store, 'new', tenant.clock.now)
  const both = await open()
  both.close()
  renameSync(join(tenant.directory, 'keys/master.json'), join(tenant.directory, 'keys/master.away'))
  await expectCode(open(), 'ERR_IO')
})

it('says what keeps it from signing heads, and goes on once a person has mended it', async () => {
  const second = await generateSigningKey('Ed25519', true)
  const { body } = tenant.trust
  const next = {
    ...body,
    authority: { keys: [...body.authority.keys, second.spki], threshold: 2 },
    number: 2,
    previous: tenant.trust.hash,
    tenant: tenant.trust.tenant,
  }
  let draft = makeDraft(next, tenant.trust)
  for (const key of [...tenant.keys.authority, second])
    draft = await signDraft(draft, key, tenant.trust)
  await publishTrust(tenant.store, draft, tenant.clock.now)
  const alone = await open()
  const heads = () => tenant.store.get<{ n: number }>('SELECT count(*) AS n FROM heads')!.n
  await expectCode(alone.step(), 'ERR_SIGNATURE')
  const stop = new AbortController()
  const running = alone.run(stop.signal)
  const alarm = { type: 'alarm', what: 'no heads are signed', state: 'failed' }
  await expect.poll(() => events).toContainEqual(expect.objectContaining(alarm))
  stop.abort()
  await running
  expect(heads()).toBe(0)
  alone.close()
  const file = join(tenant.directory, 'keys/authority-2.json')
  writeKeyFile(file, await exportKey(second), 'authority', null)
  const both = await open()
  await both.step()
  expect(heads()).toBe(1)
  both.close()
})

it('signs no head while a list is below the number that the trust document asks for', async () => {
  const { body } = tenant.trust
  const issuer = await keyId(tenant.clients.key.spki)
  const next = {
    ...body,
    incarnation: 2,
    lowestCrls: [{ issuer, number: 50 }],
    number: 2,
    previous: tenant.trust.hash,
    tenant: tenant.trust.tenant,
  }
  const draft = await signDraft(
    makeDraft(next, tenant.trust),
    tenant.keys.authority[0]!,
    tenant.trust,
  )
  await publishTrust(tenant.store, draft, tenant.clock.now)
  // Another process holds the client CA: this one cannot make its list.
  const path = join(tenant.directory, 'keys/ca-client.json')
  renameSync(path, `${path}.away`)
  const without = await open()
  await expectCode(without.step(), 'ERR_CRL')
  // A service goes on, and says so, until somebody brings the list.
  const stop = new AbortController()
  const running = without.run(stop.signal)
  const alarm = { type: 'alarm', what: 'no heads are signed', state: 'failed' }
  await expect.poll(() => events).toContainEqual(expect.objectContaining(alarm))
  stop.abort()
  await running
  const heads = () => tenant.store.get<{ n: number }>('SELECT count(*) AS n FROM heads')!.n
  expect(heads()).toBe(0)
  without.close()
  renameSync(`${path}.away`, path)
  const deriver = await open()
  await deriver.step()
  expect(heads()).toBe(1)
  const list = tenant.store.get<{ number: number }>(
    'SELECT number FROM crls WHERE issuer = ?',
    issuer,
  )
  expect(list!.number).toBe(50)
  deriver.close()
})

it('says that its clock was set back, and signs on: it may have been ahead before', async () => {
  const clock = { now: tenant.clock.now }
  const deriver = await open({ now: () => clock.now })
  const last = () =>
    deriver.store.get<{ n: number; issued: number }>(
      'SELECT count(*) AS n, max(issued) FILTER (WHERE version = (SELECT max(version) FROM heads)) AS issued FROM heads',
    )!
  const clocks = () => readConditions(deriver.store).filter(({ what }) => what === 'clock')
  await deriver.step()
  clock.now += 7_200
  await deriver.step()
  // Less than what clients take: nothing is said.
  clock.now -= 60
  await deriver.step()
  expect([last().n, clocks()]).toEqual([2, []])
  clock.now -= 3_600
  await deriver.step()
  expect(last()).toEqual({ n: 3, issued: clock.now })
  expect(clocks()).toMatchObject([{ code: 'ERR_CLOCK', message: expect.any(String) }])
  const told = events.filter((event) => event.type === 'alarm' && event.what === 'the clock')
  expect(told).toMatchObject([{ state: 'failed', by: clocks()[0]!.message }])
  const alarms = readAlarms(deriver.store, await readStatus(deriver.store, clock.now), clock.now)
  expect(alarms.filter(({ kind }) => kind === 'clock')).toMatchObject([
    { what: clocks()[0]!.message },
  ])
  await deriver.step()
  expect([last().n, clocks()]).toEqual([3, [expect.anything()]])
  clock.now += 3_600
  await deriver.step()
  expect(clocks()).toEqual([])
  deriver.close()
  // Another process finds it in the heads.
  const again = await open({ now: () => clock.now - 3_600 })
  await again.step()
  expect(readConditions(again.store).map(({ what }) => what)).toContain('clock')
  again.close()
})

it.each([1, 30])(
  'signs on after its clock was %s days ahead: lists and certificate of that time are replaced',
  async (days) => {
    const clock = { now: tenant.clock.now }
    const deriver = await open({ now: () => clock.now })
    const heads = () =>
      deriver.store.get<{ n: number }>(
        'SELECT count(*) AS n FROM heads WHERE envelope IS NOT NULL',
      )!.n
    const lists = () =>
      deriver.store.all<{ number: number }>('SELECT number FROM crls ORDER BY issuer')
    await deriver.step()
    clock.now += days * 86_400
    await deriver.step()
    const ahead = lists()
    clock.now -= days * 86_400
    await deriver.step()
    expect(heads()).toBe(3)
    const begun = tenant.store.all<{ der: Uint8Array<ArrayBuffer> }>('SELECT der FROM crls')
    for (const { der } of begun)
      expect(parseCrl(new Uint8Array(der)).thisUpdate).toBeLessThan(clock.now)
    // Once: what is there now stays.
    expect(lists().map(({ number }) => number)).toEqual(ahead.map(({ number }) => number + 1))
    const after = lists()
    await deriver.step()
    expect([lists(), heads()]).toEqual([after, 3])
    const alarms = events.filter(({ type }) => type === 'alarm')
    expect(alarms).toMatchObject([{ what: 'the clock' }])
    deriver.close()
  },
)

it.each([6 * 3_600, 50 * 365 * 86_400])(
  'goes on after its clock was set back %s seconds, to before its CA begins, and says that nothing can be signed',
  async (seconds) => {
    const clock = { now: tenant.clock.now }
    const deriver = await open({ now: () => clock.now })
    await deriver.step()
    clock.now -= seconds
    await deriver.step()
    const alarms = events.filter(({ type }) => type === 'alarm')
    expect(alarms).toContainEqual(
      expect.objectContaining({ what: 'no heads are signed: the deriver certificate' }),
    )
    clock.now += seconds
    await deriver.step()
    expect(
      deriver.store.get<{ n: number }>(
        'SELECT count(*) AS n FROM heads WHERE envelope IS NOT NULL',
      )!.n,
    ).toBe(2)
    deriver.close()
  },
)
