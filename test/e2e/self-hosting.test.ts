/** The relay as `npm run selfhost` makes it: plain workerd on one machine, without Node and miniflare. */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { backup, DatabaseSync } from 'node:sqlite'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createKeyring, initTenant, openDeriver, type Deriver } from '../../deriver/index.ts'
import { makeConfig } from '../../selfhost/config.ts'
import { writeClientFiles } from '../lib/client-files.ts'
import { hasNginx, startNginx } from '../lib/nginx.ts'
import { buildRelay, serve, type Served } from '../lib/workerd.ts'

const run = promisify(execFile)
const root = new URL('../..', import.meta.url).pathname
const now = (): number => Math.floor(Date.now() / 1000)

let directory: string
let out: string
/** The one that runs. */
let relay: Served | undefined

function databases(data: string): string[] {
  return readdirSync(data, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.sqlite'))
    .map((name) => join(data, name))
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  out = join(directory, 'relay')
  await buildRelay(out)
})
afterAll(async () => {
  await relay?.end('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
})

describe('the directory', () => {
  it('holds all that is needed, and no secret', () => {
    const names = readdirSync(out)
    for (const name of ['workerd', 'index.js', 'relay.capnp', 'keyferry-relay.service'])
      expect(names).toContain(name)
    expect(readFileSync(join(out, 'relay.capnp'), 'utf8')).not.toContain('invite')
    const pages = ['self-hosting.md', 'cluster.md'].map((name) =>
      readFileSync(join(out, name), 'utf8'),
    )
    const links = pages.flatMap((page) => [...page.matchAll(/\]\(([^):#]+)\)/g)])
    expect(links.map(([, path]) => path).filter((path) => !names.includes(path!))).toEqual([])
    expect(links).not.toEqual([])
  })

  it('is replaced as a whole by a newer build, and nothing else is', async () => {
    const other = join(directory, 'other')
    mkdirSync(join(other, 'photos'), { recursive: true })
    const build = (...args: string[]) =>
      run(process.execPath, ['selfhost/build.ts', ...args], { cwd: root })
    await expect(build('--out', other)).rejects.toMatchObject({ code: 1 })
    expect(existsSync(join(other, 'photos'))).toBe(true)
    await expect(build()).rejects.toMatchObject({ code: 2 })
    await expect(build('--uot', other)).rejects.toMatchObject({ code: 2 })
    expect((await build('--help')).stdout).toContain('example:')
    await build('--out', out)
    expect(existsSync(`${out}.part`)).toBe(false)
    expect(existsSync(`${out}.old`)).toBe(false)
  })

  it('has a unit that systemd understands', async () => {
    const unit = readFileSync(join(out, 'keyferry-relay.service'), 'utf8')
    expect(unit).toMatch(/^LimitNOFILE=65536$/m)
    expect(unit).toMatch(/^StateDirectory=keyferry-relay$/m)
    expect(unit).toContain(
      'ExecStart=/opt/keyferry-relay/workerd serve /opt/keyferry-relay/relay.capnp',
    )
  })

  it('a name in the Worker’s declaration cannot become part of the configuration', () => {
    const config = makeConfig({
      compatibilityDate: '2026-10-20"',
      compatibilityFlags: ['a", "b'],
      objects: [{ name: 'X")', className: 'Tenant' }],
      modules: ['index.js'],
    })
    expect(config).toContain('"2026-10-20\\""')
    expect(config).toContain('"a\\", \\"b"')
    expect(config).toContain('"X\\")"')
  })

  it('a cluster has its bucket in the configuration, and its key in no file of the build', async () => {
    const shape = { compatibilityDate: '', compatibilityFlags: [], objects: [], modules: [] }
    expect(makeConfig(shape)).not.toContain('cluster')
    expect(makeConfig(shape, { bucket: 's3://b/"' })).toContain(
      'cluster = (bucket = "s3://b/\\"", key = embed "/cluster.key")',
    )
    const args = ['selfhost/build.ts', '--out', join(directory, 'none'), '--cluster', 's3://b/../c']
    await expect(run(process.execPath, args, { cwd: root })).rejects.toMatchObject({ code: 2 })
    expect(existsSync(join(directory, 'none'))).toBe(false)
  })
})

/** Copies the databases while the relay runs, as docs/self-hosting.md does; returns the hashes of what is stored. */
async function copyDatabases(data: string, copy: string): Promise<string[]> {
  const hashes: string[] = []
  for (const file of databases(data)) {
    const target = join(copy, file.slice(data.length))
    mkdirSync(join(target, '..'), { recursive: true })
    const source = new DatabaseSync(file, { readOnly: true })
    await backup(source, target)
    source.close()
    const copied = new DatabaseSync(target)
    expect(copied.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' })
    const { tables } = copied
      .prepare("SELECT count(*) AS tables FROM sqlite_schema WHERE name = 'objects'")
      .get() as { tables: number }
    // Not a tenant's.
    if (tables === 0) continue
    const rows = copied.prepare('SELECT lower(hex(hash)) AS hash FROM objects ORDER BY hash').all()
    hashes.push(...rows.map(({ hash }) => String(hash)))
    copied.close()
  }
  return hashes
}

describe('a relay on one machine', () => {
  let data: string
  let tenant: string
  let proxy: Awaited<ReturnType<typeof startNginx>> | undefined
  /** Where clients and derivers find it: behind nginx where that is installed. */
  let address: string
  let deriver: Deriver
  let running: Promise<void>
  const stop = new AbortController()

  beforeAll(async () => {
    data = join(directory, 'data')
    relay = await serve(out, data)
    proxy = hasNginx ? await startNginx(directory, relay.port) : undefined
    address = proxy?.url ?? relay.url
    tenant = join(directory, 'tenant')
    const options = {
      organization: 'Acme',
      domain: 'acme.example',
      relays: [address],
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
  })
  afterAll(async () => {
    stop.abort()
    await running
    deriver?.close()
    await proxy?.stop()
  })

  /** A new client: all that it has comes through the relay now. */
  async function note(): Promise<string> {
    rmSync(join(directory, 'keyferry-state.json'), { force: true })
    await writeClientFiles(directory, tenant, deriver)
    const example = join(root, 'examples/client.ts')
    return (await run(process.execPath, [example], { cwd: directory, timeout: 45_000 })).stdout
  }

  it('delivers, and logs one line of JSON at a time', async () => {
    expect((await fetch(`${address}/healthz`)).status).toBe(200)
    expect(await note()).toBe('Hello\n')
    for (const line of relay!.log) expect(() => JSON.parse(line) as unknown).not.toThrow()
  })

  it('keeps what it acknowledged through kill -9, and goes on from a copy made while it ran', async () => {
    const copy = join(directory, 'copy')
    const stored = await copyDatabases(data, copy)
    expect(stored.length).toBeGreaterThan(5)
    await relay!.end('SIGKILL')
    relay = await serve(out, data, { port: relay!.port })
    const after = await copyDatabases(data, join(directory, 'second'))
    expect(after).toEqual(expect.arrayContaining(stored))
    expect(await note()).toBe('Hello\n')
    await relay.end('SIGKILL')
    // Older than what derivers pushed since: they notice, and bring it up to date.
    relay = await serve(out, copy, { port: relay.port })
    expect(await note()).toBe('Hello\n')
  })

  it.skipIf(!hasNginx)('answers under no other name', async () => {
    const { port } = new URL(address)
    const status = await new Promise((resolve, reject) => {
      const headers = { host: 'evil.example' }
      const asked = get({ host: '127.0.0.1', port, path: '/healthz', headers }, (answer) => {
        answer.resume()
        resolve(answer.statusCode)
      })
      asked.on('error', reject)
    })
    expect(status).toBe(421)
  })

  it.skipIf(!hasNginx)('is braked by nginx, as the page has it', async () => {
    const asked = Array.from({ length: 200 }, () => fetch(`${address}/healthz`))
    const statuses = new Set((await Promise.all(asked)).map(({ status }) => status))
    expect([...statuses].toSorted((a, b) => a - b)).toEqual([200, 429])
  })
})
