/** The life of versions on the command line: schedules, states, prices, rules, requests, and a catalog through the hands of an authority elsewhere. */
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type VersionStatus } from '../../deriver/version-status.ts'
import { createCsr } from '../../shared/csr.ts'
import { encodePem } from '../../shared/pem.ts'
import { generateSigningKey } from '../../shared/signature.ts'
import { keyferryIn, spawnKeyferryIn, type Result } from '../lib/cli.ts'

let directory: string
let run: (...args: string[]) => Promise<Result>
const path = (name: string): string => join(directory, name)

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  run = keyferryIn(path('t'))
  const relay = ['--relay', 'http://127.0.0.1:9']
  await run('init', '--org', 'Acme', '--domain', 'acme.example', ...relay, '--unsealed')
  await done('keyring', 'create', 'notes', '--rotate-every', '30d', '--decrypt-for', '2y')
  const rule = 'keyferry://client.acme.example/web/*'
  await done('keyring', 'create', 'mail', '--kind', 'erasable', '--rule', rule, '--approvals')
  await step()
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** What a command that does what it should prints. */
async function done(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await run(...args)
  expect([args.join(' '), status, stderr.includes('error')]).toEqual([args.join(' '), 0, false])
  return stdout
}

/** A step of the service; the relay is not there. */
async function step(): Promise<void> {
  expect((await spawnKeyferryIn(path('t'))('run', '--once')).status).toBe(3)
}

async function show(name: string): Promise<{ versions: VersionStatus[]; waiting: string[] }> {
  return JSON.parse(await done('keyring', 'show', name, '--json')) as Awaited<
    ReturnType<typeof show>
  >
}

const states = async (name: string): Promise<string[]> =>
  (await show(name)).versions.map(({ state }) => state)

it('keyring create --rotate-every --decrypt-for sets the windows, and says what is no length of time', async () => {
  const [version] = (await show('notes')).versions
  const now = Math.floor(Date.now() / 1000)
  expect(version!.state).toBe('active')
  expect(Math.abs(version!.encryptUntil - now - 30 * 86_400)).toBeLessThan(600)
  expect(version!.decryptUntil - version!.encryptUntil).toBe(2 * 365 * 86_400)
  const wrong = await run('keyring', 'create', 'x', '--rotate-every', '3 weeks')
  expect([wrong.status, wrong.stderr]).toEqual([2, expect.stringContaining('ERR_USAGE')])
})

it('keyring retire, compromise and show', async () => {
  expect(await done('keyring', 'retire', 'notes@1')).toContain('version 2 active')
  expect(await done('keyring', 'compromise', 'notes@2')).toContain('version 3 active')
  expect(await states('notes')).toEqual(['deactivated', 'compromised', 'active'])
  const shown = (await done('keyring', 'show', 'notes')).split('\n')
  const does = ['deactivated', 'compromised', 'active'].map((state) =>
    shown.find((line) => line.includes(`  ${state}  `))?.match(/\w+crypts until/g),
  )
  const ends = 'decrypts until'
  expect(does).toEqual([[ends], [ends], ['encrypts until', ends]])
  const again = await run('keyring', 'retire', 'notes@2')
  expect([again.status, again.stderr]).toEqual([1, expect.stringContaining('ERR_EXISTS')])
})

it('keyring destroy refuses a recoverable keyring, states the price first, and never says destroyed too early', async () => {
  const backups = ['--backup-retention', '90d']
  const plain = await run('keyring', 'destroy', 'notes@1', ...backups, '--yes')
  expect([plain.status, plain.stderr]).toEqual([1, expect.stringContaining('ERR_RECOVERABLE')])
  expect((await run('keyring', 'destroy', 'mail@1', '--yes')).status).toBe(2)
  const unpaid = await run('keyring', 'destroy', 'mail@1', ...backups)
  expect([unpaid.status, unpaid.stderr]).toEqual([1, expect.stringContaining('price: 0 devices')])
  expect(await states('mail')).toEqual(['active'])
  const json = await done('keyring', 'destroy', 'mail@1', ...backups, '--yes', '--json')
  const { completes } = JSON.parse(json) as { completes: number }
  expect(Math.abs(completes - Date.now() / 1000 - 90 * 86_400)).toBeLessThan(600)
  const status = async (): Promise<string> => (await run('status')).stdout
  expect(await status()).toContain('mail@1 is to be destroyed since')
  await step()
  const said = await status()
  const day = new Date(completes * 1000).toISOString().slice(0, 10)
  expect(said).toMatch(new RegExp(`mail@1 is being destroyed.*${day}`))
  expect(said).not.toContain('is destroyed')
  expect(await states('mail')).toEqual(['deactivated', 'active'])
  const [ending] = (await show('mail')).versions
  const minute = new Date(ending!.destroyedFrom! * 1000).toISOString().slice(0, 16)
  expect(await done('keyring', 'show', 'mail')).toMatch(
    `(being destroyed, for certain on ${minute.replace('T', ' ')} UTC)`,
  )
  expect((await run('keyring', 'show', 'mail', '--record', '1')).status).toBe(1)
})

it('keyring who and keyring rule: a preview changes nothing, and what widens waits', async () => {
  const csr = await createCsr(await generateSigningKey('ES256', false), 'kim')
  writeFileSync(path('kim.csr'), encodePem('CERTIFICATE REQUEST', csr))
  const uri = 'keyferry://client.acme.example/app/kim'
  await done('client', 'issue', '--csr', path('kim.csr'), '--uri', uri)
  const rule = 'keyferry://client.acme.example/app/*'
  expect(await done('keyring', 'who', 'mail')).toContain('no client known here is covered')
  const seen = await done('keyring', 'rule', 'add', 'mail', rule, '--allow', '--preview')
  expect(seen).toContain(`+ ${uri}`)
  expect(seen).toContain('nothing was changed')
  expect(await done('keyring', 'rule', 'add', 'mail', rule)).toContain('keyring rule allow')
  expect((await show('mail')).waiting).toEqual([rule])
  expect(await done('keyring', 'who', 'mail')).toContain('(not allowed yet)')
  expect(await done('keyring', 'rule', 'allow', 'mail', rule)).toContain(`+ ${uri}`)
  expect((await show('mail')).waiting).toEqual([])
  expect(await done('keyring', 'rule', 'remove', 'mail', rule)).toContain(`- ${uri}`)
  const trust = JSON.parse(await done('trust', 'show', '--json')) as {
    clients: { anchors: { key: string }[] }
  }
  const anchor = ['--anchor', trust.clients.anchors[0]!.key.slice(0, 16)]
  const json = await done('keyring', 'rule', 'add', 'mail', rule, ...anchor, '--allow', '--json')
  expect(JSON.parse(json)).toMatchObject({ changes: [expect.stringContaining(uri)] })
  const foreign = await run('keyring', 'rule', 'add', 'mail', rule, '--anchor', '00000000')
  expect(foreign.status).toBe(2)
})

it('request list, and requests and devices that are not there', async () => {
  expect(await done('request', 'list')).toContain('no requests')
  for (const args of [
    ['request', 'approve', '1'],
    ['request', 'deny', '1', '--reason', 'no'],
    ['client', 'rekey', 'keyferry://client.acme.example/nobody'],
  ]) {
    const { status, stderr } = await run(...args)
    expect([status, stderr]).toEqual([1, expect.stringContaining('ERR_NOT_FOUND')])
  }
  expect((await run('client', 'rekey')).status).toBe(2)
})

it('a rule that no certificate of this tenant can come under is warned of, and taken', async () => {
  const there = 'keyferry://client.other.example'
  const here = 'keyferry://client.acme.example/app/*'
  const warnings = async (...words: string[]): Promise<string> => {
    const { status, stderr } = await run('keyring', ...words)
    expect([words, status]).toEqual([words, 0])
    return stderr
  }
  const warning = `keyferry: warning: no client can come under ${there}`
  expect(await warnings('create', 'elsewhere', '--rule', `${there}/*`)).toContain(`${warning}/*:`)
  expect(await warnings('rule', 'add', 'elsewhere', `${there}/kim`)).toContain(`${warning}/kim:`)
  expect(await warnings('rule', 'add', 'elsewhere', here)).toBe('')
})

it('catalog propose, sign and publish: an authority elsewhere signs by a fingerprint, without the database', async () => {
  await done('trust', 'show', '--out', path('trust.json'))
  await step()
  renameSync(path('t/keys/authority.json'), path('authority.json'))
  await step()
  const alarm = await run('status')
  expect(alarm.stdout).toMatch(/! 0 unused versions of notes are left/)
  const out = ['--out', path('catalog.json')]
  const proposed = await done('catalog', 'propose', '--ahead', '9', ...out, '--json')
  const { fingerprint } = JSON.parse(proposed) as { fingerprint: string }
  expect(readFileSync(path('catalog.json'), 'utf8')).not.toContain('"salt')
  const key = ['--key', path('authority.json'), '--current', path('trust.json')]
  const offline = keyferryIn(path('nowhere'))
  const wrong = await offline('catalog', 'sign', path('catalog.json'), '--confirm', '-x', ...key)
  expect([wrong.status, wrong.stderr]).toEqual([1, expect.stringContaining('ERR_HASH')])
  expect((await run('catalog', 'publish', path('catalog.json'))).status).toBe(1)
  const confirm = ['--confirm', fingerprint]
  const signed = await offline('catalog', 'sign', path('catalog.json'), ...confirm, ...key)
  expect(signed.stdout).toContain('missing: 0')
  expect(signed.stdout).toMatch(/notes: \+ 9 versions/)
  await done('catalog', 'publish', path('catalog.json'))
  await step()
  const { stdout } = await run('status')
  expect(stdout).not.toContain('unused versions')
  expect(stdout).toContain('you and the authority, by catalog propose')
  expect(await states('notes')).toEqual([
    'deactivated',
    'compromised',
    'active',
    ...Array.from({ length: 9 }, () => 'pre-active'),
  ])
  // Without the authority, a version is activated and another one retired.
  expect(await done('keyring', 'retire', 'notes@3')).toContain('version 4 active')
})
