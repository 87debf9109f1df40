/** A deriver whose keys are in an HSM, with a real relay and a real client: at work, without its HSM, on its way to another root, with an imported key. */
import { mkdirSync, mkdtempSync, rmSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  createKeyring,
  openDeriver,
  rotateKeyring,
  type Deriver,
  type ServiceEvent,
} from '../../deriver/index.ts'
import { importKey } from '../../deriver/import-key.ts'
import { openRoots } from '../../deriver/roots.ts'
import { utf8 } from '../../shared/bytes.ts'
import { connect, type Keyferry } from '../../web/index.ts'
import { createFileStore, identityFromPem } from '../../web/node.ts'
import { spawnKeyferryIn } from '../lib/cli.ts'
import { writeClientFiles } from '../lib/client-files.ts'
import { initAcme } from '../lib/init-acme.ts'
import { spawnRelay, type RelayProcess } from '../lib/processes.ts'
import { hsmAbsent, makeSoftHsm, type SoftHsm } from '../lib/softhsm.ts'

const now = (): number => Math.floor(Date.now() / 1000)

describe.skipIf(hsmAbsent !== null)('a deriver with an HSM', () => {
  let directory: string
  let tenant: string
  let hsm: SoftHsm
  let relay: RelayProcess
  let deriver: Deriver
  let running: Promise<void>
  let client: Keyferry
  const stop = new AbortController()
  const events: ServiceEvent[] = []
  const rules = ['keyferry://client.acme.example/*']
  const seen = (what: (event: ServiceEvent) => boolean) =>
    expect.poll(() => events.some(what), { timeout: 40_000, interval: 100 }).toBe(true)
  const headAfter = async (work: () => unknown): Promise<void> => {
    const from = events.length
    await work()
    await expect
      .poll(() => events.slice(from).some((event) => event.type === 'head'), {
        timeout: 40_000,
        interval: 100,
      })
      .toBe(true)
  }

  const open = async (home: string): Promise<Keyferry> => {
    const read = (name: string): string => readFileSync(join(home, name), 'utf8')
    return connect({
      config: JSON.parse(read('keyferry.json')),
      identity: await identityFromPem(read('me.key'), read('me.pem')),
      store: createFileStore(join(home, 'state.json')),
    })
  }

  beforeAll(async () => {
    hsm = makeSoftHsm()
    directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
    tenant = join(directory, 'tenant')
    const home = join(directory, 'client')
    mkdirSync(home)
    relay = await spawnRelay(join(directory, 'relay'), 'invite')
    await initAcme(tenant, [relay.url], { root: hsm.place('master') })
    deriver = await openDeriver({
      directory: tenant,
      passphrase: null,
      invite: 'invite',
      report: (event) => events.push(event),
    })
    createKeyring(deriver.store, { name: 'notes', rules }, now())
    // A further root to move to, and an imported key.
    const cli = spawnKeyferryIn(tenant)
    expect(await cli('root', 'add', 'second', 'file:second', '--generate')).toMatchObject({
      status: 0,
    })
    const { root } = await openRoots(deriver.store, deriver.tenant, {
      directory: tenant,
      passphrase: null,
    })
    for (const by of ['alice', 'bob']) {
      const bytes = utf8('a key made elsewhere')
      await importKey(
        deriver.store,
        { root, tenant: deriver.tenant },
        { name: 'archive', rules, bytes, by },
        now(),
      )
    }
    running = deriver.run(stop.signal)
    await writeClientFiles(home, tenant, deriver)
    client = await open(home)
  }, 120_000)
  afterAll(async () => {
    client?.close()
    stop.abort()
    await running
    deriver?.close()
    await relay?.stop()
    rmSync(directory, { recursive: true, force: true })
    hsm.remove()
  })

  const messages: Uint8Array[] = []
  const write = async (name: string): Promise<void> => {
    messages.push(await (await client.keyring(name)).encrypt(`message ${messages.length}`))
  }
  const readAll = async (name: string): Promise<string[]> => {
    const ring = await client.keyring(name)
    return Promise.all(messages.map((message) => ring.decrypt(message, { as: 'text' })))
  }

  it('delivers keys that were derived in the HSM, in heads that were signed there', async () => {
    await write('notes')
    expect(await readAll('notes')).toEqual(['message 0'])
    const { stdout } = await spawnKeyferryIn(tenant)('status', '--json')
    expect(JSON.parse(stdout)).toMatchObject({
      roots: [
        { name: 'main', place: hsm.place('master'), isPresent: true, versions: 2, devices: 1 },
        { name: 'second', isPresent: false, versions: 0 },
      ],
    })
  })

  it('goes on without its HSM, says so, and recovers when it is back', async () => {
    hsm.unplug()
    rotateKeyring(deriver.store, 'notes', now())
    await seen(
      (event) => event.type === 'root' && event.state === 'away' && event.code === 'ERR_ROOT',
    )
    await seen((event) => event.type === 'alarm' && event.what === 'the root of trust')
    expect(await readAll('notes')).toEqual(['message 0'])
    // Who asks meanwhile waits in the mailbox, and is not dropped.
    const home = join(directory, 'other')
    mkdirSync(home)
    await writeClientFiles(home, tenant, deriver)
    const other = await open(home)
    const granted = other.keyring('notes').then((ring) => ring.encrypt('of another'))
    const { status, stderr } = await spawnKeyferryIn(tenant)('root', 'check', 'main')
    expect([status, stderr.includes('ERR_ROOT'), stderr.includes('hint:')]).toEqual([3, true, true])
    await headAfter(() => hsm.plug())
    await seen((event) => event.type === 'root' && event.state === 'back')
    const message = await granted
    other.close()
    expect(events.some((event) => event.type === 'invalid-request')).toBe(false)
    await write('notes')
    expect(await readAll('notes')).toEqual(['message 0', 'message 1'])
    expect(await (await client.keyring('notes')).decrypt(message, { as: 'text' })).toBe(
      'of another',
    )
  }, 120_000)

  it('moves to another root while old messages stay readable', async () => {
    await headAfter(() => spawnKeyferryIn(tenant)('root', 'use', 'second'))
    await expect
      .poll(
        async () =>
          JSON.parse((await spawnKeyferryIn(tenant)('root', 'list', '--json')).stdout)[1]
            .generations,
        { timeout: 20_000 },
      )
      .toBe(2)
    await write('notes')
    expect(await readAll('notes')).toEqual(['message 0', 'message 1', 'message 2'])
    const refused = await spawnKeyferryIn(tenant)('root', 'remove', 'main')
    expect([refused.status, refused.stderr.includes('ERR_CONFLICT')]).toEqual([1, true])
  }, 60_000)

  it('delivers an imported key, and carries it on in a rotation', async () => {
    messages.length = 0
    await write('archive')
    await headAfter(() => rotateKeyring(deriver.store, 'archive', now()))
    await write('archive')
    expect(await readAll('archive')).toEqual(['message 0', 'message 1'])
  }, 60_000)
})
