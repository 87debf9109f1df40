/** The commands of docs/audit.md, as they stand there, and what they say of a log that is well and of one that is not. */
import { execFile } from 'node:child_process'
import { createPublicKey, generateKeyPairSync, verify as verifyRaw } from 'node:crypto'
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join as joinPath } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { carryOut } from '../../deriver/carry-out.ts'
import { orderDestruction } from '../../deriver/destroy.ts'
import { exportVersion } from '../../deriver/export-key.ts'
import { createKeyring } from '../../deriver/keyrings.ts'
import { emptyLog, shownLog } from '../../deriver/log.ts'
import { publish } from '../../deriver/publish.ts'
import { signCheckpoint, verifierKey } from '../../deriver/checkpoint.ts'
import { base64url, type Bytes } from '../../shared/bytes.ts'
import { generateSigningKey, keyId } from '../../shared/signature.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { keyferryIn, type Result } from '../lib/cli.ts'
import { live } from '../lib/audited.ts'
import { makeTenant, type TestTenant } from '../lib/tenant.ts'

const page = readFileSync(new URL('../../docs/audit.md', import.meta.url), 'utf8')
const blocks = [...page.matchAll(/## (.+)\n[^#]*?```sh\n([^`]*)```/g)].map(([, title, code]) => ({
  title: title!,
  code: code!,
}))
const cli = new URL('../../deriver/cli.ts', import.meta.url).pathname

/** Milliseconds: commands are processes, one after another. */
const LONG = 240_000

let tenant: TestTenant
let notes: Bytes
let keyferry: (...args: string[]) => Promise<Result>

beforeEach(async () => {
  tenant = await makeTenant({ now: Math.floor(Date.now() / 1000) - 3_600 })
  notes = (await live(tenant)).notes
  keyferry = keyferryIn(tenant.directory)
})
afterEach(() => tenant.remove())

function run(code: string): Promise<{ status: number; output: string }> {
  const command = joinPath(tenant.directory, 'keyferry')
  writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${cli}' "$@"\n`)
  chmodSync(command, 0o755)
  const env = {
    ...process.env,
    KEYFERRY_DIR: tenant.directory,
    TENANT: tenant.trust.tenant,
    PATH: `${tenant.directory}${delimiter}${process.env['PATH']}`,
  }
  return new Promise((resolve) => {
    const child = execFile(
      'sh',
      ['-ec', code],
      { cwd: tenant.directory, env },
      (_error, out, err) => resolve({ status: child.exitCode ?? -1, output: out + err }),
    )
  })
}

describe('docs/audit.md', () => {
  it('has the blocks that it is to have', () => {
    expect(blocks.map(({ title }) => title)).toEqual([
      'Check it',
      'Ask it',
      'When something is wrong',
    ])
  })

  it.each(blocks)(
    '$title: its commands do what they say',
    async ({ title, code }) => {
      const before = title === 'Check it' ? '' : 'keyferry audit export --out acme.audit\n'
      const { status, output } = await run(before + code)
      expect(status, output).toBe(0)
      rmSync(joinPath(tenant.directory, 'acme.audit'))
    },
    LONG,
  )
})

describe('audit', () => {
  it(
    'answers who had a version and what a client had, by name and from an export by id',
    async () => {
      const file = joinPath(tenant.directory, 'acme.audit')
      await keyferry('audit', 'export', '--out', file)
      const id = base64url(notes)
      // An id may begin with a hyphen.
      for (const [name, ...more] of [['notes'], [id], [id, '--file', file]] as string[][]) {
        const { stdout, status } = await keyferry(
          'audit',
          'who-had',
          ...more,
          '--json',
          '--',
          `${name}@3`,
        )
        expect(status).toBe(0)
        const { devices, ...others } = JSON.parse(stdout) as { devices: { uri: string }[] }
        expect(devices.map(({ uri }) => uri.split('/').at(-1))).toEqual(['ben', 'cy'])
        expect(others).toEqual({ exports: [], destructions: [] })
      }
      const uri = 'keyferry://client.acme.example/ada'
      const had = await keyferry('audit', 'what-had', uri)
      expect(
        had.stdout.match(/^notes@1\.[12]  from .*, removed .*  device [0-9a-f]{64}$/gm),
      ).toHaveLength(2)
      const nothing = await keyferry('audit', 'what-had', 'keyferry://client.acme.example/x')
      expect(nothing).toMatchObject({ status: 0, stdout: 'nothing\n' })
      expect(await keyferry('audit', 'who-had', 'notes@9')).toMatchObject({ stdout: 'nobody\n' })
      expect(await keyferry('audit', 'who-had', 'notes')).toMatchObject({ status: 2 })
      expect(await keyferry('audit', 'who-had', 'other@1')).toMatchObject({ status: 1 })
      expect(await keyferry('audit', 'who-had', 'notes@1', '--file', file)).toMatchObject({
        status: 2,
      })
    },
    LONG,
  )

  it(
    'answers where a version was exported to, and how far its destruction is',
    async () => {
      const { store, keys, trust, clock } = tenant
      const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
      const wrappingKey = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }))
      await exportVersion(
        { store, root: keys.root, authority: keys.authority, trust },
        { name: 'notes', version: 3 },
        [{ target: 'aws-kms', method: 'RSAES_OAEP_SHA_256', wrappingKey }],
        clock.now,
      )
      const rules = ['keyferry://client.acme.example/*']
      createKeyring(store, { name: 'diary', rules, kind: 'erasable' }, clock.now)
      await publish(store, keys, trust, emptyLog(), clock.now, 3_600)
      orderDestruction(store, ['diary@1'], 0, clock.now)
      const said = await keyferry('audit', 'who-had', 'notes@3')
      const lines = said.stdout.trimEnd().split('\n')
      expect(lines).toHaveLength(3)
      expect(lines[2]).toMatch(
        /^exported \S+ \S+  aws-kms RSAES_OAEP_SHA_256 [0-9a-f]{64}  record [0-9a-f]{64}$/,
      )
      const ordered = await keyferry('audit', 'who-had', 'diary@1')
      expect(ordered.stdout).toMatch(
        /^nobody\nto be destroyed since \S+ \S+, its salts are not erased yet\n$/,
      )
      await carryOut(store, keys, trust, clock.now)
      const erased = await keyferry('audit', 'who-had', 'diary@1')
      expect(erased.stdout).toMatch(/^nobody\nto be destroyed since \S+ \S+, complete \S+ \S+\n$/)
    },
    LONG,
  )

  it(
    'exports the same to a file and to a pipe, and says what is wrong with a file',
    async () => {
      const file = joinPath(tenant.directory, 'acme.audit')
      const told = await keyferry('audit', 'export', '--out', file)
      expect(told.stdout).toMatch(/^\d+ entries, 6 heads\n$/)
      expect((await keyferry('audit', 'export')).stdout).toBe(readFileSync(file, 'utf8'))
      const verify = ['audit', 'verify', file, '--tenant', tenant.trust.tenant, '--json']
      const well = await keyferry(...verify)
      expect(well.status).toBe(0)
      expect(JSON.parse(well.stdout)).toMatchObject({ problems: [], heads: 6, evidence: null })
      writeFileSync(file, readFileSync(file, 'utf8').replace('/ben"', '/eve"'))
      const bent = await keyferry(...verify)
      expect(bent.status).toBe(1)
      const { problems } = JSON.parse(bent.stdout) as { problems: string[] }
      expect(problems.length).toBeGreaterThan(1)
      expect((await keyferry(...verify.slice(0, -1))).stdout).not.toContain('all of it holds')
      expect(await keyferry('audit', 'verify', '--offline', '--key', 'x')).toMatchObject({
        status: 0,
        stdout: expect.stringMatching(/\nall of it holds\n$/) as string,
      })
      expect(await keyferry('audit', 'verify', '--key', 'x')).toMatchObject({ status: 2 })
    },
    LONG,
  )
})

describe('a checkpoint', () => {
  it.each(['Ed25519', 'ES256'] as const)('is a signed note that others verify: %s', async (alg) => {
    const log = shownLog(tenant.store)!
    const key = await generateSigningKey(alg, false)
    const id = tenant.trust.tenant
    const note = await signCheckpoint(id, log, key)
    const [text, signature] = note.split(/(?<=\n)\n/) as [string, string]
    const root = Buffer.from(log.root).toString('base64')
    expect(text).toBe(`keyferry/${id}\n${log.size}\n${root}\n`)
    const [, name, encoded] = /^— (\S+) (\S+)\n$/.exec(signature)!
    expect(name).toBe(`keyferry/${id}`)
    const bytes = Buffer.from(encoded!, 'base64')
    const [, hash, publicKey] = verifierKey(id, key).split(
      /\+(?=[0-9a-f]{8}\+)|(?<=\+[0-9a-f]{8})\+/,
    )
    expect(bytes.subarray(0, 4).toString('hex')).toBe(hash)
    const typed = Buffer.from(publicKey!, 'base64')
    expect([typed[0], typed.length]).toEqual(alg === 'Ed25519' ? [1, 33] : [2, 92])
    const opened = createPublicKey({ key: Buffer.from(key.spki), format: 'der', type: 'spki' })
    const digest = alg === 'Ed25519' ? null : 'sha256'
    expect(verifyRaw(digest, Buffer.from(text), opened, bytes.subarray(4))).toBe(true)
    if (alg === 'ES256') {
      const own = Buffer.from(await keyId(key.spki)).subarray(0, 4)
      expect(own.toString('hex')).toBe(hash)
    }
  })

  it('has the key id of the example of the signed-note specification’s kind of key', async () => {
    // c2sp.org/signed-note, key id: SHA-256(name || 0x0A || 0x01 || key)[:4].
    const key = await generateSigningKey('Ed25519', false)
    const { createHash } = await import('node:crypto')
    const name = `keyferry/${tenant.trust.tenant}`
    const hash = createHash('sha256')
      .update(Buffer.from(`${name}\n\u0001`))
      .update(key.spki.subarray(12))
      .digest('hex')
    expect(verifierKey(tenant.trust.tenant, key).split('+')[1]).toBe(hash.slice(0, 8))
  })

  it('is printed under the newest head, by a key with a certificate of the tenant', async () => {
    const { status, stdout } = await keyferry('audit', 'checkpoint', '--json')
    expect(status).toBe(0)
    const made = JSON.parse(stdout) as { note: string; certificates: string[]; verifierKey: string }
    const der = new Uint8Array(Buffer.from(made.certificates[0]!, 'base64url'))
    const { spki, uris } = parseCertificate(der)
    expect(uris).toEqual(['keyferry://deriver.acme.example/audit'])
    const key = Buffer.from(/^[^+]+\+[^+]+\+(.+)$/.exec(made.verifierKey)![1]!, 'base64')
    expect(Buffer.from(spki).includes(key.subarray(1))).toBe(true)
    expect(made.note.split('\n')[1]).toBe(String(shownLog(tenant.store)!.size))
  })
})
