/** `keyferry run` with settings in a file: console, metrics and a log of JSON; the examples of docs/console.md against it; and the unit for systemd. */
import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { issueClient } from '../../deriver/ca.ts'
import { createKeyring } from '../../deriver/index.ts'
import { readCa } from '../../deriver/key-files.ts'
import { openStore, storePath } from '../../deriver/store.ts'
import { createCsr } from '../../shared/csr.ts'
import { generateSigningKey } from '../../shared/signature.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { runCommand } from '../lib/in-process.ts'
import { keyferryIn, type Result } from '../lib/cli.ts'
import { initAcme } from '../lib/init-acme.ts'
import { spawnRun, until, type DeriverProcess } from '../lib/processes.ts'

const page = readFileSync(new URL('../../docs/console.md', import.meta.url), 'utf8')
const blocks = [...page.matchAll(/^```sh\n([^`]*)```$/gm)].map(([, code]) => code!)
const cli = fileURLToPath(new URL('../../deriver/cli.ts', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
const tenant = join(directory, 'tenant')
const keyferry = keyferryIn(tenant)
const settings = join(tenant, 'keyferry.json')
const now = (): number => Math.floor(Date.now() / 1000)
let deriver: DeriverProcess

/** Runs a block of the page. */
function run(code: string, environment: Record<string, string> = {}): Promise<Result> {
  const path = `${directory}${delimiter}${process.env['PATH']}`
  const env = { ...process.env, KEYFERRY_DIR: tenant, PATH: path, ...environment }
  return new Promise((resolve) => {
    const child = execFile('sh', ['-ec', code], { env }, (_error, stdout, stderr) =>
      resolve({ status: child.exitCode ?? -1, stdout, stderr }),
    )
  })
}

const said = (name: string): string | undefined =>
  deriver.events.flatMap((line) => (typeof line[name] === 'string' ? [line[name]] : []))[0]

beforeAll(async () => {
  const command = join(directory, 'keyferry')
  writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${cli}' "$@"\n`)
  chmodSync(command, 0o755)
  await initAcme(tenant, ['http://127.0.0.1:9'])
  const store = openStore(storePath(tenant))
  createKeyring(store, { name: 'notes', rules: ['keyferry://client.acme.example/*'] }, now())
  const csr = await createCsr(await generateSigningKey('ES256', false), 'ada')
  const uri = 'keyferry://client.acme.example/ada'
  await issueClient(store, await readCa(tenant, 'ca-client', null), csr, uri, now())
  store.close()
})

afterAll(async () => {
  await deriver?.kill()
  rmSync(directory, { recursive: true, force: true })
})

describe('settings', () => {
  it('that are wrong are all said at once, and nothing is started', async () => {
    writeFileSync(settings, JSON.stringify({ heartbeat: 'soon', colour: 'blue' }))
    const check = await runCommand(tenant, 'config check', { json: true })
    expect(check.status).toBe(1)
    const { problems } = JSON.parse(check.stdout) as { problems: { path: string }[] }
    expect(problems.map(({ path }) => path)).toEqual([
      `${settings}: heartbeat`,
      `${settings}: colour`,
    ])
    const started = await keyferry('run', '--once', '--lease', 'x')
    expect([started.status, started.stdout]).toEqual([2, ''])
    for (const part of ['heartbeat', 'colour', '--lease', 'ERR_CONFIG', 'config check'])
      expect(started.stderr).toContain(part)
  })

  it('in the file serve console and metrics, and print lines of JSON', async () => {
    writeFileSync(settings, JSON.stringify({ console: 0, metrics: '127.0.0.1:0', log: 'json' }))
    deriver = spawnRun(tenant)
    await until(() => said('tenant'), 'the deriver')
    const health = await fetch(`${said('metrics')}health`)
    // Its only relay does not answer.
    await until(() => deriver.events.some(({ event }) => event === 'relay-error'), 'the relay')
    expect(health.status).toBe(503)
    expect(await (await fetch(`${said('metrics')}metrics`)).text()).toContain('keyferry_up 1')
    const level = deriver.events.find(({ event }) => event === 'relay-error')
    expect(level).toMatchObject({ level: 'warn', code: 'ERR_RELAY' })
    // No link is in what logs keep.
    expect(JSON.stringify(deriver.events)).not.toContain('login=')
  })
})

describe('docs/console.md', () => {
  it('the API', async () => {
    const { status, stdout, stderr } = await run(blocks[2]!, {
      CONSOLE: said('console')!.slice(0, -1),
    })
    expect(status, stderr).toBe(0)
    const answers = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(answers.map((one) => Object.keys(one).toSorted().slice(0, 2).join())).toEqual([
      'alarms,bound',
      'entries,size',
      'name,version',
      'at,name',
      'certificates,foreign',
    ])
    expect(answers[4]).toMatchObject({ certificates: 1, keys: 1, isPreview: true })
    const list = await runCommand(tenant, 'console list', { json: true })
    const access = JSON.parse(list.stdout) as { kind: string; name: string }[]
    expect(access.map(({ kind, name }) => `${kind} ${name}`).toSorted()).toEqual([
      'reader graphs',
      'token monitoring',
    ])
    // Of looking there is no note.
    const { stdout: lines } = await runCommand(tenant, 'console list')
    expect(lines).toMatch(/ reader {2}graphs .* no action yet /)
    expect((await runCommand(tenant, 'console revoke', {}, 'graphs')).stdout).toBe('1 ended\n')
    await expectCode(runCommand(tenant, 'console revoke', {}, 'graphs'), 'ERR_NOT_FOUND')
  })

  it('a link leads to the console that runs', async () => {
    const { stdout } = await runCommand(tenant, 'console link', { name: 'ada' })
    expect(stdout.trim()).toMatch(new RegExp(`^${said('console')}#login=[\\w-]{43}$`))
    await expectCode(
      runCommand(tenant, 'console link', { url: 'http://evil.example' }),
      'ERR_USAGE',
    )
  })

  it('Start it, beside the one that runs', async () => {
    expect(blocks[0]).toBe('keyferry console --listen 7070\n')
    const args = [cli, 'console', '--listen', '0', '--dir', tenant]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = once(child, 'exit')
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    expect(line.toString()).toMatch(/^open http:\/\/127\.0\.0\.1:\d+\/#login=[\w-]{43}\n$/)
    child.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
  })

  it('Behind your own proxy, the link is the one that people open', async () => {
    const [, , , ...options] = blocks[1]!.trim().split(' ')
    expect(blocks[1]).toMatch(/^keyferry run --console 7070 --console-url \S+\n$/)
    const { stdout } = await runCommand(tenant, 'console link', {
      name: 'kim',
      url: options.at(-1)!,
    })
    expect(stdout).toMatch(/^https:\/\/keys\.acme\.example\/console\/#login=[\w-]{43}\n$/)
  })

  it('has three blocks, and a test for each', () => expect(blocks.length).toBe(3))
})

it('another service over the store of one that runs does nothing', async () => {
  await expectCode(runCommand(tenant, 'run', { once: true }), 'ERR_LEASE')
  const { stdout } = await runCommand(tenant, 'status')
  expect(stdout).toMatch(/run by deriver-1, process \d+ on .*\(fence 1\)/)
})

describe('the unit', () => {
  const file = fileURLToPath(new URL('../../selfhost/keyferry-deriver.service', import.meta.url))
  const unit = readFileSync(file, 'utf8')
  const hasSystemd = spawnSync('systemd-analyze', ['--version']).status === 0

  it('keeps the deriver in a sandbox, and its memory off every disk', () => {
    for (const line of [
      'LimitCORE=0',
      'NoNewPrivileges=yes',
      'CapabilityBoundingSet=',
      'ProtectSystem=strict',
      'UMask=0077',
    ])
      expect(unit.split('\n')).toContain(line)
    const lines = unit.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    expect(lines.filter((line) => !/^(\[[A-Z]\w+\]|[A-Z]\w+=.*)$/.test(line))).toEqual([])
    expect(unit).not.toMatch(/PASSPHRASE=|--invite/)
  })

  it.skipIf(!hasSystemd)('is what systemd understands', () => {
    // Its programs are not on this machine, and nothing else may be wrong.
    const copy = join(directory, 'keyferry-deriver.service')
    writeFileSync(
      copy,
      unit.replace('/opt/keyferry/node /opt/keyferry/deriver/bin.js', `${process.execPath} ${cli}`),
    )
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', copy], {
      encoding: 'utf8',
    })
    expect(stderr.split('\n').filter((line) => line.includes('keyferry-deriver'))).toEqual([])
    expect(status).toBe(0)
  })
})
