/** The command line: its output and its exit statuses, of processes as its users meet them and of many commands in one. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { COMMANDS } from '../../deriver/commands/index.ts'
import { linesOf } from '../../deriver/main.ts'
import { KeyferryError } from '../../shared/errors.ts'
import { encodePem } from '../../shared/pem.ts'
import { createCsr } from '../../shared/csr.ts'
import { generateSigningKey } from '../../shared/signature.ts'
import { keyferryIn, spawnKeyferryIn, type Result } from '../lib/cli.ts'

let directory: string
let tenant: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  tenant = join(directory, 'tenant')
})
afterAll(() => {
  rmSync(directory, { recursive: true, force: true })
})

type Env = Record<string, string>
const spawnKeyferry = (args: string[], env: Env = {}): Promise<Result> =>
  spawnKeyferryIn(tenant, { env })(...args)
const keyferry = (args: string[], env: Env = {}): Promise<Result> =>
  keyferryIn(tenant, { env })(...args)

const INIT = ['init', '--org', 'Acme', '--domain', 'acme.example', '--relay', 'http://127.0.0.1:9']

it('what the file system refuses is ERR_IO with a hint, exit 3', async () => {
  const file = join(directory, 'a-file')
  writeFileSync(file, '')
  const env = { KEYFERRY_DIR: file, KEYFERRY_PASSPHRASE: 'a passphrase of some length' }
  const { status, stderr } = await keyferry(INIT, env)
  expect(status).toBe(3)
  expect(stderr).toMatch(/^keyferry: error: .*a-file.* \(ERR_IO\)\nkeyferry: hint: /)
})

describe('usage', () => {
  it('prints help with an example for every command, exit 0', async () => {
    const top = await spawnKeyferry(['--help'])
    expect(top.status).toBe(0)
    for (const [name, { help }] of Object.entries(COMMANDS)) {
      expect(top.stdout).toContain(name)
      expect(help).toContain(`usage: keyferry ${name}`)
      expect(help).toMatch(/\nexample: keyferry /)
    }
    const one = await spawnKeyferry(['keyring', 'create', '--help'])
    const group = await spawnKeyferry(['keyring', '--help'])
    expect(group.status).toBe(0)
    expect(group.stdout).toContain('keyring list')
    expect(one).toEqual({ status: 0, stdout: COMMANDS['keyring create']!.help, stderr: '' })
  })

  it('wrong usage is exit 2, with a hint and nothing on stdout', async () => {
    for (const args of [
      ['frobnicate'],
      ['init'],
      ['init', '--org'],
      ['--no-such-option'],
      ['rotate'],
    ]) {
      const { status, stdout, stderr } = await spawnKeyferry(args, { KEYFERRY_PASSPHRASE: 'x' })
      expect([args, status]).toEqual([args, args[0] === 'rotate' ? 3 : 2])
      expect(stdout).toBe('')
      expect(stderr).toMatch(/^keyferry: error: [^A-Z]/)
    }
    expect((await spawnKeyferry([])).status).toBe(2)
  })

  it('a command of another group is named, and of many none', async () => {
    const hintOf = async (...args: string[]) => (await keyferry(args)).stderr.split('hint: ')[1]
    expect(await hintOf('keyring', 'rotate', 'notes')).toBe('is it keyferry rotate?\n')
    expect(await hintOf('destroy')).toBe('is it keyferry keyring destroy?\n')
    expect(await hintOf('list')).toBe('see keyferry --help\n')
  })

  it('what a relay said last is told where nothing came in time', () => {
    const cause = new KeyferryError('ERR_RELAY', 'the relay answers 403 ERR_SUSPENDED')
    const error = new KeyferryError('ERR_TIMEOUT', 'no answer in time', { cause })
    expect(linesOf(error, 'encrypt', { ERR_TIMEOUT: 'are relay and deriver up?' })).toEqual([
      'error: no answer in time (ERR_TIMEOUT)',
      'hint: the relay answers 403 ERR_SUSPENDED (ERR_RELAY)',
      'hint: are relay and deriver up?',
    ])
  })

  it('an operand that a command does not take is exit 2, for each of them', async () => {
    const dir = join(directory, 'never')
    for (const [name, { help, operands = 0 }] of Object.entries(COMMANDS)) {
      const [, said] = new RegExp(`^usage: keyferry ${name}(.*)`).exec(help)!
      const words = said!.replace(/ \[?--.*/, '').split(' ')
      const shown = words.filter((word) => word !== '' && word !== '|')
      const most = shown.some((word) => word.includes('…')) ? Infinity : shown.length
      expect([name, operands]).toEqual([name, most])
      if (most === Infinity) continue
      const args = [...name.split(' '), ...shown.map(() => 'x'), 'beyond', '--dir', dir]
      const { status, stdout, stderr } = await keyferry(args)
      expect([name, status, stdout]).toEqual([name, 2, ''])
      expect(stderr).toBe(
        `keyferry: error: unexpected argument 'beyond'\nkeyferry: hint: see keyferry ${name} --help\n`,
      )
    }
    expect(existsSync(dir)).toBe(false)
  })

  it('a directory without a tenant is exit 3', async () => {
    const { status, stderr } = await spawnKeyferry(['status', '--dir', join(directory, 'none')])
    expect(status).toBe(3)
    expect(stderr).toContain('ERR_IO')
    expect(stderr).toContain('keyferry: hint: ')
  })
})

describe('a tenant', () => {
  it('is sealed by a passphrase, or unsealed only when told', async () => {
    expect((await keyferry(INIT)).status).toBe(1)
    const empty = await keyferry(INIT, { KEYFERRY_PASSPHRASE: '' })
    expect([empty.status, empty.stderr]).toEqual([1, expect.stringContaining('ERR_PASSPHRASE')])
    for (const bad of [
      ['--relay', 'https://r.example/path'],
      ['--domain', 'no domain'],
      ['--org', 'x'.repeat(60)],
      ['--anchor-clients', new URL('../../package.json', import.meta.url).pathname],
    ]) {
      // Nothing is written before everything is checked: the right command works afterwards.
      const result = await keyferry([...INIT, ...bad], { KEYFERRY_PASSPHRASE: 'x' })
      expect([bad[0], result.status]).toEqual([
        bad[0],
        expect.toSatisfy((status: number) => status === 1 || status === 2),
      ])
    }
    const made = await spawnKeyferry([...INIT, '--json'], { KEYFERRY_PASSPHRASE: 'correct horse' })
    expect(made.status).toBe(0)
    expect(JSON.parse(made.stdout)).toMatchObject({
      sealed: true,
      tenant: expect.stringMatching(/^[a-z2-7]{52}$/) as string,
    })
    const again = await keyferry(INIT, { KEYFERRY_PASSPHRASE: 'correct horse' })
    expect([again.status, again.stderr]).toEqual([1, expect.stringContaining('ERR_EXISTS')])
    const wrong = await keyferry(['run', '--once'], { KEYFERRY_PASSPHRASE: 'wrong' })
    expect([wrong.status, wrong.stderr]).toEqual([1, expect.stringContaining('ERR_PASSPHRASE')])
  })

  it('has keyrings, rotates them, and prints an app config', async () => {
    const created = await keyferry(['keyring', 'create', 'notes', '--json'])
    expect(created.status).toBe(0)
    const { id } = JSON.parse(created.stdout) as { id: string }
    expect((await keyferry(['keyring', 'create', 'notes'])).status).toBe(1)
    expect((await keyferry(['keyring', 'create', 'bad', '--rule', 'keyferry://x*'])).status).toBe(2)
    const rotated = await keyferry(['rotate', 'notes'])
    expect(rotated.stdout).toBe('notes version 2 active, version 1 decrypt-only\n')
    expect((await keyferry(['rotate', 'none'])).status).toBe(1)
    const config = JSON.parse(
      (await keyferry(['app-config', '--relay', 'http://127.0.0.1:1'])).stdout,
    ) as object
    expect(config).toMatchObject({
      keyrings: [{ id, name: 'notes' }],
      relays: ['http://127.0.0.1:1'],
      floor: { number: 1 },
    })
    expect(JSON.parse((await keyferry(['keyring', 'list', '--json'])).stdout)).toMatchObject([
      { name: 'notes', version: 2 },
    ])
  })

  it('status says what is wrong, exit 1, and run --once with no relay is exit 3', async () => {
    const status = await keyferry(['status', '--json'])
    expect(status.status).toBe(1)
    expect(JSON.parse(status.stdout)).toMatchObject({
      problems: [expect.stringContaining('no head')] as string[],
    })
    const run = await spawnKeyferry(['run', '--once', '--json'], {
      KEYFERRY_PASSPHRASE: 'correct horse',
    })
    expect(run.status).toBe(3)
    expect(JSON.parse(run.stdout)).toMatchObject({ type: 'relay-error', code: 'ERR_RELAY' })
  })

  it('issues a client certificate for a CSR, revokes it, and lists neither key', async () => {
    const key = await generateSigningKey('ES256', false)
    const csr = join(directory, 'ada.csr')
    writeFileSync(csr, encodePem('CERTIFICATE REQUEST', await createCsr(key, 'ada')))
    const uri = 'keyferry://client.acme.example/ada'
    const env = { KEYFERRY_PASSPHRASE: 'correct horse' }
    const issued = await keyferry(['client', 'issue', '--csr', csr, '--uri', uri], env)
    expect(issued.stdout).toMatch(/^-----BEGIN CERTIFICATE-----/)
    const file = join(directory, 'ada.pem')
    writeFileSync(file, issued.stdout)
    const shown = await keyferry(['inspect', file, '--json'])
    expect(JSON.parse(shown.stdout)).toMatchObject({ kind: 'certificate', claims: { uris: [uri] } })
    expect((await keyferry(['client', 'revoke', uri])).stdout).toContain('revoked 1')
    expect((await keyferry(['client', 'revoke', uri])).status).toBe(1)
  })

  it('inspect says what a file is, and that it is nothing it knows', async () => {
    const trust = await keyferry(['trust', 'show', '--json'])
    expect(JSON.parse(trust.stdout)).toMatchObject({
      number: 1,
      tenantId: expect.any(String) as string,
    })
    const config = join(directory, 'config.json')
    writeFileSync(config, (await keyferry(['app-config'])).stdout)
    expect((await keyferry(['inspect', config])).stdout).toMatch(/^app config\n/)
    const junk = join(directory, 'junk')
    writeFileSync(junk, 'junk')
    const { status, stderr } = await keyferry(['inspect', junk])
    expect([status, stderr]).toEqual([1, expect.stringContaining('ERR_MALFORMED')])
    expect((await keyferry(['inspect', join(directory, 'none')])).status).toBe(3)
  })
})
