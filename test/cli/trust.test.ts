/** The trust document's life on the command line: proposed, signed by two people, published; and what is refused leaves everything as it was. */
import { createHash, createPublicKey } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { keyferryIn, spawnKeyferryIn, type Result } from '../lib/cli.ts'

let directory: string
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  const relay = ['--relay', 'http://127.0.0.1:9']
  const init = ['init', '--org', 'Acme', '--domain', 'acme.example', ...relay, '--unsealed']
  expect((await spawnKeyferryIn(join(directory, 't'))(...init)).status).toBe(0)
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const keyferry = (...args: string[]): Promise<Result> =>
  keyferryIn(join(directory, 't'), { cwd: directory })(...args)

async function propose(...args: string[]): Promise<string> {
  const { stdout, stderr, status } = await keyferry('trust', 'propose', ...args)
  expect([status, stderr.includes('error')]).toEqual([0, false])
  writeFileSync(join(directory, 'next.json'), stdout)
  return stderr
}

const number = async (): Promise<unknown> =>
  (JSON.parse((await keyferry('trust', 'show', '--json')).stdout) as { number: number }).number

it('a second authority key: both sign, one of them without the database', async () => {
  const pem = await keyferry('trust', 'key', '--out', 'two.json', '--unsealed')
  writeFileSync(join(directory, 'two.pem'), pem.stdout)
  const diff = await propose('--add-authority', 'two.pem', '--threshold', '2', '--expires', '90')
  expect(diff).toMatch(/\+ authority key [0-9a-f]{64} {3}WIDENS TRUST/)
  // Seconds since 1970 say nothing to whoever signs.
  const date = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d UTC`
  expect(diff).toMatch(new RegExp(`^expiresAt ${date} → ${date}$`, 'm'))
  expect((await keyferry('inspect', 'next.json')).stdout).toContain('trust document')
  // Unsigned, and signed by one of two: nothing changes.
  expect((await keyferry('trust', 'publish', 'next.json')).status).toBe(1)
  const one = await keyferry('trust', 'sign', 'next.json')
  expect(one.stdout).toContain('missing: 0 of the present authority, 1 of the next one')
  const early = await keyferry('trust', 'publish', 'next.json')
  expect([early.status, early.stderr]).toEqual([1, expect.stringContaining('ERR_SIGNATURE')])
  expect(await number()).toBe(1)
  await keyferry('trust', 'show', '--out', 'current.json')
  const offline = ['--key', 'two.json', '--current', 'current.json', '--dir', 'nowhere']
  const two = await keyferry('trust', 'sign', 'next.json', ...offline)
  expect(two.stdout).toContain('missing: 0 of the present authority, 0 of the next one')
  expect((await keyferry('trust', 'sign', 'next.json')).stderr).toContain('ERR_EXISTS')
  const done = await keyferry('trust', 'publish', 'next.json', '--json')
  expect(JSON.parse(done.stdout)).toMatchObject({ number: 2 })
  expect((await keyferry('trust', 'show', '--all')).stdout.trim().split('\n')).toHaveLength(2)
  expect(readFileSync(join(directory, 'next.json'), 'utf8')).toContain('"signatures"')
  // The same again is no successor any more.
  expect((await keyferry('trust', 'publish', 'next.json')).stderr).toContain('ERR_TRUST_DOCUMENT')
})

it('one authority key of two signs no catalog; with both in the directory it goes on', async () => {
  await keyferry('keyring', 'create', 'notes')
  const alone = await keyferry('run', '--once')
  expect([alone.status, alone.stderr]).toEqual([1, expect.stringContaining('ERR_SIGNATURE')])
  writeFileSync(
    join(directory, 't/keys/authority-2.json'),
    readFileSync(join(directory, 'two.json')),
    { mode: 0o600 },
  )
  expect((await keyferry('run', '--once')).stdout).toContain('ERR_RELAY')
  const status = JSON.parse((await keyferry('status', '--json')).stdout) as { head: object }
  expect(status.head).toMatchObject({ incarnation: 1, version: 1 })
})

it('a stolen deriver key: revoked, the incarnation raised, every keyring re-keyed', async () => {
  expect((await keyferry('deriver', 'revoke', '--all')).status).toBe(0)
  const diff = await propose('--raise-incarnation')
  expect(diff).toContain('incarnation 1 → 2')
  await keyferry('trust', 'sign', 'next.json')
  await keyferry('trust', 'sign', 'next.json', '--key', 'two.json')
  expect((await keyferry('trust', 'publish', 'next.json')).status).toBe(0)
  await keyferry('run', '--once')
  const { head, keyrings } = JSON.parse((await keyferry('status', '--json')).stdout) as {
    head: object
    keyrings: object[]
  }
  expect(head).toMatchObject({ incarnation: 2, version: 2 })
  expect(keyrings).toMatchObject([{ version: 2, generation: 2 }])
})

it('a slash at the end of an origin or a relay is none of it', async () => {
  const added = ['--add-relay', 'https://two.example/', '--add-origin', 'http://localhost:3000/']
  const lines = (await propose(...added, '--remove-relay', 'http://127.0.0.1:9/')).split('\n')
  expect(lines).toEqual(
    expect.arrayContaining([
      '+ relay https://two.example',
      '- relay http://127.0.0.1:9',
      '+ origin http://localhost:3000   WIDENS TRUST',
    ]),
  )
})

it('bad options are exit 2', async () => {
  for (const bad of [
    ['--remove-authority', '00'],
    ['--remove-relay', 'https://none.example'],
    ['--add-relay', 'https://two.example/path'],
    ['--suites', 'RSA'],
    ['--lowest-crl', 'x=1'],
    ['--expires', '401'],
  ])
    expect([bad, (await keyferry('trust', 'propose', ...bad)).status]).toEqual([bad, 2])
})

it('a file that is too large is not read, and one that is no document stays as it was', async () => {
  writeFileSync(join(directory, 'large.json'), ' '.repeat(131_073))
  for (const command of ['sign', 'publish']) {
    const { status, stderr } = await keyferry('trust', command, 'large.json')
    expect([command, status, stderr]).toEqual([
      command,
      1,
      expect.stringContaining('ERR_TOO_LARGE'),
    ])
  }
  writeFileSync(join(directory, 'bad.json'), '{"payload":1}')
  expect((await keyferry('trust', 'sign', 'bad.json')).status).toBe(1)
  expect(readFileSync(join(directory, 'bad.json'), 'utf8')).toBe('{"payload":1}')
  expect(readdirSync(directory).filter((name) => name.endsWith('.part'))).toEqual([])
})

it('[catalog-3] an authority key that was removed never comes back', async () => {
  const id = createHash('sha256')
    .update(
      createPublicKey(readFileSync(join(directory, 'two.pem'))).export({
        type: 'spki',
        format: 'der',
      }),
    )
    .digest('hex')
  await propose('--remove-authority', id, '--threshold', '1')
  await keyferry('trust', 'sign', 'next.json')
  await keyferry('trust', 'sign', 'next.json', '--key', 'two.json')
  expect((await keyferry('trust', 'publish', 'next.json')).status).toBe(0)
  const { status, stderr } = await keyferry('trust', 'propose', '--add-authority', 'two.pem')
  expect([status, stderr]).toEqual([2, expect.stringContaining('must not come back')])
})
