/**
 * A relay that lost everything is made again out of a deriver with many large keyrings: `keyferry rebuild` as a process, to a relay of its own. Not part of a whole run: it
 * takes minutes and gigabytes.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { issueClient } from '../../deriver/ca.ts'
import { saveDevice, type DeviceRow } from '../../deriver/devices.ts'
import { createKeyring } from '../../deriver/keyrings.ts'
import { emptyLog } from '../../deriver/log.ts'
import { renewGeneration } from '../../deriver/members.ts'
import { putObject } from '../../deriver/objects.ts'
import { publish } from '../../deriver/publish.ts'
import { random } from '../../deriver/random.ts'
import { storePath } from '../../deriver/store.ts'
import { encodeBatch } from '../../shared/deriver-calls.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { createCsr } from '../../shared/csr.ts'
import { sha256 } from '../../shared/hash.ts'
import { generateSigningKey, keyId } from '../../shared/signature.ts'
import { spawnRelay } from '../lib/processes.ts'
import { makeTenant, type TestTenant } from '../lib/tenant.ts'
import { type Line } from './measure.ts'

/** Bytes of an X-Wing welcome. */
const WELCOME = 1_216
/** Milliseconds between two looks at the process. */
const LOOK = 50
/** Ticks of a second in /proc. */
const TICKS = 100

const cli = new URL('../../deriver/cli.ts', import.meta.url).pathname

/** Each of `devices` is a member of each of `keyrings`. They have certificates; their packages and welcomes are random bytes, since nobody opens them. */
async function largeTenant(keyrings: number, devices: number): Promise<TestTenant> {
  const now = Math.floor(Date.now() / 1000)
  const tenant = await makeTenant({ now })
  const { store, keys, trust } = tenant
  // Making it is not measured, and a machine that fails ends the bench anyway.
  for (const schema of ['main', 'ca']) store.run(`PRAGMA ${schema}.synchronous = OFF`)
  const ids: Bytes[] = []
  const issuer = await keyId(tenant.clients.key.spki)
  const rows: DeviceRow[] = []
  for (let i = 0; i < devices; i++) {
    const key = await generateSigningKey('ES256', false)
    const uri = `keyferry://client.acme.example/${i}`
    const csr = await createCsr(key, String(i))
    const certificate = await issueClient(store, tenant.clients, csr, uri, now)
    rows.push({
      key_id: await keyId(key.spki),
      uri,
      fingerprint: sha256(certificate),
      certificates: encodeBatch([certificate]),
      issuers: issuer,
      package_hash: random(32),
      suite: 'MLKEM768-X25519',
      expires: now + 30 * 86_400,
      channel_salt: random(32),
      channel_id: random(32),
      welcome_hash: random(32),
      root: 1,
      public_key: random(32),
    })
  }
  store.transaction(() => {
    for (const row of rows) {
      saveDevice(store, { ...row, welcome_hash: putObject(store, random(WELCOME)) })
      ids.push(row.key_id)
    }
  })
  for (let i = 0; i < keyrings; i++) {
    const { id } = createKeyring(store, { name: `ring-${i}`, rules: trust.body.clients.sans }, now)
    const on = { root: keys.root, tenant: trust.tenant }
    store.transaction(() => {
      for (const [slot, device] of ids.entries())
        store.run('INSERT INTO members VALUES (?, ?, ?, ?)', id, slot, device, new Uint8Array(136))
      renewGeneration(store, on, id, now, () => true)
    })
    await publish(store, keys, trust, emptyLog(), now, 3_600)
  }
  return tenant
}

interface Spent {
  status: number | null
  stderr: string
  wall: number
  cpu: number
  peak: number
}

/** Runs the command line; CPU milliseconds and peak bytes are those of the last look at its process. */
async function measured(args: readonly string[]): Promise<Spent> {
  const began = performance.now()
  const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  const spent: Spent = { status: null, stderr: '', wall: 0, cpu: 0, peak: 0 }
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    spent.stderr += text
    process.stderr.write(text)
  })
  const look = (): void => {
    try {
      const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
      const peak = Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0)
      if (peak === 0) return
      spent.cpu = ((Number(fields[11]) + Number(fields[12])) * 1_000) / TICKS
      spent.peak = 1_024 * peak
    } catch {
      // It has ended.
    }
  }
  const timer = setInterval(look, LOOK)
  spent.status = await new Promise((resolve) => child.once('close', resolve))
  clearInterval(timer)
  spent.wall = performance.now() - began
  return spent
}

/** The whole of it, beside a tenth of the keyrings: what grows with them, and what does not. */
export async function benchRebuild(keyrings: number, devices: number): Promise<Line[]> {
  const lines: Line[] = []
  let base: Spent | undefined
  for (const count of [Math.ceil(keyrings / 10), keyrings]) {
    const directory = mkdtempSync(join(tmpdir(), 'keyferry-bench-'))
    const began = performance.now()
    const tenant = await largeTenant(count, devices)
    const { bytes, objects } = tenant.store.get<{ bytes: number; objects: number }>(
      'SELECT sum(length(body)) AS bytes, count(*) AS objects FROM objects',
    )!
    tenant.store.run('PRAGMA wal_checkpoint(TRUNCATE)')
    const disk = statSync(storePath(tenant.directory)).size
    process.stderr.write(
      `${count} × ${devices}: made in ${((performance.now() - began) / 1_000).toFixed(0)} s, ${objects} objects of ${(bytes / 1e6).toFixed(0)} MB, database ${(disk / 1e6).toFixed(0)} MB\n`,
    )
    const relay = await spawnRelay(join(directory, 'relay'), 'bench')
    let spent: Spent
    const members = (): unknown => tenant.store.get('SELECT count(*) AS n FROM members')
    const before = members()
    try {
      const args = ['rebuild', relay.url, '--invite', 'bench', '--dir', tenant.directory]
      spent = await measured(args)
      if (spent.status !== 0) throw new Error(`rebuild ended with ${spent.status}: ${spent.stderr}`)
      if (!isDeepStrictEqual(members(), before)) throw new Error('rebuilding changed the members')
    } finally {
      await relay.stop()
      tenant.remove()
      rmSync(directory, { recursive: true, force: true })
    }
    base ??= spent
    const what = `${count} keyrings × ${devices} members`
    const against = `${Math.ceil(keyrings / 10)} keyrings`
    lines.push(
      {
        name: `rebuild ${what}, CPU per membership`,
        milliseconds: spent.cpu / (count * devices),
        ratio: spent.cpu / base.cpu,
        against: `all of ${against}`,
      },
      {
        name: `rebuild ${what}, from start to end`,
        milliseconds: spent.wall,
        ratio: spent.wall / base.wall,
        against,
      },
      {
        name: `rebuild ${what}, most memory`,
        bytes: spent.peak,
        ratio: spent.peak / base.peak,
        against,
      },
    )
  }
  return lines
}
