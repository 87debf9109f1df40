/** A relay that is restored from a copy of its data: the deriver brings it up again, trust documents first, without anybody's help. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createKeyring, openDeriver, type Deriver, type ServiceEvent } from '../../deriver/index.ts'
import { readAuthorityKeys } from '../../deriver/key-files.ts'
import { markChanged } from '../../deriver/store.ts'
import { makeDraft, publishTrust, signDraft } from '../../deriver/trust-change.ts'
import { newestTrust } from '../../deriver/trust.ts'
import { type TrustBody } from '../../shared/trust.ts'
import { issueCrl, issueLeaf, makeIssuingCa } from '../../shared/issue.ts'
import { generateSigningKey } from '../../shared/signature.ts'
import { importCrl } from '../../deriver/crls.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { initAcme } from '../lib/init-acme.ts'
import { spawnRelay, type RelayProcess } from '../lib/processes.ts'

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const now = (): number => Math.floor(Date.now() / 1000)
const random = (length: number): Bytes => crypto.getRandomValues(new Uint8Array(length))

let directory: string
let relay: RelayProcess
let deriver: Deriver
let events: ServiceEvent[]

beforeEach(async () => {
  events = []
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  relay = await spawnRelay(join(directory, 'relay'), 'invite')
  await initAcme(join(directory, 'tenant'), [relay.url])
  // The one time with an invite: later openings show that nothing is enrolled anew.
  deriver = await open({ invite: 'invite' })
  createKeyring(
    deriver.store,
    { name: 'notes', rules: ['keyferry://client.acme.example/*'] },
    now(),
  )
  await deriver.step()
  deriver.close()
})
afterEach(async () => {
  deriver.close()
  await relay.stop()
  rmSync(directory, { recursive: true, force: true })
})

function open(more: Partial<Parameters<typeof openDeriver>[0]> = {}): Promise<Deriver> {
  return openDeriver({
    directory: join(directory, 'tenant'),
    passphrase: null,
    report: (event) => events.push(event),
    ...more,
  })
}

/** Publishes the next trust document with these changes. */
async function change(changes: Partial<TrustBody>): Promise<void> {
  const current = await newestTrust(deriver.store)
  const { number } = current.body
  const next = {
    ...current.body,
    ...changes,
    number: number + 1,
    previous: current.hash,
    tenant: current.tenant,
  }
  const [authority] = await readAuthorityKeys(join(directory, 'tenant'), null)
  const draft = await signDraft(makeDraft(next, current), authority!, current)
  await publishTrust(deriver.store, draft, now())
}

/** Stops the relay, puts the copy in place of its data, and starts it at the same address. */
async function setBack(): Promise<void> {
  await relay.stop()
  rmSync(join(directory, 'relay'), { recursive: true })
  cpSync(join(directory, 'copy'), join(directory, 'relay'), { recursive: true })
  relay = await spawnRelay(join(directory, 'relay'), 'invite', relay.port)
}

async function copyRelay(): Promise<void> {
  await relay.stop()
  cpSync(join(directory, 'relay'), join(directory, 'copy'), { recursive: true })
  relay = await spawnRelay(join(directory, 'relay'), 'invite', relay.port)
}

/** One more head, and what came of it. */
async function push(): Promise<string[]> {
  markChanged(deriver.store)
  events = []
  await deriver.step()
  return events.map((event) => (event.type === 'relay-error' ? event.code : event.type))
}

it('that was away is said to be back, once', async () => {
  deriver = await open()
  await relay.stop()
  expect(await push()).toEqual(['ERR_RELAY'])
  relay = await spawnRelay(join(directory, 'relay'), 'invite', relay.port)
  expect(await push()).toEqual(['head', 'relay-back'])
  expect(await push()).toEqual(['head'])
})

it('gets the trust documents again that it lost, and then the head', async () => {
  await copyRelay()
  deriver = await open()
  for (const headLifetime of [1_800, 1_200]) await change({ headLifetime })
  expect(await push()).toContain('head')
  await setBack()
  expect(await push()).toEqual(['head'])
  expect(await push()).toEqual(['head'])
})

it('gets them also where they are what admits the deriver', async () => {
  await copyRelay()
  const key = await generateSigningKey('ES256', true)
  const validity = { notBefore: now() - 60, notAfter: now() + 86_400, random }
  const certificate = await makeIssuingCa({
    key,
    commonName: 'Other derivers',
    organization: 'Acme',
    host: 'deriver.acme.example',
    eku: [CLIENT_AUTH],
    ...validity,
  })
  const own = await generateSigningKey('ES256', false)
  const issuer = { key, certificate }
  const leaf = await issueLeaf({
    issuer,
    spki: own.spki,
    commonName: 'deriver',
    uri: 'keyferry://deriver.acme.example/other',
    eku: [CLIENT_AUTH],
    ...validity,
  })
  const crl = await issueCrl({
    issuer,
    number: 1,
    thisUpdate: now() - 60,
    nextUpdate: now() + 3_600,
    revoked: [],
  })
  deriver = await open({ signer: { key: own, certificates: [leaf] } })
  const { body } = await newestTrust(deriver.store)
  await change({ derivers: { ...body.derivers, anchors: [certificate] } })
  await importCrl(deriver.store, crl, [certificate], now())
  expect(await push()).toContain('head')
  await setBack()
  expect(await push()).toEqual(['head'])
})
