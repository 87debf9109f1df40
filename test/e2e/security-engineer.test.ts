/**
 * What a security engineer does with docs/deriver.md, docs/life-cycle.md, docs/revocation.md and docs/backup.md in hand: a tenant with its master secret in an HSM, cards
 * for three people, the authority on a machine of its own, and a CA made with OpenSSL; a client, a rotation, a revocation, a destruction, an export; then the machine is
 * lost, restored, and audited. Where there is a SoftHSM2: some sixty commands, each a process of its own.
 */
import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { importPrivateKey } from '../../deriver/key-files.ts'
import { fromBase64url, hex } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import { encodePem } from '../../shared/pem.ts'
import { type AppConfigJson } from '../../shared/config.ts'
import { connect, createMemoryStore, type Keyferry } from '../../web/index.ts'
import { keyferryIn } from '../lib/cli.ts'
import { codeOf } from '../lib/deriver.ts'
import { makeOpensslCa, type OpensslCa } from '../lib/openssl-ca.ts'
import {
  spawnDeriver,
  spawnRelay,
  until,
  type DeriverProcess,
  type RelayProcess,
} from '../lib/processes.ts'
import { hsmAbsent, makeSoftHsm, type SoftHsm } from '../lib/softhsm.ts'

let directory: string
let relay: RelayProcess
let ca: OpensslCa
let hsm: SoftHsm
let service: DeriverProcess | undefined
let alice: Keyferry
let bob: Keyferry
const messages: Uint8Array[] = []
const path = (name: string): string => join(directory, name)
/** The folder of the authority's machine: nothing of it is ever on the deriver's. */
const offline = (name: string): string => path(`offline/${name}`)

/** Runs a command, which has to do what it should, and returns what it printed. */
async function keyferry(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await keyferryIn(path('keyferry'))(...args)
  expect([args.join(' '), status, stderr.includes('error:') ? stderr : '']).toEqual([
    args.join(' '),
    0,
    '',
  ])
  return stdout
}

async function start(...more: string[]): Promise<void> {
  const own = ['--certificate', path('deriver.pem'), '--key', path('deriver-key.pem')]
  service = spawnDeriver(path('keyferry'), ...own, '--heartbeat', '60', ...more)
  await head()
}
async function stop(): Promise<void> {
  await service?.kill()
  service = undefined
}
/** Waits for a head that this service has not signed yet. */
function head(after = -1): Promise<unknown> {
  return until(
    () => service!.events.slice(after + 1).find(({ type }) => type === 'head'),
    'a head at the relay',
  )
}
const seen = (): number => service!.events.length - 1

/** The next trust document or catalog, carried to the authority and back. */
async function ceremony(what: 'trust' | 'catalog', ...options: string[]): Promise<void> {
  const file = path(`${what}-next.json`)
  writeFileSync(path('current.json'), '')
  await keyferry('trust', 'show', '--out', path('current.json'))
  copyFileSync(path('current.json'), offline('current.json'))
  const key = ['--key', offline('authority.json'), '--current', offline('current.json')]
  if (what === 'trust') {
    writeFileSync(file, await keyferry('trust', 'propose', ...options))
    await keyferry('trust', 'sign', file, ...key)
  } else {
    const proposed = ['catalog', 'propose', '--out', file, '--ahead', '8', '--json', ...options]
    const { fingerprint } = JSON.parse(await keyferry(...proposed)) as { fingerprint: string }
    await keyferry('catalog', 'sign', file, '--confirm', fingerprint, ...key)
  }
  await keyferry(what, 'publish', file)
  rmSync(file)
}

async function client(name: string): Promise<Keyferry> {
  const { certificates, pkcs8 } = await ca.leaf(name)
  const config = JSON.parse(await keyferry('app-config')) as AppConfigJson
  const identity = { key: await importPrivateKey(pkcs8), certificates }
  return connect({ config, identity, store: createMemoryStore() })
}

/** Waits until a client is refused. */
async function isOut(one: Keyferry): Promise<void> {
  await expect
    .poll(() => codeOf(one.refresh()), { timeout: 60_000, interval: 1_000 })
    .not.toBe('none')
}

/** The lists of the OpenSSL CA, as it publishes them now. */
async function importLists(): Promise<void> {
  const files = ['root.crl', 'issuing.crl'].map((name) => join(ca.dir, name))
  await keyferry('crl', 'import', ...files, '--certificate', join(ca.dir, 'issuing.pem'))
}
function openssl(...args: string[]): void {
  const env = { PATH: process.env['PATH'], SAN_URI: 'unused:' }
  execFileSync('openssl', args, { cwd: ca.dir, env, stdio: 'pipe' })
}

describe.skipIf(hsmAbsent !== null)('a security engineer', () => {
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
    mkdirSync(path('offline'))
    hsm = makeSoftHsm()
    process.env['KEYFERRY_PASSPHRASE'] = 'correct horse'
    relay = await spawnRelay(path('relay'), 'invite')
    ca = await makeOpensslCa('p256')
  }, 300_000)
  afterAll(async () => {
    await stop()
    alice?.close()
    bob?.close()
    await relay?.stop()
    await ca?.remove()
    hsm?.remove()
    rmSync(directory, { recursive: true, force: true })
    delete process.env['KEYFERRY_PASSPHRASE']
  })

  it('sets up a tenant: HSM, OpenSSL CA, cards, an offline authority', async () => {
    const anchors = ['clients', 'derivers'].flatMap((role) => [
      `--anchor-${role}`,
      join(ca.dir, 'root.pem'),
    ])
    const named = ['--org', 'Acme', '--domain', 'acme.example', '--relay', relay.url]
    await keyferry('init', ...named, '--root', hsm.place('master'), ...anchors)
    expect(existsSync(path('keyferry/keys/master.json'))).toBe(false)
    await importLists()
    await keyferry('keyring', 'create', 'notes')
    await keyferry('keyring', 'create', 'mail', '--kind', 'erasable')
    const holders = ['Ada', 'Bob', 'Kim'].flatMap((name) => ['--holder', name])
    await keyferry('shares', 'make', '--of', '3', '--need', '2', ...holders, '--out', path('cards'))

    // The authority's key is made on its own machine, and follows the one of the HSM.
    const made = ['trust', 'key', '--out', offline('authority.json'), '--unsealed']
    writeFileSync(path('authority.pem'), await keyferry(...made))
    const shown = JSON.parse(await keyferry('trust', 'show', '--json')) as {
      authority: { keys: string[] }
    }
    const both = ['--add-authority', path('authority.pem')]
    const next = path('next.json')
    writeFileSync(
      next,
      await keyferry('trust', 'propose', ...both, '--remove-authority', keyIdOf(shown)),
    )
    await keyferry('trust', 'sign', next)
    await keyferry('trust', 'sign', next, '--key', offline('authority.json'))
    await keyferry('trust', 'publish', next)
    rmSync(path('keyferry/keys/authority.json'))
    await ceremony('catalog')
  }, 300_000)

  it('enrols clients, and they have keys', async () => {
    const { certificates, pkcs8 } = await ca.leaf('deriver-1')
    const pem = certificates.map((one) => encodePem('CERTIFICATE', one)).join('')
    writeFileSync(path('deriver.pem'), pem)
    writeFileSync(path('deriver-key.pem'), encodePem('PRIVATE KEY', pkcs8))
    await start('--invite', 'invite')
    alice = await client('alice')
    bob = await client('bob')
    for (const one of [alice, bob])
      for (const name of ['notes', 'mail']) await one.keyring(name, { timeout: 60_000 })
    messages.push(await (await alice.keyring('notes')).encrypt('first'))
  }, 300_000)

  it('rotates, revokes, destroys and exports', async () => {
    const last = seen()
    await keyferry('rotate', 'notes')
    await keyferry('rotate', 'mail')
    await head(last)
    await alice.refresh()
    messages.push(await (await alice.keyring('notes')).encrypt('rotated'))

    openssl(...'ca -batch -config ca.cnf -name issuing -revoke bob.pem'.split(' '))
    openssl(...'ca -config ca.cnf -name issuing -gencrl -out issuing.crl'.split(' '))
    await importLists()
    await isOut(bob)
    expect(await keyferry('keyring', 'who', 'notes')).not.toContain('/bob')

    await keyferry('keyring', 'destroy', 'mail@1', '--backup-retention', '90d', '--yes')
    await until(
      () =>
        service!.events.find(({ type }) => typeof type === 'string' && /destr|erased/.test(type)),
      'the destruction',
    )

    openssl('genrsa', '-out', path('kek.pem'), '4096')
    openssl('rsa', '-in', path('kek.pem'), '-pubout', '-out', path('kek.pub.pem'))
    // The record is signed by the authority, whose key is there for this alone.
    copyFileSync(offline('authority.json'), path('keyferry/keys/authority.json'))
    const target = ['--for', 'aws-kms', '--wrapping-key', path('kek.pub.pem')]
    await keyferry('export', 'notes@1', ...target, '--out', path('notes-1'))
    rmSync(path('keyferry/keys/authority.json'))
    const oaep = ['rsa_padding_mode:oaep', 'rsa_oaep_md:sha256', 'rsa_mgf1_md:sha256']
    openssl(
      'pkeyutl',
      '-decrypt',
      '-inkey',
      path('kek.pem'),
      ...oaep.flatMap((one) => ['-pkeyopt', one]),
      '-in',
      path('notes-1/notes-1.aws-kms.bin'),
      '-out',
      path('key'),
    )
    expect(readFileSync(path('key'))).toHaveLength(32)
    expect(await keyferry('audit', 'who-had', 'notes@1')).toContain('aws-kms')
  }, 300_000)

  it('loses the machine, restores it with two cards, and goes on', async () => {
    await keyferry('backup', path('acme.keyferry'))
    const last = seen()
    // After the backup: it is the relay that knows.
    await keyferry('keyring', 'compromise', 'notes@1')
    await head(last)
    await stop()
    renameSync(path('keyferry'), path('lost'))

    const cards = ['--share', path('cards/card-1.txt'), '--share', path('cards/card-3.txt')]
    const drilled = await keyferry('drill', path('acme.keyferry'), ...cards)
    expect(drilled).toContain('0 WRONG')
    await keyferry('restore', path('acme.keyferry'), ...cards)
    const own = ['--certificate', path('deriver.pem'), '--key', path('deriver-key.pem')]
    const run = keyferryIn(path('keyferry'))
    expect((await run('run', '--once', ...own)).stderr).toContain('keyferry catch-up')
    const caught = await keyferry('catch-up', '--accept', '--backup-retention', '90d', ...own)
    expect(caught).toContain('notes: notes@1.1 is compromised')
    await ceremony('trust', '--raise-incarnation')
    expect((await run('run', '--once', ...own)).stderr).toContain('ERR_CRL')
    await importLists()
    await start()
    await ceremony('catalog')

    // With the new catalog there is a version of the new incarnation to encrypt with.
    const notes = await alice.keyring('notes', { timeout: 60_000 })
    const tries = async (): Promise<string> => {
      await alice.refresh()
      return codeOf(notes.encrypt('restored'))
    }
    await expect.poll(tries, { timeout: 60_000, interval: 1_000 }).toBe('none')
    const texts = await Promise.all(messages.map((one) => notes.decrypt(one, { as: 'text' })))
    expect(texts).toEqual(['first', 'rotated'])
    expect(await notes.decrypt(await notes.encrypt('restored'), { as: 'text' })).toBe('restored')
    await isOut(bob)
    await stop()
    const lost = keyferryIn(path('lost'))
    expect((await lost('run', '--once', ...own)).stderr).toContain('ERR_ROLLBACK')
  }, 300_000)

  it('verifies the audit: nothing is wrong, and what was lost has a name', async () => {
    const own = ['--certificate', path('deriver.pem'), '--key', path('deriver-key.pem')]
    const report = JSON.parse(await keyferry('audit', 'verify', '--json', ...own)) as {
      problems: string[]
      lost: string[]
      relays: { heads: number }[]
    }
    expect(report.problems).toEqual([])
    expect(report.lost.length).toBeGreaterThan(0)
    expect(report.relays[0]!.heads).toBeGreaterThan(3)
    await keyferry('audit', 'export', '--out', path('acme.audit'))
    const { tenant } = JSON.parse(await keyferry('app-config')) as AppConfigJson
    await keyferry('audit', 'verify', path('acme.audit'), '--tenant', tenant)
  }, 300_000)
})

/** The key id of the one authority key that a trust document names. */
function keyIdOf({ authority }: { authority: { keys: string[] } }): string {
  return hex(sha256(fromBase64url(authority.keys[0]!)))
}
