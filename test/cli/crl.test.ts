/** Lists of one's own CA on the command line: imported, polled, listed; and the calendar of what is overdue. OpenSSL is the CA. */
import { execFile } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openDeriver } from '../../deriver/index.ts'
import { type CalendarEntry } from '../../deriver/calendar.ts'
import { type CrlSource } from '../../deriver/crl-sources.ts'
import { keyferryIn, spawnKeyferryIn, type Result } from '../lib/cli.ts'
import { startCrlServer, type CrlServer } from '../lib/crl-server.ts'
import { makeOpensslCa, type OpensslCa } from '../lib/openssl-ca.ts'
import { makeTenant } from '../lib/tenant.ts'

const run = promisify(execFile)

let directory: string
let ca: OpensslCa
let keyferry: (...args: string[]) => Promise<Result>
let server: CrlServer
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  ca = await makeOpensslCa('p256')
  server = await startCrlServer()
  keyferry = keyferryIn(join(directory, 'tenant'))
  const init = ['init', '--org', 'Acme', '--domain', 'acme.example', '--unsealed']
  expect((await keyferry(...init, '--anchor-clients', pki('root.pem'))).status).toBe(0)
  expect((await keyferry('keyring', 'create', 'notes')).status).toBe(0)
})
afterAll(async () => {
  await server.close()
  await ca.remove()
  rmSync(directory, { recursive: true, force: true })
})

const pki = (name: string): string => join(ca.dir, name)
const json = async <T>(...args: string[]): Promise<T> =>
  JSON.parse((await keyferry(...args, '--json')).stdout) as T

/** The next list of the issuing CA. */
async function nextList(): Promise<void> {
  const args = ['ca', '-config', 'ca.cnf', '-name', 'issuing', '-gencrl', '-out', 'issuing.crl']
  await run('openssl', args, { cwd: ca.dir, env: { PATH: process.env['PATH'], SAN_URI: 'x:' } })
}

/** Numbers of the lists in force of root and issuing CA; `crl list` names a CA by 16 digits of its key id. */
async function numbers(): Promise<(number | undefined)[]> {
  const crls = await json<{ issuer: string; number: number; nextUpdate: number }[]>('crl', 'list')
  return [ca.root, ca.issuing].map((der) => {
    const spki = new X509Certificate(der).publicKey.export({ type: 'spki', format: 'der' })
    const id = createHash('sha256').update(spki).digest('hex').slice(0, 16)
    return crls.find(({ issuer }) => issuer === id)?.number
  })
}

async function wrong(cases: [number, string, string[]][]): Promise<void> {
  const results = await Promise.all(cases.map(([, , args]) => keyferry('crl', ...args)))
  for (const [i, [status, code, args]] of cases.entries()) {
    const result = results[i]!
    expect([args, result.status, result.stdout]).toEqual([args, status, ''])
    expect([args, result.stderr]).toEqual([args, expect.stringContaining(`(${code})`)])
  }
}

describe('crl import', () => {
  it('a wrong use is exit 2, a list that is not believed exit 1, and neither is taken in', async () => {
    const other = await makeOpensslCa('ed25519')
    writeFileSync(join(directory, 'junk'), 'junk')
    await wrong([
      [2, 'ERR_USAGE', ['import']],
      [3, 'ERR_IO', ['import', pki('none.crl')]],
      [1, 'ERR_MALFORMED', ['import', join(directory, 'junk')]],
      [1, 'ERR_CRL', ['import', join(other.dir, 'root.crl')]],
      // The trust document names the root alone: the issuing CA has to be shown.
      [1, 'ERR_CRL', ['import', pki('issuing.crl')]],
      [1, 'ERR_CRL', ['import', pki('issuing.crl'), '--certificate', pki('root.pem')]],
      [3, 'ERR_IO', ['import', pki('root.crl'), '--certificate', pki('none.pem')]],
    ])
    expect((await keyferry('crl', 'import', pki('root.crl'), '--issuer', 'x')).status).toBe(2)
    expect(await numbers()).toEqual([undefined, undefined])
    await other.remove()
  })

  it('takes a list in once, DER or PEM, and no number below it', async () => {
    const issuing = ['--certificate', pki('issuing.pem')]
    const first = await keyferry('crl', 'import', pki('root.crl'), pki('issuing.crl'), ...issuing)
    expect(first).toEqual({
      status: 0,
      stdout: `${pki('root.crl')}: in force\n${pki('issuing.crl')}: in force\n`,
      stderr: '',
    })
    const [root, list] = await numbers()
    expect(await json('crl', 'import', pki('root.crl.der'))).toEqual({
      path: pki('root.crl.der'),
      isNew: false,
    })
    copyFileSync(pki('issuing.crl'), join(directory, 'old.crl'))
    await nextList()
    const next = await keyferry('crl', 'import', pki('issuing.crl'), ...issuing, '--json')
    expect(JSON.parse(next.stdout)).toEqual({ path: pki('issuing.crl'), isNew: true })
    expect(await numbers()).toEqual([root, list! + 1])
    const old = await keyferry('crl', 'import', join(directory, 'old.crl'), ...issuing)
    expect([old.status, old.stderr]).toEqual([1, expect.stringContaining('(ERR_ROLLBACK)')])
    expect(await numbers()).toEqual([root, list! + 1])
    expect((await keyferry('crl', 'list')).stdout).toMatch(
      new RegExp(
        `^[0-9a-f]{16}  number ${list! + 1}  until 20\\d\\d-\\d\\d-\\d\\d \\d\\d:\\d\\d$`,
        'm',
      ),
    )
  })
})

describe('crl source', () => {
  const issuer = (): string[] => ['--issuer', pki('issuing.pem')]
  const sources = (): Promise<CrlSource[]> => json('crl', 'source', 'list')

  it('a wrong use is exit 2, or 1 for an issuer that signs no lists and a place that is not there', async () => {
    const add = ['source', 'add']
    const url = 'https://pki.acme.example/issuing.crl'
    await wrong([
      [2, 'ERR_USAGE', add],
      [2, 'ERR_USAGE', [...add, '--file', '/a.crl', '--url', url]],
      [2, 'ERR_USAGE', [...add, '--url', 'http://pki.acme.example/issuing.crl']],
      [2, 'ERR_USAGE', [...add, '--url', 'https://me:secret@pki.acme.example/issuing.crl']],
      [2, 'ERR_USAGE', [...add, '--url', 'a.crl']],
      [2, 'ERR_USAGE', [...add, '--url', url, '--every', '59']],
      [2, 'ERR_USAGE', [...add, '--url', url, '--every', '86401']],
      [2, 'ERR_USAGE', [...add, '--url', url, '--every', 'daily']],
      [3, 'ERR_IO', [...add, '--url', url, '--issuer', pki('none.pem')]],
      [1, 'ERR_MALFORMED', [...add, '--url', url, '--issuer', join(directory, 'junk')]],
      [1, 'ERR_CERT_PROFILE', [...add, '--url', url, '--issuer', pki('alice.pem')]],
      [2, 'ERR_USAGE', ['source', 'remove']],
      [1, 'ERR_NOT_FOUND', ['source', 'remove', url]],
    ])
    expect(await sources()).toEqual([])
    expect((await keyferry('crl', 'source', 'list')).stdout).toBe('no sources\n')
  })

  it('is polled by the service: a file and an address; what fails is said and changes nothing', async () => {
    const file = pki('issuing.crl')
    const added = await json('crl', 'source', 'add', '--file', file, ...issuer())
    expect(added).toEqual({ place: file, every: 600 })
    const { url } = server
    const text = await keyferry('crl', 'source', 'add', '--url', url, '--every', '60')
    expect(text.stdout).toBe(`${url} every 60 s, by keyferry run\n`)
    await nextList()
    const [, before] = await numbers()
    const once = await spawnKeyferryIn(join(directory, 'tenant'))('run', '--once')
    expect([once.status, once.stdout]).toEqual([
      0,
      expect.stringContaining(`CRL ${before! + 1} from ${file} is in force`),
    ])
    expect(once.stdout).toContain(`CRL source ${url}: the answer is 404 (ERR_IO)`)
    expect((await numbers())[1]).toBe(before! + 1)
    expect(await sources()).toMatchObject([
      { place: file, every: 600, succeeded: expect.any(Number) as number, error: null },
      { place: url, every: 60, succeeded: null, error: 'the answer is 404 (ERR_IO)' },
    ])
    expect((await keyferry('crl', 'source', 'list')).stdout).toMatch(
      /every 600 s {2}good at 20.*\n.*every 60 s {2}never good {2}last attempt: the answer is 404/,
    )
  })

  it('is changed by adding it again, and forgotten when removed; its list stays', async () => {
    const { url } = server
    await keyferry('crl', 'source', 'add', '--url', url, '--every', '120')
    expect((await sources()).map(({ every }) => every)).toEqual([600, 120])
    expect(await json('crl', 'source', 'remove', url)).toEqual({ place: url, removed: true })
    const { stdout } = await keyferry('crl', 'source', 'remove', pki('issuing.crl'))
    expect(stdout).toBe(`${pki('issuing.crl')} is not polled any more\n`)
    expect(await sources()).toEqual([])
    const [, kept] = await numbers()
    await nextList()
    await keyferry('run', '--once')
    expect((await numbers())[1]).toBe(kept)
  })
})

describe('status', () => {
  const states = (lines: CalendarEntry[]): Record<string, string> =>
    Object.fromEntries(lines.map(({ what, state }) => [what, state]))

  it('exit 0 with nothing overdue, with the calendar and both bounds', async () => {
    const { status, stdout } = await keyferry('status')
    expect([status, stdout]).toEqual([0, expect.stringMatching(/^CA certificate .* {2}ok$/m)])
    expect(stdout).toMatch(/sees nothing new 3720 s after client revoke, 3720 s after a list/)
    const { calendar, problems } = await json<{ calendar: CalendarEntry[]; problems: string[] }>(
      'status',
    )
    expect(problems).toEqual([])
    expect(Object.values(states(calendar)).filter((state) => state !== 'ok')).toEqual([])
  })

  it('exit 1 with what is overdue: a deriver that was away for twenty days', async () => {
    const now = Math.floor(Date.now() / 1000) - 20 * 86_400
    const tenant = await makeTenant({ now, relays: [] })
    const cli = keyferryIn(tenant.directory)
    await cli('keyring', 'create', 'notes')
    const deriver = await openDeriver({
      directory: tenant.directory,
      passphrase: null,
      now: () => now,
    })
    await deriver.step()
    deriver.close()
    const text = await cli('status')
    expect([text.status, text.stdout]).toEqual([1, expect.stringMatching(/^head .* overdue$/m)])
    expect(text.stdout).toContain('! the last head is expired: is keyferry run up?')
    const { status, stdout } = await cli('status', '--json')
    const { calendar } = JSON.parse(stdout) as { calendar: CalendarEntry[] }
    expect([status, states(calendar)]).toMatchObject([
      1,
      {
        head: 'overdue',
        catalog: 'overdue',
        'deriver certificate': 'overdue',
        'trust document': 'ok',
      },
    ])
    tenant.remove()
  })
})
