/** Between a tenant and its relay stands a proxy that takes no WebSocket: the client waits by calls, the deriver looks at its mailbox now and then. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import {
  createKeyring,
  openDeriver,
  rotateKeyring,
  type ServiceEvent,
} from '../../deriver/index.ts'
import { connect } from '../../web/index.ts'
import { createFileStore, identityFromPem } from '../../web/node.ts'
import { writeClientFiles } from '../lib/client-files.ts'
import { initAcme } from '../lib/init-acme.ts'
import { spawnRelay } from '../lib/processes.ts'

const now = (): number => Math.floor(Date.now() / 1000)

/** Passes calls on as they are, and knows no upgrade. */
async function startProxy(relay: string): Promise<string> {
  const { hostname, port } = new URL(relay)
  const server = createServer((incoming, outgoing) => {
    const { method = 'GET', url = '/', headers } = incoming
    if (headers.upgrade !== undefined) return void outgoing.writeHead(501).end()
    const onward = request({ hostname, port, path: url, method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(outgoing)
    })
    onward.once('error', () => outgoing.destroy())
    outgoing.once('close', () => onward.destroy())
    incoming.pipe(onward)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  )
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

it('a proxy that takes no socket: requests are answered, and rotations arrive', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const relay = await spawnRelay(join(directory, 'relay'), 'invite')
  onTestFinished(() => relay.stop())
  const proxy = await startProxy(relay.url)
  const tenant = join(directory, 'tenant')
  await initAcme(tenant, [proxy])
  const events: ServiceEvent[] = []
  const deriver = await openDeriver({
    directory: tenant,
    passphrase: null,
    invite: 'invite',
    report: (event) => events.push(event),
  })
  createKeyring(
    deriver.store,
    { name: 'notes', rules: ['keyferry://client.acme.example/*'] },
    now(),
  )
  const stop = new AbortController()
  const running = deriver.run(stop.signal)
  onTestFinished(async () => {
    stop.abort()
    await running
    deriver.close()
  })
  const socket = new WebSocket(`${proxy.replace('http', 'ws')}/v1/${deriver.tenant}/events`)
  await expect(
    new Promise((resolve) => {
      socket.addEventListener('open', () => resolve('open'))
      socket.addEventListener('error', () => resolve('refused'))
    }),
  ).resolves.toBe('refused')

  const home = join(directory, 'client')
  mkdirSync(home)
  await expect
    .poll(() => events.some(({ type }) => type === 'head'), { timeout: 20_000 })
    .toBe(true)
  await writeClientFiles(home, tenant, deriver)
  const read = (name: string): string => readFileSync(join(home, name), 'utf8')
  const client = await connect({
    config: JSON.parse(read('keyferry.json')),
    identity: await identityFromPem(read('me.key'), read('me.pem')),
    store: createFileStore(join(home, 'state.json')),
  })
  onTestFinished(() => client.close())
  // The relay tells nobody: the deriver finds the request by itself.
  const notes = await client.keyring('notes')
  expect(notes.version).toBe(1)
  rotateKeyring(deriver.store, 'notes', now())
  await expect.poll(() => notes.version, { timeout: 40_000 }).toBe(2)
  expect(events.filter(({ type }) => type === 'relay-error')).toEqual([])
}, 90_000)
