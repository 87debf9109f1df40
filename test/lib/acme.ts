/** Acme for tests of what apps do: a relay in its own process, a deriver that runs, a keyring "notes", and clients by file or by enrolment. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  appConfig,
  createKeyring,
  openClientCa,
  openDeriver,
  type Deriver,
} from '../../deriver/index.ts'
import { createEnrolment, toListener } from '../../web/enrolment/index.ts'
import { type AppConfigJson } from '../../web/index.ts'
import { initAcme } from './init-acme.ts'
import { spawnRelay, type RelayProcess } from './processes.ts'

export interface Acme {
  /** Temporary; the tenant's own directory is `keyferry` in it. */
  directory: string
  relay: RelayProcess
  deriver: Deriver
  config: AppConfigJson
  /** The enrolment for one user, who is known by the cookie `session=42`. */
  enrolment: ReturnType<typeof toListener>
  close(): Promise<void>
}

const now = (): number => Math.floor(Date.now() / 1000)

/** Starts it all; pages come from `origins`. */
export async function startAcme(
  origins: string[],
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-')),
): Promise<Acme> {
  const relay = await spawnRelay(join(directory, 'relay'), 'invite')
  const tenant = join(directory, 'keyferry')
  await initAcme(tenant, [relay.url], { origins })
  const deriver = await openDeriver({ directory: tenant, passphrase: null, invite: 'invite' })
  const rules = ['keyferry://client.acme.example/*']
  createKeyring(deriver.store, { name: 'notes', rules }, now())
  const ca = await openClientCa({ directory: tenant, passphrase: null })
  const enrolment = createEnrolment({
    ca,
    session: ({ headers }) =>
      headers.get('cookie') === 'session=42'
        ? { id: 'session 42', uri: 'keyferry://client.acme.example/kim' }
        : null,
    secret: new Uint8Array(randomBytes(32)),
    origins: origins.length > 0 ? origins : ['https://app.acme.example'],
  })
  const stop = new AbortController()
  const running = deriver.run(stop.signal)
  return {
    directory,
    relay,
    deriver,
    config: await appConfig(deriver.store),
    enrolment: toListener(enrolment),
    async close() {
      stop.abort()
      await running
      deriver.close()
      ca.close()
      await relay.stop()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
