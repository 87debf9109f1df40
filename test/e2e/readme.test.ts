/** The README's client, run as it stands there. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createKeyring, initTenant, openDeriver, type Deriver } from '../../deriver/index.ts'
import { writeClientFiles } from '../lib/client-files.ts'
import { spawnRelay, type RelayProcess } from '../lib/processes.ts'

const example = new URL('../../examples/client.ts', import.meta.url).pathname
const now = (): number => Math.floor(Date.now() / 1000)

let directory: string
let relay: RelayProcess
let deriver: Deriver
let running: Promise<void>
const stop = new AbortController()

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  relay = await spawnRelay(join(directory, 'relay'), 'invite')
  const tenant = join(directory, 'tenant')
  const options = {
    organization: 'Acme',
    domain: 'acme.example',
    relays: [relay.url],
    origins: [],
    passphrase: null,
  }
  await initTenant({ directory: tenant, ...options, now: now() })
  deriver = await openDeriver({ directory: tenant, passphrase: null, invite: 'invite' })
  createKeyring(
    deriver.store,
    { name: 'notes', rules: ['keyferry://client.acme.example/*'] },
    now(),
  )
  running = deriver.run(stop.signal)
  await writeClientFiles(directory, tenant, deriver)
})
afterAll(async () => {
  stop.abort()
  await running
  deriver?.close()
  await relay?.stop()
  rmSync(directory, { recursive: true, force: true })
})

it('the README shows examples/client.ts, in 12 lines', () => {
  const source = readFileSync(example, 'utf8')
  expect(readFileSync(new URL('../../README.md', import.meta.url), 'utf8')).toContain(
    `\`\`\`ts\n${source}\`\`\``,
  )
  expect(source.split('\n').filter((line) => line !== '').length).toBeLessThanOrEqual(12)
})

it('it prints the decrypted note, twice: the second time from its stored state', async () => {
  for (let i = 0; i < 2; i++) {
    const { stdout } = await promisify(execFile)(process.execPath, [example], {
      cwd: directory,
      timeout: 30_000,
    })
    expect(stdout).toBe('Hello\n')
  }
})
