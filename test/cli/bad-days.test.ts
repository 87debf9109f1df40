/** What stands in docs/deriver.md, "When something is wrong": the error that a person meets, and that what its hint says helps. */
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { storePath } from '../../deriver/store.ts'
import { keyferryIn, type Result } from '../lib/cli.ts'

const cli = new URL('../../deriver/cli.ts', import.meta.url).pathname
const PASSPHRASE = 'correct horse'
let directory: string
const path = (name: string): string => join(directory, name)
const env = { KEYFERRY_PASSPHRASE: PASSPHRASE }
/** Runs a command on a copy of the tenant. */
const on = (tenant: string, more: Record<string, string> = env) =>
  keyferryIn(path(tenant), { cwd: directory, env: more })
const copy = (name: string): void => cpSync(path('tenant'), path(name), { recursive: true })

/** Exit status, and the code and hint of the error. */
function said({ status, stderr }: Result): unknown[] {
  const code = /^keyferry: error: .*\((ERR_[A-Z_]+)\)$/m.exec(stderr)?.[1]
  return [status, code ?? stderr, /^keyferry: hint: (.*)$/m.exec(stderr)?.[1]]
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  const relay = ['--relay', 'http://127.0.0.1:9']
  const made = await on('tenant')('init', '--org', 'Acme', '--domain', 'acme.example', ...relay)
  expect(made.status, made.stderr).toBe(0)
  expect((await on('tenant')('keyring', 'create', 'notes')).status).toBe(0)
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

it('a wrong passphrase; where it is lost, a restored backup has another one', async () => {
  copy('lost')
  expect(
    (await on('lost')('shares', 'make', '--of', '2', '--need', '2', '--out', 'cards')).stderr,
  ).toBe('')
  expect((await on('lost')('backup', 'lost.keyferry')).status).toBe(0)
  const wrong = await on('lost', { KEYFERRY_PASSPHRASE: 'wrong' })('run', '--once')
  expect(said(wrong)).toEqual([1, 'ERR_PASSPHRASE', expect.stringContaining('keyferry restore')])
  const another = { KEYFERRY_PASSPHRASE: 'a new one' }
  const cards = ['--share', 'cards/card-1.txt', '--share', 'cards/card-2.txt']
  const restored = await on('found', another)('restore', 'lost.keyferry', ...cards)
  expect(restored.status, restored.stderr).toBe(0)
  expect((await on('found', another)('root', 'check')).status).toBe(0)
  expect(said(await on('found')('root', 'check'))[1]).toBe('ERR_PASSPHRASE')
}, 60_000)

describe('a database', () => {
  it('that another process holds', async () => {
    copy('held')
    const db = new DatabaseSync(storePath(path('held')))
    db.exec('BEGIN EXCLUSIVE')
    const rotate = () => on('held')('rotate', 'notes')
    const held = await rotate()
    expect(said(held)).toEqual([3, 'ERR_IO', expect.stringContaining('fuser')])
    expect(held.stderr).toContain('another process holds the database')
    db.close()
    expect(await rotate()).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('version 2'),
    })
  }, 60_000)

  it('on a disk that is full: nothing of the command was done', async () => {
    copy('full')
    /** Files of at most so many blocks of 512 bytes. */
    const limited = (blocks: string, ...command: string[]) =>
      new Promise<Result>((resolve) => {
        const script = `trap '' XFSZ; ulimit -f ${blocks}; exec "$0" "$@"`
        const args = ['-c', script, process.execPath, cli, ...command, '--dir', path('full')]
        const options = { env: { ...process.env, ...env } }
        const child = execFile('sh', args, options, (_error, stdout, stderr) =>
          resolve({ status: child.exitCode ?? -1, stdout, stderr }),
        )
      })
    const commands = [['keyring', 'create', 'mail'], ['run', '--once'], ['run']]
    for (const command of commands) {
      const full = await limited('8', ...command)
      expect(said(full)).toEqual([3, 'ERR_IO', expect.stringContaining('df')])
      expect(full.stderr).toContain('the disk is full')
    }
    const status = JSON.parse((await on('full')('status', '--json')).stdout) as object
    expect(status).toMatchObject({ head: null, keyrings: [{ name: 'notes' }] })
    expect((await limited('unlimited', ...commands[0]!)).status).toBe(0)
    expect((await limited('unlimited', ...commands[1]!)).stdout).toContain('ERR_RELAY')
    const after = JSON.parse((await on('full')('status', '--json')).stdout) as object
    expect(after).toMatchObject({ head: { version: 1 }, keyrings: [{}, {}] })
  })

  it('with a damaged page, and one that is none any more', async () => {
    copy('damaged')
    const keyferry = on('damaged')
    await keyferry('shares', 'make', '--of', '2', '--need', '2', '--out', 'two')
    expect((await keyferry('backup', 'good.keyferry')).status).toBe(0)
    const file = storePath(path('damaged'))
    const db = new DatabaseSync(file)
    db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    db.close()
    const whole = readFileSync(file)
    for (const [from, to] of [
      [4_096, whole.length],
      [0, 8_192],
    ]) {
      const bytes = Buffer.from(whole)
      bytes.fill(0xaa, from, to)
      writeFileSync(file, bytes, { mode: 0o600 })
      for (const command of [['rotate', 'notes'], ['status'], ['run', '--once'], ['backup', 'x']])
        expect([command, ...said(await keyferry(...command))]).toEqual([
          command,
          1,
          'ERR_STATE',
          expect.stringContaining('keyferry restore'),
        ])
    }
    const cards = ['--share', 'two/card-1.txt', '--share', 'two/card-2.txt']
    const restored = await on('again')('restore', 'good.keyferry', ...cards)
    expect(restored.status, restored.stderr).toBe(0)
    expect((await on('again')('keyring', 'list')).stdout).toContain('notes')
  }, 60_000)
})

it('two people who sign different trust documents', async () => {
  copy('two')
  const keyferry = on('two')
  const save = async (file: string, ...args: string[]) => {
    const { status, stdout, stderr } = await keyferry(...args)
    expect(status, stderr).toBe(0)
    writeFileSync(path(file), stdout)
  }
  await save('bob.pem', 'trust', 'key', '--out', 'bob.json')
  await save('next.json', 'trust', 'propose', '--add-authority', 'bob.pem', '--threshold', '2')
  for (const key of [[], ['--key', 'bob.json']])
    expect((await keyferry('trust', 'sign', 'next.json', ...key)).status).toBe(0)
  expect((await keyferry('trust', 'publish', 'next.json')).status).toBe(0)

  await save('of-ada.json', 'trust', 'propose', '--add-relay', 'https://a.example')
  await save('of-bob.json', 'trust', 'propose', '--add-relay', 'https://b.example')
  const hashOf = async (file: string, ...key: string[]) =>
    /^signed (\S+)/.exec((await keyferry('trust', 'sign', file, ...key)).stdout)![1]!
  const ada = await hashOf('of-ada.json')
  expect(await hashOf('of-bob.json', '--key', 'bob.json')).not.toBe(ada)
  for (const file of ['of-ada.json', 'of-bob.json'])
    expect(said(await keyferry('trust', 'publish', file))).toEqual([
      1,
      'ERR_SIGNATURE',
      expect.stringContaining('this same file'),
    ])
  // Signatures of the one under the other are none.
  const [one, other] = ['of-ada.json', 'of-bob.json'].map(
    (file) => JSON.parse(readFileSync(path(file), 'utf8')) as { signatures: object[] },
  )
  const mixed = { ...one, signatures: [...one!.signatures, ...other!.signatures] }
  writeFileSync(path('mixed.json'), JSON.stringify(mixed))
  expect(said(await keyferry('trust', 'publish', 'mixed.json'))[1]).toBe('ERR_SIGNATURE')

  // What the hints say: the same file, its hash compared; and the other one proposed anew.
  expect(await hashOf('of-ada.json', '--key', 'bob.json')).toBe(ada)
  expect((await keyferry('trust', 'publish', 'of-ada.json')).status).toBe(0)
  for (const command of ['sign', 'publish'])
    expect(said(await keyferry('trust', command, 'of-bob.json'))).toEqual([
      1,
      'ERR_TRUST_DOCUMENT',
      expect.stringMatching(/^document 3 is in force: keyferry trust propose /),
    ])
  await save('of-bob.json', 'trust', 'propose', '--add-relay', 'https://b.example')
  await hashOf('of-bob.json')
  await hashOf('of-bob.json', '--key', 'bob.json')
  expect((await keyferry('trust', 'publish', 'of-bob.json')).status).toBe(0)
}, 60_000)

it('a clock that was ahead: no backup is made until a head of now is signed', async () => {
  copy('clock')
  const keyferry = on('clock')
  await keyferry('run', '--once')
  const db = new DatabaseSync(storePath(path('clock')))
  db.exec('UPDATE heads SET issued = issued + 3600')
  db.close()
  const backup = () => keyferry('backup', 'clock.keyferry', '--by', 'passphrase')
  const hint = expect.stringContaining('keyferry run signs a head of now') as string
  expect(said(await backup())).toEqual([1, 'ERR_CLOCK', hint])
  expect((await keyferry('run', '--once')).stdout).toContain('the clock was set back')
  expect((await backup()).status).toBe(0)
})
