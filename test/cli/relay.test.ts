/** The operator's commands, and `fsck` by a tenant's own deriver, against a real relay. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { INVITE } from '../lib/calls.ts'
import { keyferryIn, spawnKeyferryIn } from '../lib/cli.ts'
import { startRelay, type TestRelay } from '../lib/test-relay.ts'

const SECRET = 'an-operator-secret-of-more-than-32-characters'
let directory: string
let relay: TestRelay
let keyferry: ReturnType<typeof keyferryIn>
let tenant: string
let url: string
let access: string[]

beforeAll(async () => {
  relay = await startRelay({ INVITES: INVITE, OPERATOR_SECRET: SECRET })
  url = relay.url.origin
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  keyferry = keyferryIn(join(directory, 'tenant'))
  writeFileSync(join(directory, 'secret'), `${SECRET}\n`)
  access = ['--relay', url, '--secret-file', join(directory, 'secret')]
  const init = ['--org', 'Acme', '--domain', 'acme.example', '--relay', url, '--unsealed', '--json']
  const made = await keyferry('init', ...init)
  tenant = (JSON.parse(made.stdout) as { tenant: string }).tenant
  await keyferry('keyring', 'create', 'notes')
  const ran = await keyferry('run', '--once', '--invite', INVITE)
  expect(ran).toMatchObject({ status: 0 })
})
afterAll(async () => {
  await relay.close()
  rmSync(directory, { recursive: true, force: true })
})

const storage = () => relay.harness.getWorker().getDurableObjectStorage('TENANT', { name: tenant })

it('fsck verifies all that a relay stores, and names what is wrong', async () => {
  const good = await spawnKeyferryIn(join(directory, 'tenant'))('fsck', url, '--json')
  expect(JSON.parse(good.stdout)).toMatchObject({ tenant, trust: 1, problems: [], requests: 0 })
  expect(good.status).toBe(0)
  expect((JSON.parse(good.stdout) as { objects: number }).objects).toBeGreaterThan(4)
  const db = await storage()
  const [row] = (await db.exec(
    'SELECT hash, body FROM objects WHERE length(body) BETWEEN 90 AND 5000 ORDER BY hash LIMIT 1',
  )) as { hash: ArrayBuffer; body: ArrayBuffer }[]
  expect(row).toBeDefined()
  await db.exec(
    "UPDATE objects SET body = x'00' WHERE hash = (SELECT hash FROM objects WHERE length(body) BETWEEN 90 AND 5000 ORDER BY hash LIMIT 1)",
  )
  const bad = await keyferry('fsck', url)
  expect(bad).toMatchObject({ status: 1 })
  expect(bad.stdout).toContain('WRONG')
  expect(bad.stdout).toContain('is not there')
  await db.exec("UPDATE objects SET body = ? WHERE body = x'00'", row!.body)
  expect(await keyferry('fsck', url)).toMatchObject({ status: 0 })
})

it('fsck of what cannot be read is exit status 3', async () => {
  expect(await keyferry('fsck', 'http://127.0.0.1:9')).toMatchObject({ status: 3, stdout: '' })
  expect(await keyferry('fsck', 'https://relay.example/path')).toMatchObject({ status: 2 })
  const absent = await keyferry('fsck', 'nonsense')
  expect([absent.status, absent.stderr]).toEqual([3, expect.stringContaining('ERR_IO')])
})

it('the operator lists, shows, limits, suspends and resumes a tenant', async () => {
  expect((await keyferry('relay', 'list', ...access)).stdout).toContain(tenant)
  expect((await keyferry('relay', 'show', tenant, ...access)).stdout).toContain('head')
  const limited = await keyferry('relay', 'quota', tenant, '--sockets', '7', '--json', ...access)
  expect(JSON.parse(limited.stdout)).toMatchObject({ quota: { sockets: 7 } })
  const back = await keyferry('relay', 'quota', tenant, '--sockets', 'default', ...access)
  expect(back.stdout).toContain('of 30000')
  expect((await keyferry('relay', 'suspend', tenant, ...access)).stdout).toContain('SUSPENDED')
  const stopped = await keyferry('fsck', url)
  expect(stopped).toMatchObject({ status: 1 })
  expect(stopped.stderr).toContain('ERR_SUSPENDED')
  expect((await keyferry('relay', 'resume', tenant, ...access)).stdout).not.toContain('SUSPENDED')
  expect(await keyferry('fsck', url)).toMatchObject({ status: 0 })
})

it('refuses what is no tenant, no relay, no secret, or the wrong one', async () => {
  const wrong = join(directory, 'wrong')
  writeFileSync(wrong, 'wrong')
  expect(await keyferry('relay', 'list', '--relay', url)).toMatchObject({ status: 2 })
  expect(await keyferry('relay', 'show', 'x', ...access)).toMatchObject({ status: 2 })
  expect(await keyferry('relay', 'quota', tenant, ...access)).toMatchObject({ status: 2 })
  expect(await keyferry('relay', 'quota', tenant, '--bytes', 'x', ...access)).toMatchObject({
    status: 2,
  })
  const refused = await keyferry('relay', 'list', '--relay', url, '--secret-file', wrong)
  expect(refused).toMatchObject({ status: 1 })
  expect(refused.stderr).toContain('OPERATOR_SECRET')
  const gone = ['--relay', 'http://127.0.0.1:9', '--secret-file', wrong]
  expect(await keyferry('relay', 'list', ...gone)).toMatchObject({ status: 3 })
})

it('exports a tenant to a file, deletes it, and its deriver brings it back', async () => {
  const file = join(directory, 'export.jsonl')
  expect(await keyferry('relay', 'export', tenant, '--out', file, ...access)).toMatchObject({
    status: 0,
  })
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  expect(JSON.parse(lines[0]!)).toMatchObject({ tenant, documents: { trust: [{}] } })
  expect(lines.length).toBeGreaterThan(5)
  expect(await keyferry('fsck', file)).toMatchObject({ status: 0 })
  expect(await keyferry('relay', 'delete', tenant, ...access)).toMatchObject({ status: 2 })
  expect(await keyferry('relay', 'delete', tenant, '--yes', ...access)).toMatchObject({ status: 0 })
  expect((await keyferry('relay', 'list', ...access)).stdout).not.toContain(tenant)
  expect(await keyferry('fsck', url)).toMatchObject({ status: 1 })
  await keyferry('rotate', 'notes')
  expect(await keyferry('run', '--once', '--invite', INVITE)).toMatchObject({ status: 0 })
  expect(await keyferry('fsck', url)).toMatchObject({ status: 0 })
  // The file is of its time: what came after it does not make it wrong.
  expect(await keyferry('fsck', file)).toMatchObject({ status: 0 })

  const fsckOf = async (changed: string): Promise<[unknown, string]> => {
    const other = join(directory, 'changed.jsonl')
    writeFileSync(other, changed)
    const { status, stdout, stderr } = await keyferry('fsck', other)
    return [status, stdout + stderr]
  }
  const linesOf = (some: string[]): string => `${some.join('\n')}\n`
  for (const at of [1, lines.length - 1])
    expect(await fsckOf(linesOf(lines.toSpliced(at, 1)))).toEqual([
      1,
      expect.stringContaining('is not there'),
    ])
  const stranger = lines[0]!.replace(tenant, 'a'.repeat(52))
  expect(await fsckOf(linesOf([stranger, ...lines.slice(1)]))).toEqual([
    1,
    expect.stringContaining('ERR_TENANT'),
  ])
  expect(await fsckOf(lines.join('\n').slice(0, -1))).toEqual([
    1,
    expect.stringContaining('ERR_MALFORMED'),
  ])
  expect(await fsckOf('')).toEqual([1, expect.stringContaining('ERR_MALFORMED')])
  const first = JSON.parse(lines[0]!) as { documents: { head: { payload: string } } }
  const { head } = first.documents
  head.payload = Buffer.from(
    Buffer.from(head.payload, 'base64url')
      .toString()
      .replace(/"version":\d+/, '"version":9'),
  ).toString('base64url')
  expect(await fsckOf(linesOf([JSON.stringify(first), ...lines.slice(1)]))).toEqual([
    1,
    expect.stringContaining('ERR_SIGNATURE'),
  ])
})
