/** A deriver whose master secret is behind a key service (of our own, see kms-server.ts), with a real relay and a real client. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { createKeyring, initTenant, openDeriver, type ServiceEvent } from '../../deriver/index.ts'
import { connect } from '../../web/index.ts'
import { createFileStore, identityFromPem } from '../../web/node.ts'
import { writeClientFiles } from '../lib/client-files.ts'
import { codeOf } from '../lib/deriver.ts'
import { startKmsServer, VAULT_TOKEN, type Mood } from '../lib/kms-server.ts'
import { spawnRelay } from '../lib/processes.ts'

const now = (): number => Math.floor(Date.now() / 1000)
const away: Mood = (response) => response.writeHead(503).end('{"errors":["sealed"]}')

it('a request that comes while the key service is away stays in the mailbox', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const server = await startKmsServer(Buffer.alloc(32, 7))
  onTestFinished(() => server.close())
  process.env['VAULT_TOKEN'] = VAULT_TOKEN
  onTestFinished(() => void delete process.env['VAULT_TOKEN'])
  const relay = await spawnRelay(join(directory, 'relay'), 'invite')
  onTestFinished(() => relay.stop())
  const tenant = join(directory, 'tenant')
  await initTenant({
    directory: tenant,
    organization: 'Acme',
    domain: 'acme.example',
    relays: [relay.url],
    origins: [],
    passphrase: null,
    root: `vault:keyferry?address=${server.url}`,
    now: now(),
  })
  const events: ServiceEvent[] = []
  const report = (event: ServiceEvent): void => void events.push(event)
  const deriver = await openDeriver({
    directory: tenant,
    passphrase: null,
    invite: 'invite',
    report,
  })
  onTestFinished(() => deriver.close())
  createKeyring(
    deriver.store,
    { name: 'notes', rules: ['keyferry://client.acme.example/*'] },
    now(),
  )
  await deriver.step()

  const home = join(directory, 'client')
  mkdirSync(home)
  await writeClientFiles(home, tenant, deriver)
  const read = (name: string): string => readFileSync(join(home, name), 'utf8')
  const client = await connect({
    config: JSON.parse(read('keyferry.json')),
    identity: await identityFromPem(read('me.key'), read('me.pem')),
    store: createFileStore(join(home, 'state.json')),
  })
  onTestFinished(() => client.close())
  const granted = client.keyring('notes').then((ring) => ring.encrypt('text'))
  server.moods = Array.from({ length: 1_000 }, () => away)
  // Until the request is there.
  await expect.poll(() => codeOf(deriver.step()), { timeout: 30_000 }).toBe('ERR_ROOT')
  expect(await codeOf(deriver.step())).toBe('ERR_ROOT')
  server.moods = []
  await deriver.step()
  expect((await granted).length).toBeGreaterThan(100)
  expect(events.some((event) => event.type === 'invalid-request')).toBe(false)
  expect(events.some((event) => event.type === 'granted')).toBe(true)
  expect(server.problems).toEqual([])
})
