/** The end of a client on the command line: by URI, device or certificate. OpenSSL reads the lists that follow. */
import { execFile } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore, storePath } from '../../deriver/store.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { createCsr } from '../../shared/csr.ts'
import { decodeEnvelope } from '../../shared/envelope.ts'
import { encodePem } from '../../shared/pem.ts'
import { generateSigningKey } from '../../shared/signature.ts'
import { keyferryIn, spawnKeyferryIn, type Result } from '../lib/cli.ts'
import { makeOpensslCa } from '../lib/openssl-ca.ts'

const openssl = promisify(execFile)

let directory: string
let keyferry: (...args: string[]) => Promise<Result>
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  keyferry = keyferryIn(join(directory, 'tenant'))
  await keyferry('init', '--org', 'Acme', '--domain', 'acme.example', '--unsealed')
  for (const name of ['ada', 'ada-phone', 'ben', 'cem', 'dora', 'eve', 'stays']) await makeCsr(name)
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const file = (name: string): string => join(directory, name)
const uriOf = (name: string): string => `keyferry://client.acme.example/${name}`

async function makeCsr(name: string): Promise<void> {
  const csr = await createCsr(await generateSigningKey('ES256', false), name)
  writeFileSync(file(`${name}.csr`), encodePem('CERTIFICATE REQUEST', csr))
}

const issue = (name: string, uri: string): Promise<Result> =>
  keyferry('client', 'issue', '--csr', file(`${name}.csr`), '--uri', uri)

/** Issues, keeps the certificate as NAME.pem, and gives its serial and key id in hex. */
async function issued(name: string, uri = uriOf(name)): Promise<{ serial: string; key: string }> {
  const { status, stdout } = await issue(name, uri)
  expect(status).toBe(0)
  writeFileSync(file(`${name}.pem`), stdout)
  const { serialNumber, publicKey } = new X509Certificate(stdout)
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  return { serial: serialNumber, key: createHash('sha256').update(spki).digest('hex') }
}

/** Serials of the next list of the built-in CA with the reason of each, as OpenSSL reads them. */
async function listed(): Promise<Record<string, string>> {
  writeFileSync(file('client.crl'), (await keyferry('ca', 'crl', 'client', '--new')).stdout)
  const args = ['crl', '-in', file('client.crl'), '-noout', '-text']
  const [, ...entries] = (await openssl('openssl', args)).stdout.split('Serial Number: ')
  return Object.fromEntries(
    entries.map((entry) => [
      /^[0-9A-F]+/.exec(entry)![0],
      /Reason Code: *\n *(.+)/.exec(entry)?.[1] ?? '',
    ]),
  )
}

/** The certificate that signed the head in force. */
async function deriverCertificate(): Promise<string> {
  await keyferry('keyring', 'create', 'notes')
  expect((await keyferry('run', '--once')).status).toBe(0)
  const store = openStore(storePath(join(directory, 'tenant')))
  const row = store.get<{ envelope: Bytes }>('SELECT envelope FROM heads ORDER BY version DESC')
  store.close()
  return encodePem('CERTIFICATE', decodeEnvelope(new Uint8Array(row!.envelope)).certificates[0]!)
}

const denied = async (): Promise<string[]> =>
  JSON.parse((await keyferry('ca', 'denied', '--json')).stdout) as string[]

/** Runs it with --json, and gives what it printed and the seconds until its bound ends. */
async function revoke(...args: string[]): Promise<{ done: object; left: number }> {
  const run = spawnKeyferryIn(file('tenant'))
  const { status, stdout } = await run('client', 'revoke', ...args, '--json')
  expect(status).toBe(0)
  const { until, ...done } = JSON.parse(stdout) as { until: number }
  return { done, left: until - Math.floor(Date.now() / 1000) }
}

const NOTHING = { keyrings: [], foreign: [], bound: 3720 }

describe('client revoke', () => {
  const gone: Record<string, string> = {}
  const keys: string[] = []

  it('URI: every certificate of every key that ever had it, and nothing else', async () => {
    const [first, again] = [await issued('ada'), await issued('ada')]
    const phone = await issued('ada-phone', uriOf('ada'))
    const other = await issued('ada', uriOf('ada-at-work'))
    await issued('stays')
    const { done, left } = await revoke(uriOf('ada'))
    const uris = [uriOf('ada'), uriOf('ada-at-work')]
    expect(done).toEqual({ ...NOTHING, uris, certificates: 4, keys: 2 })
    expect(left).toBeLessThanOrEqual(3720)
    for (const { serial } of [first, again, phone, other]) gone[serial] = ''
    keys.push(first.key, phone.key)
    expect(await listed()).toEqual(gone)
    expect((await denied()).toSorted()).toEqual(keys.toSorted())
    expect((await keyferry('ca', 'check', file('stays.pem'))).status).toBe(0)
  })

  it('--device: one key, by its first digits, whatever their case', async () => {
    const { serial, key } = await issued('ben')
    const { done } = await revoke('--device', key.slice(0, 12).toUpperCase())
    expect(done).toEqual({ ...NOTHING, uris: [uriOf('ben')], certificates: 1, keys: 1 })
    gone[serial] = ''
    keys.push(key)
    expect(await listed()).toEqual(gone)
  })

  it('--certificate: its key, with every other certificate that the key has', async () => {
    const [old, next] = [await issued('cem'), await issued('cem', uriOf('cem-other'))]
    const { done } = await revoke('--certificate', file('cem.pem'))
    expect(done).toMatchObject({ certificates: 2, keys: 1 })
    for (const { serial } of [old, next]) gone[serial] = ''
    keys.push(old.key)
    expect(await listed()).toEqual(gone)
  })

  it('--reason: stands in the list, and is one of four', async () => {
    const reasons = [
      'Key Compromise',
      'Affiliation Changed',
      'Superseded',
      'Cessation Of Operation',
    ]
    const words = ['keyCompromise', 'affiliationChanged', 'superseded', 'cessationOfOperation']
    for (const [i, reason] of words.entries()) {
      const name = `dora-${i}`
      await makeCsr(name)
      const { serial, key } = await issued(name)
      await revoke(uriOf(name), '--reason', reason)
      gone[serial] = reasons[i]!
      keys.push(key)
    }
    expect(await listed()).toEqual(gone)
  })

  it('denies the keys: no new certificate for them, under no URI', async () => {
    expect((await denied()).toSorted()).toEqual(keys.toSorted())
    for (const name of ['ada', 'ada-phone', 'ben', 'cem', 'dora-0']) {
      const { status, stdout, stderr } = await issue(name, uriOf('someone-new'))
      expect([name, status, stdout]).toEqual([name, 1, ''])
      expect(stderr).toContain('ERR_DENIED')
    }
  })

  it('says to a person what it did, what comes next and until when', async () => {
    await issued('eve')
    const { stdout } = await keyferry('client', 'revoke', uriOf('eve'))
    expect(stdout).toMatch(
      /^revoked 1 certificates and denied 1 keys of keyferry:\S+\/eve\nnext: keyferry run .*\nfrom 20\d\d-\d\d-\d\d \d\d:\d\d UTC on nobody encrypts/,
    )
  })

  it('of a CA of one’s own: the key is denied, and the serial printed that this CA must list', async () => {
    const ca = await makeOpensslCa('p256')
    const { done } = await revoke('--certificate', join(ca.dir, 'alice.pem'))
    const { serialNumber } = new X509Certificate(readFileSync(join(ca.dir, 'alice.pem')))
    expect(done).toMatchObject({
      certificates: 0,
      keys: 1,
      foreign: [{ serial: serialNumber.toLowerCase(), uri: uriOf('alice') }],
    })
    const again = await keyferry('client', 'revoke', '--certificate', join(ca.dir, 'alice.pem'))
    expect([again.status, again.stdout]).toEqual([
      0,
      expect.stringContaining(`must list serial ${serialNumber.toLowerCase()}`),
    ])
    await ca.remove()
  })

  it('a wrong use changes nothing: exit 2, 1 or 3, with a code', async () => {
    writeFileSync(file('junk'), 'junk')
    const ca = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', file('ca.key')]
    const named = ['-subj', '/CN=ca', '-addext', `subjectAltName=URI:${uriOf('ca')}`]
    await openssl('openssl', [...ca, ...named, '-out', file('ca.pem')])
    writeFileSync(file('deriver.pem'), await deriverCertificate())
    const stays = uriOf('stays')
    const wrong: [number, string, string[]][] = [
      [2, 'ERR_USAGE', []],
      [2, 'ERR_USAGE', [stays, '--device', 'a'.repeat(64)]],
      [2, 'ERR_USAGE', [stays, '--certificate', file('stays.pem')]],
      [2, 'ERR_USAGE', ['--device', 'a'.repeat(64), '--certificate', file('stays.pem')]],
      [2, 'ERR_USAGE', [stays, '--reason', 'removeFromCRL']],
      [2, 'ERR_USAGE', [stays, '--reason', 'toString']],
      [2, 'ERR_USAGE', ['--device', '']],
      [2, 'ERR_USAGE', ['--device', 'abcdef0']],
      [2, 'ERR_USAGE', ['--device', '%%%%%%%%']],
      [2, 'ERR_USAGE', ['--certificate', file('ca.pem')]],
      [2, 'ERR_USAGE', ['--certificate', file('deriver.pem')]],
      [1, 'ERR_NOT_FOUND', ['--device', 'a'.repeat(64)]],
      [1, 'ERR_NOT_FOUND', [uriOf('nobody')]],
      [1, 'ERR_NOT_FOUND', [uriOf('ada')]],
      [1, 'ERR_MALFORMED', ['--certificate', file('junk')]],
      [3, 'ERR_IO', ['--certificate', file('none')]],
    ]
    const before = [await denied(), await listed()]
    const results = await Promise.all(
      wrong.map(([, , args]) => keyferry('client', 'revoke', ...args)),
    )
    for (const [i, [status, code, args]] of wrong.entries()) {
      const result = results[i]!
      expect([args, result.status, result.stdout]).toEqual([args, status, ''])
      expect(result.stderr).toContain(`(${code})`)
    }
    for (const unknown of ['--unknown', uriOf('ada')])
      expect((await keyferry('client', 'revoke', stays, unknown)).status).toBe(2)
    expect([await denied(), await listed()]).toEqual(before)
  })
})
