/** Two derivers, one of them out of a backup: what the relay can make of it, and what ends it. Real databases, real services, one clock. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { currentCrls } from '../../deriver/publish.ts'
import { createService, type Service } from '../../deriver/service.ts'
import { caStorePath, markChanged, openStore, storePath, type Store } from '../../deriver/store.ts'
import { decodeEvidence, verifyEvidence } from '../../shared/evidence.ts'
import { HidingRelay } from '../lib/hiding-relay.ts'
import { DERIVER, path, tryEncrypt, useWholePath } from '../lib/whole-path.ts'

useWholePath()

/** A copy of the databases as they are now, opened. */
function restore(): Store {
  const directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  const { store } = path.tenant
  store.run(`VACUUM main INTO '${storePath(directory)}'`)
  store.run(`VACUUM ca INTO '${caStorePath(directory)}'`)
  for (const file of [storePath, caStorePath]) chmodSync(file(directory), 0o600)
  const copy = openStore(storePath(directory))
  onTestFinished(() => {
    copy.close()
    rmSync(directory, { recursive: true, force: true })
  })
  return copy
}

/** A deriver over a restored database, which pushes to a relay of its own: what both sign, one relay can show. */
async function serviceOver(store: Store, relay: HidingRelay): Promise<Service> {
  const { keys, derivers, clients } = path.tenant
  return createService({
    store,
    root: keys.root,
    authority: keys.authority,
    signer: { issuer: derivers, uri: DERIVER },
    issuers: { deriver: derivers, client: clients },
    now: path.now,
    fetch: relay.fetch,
  })
}

it('A8, 3.4 two derivers: one restored from a backup · relay + both derivers · ERR_FORK, with evidence, until an incarnation ends it', async () => {
  const client = await path.join(await path.identityOf('ada'))
  const message = await (await client.keyring('notes')).encrypt('kept')
  const copy = restore()
  const other = new HidingRelay()
  const second = await serviceOver(copy, other)
  path.tenant.clock.now += 60
  await path.stepToHead()
  await client.refresh()
  markChanged(copy)
  await second.step()
  const shadow = other.pushes.at(-1)!
  path.relay.pushes.push(shadow)
  await expect(client.refresh()).rejects.toMatchObject({ code: 'ERR_FORK' })
  const [evidence] = client.evidence
  const finding = await verifyEvidence(decodeEvidence(evidence!.file), path.service.tenant)
  expect(finding).toMatchObject({ kind: 'fork' })

  // The way back: a new incarnation, with the lists good for it.
  const lowestCrls = currentCrls(path.tenant.store).map(({ issuer, number }) => ({
    issuer,
    number,
  }))
  await path.changeTrust({ incarnation: 2, lowestCrls })
  await path.stepToHead()
  await client.refresh()
  await expect.poll(() => tryEncrypt(client, 'notes')).toMatch(/^[0-9a-f]{64}$/)
  const notes = await client.keyring('notes')
  expect(await notes.decrypt(message, { as: 'text' })).toBe('kept')
  // What the other one goes on to sign is of the incarnation before.
  path.tenant.clock.now += 60
  markChanged(copy)
  await second.step()
  path.relay.pushes.push(other.pushes.at(-1)!)
  await expect(client.refresh()).rejects.toMatchObject({
    code: expect.stringMatching(/^ERR_(ROLLBACK|INCARNATION)$/) as string,
  })
  await notes.encrypt('still')
})
