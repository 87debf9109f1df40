/** `keyferry rewrap` on real files: what is due is replaced as a whole, and a run that is killed leaves the old file or the new one. */
import { spawn, type ChildProcess } from 'node:child_process'
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createKeyring, rotateKeyring } from '../../deriver/index.ts'
import { connect, type Keyferry, type Keyring } from '../../web/index.ts'
import { createFileStore, identityFromPem } from '../../web/node.ts'
import { startAcme, type Acme } from '../lib/acme.ts'
import { writeClientFiles } from '../lib/client-files.ts'
import { until } from '../lib/processes.ts'

const now = (): number => Math.floor(Date.now() / 1000)
const cli = new URL('../../deriver/cli.ts', import.meta.url).pathname
const MEBIBYTE = 2 ** 20

let acme: Acme
let home: string
let client: Keyferry
let notes: Keyring

beforeAll(async () => {
  acme = await startAcme([])
  home = join(acme.directory, 'client')
  mkdirSync(home)
  const rules = ['keyferry://client.acme.example/*']
  createKeyring(acme.deriver.store, { name: 'orders', rules }, now())
  await writeClientFiles(home, join(acme.directory, 'keyferry'), acme.deriver)
  const text = (name: string): string => readFileSync(at(name), 'utf8')
  client = await connect({
    config: JSON.parse(text('keyferry.json')) as never,
    identity: await identityFromPem(text('me.key'), text('me.pem')),
    store: createFileStore(at('keyferry-state.json')),
  })
  notes = await client.keyring('notes')
})
afterAll(async () => {
  client?.close()
  await acme?.close()
})

const at = (name: string): string => join(home, name)
const ME = ['--keyring', 'notes', '--key', 'me.key', '--certificate', 'me.pem']

function start(args: readonly string[], env: Record<string, string> = {}): ChildProcess {
  return spawn(process.execPath, [cli, 'rewrap', ...ME, ...args], {
    cwd: home,
    env: { ...process.env, ...env },
  })
}

function finished(child: ChildProcess) {
  const said = { stdout: '', stderr: '' }
  child.stdout!.on('data', (part: Buffer) => (said.stdout += part.toString()))
  child.stderr!.on('data', (part: Buffer) => (said.stderr += part.toString()))
  return new Promise<{ status: number | null; stdout: string; stderr: string }>((resolve) => {
    child.once('close', (status) => resolve({ status, ...said }))
  })
}

const rewrap = (...args: string[]) => finished(start(args))

async function write(name: string, bytes: Uint8Array, context = ''): Promise<Buffer> {
  writeFileSync(at(name), await notes.encrypt(bytes, { context }))
  return readFileSync(at(name))
}

/** The next version, known to the client of this test. */
async function rotate(): Promise<void> {
  const version = rotateKeyring(acme.deriver.store, 'notes', now())
  await expect
    .poll(() => client.refresh().then(() => notes.version), { timeout: 15_000 })
    .toBe(version)
}

const needs = (name: string): boolean => notes.needsRewrap(readFileSync(at(name)))
const open = async (name: string, context = ''): Promise<Buffer> =>
  Buffer.from(await notes.decrypt(readFileSync(at(name)), { context }))

it('does what is due and nothing else, keeps permissions and links, and has nothing to do a second time', async () => {
  const data = Buffer.alloc(40_000, 'data')
  for (const name of ['a', 'b']) await write(name, data, 'backup/7')
  chmodSync(at('a'), 0o640)
  symlinkSync('b', at('link'))
  await rotate()
  const current = await write('c', data, 'backup/7')
  const before = readFileSync(at('a'))

  const files = ['a', 'link', 'c']
  const dry = await rewrap('--context', 'backup/7', '--dry-run', ...files)
  expect([dry.status, dry.stdout]).toEqual([
    0,
    'a: due\nlink: due\nc: kept\n2 due, 1 kept, 0 failed\n',
  ])
  expect(readFileSync(at('a')).equals(before)).toBe(true)

  const done = await rewrap('--context', 'backup/7', '--json', ...files)
  expect([done.status, done.stderr]).toEqual([0, ''])
  const lines = done.stdout.trim().split('\n')
  expect(lines.map((one) => JSON.parse(one) as unknown)).toEqual([
    { file: 'a', result: 'rewrapped' },
    { file: 'link', result: 'rewrapped' },
    { file: 'c', result: 'kept' },
    { due: 0, failed: 0, kept: 1, rewrapped: 2, version: notes.version },
  ])
  expect(files.map(needs)).toEqual([false, false, false])
  for (const name of files) expect((await open(name, 'backup/7')).equals(data)).toBe(true)
  expect(readFileSync(at('c')).equals(current)).toBe(true)
  expect(statSync(at('a')).mode & 0o7777).toBe(0o640)
  expect(lstatSync(at('link')).isSymbolicLink()).toBe(true)

  const again = await rewrap('--context', 'backup/7', ...files)
  expect(again.stdout).toContain('0 rewrapped')
  expect(readdirSync(home).filter((name) => name.includes('rewrap'))).toEqual([])
})

it('what is refused or cannot be read stays as it is, and the others are done', async () => {
  const data = Buffer.alloc(40_000, 'data')
  for (const name of ['good', 'other', 'cut', 'twice']) await write(name, data)
  await write('context', data, 'x')
  writeFileSync(at('cut'), readFileSync(at('cut')).subarray(0, 20_000))
  writeFileSync(at('plain'), data)
  linkSync(at('twice'), at('thrice'))
  const orders = await client.keyring('orders')
  writeFileSync(at('order'), await orders.encrypt(data))
  await rotate()
  const files = ['cut', 'context', 'plain', 'order', 'twice', 'none', '.', 'good']
  const kept = ['cut', 'context', 'plain', 'order', 'twice']
  const before = kept.map((name) => readFileSync(at(name)))
  const result = await rewrap('--json', ...files)
  const lines = result.stdout.trim().split('\n')
  const reports = lines.map((one) => JSON.parse(one) as { code?: string; result?: string })
  expect(reports.slice(0, -1).map(({ code, result: outcome }) => code ?? outcome)).toEqual([
    'ERR_OPEN',
    'ERR_OPEN',
    'ERR_MALFORMED',
    'ERR_UNKNOWN_KEY',
    'ERR_IO',
    'ERR_IO',
    'ERR_IO',
    'rewrapped',
  ])
  expect(result.status).toBe(1)
  expect(kept.map((name) => readFileSync(at(name)))).toEqual(before)
  expect(readdirSync(home).filter((name) => name.includes('rewrap'))).toEqual([])
  expect((await rewrap('none')).status).toBe(3)
  expect((await rewrap()).status).toBe(2)
  // Those before a compromise are not made to look new.
  const old = await rewrap('--min-version', String(notes.version), 'other')
  expect([old.status, needs('other')]).toEqual([1, true])
  expect(old.stdout).toContain('ERR_KEY_VERSION')
})

it('a file that somebody signed keeps its sender: it is refused, or signed anew where that is asked for', async () => {
  writeFileSync(at('signed'), await notes.encrypt('contract', { sign: true }))
  await write('unsigned', Buffer.from('note'))
  await rotate()
  const before = readFileSync(at('signed'))
  const refused = await rewrap('signed')
  expect([refused.status, refused.stdout]).toEqual([1, expect.stringContaining('ERR_SENDER')])
  expect(readFileSync(at('signed'))).toEqual(before)
  const done = await rewrap('--sign', 'signed', 'unsigned')
  expect([done.status, needs('signed')]).toEqual([0, false])
  const options = { from: 'keyferry://client.acme.example/me' }
  const text = await notes.decrypt(readFileSync(at('signed')), { ...options, as: 'text' })
  expect(text).toBe('contract')
  await expect(notes.decrypt(readFileSync(at('unsigned')), options)).rejects.toMatchObject({
    code: 'ERR_UNSIGNED',
  })
})

it('a large file: killed in the middle there is the old one, run again there is the new one, in bounded memory', async () => {
  const size = 192 * MEBIBYTE
  const zeros = new Blob(Array.from({ length: 192 }, () => new Uint8Array(MEBIBYTE)))
  await writeFile(at('large'), notes.encryptStream(zeros))
  await rotate()
  const before = readFileSync(at('large'))
  const child = start(['large'])
  const done = finished(child)
  const beside = at(`large.${child.pid}.rewrap`)
  await until(() => (statSync(beside, { throwIfNoEntry: false })?.size ?? 0) > 8 * MEBIBYTE, beside)
  child.kill('SIGKILL')
  await done
  expect(readFileSync(at('large')).equals(before)).toBe(true)
  expect(statSync(beside).size).toBeLessThan(before.length)

  const hook = `process.on('exit',()=>console.error('peak',process.resourceUsage().maxRSS))`
  const peak = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(hook)}` }
  const least = await finished(start(['--dry-run', 'large'], peak))
  const again = await finished(start(['large'], peak))
  expect([again.status, needs('large')]).toEqual([0, false])
  expect(statSync(at('large')).size).toBe(before.length)
  let length = 0
  for await (const piece of notes.decryptStream(new Blob([readFileSync(at('large'))])))
    length += piece.length
  expect(length).toBe(size)
  expect(readdirSync(home).filter((name) => name.includes('rewrap'))).toEqual([])
  const [idle, busy] = [least, again].map(({ stderr }) => Number(/peak (\d+)/.exec(stderr)![1]))
  // KiB. The file is three times as large as what the run may take more than one that only looks at it.
  expect(busy! - idle!).toBeLessThan((64 * MEBIBYTE) / 1024)
}, 120_000)
