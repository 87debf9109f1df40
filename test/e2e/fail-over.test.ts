/** Two `keyferry run` over one store, before a real relay: one works and the other takes over, whatever ends the first. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createKeyring, rotateKeyring } from '../../deriver/index.ts'
import { readWriter } from '../../deriver/lease.ts'
import { askRelays } from '../../deriver/audit-relay.ts'
import { openStore, storePath, type Store } from '../../deriver/store.ts'
import { type Envelope } from '../../shared/envelope.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { base64url, type Bytes } from '../../shared/bytes.ts'
import { decodeJson } from '../../shared/json.ts'
import { MAX_ENVELOPE } from '../../shared/limits.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { issueDeriver } from '../../deriver/ca.ts'
import { readCa } from '../../deriver/key-files.ts'
import { initAcme } from '../lib/init-acme.ts'
import {
  spawnDeriver,
  spawnRelay,
  until,
  type DeriverProcess,
  type RelayProcess,
} from '../lib/processes.ts'

const now = (): number => Math.floor(Date.now() / 1000)
const directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
const tenantDirectory = join(directory, 'tenant')
let relay: RelayProcess
let store: Store
let tenant: string
const started: DeriverProcess[] = []

function start(instance: string): DeriverProcess {
  const options = ['--instance', instance, '--invite', 'invite', '--lease', '2']
  const one = spawnDeriver(tenantDirectory, ...options)
  started.push(one)
  return one
}

const stateOf = (one: DeriverProcess): unknown =>
  one.events.findLast(({ type }) => type === 'writer')?.['state']
const isWriter = (one: DeriverProcess): boolean => stateOf(one) === 'taken'
const headsOf = (one: DeriverProcess): number =>
  one.events.filter((e) => e['type'] === 'head').length

interface Kept {
  version: number
  hash: string
  by: string
}

/** What a head says, and who signed it. */
function read(head: Envelope): Kept {
  const { version } = decodeJson(head.payload, MAX_ENVELOPE) as { version: number }
  const [uri] = parseCertificate(head.certificates[0]!).uris
  return { version, hash: base64url(documentHash(head)), by: uri!.slice(uri!.lastIndexOf('/') + 1) }
}

/** Every head that the relay kept, each held against the one of its number in the store. */
async function keptHeads(): Promise<Kept[]> {
  const derivers = await readCa(tenantDirectory, 'ca-deriver', null)
  const uri = 'keyferry://deriver.acme.example/auditor'
  const signer = await issueDeriver(store, derivers, uri, now())
  const access = { url: relay.url, tenant, signer: () => signer, now }
  const { kept: answers, failed } = await askRelays([access])
  expect(failed).toEqual([])
  const kept = answers[0]!.heads.map(read)
  for (const { version, hash } of kept) {
    const row = store.get<{ hash: Bytes }>('SELECT hash FROM heads WHERE version = ?', version)
    expect(hash).toBe(base64url(new Uint8Array(row!.hash)))
  }
  expect(kept.map((one) => one.version)).toEqual([...new Set(kept.map((one) => one.version))])
  return kept
}

beforeAll(async () => {
  relay = await spawnRelay(join(directory, 'relay'), 'invite')
  tenant = await initAcme(tenantDirectory, [relay.url])
  store = openStore(storePath(tenantDirectory))
  createKeyring(store, { name: 'notes', rules: ['keyferry://client.acme.example/*'] }, now())
})

afterAll(async () => {
  await Promise.all(started.map((one) => one.kill()))
  store.close()
  await relay.stop()
  rmSync(directory, { recursive: true, force: true })
})

it('[deriver-12] the second stands by, and goes on when the first is killed, stopped by hand, or hangs', async () => {
  const first = start('one')
  await until(() => headsOf(first) > 0, 'a head of the first')
  const second = start('two')
  await until(() => stateOf(second) === 'waiting', 'the second to stand by')
  expect(readWriter(store)?.holder).toContain('one, process')
  rotateKeyring(store, 'notes', now())
  await until(() => headsOf(first) > 1, 'another head of the first')
  expect(headsOf(second)).toBe(0)

  await first.kill()
  await until(() => isWriter(second), 'the second to take over')
  const fence = readWriter(store)!.fence
  rotateKeyring(store, 'notes', now())
  await until(() => headsOf(second) > 0, 'a head of the second')

  // One that hangs, here because it is stopped, loses the lease; when it wakes up it publishes nothing.
  const third = start('three')
  await until(() => stateOf(third) === 'waiting', 'the third to stand by')
  rotateKeyring(store, 'notes', now())
  second.signal('SIGSTOP')
  await until(() => isWriter(third), 'the third to take over')
  expect(readWriter(store)!.fence).toBe(fence + 1)
  const before = headsOf(second)
  rotateKeyring(store, 'notes', now())
  await until(() => headsOf(third) > 0, 'a head of the third')
  const taken = (await keptHeads()).at(-1)!.version
  second.signal('SIGCONT')
  await until(() => second.events.some((e) => e['state'] === 'lost'), 'the second to notice')
  rotateKeyring(store, 'notes', now())
  await until(() => headsOf(third) > 1, 'another head of the third')
  expect(headsOf(second)).toBe(before)

  // Stopped in order it gives the lease back, and the one that woke up stands by like any other.
  expect(await third.stop()).toBe(0)
  await until(() => isWriter(second), 'the second to take over again')
  rotateKeyring(store, 'notes', now())
  await until(() => headsOf(second) > before, 'another head of the second')
  expect(await second.stop()).toBe(0)

  const kept = await keptHeads()
  expect(kept.filter(({ version, by }) => version > taken && by === 'one')).toEqual([])
  // Each in its turn, and never two in turns that overlap.
  expect(kept.map(({ by }) => by).filter((by, i, all) => by !== all[i - 1])).toEqual([
    'one',
    'two',
    'three',
    'two',
  ])
  expect(readWriter(store)).toBeNull()
})
