/** Relay and deriver are killed with SIGKILL in the middle of pushes; nothing acknowledged is lost, nothing is there by half. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { issueDeriver } from '../../deriver/ca.ts'
import { createKeyring, rotateKeyring } from '../../deriver/keyrings.ts'
import { openDeriver } from '../../deriver/index.ts'
import { latestHead } from '../../deriver/heads.ts'
import { openStore } from '../../deriver/store.ts'
import { readCa } from '../../deriver/key-files.ts'
import { storePath } from '../../deriver/store.ts'
import { paths } from '../../shared/api.ts'
import { base64url, type Bytes, fromBase64url, hex } from '../../shared/bytes.ts'
import { envelopeSchema } from '../../shared/envelope.ts'
import { sha256 } from '../../shared/hash.ts'
import { signCall } from '../../shared/http-signature.ts'
import { parseJson } from '../../shared/json.ts'
import { KEYRING_LEAF } from '../../shared/manifest.ts'
import { decodeRelease } from '../../shared/release.ts'
import { checkPage, parseIndex } from '../../shared/tree.ts'
import { initAcme } from '../lib/init-acme.ts'
import { spawnDeriver, spawnRelay, until, type RelayProcess } from '../lib/processes.ts'

const INVITE = 'invite'
const ROUNDS = 5

let directory: string
let relay: RelayProcess
const now = (): number => Math.floor(Date.now() / 1000)

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  relay = await spawnRelay(join(directory, 'relay'), INVITE)
  await initAcme(join(directory, 'tenant'), [relay.url])
})
afterEach(async () => {
  await relay.stop()
  rmSync(directory, { recursive: true, force: true })
})

/** A deriver's signed GET; the body of the answer. */
async function get(path: string): Promise<Bytes> {
  const store = openStore(storePath(join(directory, 'tenant')))
  const issuer = await readCa(join(directory, 'tenant'), 'ca-deriver', null)
  const signer = await issueDeriver(store, issuer, 'keyferry://deriver.acme.example/test', now())
  store.close()
  const url = new URL(path, relay.url)
  const headers = await signCall({ method: 'GET', url, body: new Uint8Array() }, signer, now())
  const response = await fetch(url, { headers })
  expect([path, response.status]).toEqual([path, 200])
  return new Uint8Array(await response.arrayBuffer())
}

/** The head that the relay holds, after fetching every object below it and checking its hash. */
async function headAtRelay(tenant: string): Promise<number> {
  const object = async (hash: Bytes): Promise<Bytes> => {
    const body = await get(paths.object(tenant, base64url(hash)))
    expect(hex(sha256(body))).toBe(hex(hash))
    return body
  }
  const envelope = envelopeSchema(parseJson(await get(paths.head(tenant)), 65_536), '')
  const head = parseJson(envelope.payload, 65_536) as {
    version: number
    releases: { index: string }
  }
  const index = parseIndex(await object(fromBase64url(head.releases.index)), KEYRING_LEAF)
  for (const hash of index.pages) {
    for (const leaf of checkPage(await object(hash), KEYRING_LEAF).leaves) {
      const release = decodeRelease(await object(leaf.subarray(16)))
      await Promise.all([
        object(release.bundle),
        object(release.manifest),
        object(release.members.index),
      ])
    }
  }
  return head.version
}

it('[relay-10] a relay killed in the middle of pushes has every head it acknowledged, whole', async () => {
  const heads: number[] = []
  const errors: string[] = []
  const deriver = await openDeriver({
    directory: join(directory, 'tenant'),
    passphrase: null,
    invite: INVITE,
    report(event) {
      if (event.type === 'head') heads.push(event.version)
      if (event.type === 'relay-error') errors.push(event.code)
    },
  })
  createKeyring(
    deriver.store,
    { name: 'notes', rules: ['keyferry://client.acme.example/*'] },
    now(),
  )
  await deriver.step()
  for (let round = 0; round < ROUNDS; round++) {
    const running = { on: true }
    const pushing = (async () => {
      while (running.on) {
        rotateKeyring(deriver.store, 'notes', now())
        await deriver.step()
      }
    })()
    await new Promise((resolve) => setTimeout(resolve, 150 + 90 * round))
    await relay.kill()
    running.on = false
    await pushing
    relay = await spawnRelay(join(directory, 'relay'), INVITE, relay.port)
    const acknowledged = heads.at(-1)!
    expect(await headAtRelay(deriver.tenant)).toBeGreaterThanOrEqual(acknowledged)
  }
  expect(errors.length).toBeGreaterThan(0)
  expect(new Set(errors)).toEqual(new Set(['ERR_RELAY']))
  await deriver.step()
  expect(await headAtRelay(deriver.tenant)).toBe(latestHead(deriver.store)!.version)
  expect((await deriver.check(relay.url)).problems).toEqual([])
  deriver.close()
})

it('[relay-10] a call that never arrives, and one whose answer is lost, are made again, and leave all as it ought to be', async () => {
  /** How many calls go well before one fails, and whether it arrives. */
  let left = Number.POSITIVE_INFINITY
  let arrives = false
  const codes: string[] = []
  const deriver = await openDeriver({
    directory: join(directory, 'tenant'),
    passphrase: null,
    invite: INVITE,
    async fetch(input, init) {
      const fails = left-- === 0
      if (fails && !arrives) throw new TypeError('not sent')
      const response = await fetch(input, init)
      if (!fails) return response
      await response.arrayBuffer()
      throw new TypeError('no answer')
    },
    report(event) {
      if (event.type === 'relay-error') codes.push(event.code)
    },
  })
  createKeyring(
    deriver.store,
    { name: 'notes', rules: ['keyferry://client.acme.example/*'] },
    now(),
  )
  for (let calls = 0, failed = true; failed; calls++) {
    for (arrives of [false, true]) {
      rotateKeyring(deriver.store, 'notes', now())
      left = calls
      await deriver.step()
      failed = left < 0
      left = Number.POSITIVE_INFINITY
      await deriver.step()
      expect(await headAtRelay(deriver.tenant)).toBe(latestHead(deriver.store)!.version)
    }
  }
  expect((await deriver.check(relay.url)).problems).toEqual([])
  expect(codes.length).toBeGreaterThan(4)
  expect(codes.filter((code) => !['ERR_RELAY', 'ERR_NOT_FOUND'].includes(code))).toEqual([])
  deriver.close()
})

it('[deriver-1] a deriver killed in the middle of pushes goes on where it was, and signs no version twice', async () => {
  const tenant = join(directory, 'tenant')
  const store = openStore(storePath(tenant))
  createKeyring(store, { name: 'notes', rules: ['keyferry://client.acme.example/*'] }, now())
  const seen = new Map<number, string>()
  const note = (): void => {
    const rows = store.all<{ version: number; hash: Uint8Array }>(
      'SELECT version, hash FROM heads WHERE hash IS NOT NULL',
    )
    for (const { version, hash } of rows) {
      const text = Buffer.from(hash).toString('hex')
      expect(seen.get(version) ?? text).toBe(text)
      seen.set(version, text)
    }
  }
  let version = 1
  for (let round = 0; round < ROUNDS; round++) {
    const deriver = spawnDeriver(tenant, '--invite', INVITE)
    await until(() => deriver.events.find((event) => event['type'] === 'running'), 'the deriver')
    for (let i = 0; i < 3 + round; i++) {
      version = rotateKeyring(store, 'notes', now())
      await new Promise((resolve) => setTimeout(resolve, 60))
    }
    await deriver.kill()
    note()
  }
  const last = await openDeriver({ directory: tenant, passphrase: null, invite: INVITE })
  await last.step()
  note()
  // Every rotation that was acknowledged to the person who asked for it is in the newest head.
  const row = last.store.get<{ v: number }>(
    'SELECT encrypt_version AS v FROM keyrings WHERE dirty = 0',
  )
  expect(row?.v).toBe(version)
  expect(await headAtRelay(last.tenant)).toBe(latestHead(last.store)!.version)
  expect((await last.check(relay.url)).problems).toEqual([])
  last.close()
  store.close()
})
