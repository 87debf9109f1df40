/** What the README and docs/command-line.md show, run as it stands there: a tenant, a client of it, and the client on the command line. */
import { execFile } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { COMMANDS } from '../../deriver/commands/index.ts'
import { ROOT } from '../../tools/package/build.ts'
import { blocksOf } from '../lib/consumer.ts'
import { commandsIn } from '../lib/markdown.ts'
import {
  spawnDeriver,
  spawnRelay,
  type DeriverProcess,
  type RelayProcess,
} from '../lib/processes.ts'

const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
const commandLine = readFileSync(join(ROOT, 'docs/command-line.md'), 'utf8')
const example = join(ROOT, 'examples/client.ts')
const PASSPHRASE = 'correct horse'
const [tryIt, relayBlock, derive, client] = blocksOf(readme, 'sh')

let directory: string
let relay: RelayProcess
let deriver: DeriverProcess | undefined
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  relay = await spawnRelay(join(directory, 'relay'), 'CODE')
  for (const folder of ['bin', 'examples']) mkdirSync(join(directory, folder))
  writeFileSync(join(directory, 'examples/client.ts'), `await import('${example}')\n`)
  for (const [name, line] of [
    ['keyferry', `'${process.execPath}' '${join(ROOT, 'deriver/cli.ts')}'`],
    ['node', `'${process.execPath}'`],
  ]) {
    const file = join(directory, 'bin', name!)
    writeFileSync(file, `#!/bin/sh\nexec ${line} "$@"\n`)
    chmodSync(file, 0o755)
  }
})
afterAll(async () => {
  await deriver?.stop()
  await relay?.stop()
  rmSync(directory, { recursive: true, force: true })
})

/** Runs commands with the addresses and programs of this machine; returns what they printed. Throws with that where one fails. */
async function run(commands: string): Promise<string> {
  const here = commands
    .replaceAll('http://127.0.0.1:8787', relay.url)
    .replaceAll(/^alias .*$/gm, '')
    .replaceAll('node_modules/.bin/node', 'node')
  const env = {
    ...process.env,
    PATH: `${join(directory, 'bin')}${delimiter}${process.env['PATH']}`,
    KEYFERRY_PASSPHRASE: PASSPHRASE,
  }
  const options = { cwd: directory, env, timeout: 100_000 }
  // All of them share one socket as their output: none may shut it.
  const { stdout } = await promisify(execFile)('sh', ['-ec', here], options)
  return stdout
}

it('the README shows examples/client.ts, in 12 lines, and has at most 200', () => {
  const source = readFileSync(example, 'utf8')
  expect(blocksOf(readme, 'ts')[0]).toBe(source)
  expect(source.split('\n').filter((line) => line !== '').length).toBeLessThanOrEqual(12)
  expect(readme.trim().split('\n').length).toBeLessThanOrEqual(200)
})

it('the README’s own commands are those that are tried by hand, and others that are run below', () => {
  expect(tryIt!.split('\n').map((line) => line.split(' #')[0]!.trim())).toEqual([
    'npm ci && npm start',
    'npm ci && npm test',
    '',
  ])
  expect(relayBlock).toMatch(/^npm run dev -- --var INVITES:CODE /)
  expect(blocksOf(readme, 'sh')).toHaveLength(4)
})

it('a tenant is made, its deriver runs, and a client prints the decrypted note, twice: the second time from its stored state', async () => {
  const [service] = /^keyferry run .*\n/m.exec(derive!)!
  await run(derive!.replace(service, ''))
  const [words] = commandsIn(service)
  const file = join(directory, 'passphrase')
  writeFileSync(file, PASSPHRASE)
  deriver = spawnDeriver(join(directory, 'keyferry'), ...words!.slice(2), '--passphrase-file', file)
  expect(await run(client!)).toMatch(/Hello\n$/)
  expect(await run('node examples/client.ts')).toBe('Hello\n')
})

it('docs/command-line.md: the client on the command line', async () => {
  const [block, ...others] = blocksOf(commandLine, 'sh')
  expect(others).toEqual([])
  expect(await run(block!)).toContain('keyferry://client.acme.example/me')
  expect(readFileSync(join(directory, 'again.txt'), 'utf8')).toBe('Hello\n')
})

it('docs/command-line.md names all commands, each once', () => {
  const rows = commandLine.slice(commandLine.indexOf('\n## All commands')).split('\n')
  const named = rows.flatMap((row) =>
    [...(row.split('|')[2] ?? '').matchAll(/`([a-z -]+)`/g)].map(([, name]) => name!),
  )
  expect(named.toSorted()).toEqual(Object.keys(COMMANDS).toSorted())
})
