// Output that nobody reads, or that has no room: what the command does is done all the same.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, openSync, closeSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { latestHead } from '../../deriver/heads.ts'
import { openStore, storePath, type Store } from '../../deriver/store.ts'
import { initAcme } from '../lib/init-acme.ts'
import { until } from '../lib/processes.ts'

const cli = new URL('../../deriver/cli.ts', import.meta.url).pathname
let directory: string
let store: Store
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  await initAcme(directory, ['http://127.0.0.1:9'])
  store = openStore(storePath(directory))
})
afterEach(() => {
  store.close()
  rmSync(directory, { recursive: true })
})

/** Starts a command whose output goes into a pipe that nobody reads, or into a file. */
function start(args: string[], output?: number): { child: ChildProcess; errors: () => string } {
  const stdio = ['ignore', output ?? 'pipe', 'pipe'] as const
  const child = spawn(process.execPath, [cli, ...args, '--dir', directory], { stdio: [...stdio] })
  child.stdout?.destroy()
  let text = ''
  child.stderr!.on('data', (part: Buffer) => (text += part.toString()))
  return { child, errors: () => text }
}

async function ended(args: string[], output?: number): Promise<[number | null, string]> {
  const { child, errors } = start(args, output)
  await once(child, 'close')
  return [child.exitCode, errors()]
}

it('a closed pipe ends a command with its own status, without a word', async () => {
  const names = (): number => store.all('SELECT name FROM keyrings').length
  expect(await ended(['keyring', 'create', 'notes'])).toEqual([0, ''])
  expect(names()).toBe(1)
  expect(await ended(['keyring', 'list'])).toEqual([0, ''])
  expect(await ended(['status'])).toEqual([1, ''])
  expect(await ended(['keyring', '--help'])).toEqual([0, ''])
  expect(await ended(['keyring'])).toEqual([2, ''])
})

it('the service goes on, and stops when it is told to', async () => {
  const { child, errors } = start(['run'])
  await until(() => latestHead(store) !== undefined || child.exitCode !== null, 'a head')
  expect([child.exitCode, errors()]).toEqual([null, ''])
  child.kill('SIGTERM')
  await once(child, 'close')
  expect([child.exitCode, errors()]).toEqual([0, ''])
})

it.skipIf(!existsSync('/dev/full'))('a disk that is full is said, exit 3', async () => {
  const full = openSync('/dev/full', 'w')
  const [status, errors] = await ended(['keyring', 'list'], full)
  closeSync(full)
  expect(status).toBe(3)
  expect(errors).toMatch(/^keyferry: error: the output is lost: ENOSPC.* \(ERR_IO\)\n$/)
})
