/** A stolen deriver key, with the real deriver, the real relay and a hostile way between relay and client: recovery without a new client. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { issueClient, issueDeriver, issueRoleCrl } from '../../deriver/ca.ts'
import { revokeDerivers } from '../../deriver/deriver-certificates.ts'
import {
  appConfig,
  createKeyring,
  initTenant,
  openDeriver,
  type Deriver,
} from '../../deriver/index.ts'
import { readAuthorityKeys, readCa } from '../../deriver/key-files.ts'
import { currentCrls } from '../../deriver/publish.ts'
import { openStore, storePath } from '../../deriver/store.ts'
import { makeDraft, publishTrust, signDraft } from '../../deriver/trust-change.ts'
import { newestTrust } from '../../deriver/trust.ts'
import { decodeDelivery, type Delivery } from '../../shared/delivery.ts'
import { createCsr } from '../../shared/csr.ts'
import { signWithCertificate } from '../../shared/envelope.ts'
import { parseJson } from '../../shared/json.ts'
import { type Signer } from '../../shared/http-signature.ts'
import { generateSigningKey } from '../../shared/signature.ts'
import { connect, createMemoryStore, type Keyferry } from '../../web/index.ts'
import { callOf } from '../lib/client-call.ts'
import { spawnRelay, type RelayProcess } from '../lib/processes.ts'
import { answerDelivery } from '../vectors/delivery-body.ts'

const now = (): number => Math.floor(Date.now() / 1000)
let directory: string
let tenant: string
let relay: RelayProcess
let deriver: Deriver
let client: Keyferry
let stolen: Signer
let isEvil = false
const store = createMemoryStore()

/** Signs the delivered head again with the stolen key, at the highest version there is. */
async function twist(delivery: Delivery): Promise<Delivery> {
  const body = parseJson(delivery.head.payload, 65_536) as object
  const forged = { ...body, version: Number.MAX_SAFE_INTEGER, signer: (await thief()).signer }
  return {
    ...delivery,
    head: await signWithCertificate('head', forged, stolen.key, stolen.certificates),
  }
}
async function thief(): Promise<{ signer: string }> {
  const hash = await crypto.subtle.digest('SHA-256', stolen.certificates[0]!)
  return { signer: Buffer.from(hash).toString('base64url') }
}

const hostile: typeof fetch = async (input, init) => {
  const response = await fetch(input, init)
  const isDelivery = callOf(input as URL, init) === 'delivery'
  if (!isEvil || response.status !== 200 || !isDelivery) return response
  return answerDelivery(await twist(decodeDelivery(await response.bytes())))
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  tenant = join(directory, 'tenant')
  relay = await spawnRelay(join(directory, 'relay'), 'invite')
  const options = { organization: 'Acme', domain: 'acme.example', origins: [], passphrase: null }
  await initTenant({ directory: tenant, relays: [relay.url], ...options, now: now() })
  const db = openStore(storePath(tenant))
  const issuer = await readCa(tenant, 'ca-deriver', null)
  stolen = await issueDeriver(db, issuer, 'keyferry://deriver.acme.example/deriver-1', now())
  db.close()
  deriver = await openDeriver({
    directory: tenant,
    passphrase: null,
    signer: stolen,
    invite: 'invite',
  })
  createKeyring(
    deriver.store,
    { name: 'notes', rules: ['keyferry://client.acme.example/*'] },
    now(),
  )
  await deriver.step()
  const key = await generateSigningKey('ES256', false)
  const clients = await readCa(tenant, 'ca-client', null)
  const uri = 'keyferry://client.acme.example/me'
  const der = await issueClient(deriver.store, clients, await createCsr(key, 'me'), uri, now())
  client = await connect({
    config: await appConfig(deriver.store),
    identity: { key, certificates: [der] },
    store,
    fetch: hostile,
    WebSocket: null,
  })
})
afterAll(async () => {
  client?.close()
  deriver?.close()
  await relay?.stop()
  rmSync(directory, { recursive: true, force: true })
})

const accepted = async () => (await store.read())!.accepted!

it('the thief drives the client far ahead; a revocation and a new incarnation bring it back', async () => {
  const opening = client.keyring('notes')
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setTimeout(resolve, 400))
    await deriver.step()
  }
  const notes = await opening
  const message = await notes.encrypt('before', { context: 'c' })
  isEvil = true
  await deriver.step()
  deriver.store.transaction(() => deriver.store.next('change'))
  await deriver.step()
  await client.refresh()
  expect((await accepted()).head.version).toBe(Number.MAX_SAFE_INTEGER)
  deriver.close()

  const db = openStore(storePath(tenant))
  revokeDerivers(db, null, now())
  await issueRoleCrl(db, await readCa(tenant, 'ca-deriver', null), 'deriver', now())
  const current = await newestTrust(db)
  const body = {
    ...current.body,
    number: 2,
    previous: current.hash,
    tenant: current.tenant,
    incarnation: 2,
    lowestCrls: currentCrls(db).map(({ issuer, number }) => ({ issuer, number })),
  }
  const [authority] = await readAuthorityKeys(tenant, null)
  await publishTrust(db, await signDraft(makeDraft(body, current), authority!, current), now())
  db.close()
  deriver = await openDeriver({ directory: tenant, passphrase: null })
  await deriver.step()

  // Still in the way, the thief signs what the new deriver signed: its certificate is on the list that has to come along.
  await expect(client.refresh()).rejects.toMatchObject({ code: 'ERR_CERT_REVOKED' })
  isEvil = false
  await client.refresh()
  expect((await accepted()).head).toMatchObject({ incarnation: 2 })
  expect(await notes.decrypt(message, { context: 'c', as: 'text' })).toBe('before')
  await notes.encrypt('after', { context: 'c' })
})
