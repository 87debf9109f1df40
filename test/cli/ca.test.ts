/** The built-in CAs on the command line. */
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openClientCa, openDeriver } from '../../deriver/index.ts'
import { readSigningKey } from '../../deriver/key-files.ts'
import { openStore, storePath } from '../../deriver/store.ts'
import { newestTrust } from '../../deriver/trust.ts'
import { createCsr } from '../../shared/csr.ts'
import { encodeEnvelope, signWithAuthority } from '../../shared/envelope.ts'
import { decodePem, encodePem } from '../../shared/pem.ts'
import { generateSigningKey } from '../../shared/signature.ts'
import { verifySuccessor } from '../../shared/trust.ts'
import { keyferryIn, spawnKeyferryIn, type Result } from '../lib/cli.ts'

const openssl = promisify(execFile)
const URI = 'keyferry://client.acme.example/ada'

let directory: string
let tenant: string
let keyferry: (...args: string[]) => Promise<Result>
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  tenant = join(directory, 'tenant')
  keyferry = keyferryIn(tenant)
  const init = ['init', '--org', 'Acme', '--domain', 'acme.example', '--unsealed']
  expect((await spawnKeyferryIn(tenant)(...init)).status).toBe(0)
  const csr = await createCsr(await generateSigningKey('ES256', false), 'ada')
  writeFileSync(join(directory, 'ada.csr'), encodePem('CERTIFICATE REQUEST', csr))
})
afterAll(() => {
  rmSync(directory, { recursive: true, force: true })
})

const file = (name: string, text?: string): string => {
  const path = join(directory, name)
  if (text !== undefined) writeFileSync(path, text)
  return path
}
const issue = (command = 'ca'): Promise<Result> =>
  keyferry(command, 'issue', '--csr', file('ada.csr'), '--uri', URI)

describe('the CAs of a tenant', () => {
  it('are a root and an issuing CA for each role, which OpenSSL follows', async () => {
    const shown = JSON.parse((await keyferry('ca', 'show', '--json')).stdout) as object[]
    expect(shown).toMatchObject([
      { role: 'root', hosts: ['client.acme.example', 'deriver.acme.example'], inTrust: false },
      { role: 'client', hosts: ['client.acme.example'], uses: ['clientAuth'], inTrust: true },
      { role: 'deriver', hosts: ['deriver.acme.example'], uses: ['clientAuth'], inTrust: true },
    ])
    expect((await keyferry('ca', 'show')).stdout).toMatch(/^root {2}"Acme root" until 20\d\d-/)
    const pem = (await keyferry('ca', 'show', '--pem')).stdout
    const [root, ...issuing] = decodePem(pem, 'CERTIFICATE').map((der) =>
      encodePem('CERTIFICATE', der),
    )
    const issued = await issue()
    expect(issued.status).toBe(0)
    const crl = await keyferry('ca', 'crl', 'client')
    const rootCrl = await keyferry('ca', 'crl', 'root')
    file('root.pem', root)
    file('issuing.pem', issuing.join(''))
    file('ada.pem', issued.stdout)
    file('crls.pem', crl.stdout + rootCrl.stdout)
    const args = ['verify', '-x509_strict', '-crl_check_all', '-purpose', 'sslclient']
    args.push('-CAfile', file('root.pem'), '-untrusted', file('issuing.pem'))
    args.push('-CRLfile', file('crls.pem'), file('ada.pem'))
    expect((await openssl('openssl', args)).stdout).toContain('ada.pem: OK')
  })

  it('issue under either name, and never outside their host', async () => {
    expect((await issue('client')).stdout).toMatch(/^-----BEGIN CERTIFICATE-----/)
    const args = ['ca', 'issue', '--csr', file('ada.csr'), '--uri']
    const evil = await keyferry(...args, 'keyferry://deriver.acme.example/ada')
    expect([evil.status, evil.stdout]).toEqual([1, ''])
    expect(evil.stderr).toContain('ERR_PATH_INVALID')
  })

  it('work on with the root offline; only renewal asks for it', async () => {
    const key = join(tenant, 'keys/ca-root.json')
    renameSync(key, file('offline.json'))
    expect((await keyferry('ca', 'show')).stdout).toContain('Acme root')
    expect((await issue()).status).toBe(0)
    const renewed = await keyferry('ca', 'renew', 'client')
    expect([renewed.status, renewed.stderr]).toEqual([1, expect.stringContaining('ca-root.json')])
    expect((await keyferry('ca', 'crl', 'root')).status).toBe(3)
    renameSync(file('offline.json'), key)
  })

  it('wrong words are exit 2', async () => {
    for (const args of [
      ['renew'],
      ['renew', 'root'],
      ['crl', 'nobody'],
      ['export-enrolment'],
      ['check'],
    ])
      expect([args, (await keyferry('ca', ...args)).status]).toEqual([args, 2])
  })
})

describe('ca check', () => {
  it('exit 0 for what fits, 1 with what to change for what does not, 3 for what is no certificate', async () => {
    file('ada.pem', (await issue()).stdout)
    const good = await keyferry('ca', 'check', file('ada.pem'))
    expect([good.status, good.stderr]).toEqual([0, ''])
    expect(good.stdout).toMatch(/\nit fits\n$/)
    const asDeriver = await keyferry('ca', 'check', file('ada.pem'), '--role', 'deriver', '--json')
    expect(asDeriver.status).toBe(1)
    expect(JSON.parse(asDeriver.stdout)).toMatchObject({ fits: false })
    const bare = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', file('rsa.key')]
    await openssl('openssl', [
      ...bare,
      '-subj',
      '/CN=\u001b[31mada',
      '-days',
      '1',
      '-out',
      file('rsa.pem'),
    ])
    const bad = await keyferry('ca', 'check', file('rsa.pem'))
    expect(bad.status).toBe(1)
    expect(bad.stdout).toContain(
      'NOT OK      key: Ed25519 or P-256, named curve, uncompressed point: RSA',
    )
    expect(bad.stdout).toContain('→ add extendedKeyUsage = clientAuth')
    expect(bad.stdout).not.toContain('\u001b')
    for (const path of [file('junk', 'junk'), file('none'), file('huge', 'x'.repeat(2_097_153))]) {
      const { status, stdout, stderr } = await keyferry('ca', 'check', path)
      expect([path, status, stdout]).toEqual([path, 3, ''])
      expect(stderr).toContain('ERR_IO')
    }
  })

  it('needs no tenant where anchors are given, and takes lists', async () => {
    const nowhere = keyferryIn(file('nowhere'))
    expect((await nowhere('ca', 'check', file('ada.pem'))).status).toBe(3)
    const anchor = ['--anchor', file('issuing.pem')]
    expect((await nowhere('ca', 'check', file('ada.pem'), ...anchor)).status).toBe(0)
    const crl = ['--crl', file('client.crl', (await keyferry('ca', 'crl', 'client')).stdout)]
    expect((await nowhere('ca', 'check', file('ada.pem'), ...anchor, ...crl)).status).toBe(0)
    await keyferry('client', 'revoke', URI)
    expect((await keyferry('ca', 'crl', 'client', '--new')).status).toBe(0)
    const revoked = await keyferry('ca', 'check', file('ada.pem'))
    expect([revoked.status, revoked.stdout]).toEqual([
      1,
      expect.stringContaining('ERR_CERT_REVOKED'),
    ])
  })
})

describe('ca renew', () => {
  const next = (): string => join(tenant, 'ca-client-next.pem')

  it('makes the next CA, which takes over only when the trust document anchors it', async () => {
    const made = await keyferry('ca', 'renew', 'client')
    expect([made.status, made.stdout]).toEqual([0, expect.stringContaining('--add-anchor-clients')])
    expect((await keyferry('ca', 'renew', 'client')).status).toBe(1)
    expect((await keyferry('ca', 'show')).stdout).toContain('client, next')
    const early = await keyferry('ca', 'renew', 'client', '--activate')
    expect([early.status, early.stderr]).toEqual([1, expect.stringContaining('ERR_TRUST_DOCUMENT')])

    const csr = await createCsr(await generateSigningKey('ES256', false), 'ben')
    writeFileSync(file('ada.csr'), encodePem('CERTIFICATE REQUEST', csr))
    file('old.pem', (await issue()).stdout)
    await anchorToo(decodePem(readFileSync(next(), 'utf8'), 'CERTIFICATE')[0]!)
    const active = await keyferry('ca', 'renew', 'client', '--activate')
    expect([active.status, active.stderr]).toEqual([0, ''])
    expect(existsSync(next())).toBe(false)
    file('new.pem', (await issue()).stdout)

    // The service signs lists of both, so both certificates stay good.
    const deriver = await openDeriver({ directory: tenant, passphrase: null, relays: [] })
    await deriver.step()
    deriver.close()
    for (const name of ['old.pem', 'new.pem']) {
      const checked = await keyferry('ca', 'check', file(name))
      expect([name, checked.status, checked.stdout]).toEqual([name, 0, expect.anything()])
    }
    await keyferry('ca', 'renew', 'client')
    const twice = await keyferry('ca', 'renew', 'client', '--activate')
    expect([twice.status, twice.stderr]).toEqual([1, expect.stringContaining('ERR_TRUST_DOCUMENT')])
  })

  /** The next trust document, with one more anchor for clients, put in force. */
  async function anchorToo(anchor: Uint8Array<ArrayBuffer>): Promise<void> {
    const store = openStore(storePath(tenant))
    const last = await newestTrust(store)
    const clients = { ...last.body.clients, anchors: [...last.body.clients.anchors, anchor] }
    const step = { number: last.body.number + 1, previous: last.hash, tenant: last.tenant }
    const authority = await readSigningKey(tenant, 'authority', null)
    const envelope = await signWithAuthority('trust', { ...last.body, clients, ...step }, [
      authority,
    ])
    const { hash, body } = await verifySuccessor(envelope, last)
    store.run('INSERT INTO trust VALUES (?, ?, ?)', body.number, hash, encodeEnvelope(envelope))
    store.close()
  }
})

describe('an enrolment service elsewhere', () => {
  it('issues from a directory of two files, and knows who was denied', async () => {
    const out = file('enrolment')
    expect((await keyferry('ca', 'export-enrolment', '--out', out)).status).toBe(0)
    expect((await keyferry('ca', 'export-enrolment', '--out', out)).status).toBe(1)
    expect(existsSync(storePath(out))).toBe(false)
    const denied = (await keyferry('ca', 'denied')).stdout
    expect(denied).toMatch(/^[0-9a-f]{64}\n$/)
    const deny = file('denied', denied)
    const ca = await openClientCa({ directory: out, passphrase: null, deny })
    const csr = await createCsr(await generateSigningKey('Ed25519', false), 'eve')
    const pem = await ca.issue({ csr, uri: 'keyferry://client.acme.example/eve' })
    expect((await ca.keysOf(URI)).length).toBeGreaterThan(0)
    ca.close()
    expect((await keyferry('ca', 'check', file('eve.pem', pem))).status).toBe(0)
  })
})
