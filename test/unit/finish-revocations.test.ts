/** A revocation of which the disk has one half, the deriver's, and not the CA's: what the log says was done is done when the database is opened. */
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { issueClient } from '../../deriver/ca.ts'
import { crlsByIssuer } from '../../deriver/crls.ts'
import { appendLeaf, appendLog, logSize } from '../../deriver/log.ts'
import { revokeCertificate, revokeClient } from '../../deriver/revocation.ts'
import { caStorePath, openStore, storePath } from '../../deriver/store.ts'
import { hex, type Bytes } from '../../shared/bytes.ts'
import { createCsr } from '../../shared/csr.ts'
import { encodeEntry } from '../../shared/log.ts'
import { keyId } from '../../shared/signature.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { ask, codeOf, maintenance, members, tenant, useTenant } from '../lib/deriver.ts'
import { makeClient, type TestClient } from '../lib/tenant.ts'

useTenant()

const serialOf = ({ certificates }: TestClient): string =>
  hex(parseCertificate(certificates[0]!).serial)
const denied = (): string[] =>
  tenant.store.all<{ key_id: Bytes }>('SELECT key_id FROM denied').map((row) => hex(row.key_id))
const revoked = (): Record<string, unknown>[] =>
  tenant.store.all('SELECT serial, uri, revoked FROM issued WHERE revoked IS NOT NULL')
const kept = (): number => tenant.store.counter('revocations-whole')
const openAgain = (): void => {
  tenant.store.close()
  tenant.store = openStore(storePath(tenant.directory))
}

/** What the disk has after a stop between the two halves of the commit: the file of the CA is as it was before. */
async function cutOff(work: () => unknown): Promise<void> {
  const path = caStorePath(tenant.directory)
  const before = join(tenant.directory, 'before')
  tenant.store.run('PRAGMA ca.wal_checkpoint(TRUNCATE)')
  cpSync(path, before)
  await work()
  tenant.store.close()
  for (const file of [`${path}-wal`, `${path}-shm`]) rmSync(file, { force: true })
  cpSync(before, path)
  tenant.store = openStore(storePath(tenant.directory))
}

it('[deriver-4] is completed: the key is denied, the list names the certificate, and again changes nothing', async () => {
  const { clients, clock } = tenant
  const ada = await makeClient(tenant, 'ada')
  await ask(ada)
  await cutOff(() => revokeClient(tenant.store, ada.uri, clock.now))
  const whole = [
    [hex(await keyId(ada.key.spki))],
    [{ serial: serialOf(ada), uri: ada.uri, revoked: clock.now }],
  ]
  expect([denied(), revoked()]).toEqual(whole)
  const { store } = tenant
  const size = logSize(store)
  expect(() => revokeClient(store, ada.uri, clock.now)).toThrow('nothing to revoke')
  clock.now += 60
  openAgain()
  expect([denied(), revoked(), logSize(tenant.store)]).toEqual([...whole, size])
  await maintenance()(clock.now)
  expect(members()).toEqual([])
  const list = crlsByIssuer(tenant.store).get(hex(await keyId(clients.key.spki)))!
  expect([...list.revoked.keys()]).toEqual([serialOf(ada)])
  const csr = await createCsr(ada.key, 'ada')
  const again = issueClient(tenant.store, clients, csr, ada.uri, clock.now)
  expect(await codeOf(again)).toBe('ERR_DENIED')
})

it('is completed also where the certificate came to be known with its revocation', async () => {
  const { clock } = tenant
  const ada = await makeClient(tenant, 'ada')
  // An enrolment service elsewhere issued it.
  tenant.store.run('DELETE FROM issued WHERE serial = ?', serialOf(ada))
  await maintenance()(clock.now)
  await cutOff(() => revokeCertificate(tenant.store, ada.certificates[0]!, clock.now))
  expect(revoked()).toEqual([{ serial: serialOf(ada), uri: ada.uri, revoked: clock.now }])
  expect(denied()).toEqual([hex(await keyId(ada.key.spki))])
})

it('is completed by a service that runs, which does not look through a long log again', async () => {
  const { store, clock } = tenant
  const maintain = maintenance()
  const [ada, ben] = [await makeClient(tenant, 'ada'), await makeClient(tenant, 'ben')]
  const device = await keyId(ada.key.spki)
  await ask(ada)
  // As another process left it.
  appendLog(store, 'device-denied', clock.now, { device, uri: ada.uri })
  await maintain(clock.now)
  expect([denied(), members(), kept()]).toEqual([[hex(device)], [], 0])
  for (let i = 0; i < 1_000; i++) appendLog(store, 'console-ordered', clock.now, ORDERED)
  await maintain(clock.now)
  const { seq } = store.get<{ seq: number }>(
    "SELECT max(seq) AS seq FROM log WHERE instr(leaf, CAST('console-ordered' AS BLOB)) > 0",
  )!
  expect(kept()).toBeGreaterThanOrEqual(seq)
  const other = await keyId(ben.key.spki)
  appendLog(store, 'device-denied', clock.now, { device: other, uri: ben.uri })
  await maintain(clock.now)
  expect(denied().toSorted()).toEqual([hex(device), hex(other)].toSorted())
})

const ORDERED = { action: 'none', by: 'ada', session: new Uint8Array(32) }

it('an entry that cannot be read is for audit verify to tell, and keeps nobody from opening the database', () => {
  const { store, clock } = tenant
  const leaf = encodeEntry('device-denied', clock.now, { device: new Uint8Array(32), uri: 'x' })
  appendLeaf(store, leaf.slice(0, -1))
  const serial = '00ff'
  appendLog(store, 'certificate-revoked', clock.now, { serial, uri: 'x' })
  openAgain()
  expect([denied(), revoked()]).toEqual([[], [{ serial, uri: 'x', revoked: clock.now }]])
})
