/**
 * A deriver's machine that is lost, from backup to the first head: real relay, real client. What happened between the backup and the loss is taken in from the relay,
 * and nothing that was taken away comes back.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { auditStore } from '../../deriver/audit-file.ts'
import { askRelays } from '../../deriver/audit-relay.ts'
import { verifyAudit } from '../../deriver/audit-verify.ts'
import { makeBackup } from '../../deriver/backup.ts'
import { issueClient, issueDeriver } from '../../deriver/ca.ts'
import { catchUp, type CaughtUp } from '../../deriver/catch-up.ts'
import { orderDestruction } from '../../deriver/destroy.ts'
import { readHeld } from '../../deriver/held.ts'
import {
  appConfig,
  createKeyring,
  openDeriver,
  revokeClient,
  rotateKeyring,
  type Deriver,
  type ServiceEvent,
} from '../../deriver/index.ts'
import { readAuthorityKeys, readCa } from '../../deriver/key-files.ts'
import { currentCrls } from '../../deriver/publish.ts'
import { forgetRelay } from '../../deriver/push.ts'
import { fetchDocuments, fetchObjects, type RelayAccess } from '../../deriver/relay.ts'
import { restoreBackup } from '../../deriver/restore.ts'
import { openRoots } from '../../deriver/roots.ts'
import { findKeyring } from '../../deriver/rows.ts'
import { changeRules } from '../../deriver/rules.ts'
import { markChanged, type Store } from '../../deriver/store.ts'
import { makeDraft, publishTrust, signDraft } from '../../deriver/trust-change.ts'
import { newestTrust } from '../../deriver/trust.ts'
import { withdrawVersion } from '../../deriver/versions.ts'
import { decodeBatch, encodeBatch } from '../../shared/deriver-calls.ts'
import { hex } from '../../shared/bytes.ts'
import { createCsr } from '../../shared/csr.ts'
import { signWithCertificate } from '../../shared/envelope.ts'
import { sha256 } from '../../shared/hash.ts'
import { type Signer } from '../../shared/http-signature.ts'
import { encodeJson } from '../../shared/json.ts'
import { encodeManifest, KEYRING_LEAF, keyringLeaf } from '../../shared/manifest.ts'
import { decodeHead } from '../../shared/release.ts'
import { buildTree } from '../../shared/tree.ts'
import { generateSigningKey } from '../../shared/signature.ts'
import { type TrustBody } from '../../shared/trust.ts'
import { connect, createMemoryStore, type Identity, type Keyferry } from '../../web/index.ts'
import { toJson } from '../lib/calls.ts'
import { codeOf } from '../lib/deriver.ts'
import { initAcme } from '../lib/init-acme.ts'
import { spawnRelay, type RelayProcess } from '../lib/processes.ts'

const now = (): number => Math.floor(Date.now() / 1000)
const ALL = 'keyferry://client.acme.example/*'
const BOB = 'keyferry://client.acme.example/bob'

let directory: string
let relay: RelayProcess
let old: Deriver
let deriver: Deriver
let ada: Keyferry
let bob: Keyferry
let messages: Uint8Array[]
let events: ServiceEvent[] = []
const path = (name: string): string => join(directory, name)

function open(
  name: string,
  more: Partial<Parameters<typeof openDeriver>[0]> = {},
): Promise<Deriver> {
  return openDeriver({
    directory: path(name),
    passphrase: null,
    report: (event) => events.push(event),
    ...more,
  })
}

async function client(store: Store, name: string): Promise<Keyferry> {
  const key = await generateSigningKey('ES256', false)
  const ca = await readCa(path('tenant'), 'ca-client', null)
  const uri = `keyferry://client.acme.example/${name}`
  const certificate = await issueClient(store, ca, await createCsr(key, name), uri, now())
  const identity: Identity = { key, certificates: [certificate] }
  return connect({
    config: await appConfig(store),
    identity,
    store: createMemoryStore(),
    WebSocket: null,
  })
}

/** Waits for work, with the deriver at its own beside it. */
async function during<T>(at: Deriver, work: Promise<T>): Promise<T> {
  const progress = { isDone: false }
  const ended = work.finally(() => {
    progress.isDone = true
  })
  ended.catch(() => {})
  while (!progress.isDone) {
    await at.step()
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return ended
}

async function change(store: Store, changes: Partial<TrustBody>): Promise<void> {
  const current = await newestTrust(store)
  const { body, hash, tenant } = current
  const next = { ...body, ...changes, number: body.number + 1, previous: hash, tenant }
  const [authority] = await readAuthorityKeys(path('tenant'), null)
  await publishTrust(store, await signDraft(makeDraft(next, current), authority!, current), now())
}

async function access(store: Store): Promise<RelayAccess> {
  const issuer = await readCa(path('tenant'), 'ca-deriver', null)
  const signer = await issueDeriver(store, issuer, 'keyferry://deriver.acme.example/other', now())
  const { tenant } = await newestTrust(store)
  return { url: relay.url, tenant, signer: () => signer, now }
}

async function take(accept: boolean): Promise<CaughtUp> {
  const { store } = deriver
  const { tenant } = await newestTrust(store)
  const { root } = await openRoots(store, tenant, { directory: path('restored'), passphrase: null })
  const held = [await readHeld(await access(store))]
  return catchUp(store, root, held, { accept, retention: 0 }, now())
}

const versionsOf = (store: Store, name: string) =>
  store.all<{ incarnation: number; version: number; state: string; nonce: Uint8Array }>(
    'SELECT incarnation, version, state, nonce FROM versions WHERE keyring = ? ORDER BY version',
    findKeyring(store, name).id,
  )
const membersOf = (store: Store): string[] =>
  store
    .all<{ uri: string }>(
      'SELECT DISTINCT uri FROM members m JOIN devices d ON d.key_id = m.device',
    )
    .map(({ uri }) => uri)

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  relay = await spawnRelay(path('relay'), 'invite')
  await initAcme(path('tenant'), [relay.url])
  old = await open('tenant', { invite: 'invite' })
  const { store } = old
  createKeyring(store, { name: 'notes', rules: [BOB, ALL] }, now())
  createKeyring(store, { name: 'mail', rules: [ALL], kind: 'erasable' }, now())
  await old.step()
  ada = await client(store, 'ada')
  bob = await client(store, 'bob')
  await during(
    old,
    Promise.all([ada, bob].flatMap((one) => ['notes', 'mail'].map((name) => one.keyring(name)))),
  )
  rotateKeyring(store, 'mail', now())
  await old.step()

  await makeBackup(store, {
    directory: path('tenant'),
    passphrase: null,
    sealWith: 'pw',
    path: path('backup'),
    now: now(),
  })

  // What the backup does not know.
  rotateKeyring(store, 'notes', now())
  await old.step()
  const notes = await ada.keyring('notes')
  await ada.refresh()
  messages = [await notes.encrypt('after the backup')]
  withdrawVersion(store, 'notes@1', 'compromised', now())
  createKeyring(store, { name: 'later', rules: [ALL] }, now())
  store.transaction(() => changeRules(store, findKeyring(store, 'notes'), { remove: [BOB] }, now()))
  revokeClient(store, BOB, now())
  orderDestruction(store, ['mail@1'], 0, now())
  rotateKeyring(store, 'mail', now())
  await change(store, { headLifetime: 1_800 })
  await old.step()
  await old.step()

  await restoreBackup({
    path: path('backup'),
    directory: path('restored'),
    opener: { passphrase: 'pw' },
    seal: () => Promise.resolve('pw'),
    now: now(),
  })
  deriver = await open('restored')
})
afterAll(async () => {
  for (const one of [ada, bob]) one?.close()
  old?.close()
  deriver?.close()
  await relay?.stop()
  rmSync(directory, { recursive: true, force: true })
})

describe('after the machine is lost', () => {
  it('[restore-2] a service says, each time that it starts, why it signs nothing, and goes on', async () => {
    const by = expect.stringContaining('keyferry catch-up') as string
    const alarm = { type: 'alarm', what: 'no heads are signed', state: 'failed', by }
    for (const _ of ['first', 'again']) {
      events = []
      const stop = new AbortController()
      const running = deriver.run(stop.signal)
      await expect.poll(() => events).toContainEqual(expect.objectContaining(alarm))
      // What ended it before it is stopped shows here.
      await Promise.race([running, new Promise((resolve) => setTimeout(resolve, 500))])
      stop.abort()
      await running
      deriver.close()
      deriver = await open('restored')
    }
  })

  it('[restore-2] nothing is signed before the relay was asked, and looking changes nothing', async () => {
    expect(await codeOf(deriver.step())).toBe('ERR_ROLLBACK')
    const tables = () =>
      ['versions', 'members', 'keyrings', 'log', 'crls', 'meta', 'trust', 'destructions'].map(
        (name) => deriver.store.all(`SELECT * FROM ${name}`),
      )
    const before = tables()
    const found = await take(false)
    expect(tables()).toEqual(before)
    expect(found.head).toMatchObject({ relay: relay.url, incarnation: 1 })
    expect(found.head!.version).toBeGreaterThan(found.backup)
    expect(found.lost).toBeGreaterThan(0)
    expect(found.trust).toMatchObject([{ number: 2 }])
    expect(found.lists).toMatchObject([{ revoked: 1 }])
    const kinds = found.changes.map(({ keyring, kind }) => `${keyring.slice(0, 8)} ${kind}`)
    expect(kinds.toSorted()).toEqual([
      'mail member-gone',
      'mail version-destroyed',
      'mail version-lost',
      'mail version-lost',
      'notes member-gone',
      'notes rule-gone',
      'notes version-found',
      'notes version-found',
      'notes version-withdrawn',
      'restored keyring-found',
      'restored version-found',
    ])
  })

  it('[restore-2] a thief of a deriver’s key shows a keyring of his own making: ERR_HASH, for the authority never signed its manifest', async () => {
    const one = await access(old.store)
    const documents = await fetchDocuments(one)
    const [ring] = (await readHeld(one)).rings
    const manifest = encodeManifest({ ...ring!.manifest, rules: ['keyferry://nobody/*'] })
    const release = encodeJson({ ...ring!.release, manifest: sha256(manifest) })
    const leaf = keyringLeaf(ring!.release.keyring, sha256(release))
    const tree = buildTree([leaf], KEYRING_LEAF)
    const { key, certificates } = one.signer() as Signer
    const body = {
      ...decodeHead(documents.head!),
      releases: tree.head,
      signer: sha256(certificates[0]!),
    }
    const head = await signWithCertificate('head', body, key, certificates)
    const forging: typeof fetch = async (input, init) => {
      const answer = await fetch(input, init)
      const call = new URL(input as URL).pathname.split('/').at(-1)
      if (call === 'documents') return new Response(toJson({ ...documents, head }))
      if (call !== 'objects') return answer
      const bodies = decodeBatch(new Uint8Array(await answer.arrayBuffer()))
      const all = [...bodies, manifest, release, tree.index, ...tree.pages]
      return new Response(encodeBatch(all), { headers: answer.headers })
    }
    expect(await codeOf(readHeld({ ...one, fetch: forging }))).toBe('ERR_HASH')
  })

  it('[restore-2] what was revoked, taken away, withdrawn and destroyed is so again; what was made is derived again', async () => {
    const { store } = deriver
    await take(true)
    expect(membersOf(store)).toEqual(['keyferry://client.acme.example/ada'])
    expect(JSON.parse(findKeyring(store, 'notes').rules)).toEqual([ALL])
    expect(versionsOf(store, 'notes')).toMatchObject([
      { state: 'compromised' },
      { state: 'active' },
      { state: 'active' },
    ])
    expect(versionsOf(store, 'mail')).toMatchObject([{ state: 'destroying' }, {}])
    expect(hex(versionsOf(store, 'notes')[1]!.nonce as never)).toBe(
      hex(versionsOf(old.store, 'notes')[1]!.nonce as never),
    )
    expect(store.get('SELECT uri FROM issued WHERE revoked IS NOT NULL')).toEqual({ uri: BOB })
    // Nor does its key get another certificate.
    expect(store.get('SELECT count(*) AS n FROM denied')).toEqual({ n: 1 })
    expect((await newestTrust(store)).body.headLifetime).toBe(1_800)
  })

  it('[restore-1] nothing is signed under an incarnation that was in use; after the next one the lost machine is shut out', async () => {
    const { store } = deriver
    expect(await codeOf(deriver.step())).toBe('ERR_ROLLBACK')
    const lowestCrls = currentCrls(store).map(({ issuer, number }) => ({ issuer, number }))
    await change(store, { incarnation: 2, lowestCrls })
    await deriver.step()
    events = []
    markChanged(old.store)
    await old.step()
    expect(events).toEqual([expect.objectContaining({ type: 'relay-error', code: 'ERR_ROLLBACK' })])
  })

  it('clients go on: every message is read, what is encrypted is of the new incarnation, and who was revoked gets nothing', async () => {
    await during(deriver, ada.refresh())
    const notes = await ada.keyring('notes')
    expect(await notes.decrypt(messages[0]!, { as: 'text' })).toBe('after the backup')
    expect(await notes.decrypt(await notes.encrypt('and now'), { as: 'text' })).toBe('and now')
    const used = versionsOf(deriver.store, 'notes').at(-1)!
    expect(used).toMatchObject({ incarnation: 2, state: 'active' })
    expect(membersOf(deriver.store)).toEqual(['keyferry://client.acme.example/ada'])
    expect(await codeOf(during(deriver, bob.refresh()))).not.toBe('none')
  })

  it('its log is one that an auditor takes, with what was lost by name', async () => {
    const { store } = deriver
    const { kept } = await askRelays([await access(store)])
    const { tenant } = await newestTrust(store)
    const report = await verifyAudit(await auditStore(store), tenant, kept)
    expect(report.problems).toEqual([])
    expect(report.lost.length).toBeGreaterThan(0)
  })
})

describe('a relay that lost everything', () => {
  it('is rebuilt by the deriver alone: the same head, and all that it names, to the byte', async () => {
    const one = await access(deriver.store)
    const objectsOf = async (): Promise<string[]> => {
      const out: string[] = []
      for (let after: string | null = null; ;) {
        const { bodies, next } = await fetchObjects(one, after)
        out.push(...bodies.map((body) => hex(sha256(body))))
        if (next === null) return out
        after = next
      }
    }
    // What is read is found by its hash, from the signed head down.
    const before = { ...(await fetchDocuments(one)), held: await readHeld(one) }
    const objects = await objectsOf()
    const port = relay.port
    await relay.stop()
    rmSync(path('relay'), { recursive: true })
    relay = await spawnRelay(path('relay'), 'invite', port)
    expect(await codeOf(fetchDocuments(one))).toBe('ERR_NOT_FOUND')
    expect(await codeOf(deriver.rebuild(relay.url))).toBe('ERR_NOT_FOUND')
    deriver.close()
    deriver = await open('restored', { invite: 'invite' })
    const version = await deriver.rebuild(relay.url)
    const after = { ...(await fetchDocuments(one)), held: await readHeld(one) }
    expect(after).toEqual(before)
    expect(after.held.head!.version).toBe(version)
    // What only heads before it named, of the lost machine too, is not needed.
    expect((await objectsOf()).filter((hash) => !objects.includes(hash))).toEqual([])
    expect((await deriver.check(relay.url)).problems).toEqual([])
  })

  it('a rebuild that was cut off goes on where it was', () => {
    const { store } = deriver
    const row = () =>
      store.get('SELECT head_version, uploaded FROM relays WHERE url = ?', relay.url)
    forgetRelay(store, relay.url)
    expect(row()).toEqual({ head_version: 0, uploaded: 0 })
    store.run('UPDATE relays SET uploaded = 5 WHERE url = ?', relay.url)
    forgetRelay(store, relay.url)
    expect(row()).toEqual({ head_version: 0, uploaded: 5 })
  })
})
