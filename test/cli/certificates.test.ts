/** The OpenSSL recipe of docs/certificates.md, run as it stands there. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { decodePem } from '../../shared/pem.ts'
import { validatePath, type PathInput } from '../../shared/path.ts'
import { errorCode } from '../lib/odd-certificates.ts'

const page = readFileSync(new URL('../../docs/certificates.md', import.meta.url), 'utf8')
const section = page.slice(page.indexOf('\n## OpenSSL\n'), page.indexOf('\n## step-ca\n'))
const recipe = [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, text]) => text!).join('')
const cli = new URL('../../deriver/cli.ts', import.meta.url).pathname
const run = promisify(execFile)

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
})
afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

function bash(script: string, alg: string): Promise<{ stdout: string }> {
  const env = {
    PATH: process.env['PATH'],
    NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
    ALG: alg,
    NODE: process.execPath,
    CLI: cli,
    KEYFERRY_DIR: join(directory, 'tenant'),
    KEYFERRY_PASSPHRASE: 'correct horse',
  }
  const begin = 'set -euo pipefail\nkeyferry() { "$NODE" "$CLI" "$@"; }\n'
  return run('bash', ['--norc', '-c', `${begin}${script}`], { cwd: directory, env })
}

const pem = (name: string, label = 'CERTIFICATE') =>
  decodePem(readFileSync(join(directory, name), 'utf8'), label)

describe.each(['p256', 'ed25519'])('the OpenSSL recipe, %s', (alg) => {
  it('makes what Keyferry accepts at every point', async () => {
    expect(recipe.match(/^keyferry /gm)?.length).toBe(5)
    const { stdout } = await bash(recipe, alg)
    expect(stdout.match(/^it fits$/gm)?.length).toBe(2)
    expect(stdout).toContain('keyferry://client.acme.example/alice')

    const now = Math.floor(Date.now() / 1000)
    const common = { now, eku: ['1.3.6.1.5.5.7.3.2'] }
    const input = (leaf: string, ca: string): PathInput => ({
      ...common,
      certificates: pem(leaf),
      anchors: pem(`${ca}/ca.pem`),
      crls: pem(`${ca}/ca.crl`, 'X509 CRL'),
    })
    expect((await validatePath(input('alice.pem', 'clients'))).uri).toBe(
      'keyferry://client.acme.example/alice',
    )
    expect((await validatePath(input('deriver-1.pem', 'derivers'))).uri).toBe(
      'keyferry://deriver.acme.example/deriver-1',
    )
    // The root as the anchor: its list is asked for, too.
    const long: PathInput = {
      ...common,
      certificates: [...pem('alice.pem'), ...pem('clients/ca.pem')],
      anchors: pem('root/ca.pem'),
      crls: pem('clients/ca.crl', 'X509 CRL'),
    }
    expect(await errorCode(() => validatePath(long))).toBe('ERR_CRL')
    await bash('URI=x: openssl ca -config ca.cnf -name root -gencrl -out root/ca.crl', alg)
    const crls = [...pem('clients/ca.crl', 'X509 CRL'), ...pem('root/ca.crl', 'X509 CRL')]
    // Made just now, perhaps in the next second.
    expect(await errorCode(() => validatePath({ ...long, crls, now: now + 60 }))).toBe('ok')

    // A CA for clients makes no deriver; a revoked client is refused.
    await bash(
      `URI=keyferry://deriver.acme.example/x openssl ca -batch -notext -config ca.cnf -extensions x_leaf -name clients -in alice.csr -out evil.pem
       export URI=x:
       openssl ca -config ca.cnf -name clients -revoke alice.pem
       openssl ca -config ca.cnf -name clients -gencrl -out clients/ca.crl
       keyferry crl import clients/ca.crl
       keyferry ca check alice.pem > alice.txt && exit 9
       keyferry ca check evil.pem --role client > evil.txt && exit 9 || true`,
      alg,
    )
    const says = (name: string): string => readFileSync(join(directory, name), 'utf8')
    expect(says('alice.txt')).toContain('ERR_CERT_REVOKED')
    expect(says('evil.txt')).toContain(
      'name constraints: the URI is inside: deriver.acme.example is not among client.acme.example',
    )
    const later = { ...input('evil.pem', 'clients'), now: now + 60 }
    expect(await errorCode(() => validatePath(later))).toBe('ERR_PATH_INVALID')
  })
})

it('what the page does not run, it says so of', () => {
  for (const name of ['step-ca', 'HashiCorp Vault PKI', 'SPIRE', 'AD CS'])
    expect(page).toContain(`\n## ${name}\n\nNot run here`)
})
