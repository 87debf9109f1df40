/** The blocks of docs/deriver.md, as they stand there, each in a directory of its own. */
import { execFile, execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ALARMS } from '../../deriver/alarms.ts'
import { createKeyring } from '../../deriver/keyrings.ts'
import { openStore, storePath } from '../../deriver/store.ts'
import { ERROR_CODES } from '../../shared/error-codes.ts'
import { initAcme } from '../lib/init-acme.ts'
import { AWS, AWS_KEY, GCP_KEY, GCP_TOKEN, startKmsServer, VAULT_TOKEN } from '../lib/kms-server.ts'
import { hsmAbsent } from '../lib/softhsm.ts'

const page = readFileSync(new URL('../../docs/deriver.md', import.meta.url), 'utf8')
const blocks = new Map(
  page
    .split(/^## /m)
    .slice(1)
    .flatMap((section) => {
      const code = /```sh\n([^`]*)```/.exec(section)?.[1]
      return code === undefined ? [] : [[section.slice(0, section.indexOf('\n')), code] as const]
    }),
)
const PASSPHRASE = 'correct horse'
const cli = new URL('../../deriver/cli.ts', import.meta.url).pathname

async function makeDirectory(withTenant: boolean): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const command = join(directory, 'keyferry')
  writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${cli}' "$@"\n`)
  chmodSync(command, 0o755)
  if (!withTenant) return directory
  const tenant = join(directory, 'tenant')
  const now = Math.floor(Date.now() / 1000)
  await initAcme(tenant, ['http://127.0.0.1:9'], { passphrase: PASSPHRASE, now })
  const store = openStore(storePath(tenant))
  createKeyring(store, { name: 'notes', rules: ['keyferry://client.acme.example/*'] }, now)
  store.close()
  return directory
}

/** Runs a block and returns what it printed. */
async function run(
  title: string,
  directory: string,
  more: Record<string, string> = {},
): Promise<string> {
  const env = {
    ...process.env,
    KEYFERRY_DIR: join(directory, 'tenant'),
    KEYFERRY_PASSPHRASE: PASSPHRASE,
    PATH: `${directory}${delimiter}${process.env['PATH']}`,
    ...more,
  }
  const code = blocks.get(title)!
  const { status, output } = await new Promise<{ status: number; output: string }>((resolve) => {
    const child = execFile('sh', ['-ec', code], { cwd: directory, env }, (_error, out, err) =>
      resolve({ status: child.exitCode ?? -1, output: out + err }),
    )
  })
  expect(status, output).toBe(0)
  return output
}

describe('docs/deriver.md', () => {
  it.skipIf(hsmAbsent !== null)('An HSM', async () => {
    const directory = await makeDirectory(false)
    const output = await run('An HSM', directory)
    expect(output).toContain('main  good')
    for (const label of ['master', 'master-authority', 'master-deriver'])
      expect(output).toMatch(new RegExp(`label: +${label}\\n`))
    expect(output).toContain('never extractable')
    for (const name of ['authority', 'deriver'])
      expect(readFileSync(join(directory, 'tenant/keys', `${name}.json`), 'utf8')).toContain(
        'keyferry-reference-1',
      )
    expect(() => readFileSync(join(directory, 'tenant/keys/master.json'))).toThrow('ENOENT')
  })

  // It takes root and a service manager; what it makes is what the unit asks for.
  it('Install', () => {
    const code = blocks.get('Install')!
    const file = new URL('../../selfhost/keyferry-deriver.service', import.meta.url)
    const settings = readFileSync(file, 'utf8').replaceAll(/^#.*$/gm, '')
    const paths = settings.match(/\/(opt|var\/lib|etc)\/keyferry[\w./-]*\w/g)!
    expect(paths).toContain('/opt/keyferry/deriver/bin.js')
    expect(
      paths.filter((path) => path !== '/opt/keyferry/README.md' && !code.includes(path)),
    ).toEqual([])
    const { version } = JSON.parse(
      readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
    ) as { version: string }
    expect(code).toContain(`-xzf dist/keyferry-${version}.tgz`)
    const [start] = /ExecStart=\S+ \S+ run --dir \S+/.exec(settings)!
    expect(page).toContain(`\n${start}\n`)
  })

  it('systemd', async () => {
    expect(await run('systemd', await makeDirectory(false))).toContain('main  good')
  })

  it('A key service, which is a server of our own here', async () => {
    const server = await startKmsServer(Buffer.alloc(32, 7))
    onTestFinished(() => server.close())
    const directory = await makeDirectory(true)
    const env = {
      KEY_ARN: AWS_KEY,
      KEY_VERSION: GCP_KEY,
      KMS_ENDPOINT: server.url,
      VAULT_ADDR: server.url,
      VAULT_TOKEN,
      GOOGLE_ACCESS_TOKEN: GCP_TOKEN,
      AWS_ACCESS_KEY_ID: AWS.id,
      AWS_SECRET_ACCESS_KEY: AWS.secret,
      AWS_SESSION_TOKEN: AWS.session,
    }
    // The three of this server have one key: the second and the third are refused as the same root.
    const block = blocks.get('A key service')!
    const [aws, gcp, vault, check] = block.trim().split('\n')
    for (const [line, key] of [
      [aws, 1],
      [gcp, 2],
      [vault, 3],
    ] as const) {
      server.key = Buffer.alloc(32, key)
      blocks.set('line', line!)
      expect(await run('line', directory, env)).toContain('added')
    }
    expect(check).toBe('keyferry root check')
    expect(server.problems).toEqual([])
  })

  it('Moving to another root', async () => {
    const output = await run('Moving to another root', await makeDirectory(true))
    expect(output).toMatch(/root main {2}file:master {2}1 versions, 1 generations, 0 devices\n/)
    expect(output).toMatch(/root second {2}file:second {2}1 versions.*\(in use\)/)
  })

  it('Taking a key out', async () => {
    const directory = await makeDirectory(true)
    const output = await run('Taking a key out', directory)
    expect(output).toContain('aws-kms')
    expect(readFileSync(join(directory, 'notes-1/key')).length).toBe(32)
    const both = join(directory, 'notes-1/notes-1.gcp-kms.bin')
    const args = ['pkeyutl', '-decrypt', '-inkey', 'kek.pem', '-in', both]
    for (const option of ['rsa_padding_mode:oaep', 'rsa_oaep_md:sha256', 'rsa_mgf1_md:sha256'])
      args.push('-pkeyopt', option)
    const key = execFileSync('openssl', args, { cwd: directory })
    expect(key.equals(readFileSync(join(directory, 'notes-1/key')))).toBe(true)
  })

  it('Bringing a key in', async () => {
    const directory = await makeDirectory(true)
    expect(await run('Bringing a key in', directory)).toContain('confirmed by alice and bob')
  })

  it('knows every alarm, and no code that there is not', () => {
    const section = page.split(/^## /m).find((one) => one.startsWith('When something is wrong'))!
    const seen = [...section.matchAll(/^\| (`.*?) +\|/gm)].map(([, cell]) => cell!)
    const names = seen.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name!))
    expect(names.filter((name) => /^[a-z]+(-[a-z]+)*$/.test(name)).toSorted()).toEqual(
      Object.keys(ALARMS).toSorted(),
    )
    const codes = [...page.matchAll(/`(ERR_\w+)`/g)].map(([, code]) => code!)
    expect(codes.filter((code) => !Object.hasOwn(ERROR_CODES, code))).toEqual([])
    expect(names.filter((name) => name.startsWith('ERR_')).length).toBeGreaterThan(10)
  })

  it('has a test for every block', () => {
    blocks.delete('line')
    expect([...blocks.keys()]).toEqual([
      'An HSM',
      'Install',
      'systemd',
      'A key service',
      'Moving to another root',
      'Taking a key out',
      'Bringing a key in',
    ])
  })
})
