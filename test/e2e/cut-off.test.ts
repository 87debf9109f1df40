/**
 * Two derivers with a store each, as no one should run them, and one is cut off from the relay by a network namespace: no number is used twice. The head that the relay
 * has decides: what the other one signed meanwhile never comes into force.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { askRelays } from '../../deriver/audit-relay.ts'
import { issueDeriver } from '../../deriver/ca.ts'
import { createKeyring, initTenant, rotateKeyring } from '../../deriver/index.ts'
import { readCa } from '../../deriver/key-files.ts'
import { openStore, storePath, type Store } from '../../deriver/store.ts'
import { base64url, type Bytes } from '../../shared/bytes.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { decodeJson } from '../../shared/json.ts'
import { MAX_ENVELOPE } from '../../shared/limits.ts'
import {
  spawnDeriver,
  spawnDeriverIn,
  spawnRelay,
  until,
  type DeriverProcess,
  type RelayProcess,
} from '../lib/processes.ts'

/** Milliseconds: a call into the void ends after half a minute, and is made again after a pause. */
const SLOW = 120_000
const NAMESPACE = `keyferry-${process.pid}`

const ip = (...args: string[]): void => {
  execFileSync('ip', args, { stdio: 'pipe' })
}
/** The one way out of the namespace is its loopback, to what passes calls on through a socket in the file system. */
const link = (state: 'up' | 'down'): void =>
  ip('netns', 'exec', NAMESPACE, 'ip', 'link', 'set', 'lo', state)

function makeNamespace(): string | null {
  try {
    ip('netns', 'add', NAMESPACE)
    link('up')
    return null
  } catch (error) {
    dropNamespace()
    return String(error)
  }
}

function dropNamespace(): void {
  try {
    ip('netns', 'del', NAMESPACE)
  } catch {
    // It was not made.
  }
}

/** Passes connections on; the first line that it prints is its port. */
const PASS = `
const { connect, createServer } = require('node:net')
const server = createServer((socket) => {
  const on = connect(process.argv[1])
  socket.pipe(on).pipe(socket)
  for (const one of [socket, on]) one.on('error', () => (socket.destroy(), on.destroy()))
})
server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log(server.address().port))
`

const absent = makeNamespace()
if (absent !== null)
  console.warn(`no network namespaces here, which needs Linux, iproute2 and root: ${absent}`)
afterAll(dropNamespace)

describe.skipIf(absent !== null)('a deriver that is cut off', () => {
  const directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  const path = (name: string): string => join(directory, name)
  const now = (): number => Math.floor(Date.now() / 1000)
  const started: DeriverProcess[] = []
  const stores: Store[] = []
  let relay: RelayProcess
  let door: Server
  let pass: ChildProcess
  let far = ''
  let tenant: string

  /** A deriver's directory as it is at this moment. */
  function copy(from: string, to: string): void {
    cpSync(path(from), path(to), {
      recursive: true,
      filter: (name) => !/\.db(-wal|-shm)?$/.test(name),
    })
    for (const name of ['deriver.db', 'ca.db']) {
      const db = new DatabaseSync(join(path(from), name))
      db.prepare('VACUUM INTO ?').run(join(path(to), name))
      db.close()
      chmodSync(join(path(to), name), 0o600)
    }
  }

  function open(name: string): Store {
    const store = openStore(storePath(path(name)))
    stores.push(store)
    return store
  }

  /** Opens the way out, at the port that it had before. */
  async function mend(): Promise<void> {
    link('up')
    const port = far === '' ? '0' : new URL(far).port
    const args = ['netns', 'exec', NAMESPACE, process.execPath, '-e', PASS, path('door'), port]
    pass = spawn('ip', args, { stdio: ['ignore', 'pipe', 'inherit'] })
    const said = await new Promise<Buffer>((resolve) => pass.stdout!.once('data', resolve))
    far = `http://127.0.0.1:${said.toString().trim()}`
  }

  /** Ends what is open, which would hang for half a minute otherwise, and lets nothing through. */
  async function cut(): Promise<void> {
    const ended = new Promise((resolve) => pass.once('close', resolve))
    pass.kill('SIGKILL')
    await ended
    link('down')
  }

  const heads = (one: DeriverProcess): number =>
    one.events.filter(({ type }) => type === 'head').length
  const codes = (one: DeriverProcess): unknown[] =>
    one.events.flatMap(({ type, code }) => (type === 'relay-error' ? [code] : []))

  const signsNothing = (one: DeriverProcess): boolean =>
    one.events.some(({ type, what }) => type === 'alarm' && what === 'no heads are signed')

  async function kept(): Promise<{ version: number; hash: string }[]> {
    const derivers = await readCa(path('one'), 'ca-deriver', null)
    const uri = 'keyferry://deriver.acme.example/auditor'
    const signer = await issueDeriver(stores[0]!, derivers, uri, now())
    const answers = await askRelays([{ url: relay.url, tenant, signer: () => signer, now }])
    expect(answers.failed).toEqual([])
    return answers.kept[0]!.heads.map((head) => {
      const { version } = decodeJson(head.payload, MAX_ENVELOPE) as { version: number }
      return { version, hash: base64url(documentHash(head)) }
    })
  }

  beforeAll(async () => {
    relay = await spawnRelay(path('relay'), 'invite')
    const { port } = new URL(relay.url)
    door = createServer((socket) => {
      const on = connect(Number(port), '127.0.0.1')
      socket.pipe(on).pipe(socket)
      for (const one of [socket, on])
        one.on('error', () => [socket, on].map((end) => end.destroy()))
    })
    await new Promise<void>((resolve) => door.listen(path('door'), resolve))
    await mend()
    tenant = await initTenant({
      directory: path('one'),
      organization: 'Acme',
      domain: 'acme.example',
      relays: [relay.url],
      origins: [],
      passphrase: null,
      now: now(),
    })
  })
  afterAll(async () => {
    await Promise.all(started.map((one) => one.kill()))
    for (const store of stores) store.close()
    pass?.kill()
    door?.close()
    await relay?.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  it(
    '[relay-6] [deriver-12] signs numbers that another one uses, and the relay takes each from that one alone',
    async () => {
      const one = open('one')
      createKeyring(one, { name: 'notes', rules: ['keyferry://client.acme.example/*'] }, now())
      // The copy has the lease of the first in it, until that ends.
      const options = ['--relay', far, '--invite', 'invite', '--lease', '2']
      const first = spawnDeriverIn(NAMESPACE, path('one'), ...options)
      started.push(first)
      await until(() => heads(first) > 0, 'a head through the namespace')
      copy('one', 'two')
      const two = open('two')

      await cut()
      const second = spawnDeriver(path('two'), '--instance', 'two', '--invite', 'invite')
      started.push(second)
      rotateKeyring(two, 'notes', now())
      await until(() => heads(second) > 0, 'a head of the second')
      rotateKeyring(one, 'notes', now())
      await until(() => codes(first).includes('ERR_RELAY'), 'the first to find no relay', SLOW)
      const versions = (store: Store): number =>
        store.get<{ n: number }>('SELECT max(version) AS n FROM heads WHERE envelope IS NOT NULL')!
          .n
      // The same numbers, in two stores that know nothing of each other.
      expect(versions(one)).toBeLessThanOrEqual(versions(two))

      const before = heads(first)
      await mend()
      rotateKeyring(one, 'notes', now())
      // The relay refuses it, or it asks the relay first and signs nothing more: whichever comes first.
      const isRefused = (): boolean =>
        codes(first).some((code) => code !== 'ERR_RELAY') || signsNothing(first)
      await until(isRefused, 'the first to be refused', SLOW)
      expect(heads(first)).toBe(before)
      const refusals = codes(first).filter((code) => code !== 'ERR_RELAY')
      // By its number, its catalog's, or the head that it would replace: whichever is seen first.
      const known = ['ERR_ROLLBACK', 'ERR_FORK', 'ERR_CONFLICT']
      expect(refusals.filter((code) => !known.includes(code as string))).toEqual([])
      const had = heads(second)
      rotateKeyring(two, 'notes', now())
      await until(() => heads(second) > had, 'the second to go on')

      // Everything in force since the cut is the second one's, and each number there was once.
      const all = await kept()
      expect(all.map(({ version }) => version)).toEqual([
        ...new Set(all.map((head) => head.version)),
      ])
      for (const { version, hash } of all) {
        const row = two.get<{ hash: Bytes }>('SELECT hash FROM heads WHERE version = ?', version)
        expect(hash).toBe(base64url(new Uint8Array(row!.hash)))
      }
      // Started again it asks first, and signs nothing.
      await first.stop()
      const last = versions(one)
      const again = spawnDeriverIn(NAMESPACE, path('one'), '--relay', far)
      started.push(again)
      rotateKeyring(one, 'notes', now())
      await until(() => signsNothing(again), 'the first to say that it signs nothing', SLOW)
      expect([heads(again), versions(one)]).toEqual([0, last])
    },
    3 * SLOW,
  )
})
