// What a destruction erases, in which order, what it costs, and what is said of it; the proof that nothing is left is invariant 4.
import { readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { carryOut } from '../../deriver/carry-out.ts'
import {
  listDestructions,
  orderDestruction,
  priceOf,
  type DestructionRow,
} from '../../deriver/destroy.ts'
import { issueDeriver, issueRoleCrl } from '../../deriver/ca.ts'
import { type DeviceRow } from '../../deriver/devices.ts'
import { createKeyring } from '../../deriver/keyrings.ts'
import { emptyLog } from '../../deriver/log.ts'
import { publish } from '../../deriver/publish.ts'
import { placeOf } from '../../deriver/process-place.ts'
import { takeSnapshot } from '../../deriver/snapshot.ts'
import { readStatus } from '../../deriver/status.ts'
import { openStore, storePath } from '../../deriver/store.ts'
import { statusLines } from '../../deriver/show.ts'
import { verifyDestruction } from '../../shared/destruction.ts'
import { decodeEnvelope } from '../../shared/envelope.ts'
import { parsedCrls } from '../../deriver/crls.ts'
import { equal, hex, type Bytes } from '../../shared/bytes.ts'
import { ask, maintenance, notes, tenant, useTenant } from '../lib/deriver.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeDestruction } from '../lib/documents.ts'
import { verifyGenesis } from '../../shared/trust.ts'
import { makeClient, type TestClient } from '../lib/tenant.ts'
import { issueSigner, makeWorld, uriOf } from '../lib/world.ts'

useTenant()

const DAY = 86_400
const RULES = ['keyferry://client.acme.example/*']

/** An erasable keyring with members who are in "notes", too. */
async function makeMail(count: number): Promise<{ mail: Bytes; clients: TestClient[] }> {
  const { store, clock } = tenant
  const mail = createKeyring(store, { name: 'mail', rules: RULES, kind: 'erasable' }, clock.now).id
  const clients = []
  for (let i = 0; i < count; i++) {
    const client = await makeClient(tenant, `c${i}`)
    await ask(client, [notes, mail])
    clients.push(client)
  }
  await published()
  return { mail, clients }
}

const published = () =>
  publish(tenant.store, tenant.keys, tenant.trust, emptyLog(), tenant.clock.now, 3_600)
const order = (names: string[], retention = 0): void =>
  orderDestruction(tenant.store, names, retention, tenant.clock.now)
const carry = (progress?: (n: number) => void) =>
  carryOut(tenant.store, tenant.keys, tenant.trust, tenant.clock.now, progress)
const row = (): DestructionRow => listDestructions(tenant.store)[0]!
const devices = (): DeviceRow[] => tenant.store.all<DeviceRow>('SELECT * FROM devices ORDER BY uri')
const saltLengths = (keyring: Bytes): number[] =>
  tenant.store
    .all<{ n: number }>(
      'SELECT length(salt) AS n FROM generations WHERE keyring = ? ORDER BY generation',
      keyring,
    )
    .map(({ n }) => n)

it('[deriver-10] the salts of the version, of its generations and of the channels that opened them go, in that order', async () => {
  const { mail } = await makeMail(3)
  const before = devices()
  order(['mail@1'])
  const version = 'SELECT length(salt) AS n, state FROM versions WHERE keyring = ? AND version = 1'
  expect(tenant.store.get(version, mail)).toEqual({ n: 0, state: 'destroying' })
  expect(saltLengths(mail)).toEqual([32])
  // The generation ends before anybody is welcomed anew: a new channel never opens a cell of an old one.
  const seen: [number, number[]][] = []
  await carry((n) => seen.push([n, saltLengths(mail)]))
  expect(seen).toEqual([[3, [32, 32]]])
  expect(saltLengths(mail)).toEqual([0, 32])
  expect(saltLengths(notes)).toEqual([32])
  const after = devices()
  for (const [i, one] of after.entries()) {
    expect(equal(one.package_hash, before[i]!.package_hash)).toBe(true)
    expect(equal(one.channel_salt, before[i]!.channel_salt)).toBe(false)
  }
  // In all keyrings, and the welcome of each leaf is there to be pushed.
  const leaves = tenant.store.all<{ leaf: Bytes; device: Bytes }>(
    'SELECT leaf, device FROM members',
  )
  expect(leaves).toHaveLength(6)
  for (const { leaf, device } of leaves) {
    const { channel_id, welcome_hash } = after.find((one) => equal(one.key_id, device))!
    expect(hex(leaf.slice(32, 96))).toBe(hex(channel_id) + hex(welcome_hash))
    expect(tenant.store.get('SELECT 1 FROM objects WHERE hash = ?', welcome_hash)).toBeDefined()
  }
  await published()
})

it('[deriver-10] a channel that a request was prepared with, and that was replaced meanwhile, comes into no cell again', async () => {
  const { mail, clients } = await makeMail(1)
  const other = createKeyring(tenant.store, { name: 'x', rules: RULES }, tenant.clock.now).id
  order(['mail@1'])
  await Promise.all([ask(clients[0]!, [other]), carry()])
  await carry()
  const [device] = devices()
  const leaf = 'SELECT leaf FROM members WHERE keyring = ?'
  for (const id of [mail, other, notes])
    expect(hex(tenant.store.get<{ leaf: Bytes }>(leaf, id)!.leaf.slice(32, 64))).toBe(
      hex(device!.channel_id),
    )
})

it('[deriver-10] who left the keyring keeps no salt, and is welcomed anew when it asks again', async () => {
  const { mail, clients } = await makeMail(2)
  const { store, clock } = tenant
  store.run("UPDATE devices SET expires = ? WHERE uri LIKE '%c0'", clock.now - 1)
  await maintenance()(clock.now)
  order(['mail@1'])
  await carry()
  expect(devices().map((one) => one.channel_salt.length)).toEqual([0, 32])
  expect((await ask(clients[0]!, [mail])).granted).toEqual(['mail'])
  expect(devices()[0]!.channel_salt).toHaveLength(32)
})

it('[deriver-10] a device of an earlier format, of which the public key is not known, loses its memberships and asks again', async () => {
  const { mail, clients } = await makeMail(2)
  tenant.store.run("UPDATE devices SET public_key = NULL WHERE uri LIKE '%c0'")
  order(['mail@1'])
  await carry()
  expect(row().erased).toBeGreaterThan(0)
  expect(devices()[0]!.channel_salt).toHaveLength(0)
  await published()
  expect((await ask(clients[0]!, [notes, mail])).granted).toEqual(['notes', 'mail'])
})

it('[deriver-10] what was cut off between any two transactions is taken up where it was', async () => {
  const { mail } = await makeMail(70)
  order(['mail@1'])
  const died = new Error('killed')
  await expect(
    carry(() => {
      throw died
    }),
  ).rejects.toBe(died)
  // One batch has its new channels, the others wait, and no salt of a generation is gone before they have theirs.
  const left = (): number =>
    tenant.store.get<{ n: number }>(
      'SELECT count(*) AS n FROM held h JOIN destructions x ON x.keyring = h.keyring WHERE h.generation < x.generation',
    )!.n
  expect(left()).toBe(6)
  expect(saltLengths(mail)).toEqual([32, 32])
  expect(row().erased).toBe(0)
  // A head in between is whole.
  await published()
  tenant.store.close()
  tenant.store = openStore(storePath(tenant.directory))
  expect((await carry()).rewelcomed).toBe(6)
  expect([left(), row().scrubbed]).toEqual([0, 1])
  expect(saltLengths(mail)).toEqual([0, 32])
})

describe('the price', () => {
  it('is a welcome for each device that ever held a cell, and a cell in each of its keyrings', async () => {
    const { mail } = await makeMail(3)
    const late = await makeClient(tenant, 'other')
    await ask(late, [notes])
    const [welcome] = tenant.store.all<{ n: number }>(
      'SELECT length(body) AS n FROM objects WHERE hash = ?',
      devices()[0]!.welcome_hash,
    )
    expect(welcome!.n).toBe(92)
    const price = { devices: 3, keyrings: 2, cells: 6, welcomes: 3 * 92 }
    expect(priceOf(tenant.store, [mail])).toEqual(price)
    order(['mail@1'])
    expect((await carry()).rewelcomed).toBe(price.devices)
  })
})

describe('what cannot be destroyed', () => {
  it('a version of a recoverable keyring, one that is gone already, one that nobody was told of: nothing happens', async () => {
    const { mail } = await makeMail(1)
    const { store } = tenant
    await expectCode(() => order(['notes@1']), 'ERR_RECOVERABLE')
    await expectCode(() => order(['mail@1', 'notes@1']), 'ERR_RECOVERABLE')
    await expectCode(() => order(['mail@7']), 'ERR_NOT_FOUND')
    expect(listDestructions(store)).toEqual([])
    order(['mail@1'])
    await expectCode(() => order(['mail@1']), 'ERR_EXISTS')
    // The one to encrypt with gave way to the next one, which was not published yet.
    expect(store.get('SELECT encrypt_version AS v FROM keyrings WHERE id = ?', mail)).toEqual({
      v: 2,
    })
    await expectCode(() => order(['mail@2']), 'ERR_CONFLICT')
  })
})

it('[destruction-1] a record is a deriver’s of this tenant, at the time that it names', async () => {
  const world = await makeWorld()
  const trust = await verifyGenesis(world.trusts[0]!, world.tenant)
  const crls = [world.cas.deriver.crl]
  const good = await makeDestruction(world)
  expect((await verifyDestruction(good, { trust, crls })).body.completedAt).toBe(world.now)
  await expectCode(verifyDestruction(good, { trust, crls: [] }), 'ERR_CRL')
  const late = await makeDestruction(world, { completedAt: world.now + 60 * DAY })
  await expectCode(verifyDestruction(late, { trust, crls }), 'ERR_CERT_EXPIRED')
  const { deriver } = world
  world.deriver = await issueSigner(world.cas.client, uriOf('client', 'kim'), world.now)
  await expectCode(
    verifyDestruction(await makeDestruction(world), { trust, crls }),
    'ERR_PATH_INVALID',
  )
  world.deriver = deriver
  const foreign = await makeDestruction(world, { tenant: 'a'.repeat(52) })
  await expectCode(verifyDestruction(foreign, { trust, crls }), 'ERR_TENANT')
})

describe('the date', () => {
  it('[destruction-2] is a package life, the skew and no less than the backups, and a record says so from then on alone', async () => {
    const { store, trust, clock } = tenant
    await makeMail(1)
    order(['mail@1'], 45 * DAY)
    await carry()
    const said = async (): Promise<string> =>
      statusLines(await readStatus(store, clock.now)).find((line) => line.startsWith('mail@1'))!
    const { completes } = row()
    expect(completes).toBe(clock.now + 45 * DAY)
    expect(await said()).toMatch(/being destroyed/)
    clock.now = completes - 1
    await carry()
    expect(row().record).toBe(null)
    expect(await said()).not.toMatch(/is destroyed/)
    clock.now = completes
    // The deriver's certificate has to be a fresh one by then.
    expect((await carry()).destroyed).toEqual([])
    tenant.keys.signer = await issueDeriver(
      store,
      tenant.derivers,
      'keyferry://deriver.acme.example/deriver-1',
      clock.now,
    )
    await issueRoleCrl(store, tenant.derivers, 'deriver', clock.now)
    expect((await carry()).destroyed).toHaveLength(1)
    expect(await said()).toMatch(/is destroyed/)
    const record = decodeEnvelope(new Uint8Array(row().record!))
    const { body } = await verifyDestruction(record, { trust, crls: parsedCrls(store) })
    expect(body).toMatchObject({ completedAt: completes, retention: 45 * DAY })
    // Once is enough.
    expect((await carry()).destroyed).toEqual([])
  })

  it('waits for the copies of a backup that runs, and erases those of one that was killed', async () => {
    const { store, directory } = tenant
    await makeMail(1)
    const running = takeSnapshot(store, directory)
    const killed = takeSnapshot(store, directory)
    const [folder] = killed.files.map(({ path }) => dirname(path))
    const [machine] = JSON.parse(placeOf(process.pid)) as [string]
    order(['mail@1'])
    await carry()
    expect(row()).toMatchObject({ scrubbed: 0, record: null })
    expect(row().erased).toBeGreaterThan(0)
    running.close()
    writeFileSync(join(folder!, 'owner'), JSON.stringify([machine, 2 ** 22 + 1, '1']))
    const { erased } = await carry()
    expect(erased).toHaveLength(1)
    expect(row().scrubbed).toBe(1)
    expect(readdirSync(directory).filter((name) => name.startsWith('.backup-'))).toEqual([])
  })

  it('waits for a process that still reads what was there before', async () => {
    await makeMail(1)
    const other = openStore(storePath(tenant.directory))
    other.run('PRAGMA busy_timeout = 0')
    tenant.store.run('PRAGMA busy_timeout = 0')
    other.run('BEGIN')
    other.get('SELECT * FROM versions')
    order(['mail@1'])
    await carry()
    expect(row()).toMatchObject({ scrubbed: 0 })
    const { destructions } = await readStatus(tenant.store, tenant.clock.now)
    expect(destructions[0]!.phase).toBe('ordered')
    other.run('COMMIT')
    other.close()
    await carry()
    expect(row().scrubbed).toBe(1)
  })
})
