/** A client on the command line: files and pipes through a keyring of a real deriver behind a real relay, on a machine without a tenant. */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createKeyring } from '../../deriver/index.ts'
import { type AppConfigJson } from '../../shared/config.ts'
import { isMessage } from '../../web/index.ts'
import { startAcme, type Acme } from '../lib/acme.ts'
import { keyferryIn } from '../lib/cli.ts'
import { writeClientFiles } from '../lib/client-files.ts'

const now = (): number => Math.floor(Date.now() / 1000)
const root = new URL('../../', import.meta.url).pathname

let acme: Acme
let home: string

beforeAll(async () => {
  acme = await startAcme([])
  home = join(acme.directory, 'client')
  mkdirSync(home)
  const rules = ['keyferry://client.acme.example/*']
  createKeyring(acme.deriver.store, { name: 'orders', rules }, now())
  await writeClientFiles(home, join(acme.directory, 'keyferry'), acme.deriver)
})
afterAll(async () => {
  await acme?.close()
})

/** Runs a command in the client's directory with these bytes on its standard input. */
function keyferry(args: readonly string[], input: Uint8Array = new Uint8Array()) {
  const child = spawn(process.execPath, [join(root, 'deriver/cli.ts'), ...args], { cwd: home })
  const [out, err]: [Buffer[], Buffer[]] = [[], []]
  child.stdout.on('data', (part: Buffer) => out.push(part))
  child.stderr.on('data', (part: Buffer) => err.push(part))
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  return new Promise<{ status: number | null; stdout: Buffer; stderr: string }>((resolve) => {
    child.once('close', (status) =>
      resolve({ status, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString() }),
    )
  })
}

const ME = ['--keyring', 'notes', '--key', 'me.key', '--certificate', 'me.pem']
const data = Buffer.alloc(300_000, 'data')

it('a pipe goes in and comes out, and no tenant is needed or made', async () => {
  const sealed = await keyferry(['encrypt', ...ME, '--context', 'backup/7'], data)
  expect([sealed.status, sealed.stderr]).toEqual([0, ''])
  expect(isMessage(sealed.stdout)).toBe(true)
  const opened = await keyferry(['decrypt', ...ME, '--context', 'backup/7'], sealed.stdout)
  expect([opened.status, opened.stderr]).toEqual([0, ''])
  expect(opened.stdout.equals(data)).toBe(true)
  expect(readdirSync(home).toSorted()).toEqual([
    'keyferry-state.json',
    'keyferry.json',
    'me.key',
    'me.pem',
  ])

  const other = await keyferry(['decrypt', ...ME], sealed.stdout)
  expect([other.status, other.stdout.length]).toEqual([1, 0])
  expect(other.stderr).toContain('ERR_OPEN')
  const newer = [...ME, '--context', 'backup/7', '--min-version', '2']
  expect((await keyferry(['decrypt', ...newer], sealed.stdout)).stderr).toContain('ERR_KEY_VERSION')
})

it('files are written as a whole or not at all', async () => {
  writeFileSync(join(home, 'plain'), data)
  const sealed = await keyferry(['encrypt', 'plain', ...ME, '--out', 'sealed'])
  expect([sealed.status, sealed.stdout.toString()]).toEqual([0, 'sealed: 300400 bytes\n'])
  const opened = await keyferry(['decrypt', 'sealed', ...ME, '--out', 'opened', '--json'])
  expect(JSON.parse(opened.stdout.toString())).toEqual({
    bytes: data.length,
    file: 'opened',
    keyring: 'notes',
  })
  expect(readFileSync(join(home, 'opened')).equals(data)).toBe(true)

  writeFileSync(join(home, 'cut'), readFileSync(join(home, 'sealed')).subarray(0, 200_000))
  writeFileSync(join(home, 'before'), 'stays')
  for (const out of ['nothing', 'before']) {
    const cut = await keyferry(['decrypt', 'cut', ...ME, '--out', out])
    expect([cut.status, cut.stdout.length]).toEqual([1, 0])
  }
  expect(existsSync(join(home, 'nothing'))).toBe(false)
  expect(readFileSync(join(home, 'before'), 'utf8')).toBe('stays')
  expect(readdirSync(home).filter((name) => name.endsWith('.part'))).toEqual([])
})

const URI = 'keyferry://client.acme.example/me'
const SIGNER = `signed by ${URI}, device `

it('[sign-9] a sender signs inside, and is said or asked for', async () => {
  writeFileSync(join(home, 'note'), data)
  for (const [out, ...more] of [['with', '--sign'], ['without']])
    expect((await keyferry(['encrypt', 'note', ...ME, '--out', out!, ...more])).status).toBe(0)
  const said = await keyferry(['decrypt', 'with', ...ME, '--out', 'note.2', '--from', URI])
  expect(said.stdout.toString()).toMatch(
    new RegExp(
      `^note.2: 300000 bytes\n${SIGNER}[0-9a-f]{16}, who says at [0-9TZ:-]{20}: current\n$`,
    ),
  )
  expect(readFileSync(join(home, 'note.2')).equals(data)).toBe(true)
  const json = await keyferry(['decrypt', 'with', ...ME, '--out', 'note.2', '--signed', '--json'])
  expect(JSON.parse(json.stdout.toString())).toMatchObject({
    bytes: data.length,
    sender: { uri: URI, status: 'current' },
  })
  const piped = await keyferry(['decrypt', 'with', ...ME])
  expect([piped.status, piped.stdout.equals(data)]).toEqual([0, true])
  for (const [code, name, ...asked] of [
    ['ERR_UNSIGNED', 'without', '--signed'],
    ['ERR_UNSIGNED', 'without', '--from', URI],
    ['ERR_SENDER', 'with', '--from', `${URI}/other`],
  ]) {
    const refused = await keyferry(['decrypt', name!, ...ME, ...asked])
    expect([refused.status, refused.stdout.length]).toEqual([1, 0])
    expect(refused.stderr).toContain(`(${code})\nkeyferry: hint: `)
  }
})

it('[sign-2] a signature beside a file says who signed which file, in which context', async () => {
  writeFileSync(join(home, 'contract'), data)
  const context = ['--context', 'contract/7']
  const signed = await keyferry(['sign', 'contract', ...ME, ...context, '--out', 'contract.sig'])
  expect(signed.stdout.toString()).toMatch(/^contract.sig: \d+ bytes\n$/)
  const verify = ['verify', ...ME, '--signature', 'contract.sig']
  const said = await keyferry([...verify, 'contract', ...context])
  expect([said.status, said.stderr]).toEqual([0, ''])
  expect(said.stdout.toString()).toMatch(new RegExp(`^${SIGNER}.*: current\n$`))
  const json = await keyferry([...verify, ...context, '--from', URI, '--json'], data)
  expect(JSON.parse(json.stdout.toString())).toMatchObject({ uri: URI, status: 'current' })
  const piped = await keyferry(['sign', ...ME], data)
  writeFileSync(join(home, 'piped.sig'), piped.stdout)
  const again = [...ME, '--signature', 'piped.sig', 'contract']
  expect((await keyferry(['verify', ...again])).status).toBe(0)

  writeFileSync(join(home, 'large.sig'), Buffer.alloc(65_537))
  for (const [code, ...args] of [
    ['ERR_HASH', ...verify, 'contract'],
    ['ERR_HASH', ...verify, 'me.pem', ...context],
    ['ERR_SENDER', ...verify, 'contract', ...context, '--from', `${URI}/other`],
    ['ERR_TOO_LARGE', 'verify', ...ME, '--signature', 'large.sig', 'contract'],
    ['ERR_MALFORMED', 'verify', ...ME, '--signature', 'contract', 'contract'],
  ] as [string, ...string[]][]) {
    if (code === 'ERR_MALFORMED') writeFileSync(join(home, 'contract'), 'no signature')
    const refused = await keyferryIn(home, { cwd: home })(...args)
    expect([refused.status, refused.stdout.length]).toEqual([1, 0])
    expect(refused.stderr).toContain(`(${code})`)
  }
})

it.each<[number, string, string[]]>([
  [2, 'ERR_USAGE', ['encrypt', '--key', 'me.key', '--certificate', 'me.pem']],
  [2, 'ERR_USAGE', ['encrypt', '--keyring', 'notes', '--key', 'me.key']],
  [2, 'unexpected argument', ['encrypt', 'a', 'b', ...ME]],
  [2, 'ERR_USAGE', ['encrypt', ...ME, '--json']],
  [2, 'ERR_USAGE', ['decrypt', ...ME, '--min-version', 'x']],
  [2, 'unknown option', ['encrypt', ...ME, '--min-version', '2']],
  [2, 'ERR_USAGE', ['sign', ...ME, '--json']],
  [2, 'ERR_USAGE', ['verify', ...ME]],
  [2, 'unexpected argument', ['verify', 'a', 'b', ...ME, '--signature', 'me.pem']],
  [3, 'ERR_IO', ['verify', 'me.pem', ...ME, '--signature', 'none']],
  [3, 'ERR_IO', ['sign', 'none', ...ME]],
  [1, 'ERR_KEYRING', ['encrypt', ...ME, '--keyring', 'other']],
  [1, 'ERR_SCHEMA', ['encrypt', ...ME, '--config', 'me.pem']],
  [1, 'ERR_STATE', ['encrypt', '--keyring', 'notes', '--state', 'none.json']],
  [1, 'ERR_MALFORMED', ['decrypt', 'me.pem', ...ME]],
  [3, 'ERR_IO', ['encrypt', 'none', ...ME]],
  [3, 'ERR_IO', ['encrypt', ...ME, '--out', 'none/out']],
  [3, 'ERR_IO', ['encrypt', ...ME, '--config', 'none.json']],
])('exit status %i, %s: %j', async (status, text, args) => {
  const result = await keyferryIn(home, { cwd: home })(...args)
  expect([result.status, result.stdout.length]).toEqual([status, 0])
  expect(result.stderr).toMatch(/^keyferry: error: /)
  expect(result.stderr).toContain('\nkeyferry: hint: ')
  expect(result.stderr).toContain(text)
})

it('says which keyrings there are to choose from, and needs no choice where there is one', async () => {
  const config = JSON.parse(readFileSync(join(home, 'keyferry.json'), 'utf8')) as AppConfigJson
  const { keyrings } = config
  expect(keyrings.map(({ name }) => name).toSorted()).toEqual(['notes', 'orders'])
  const mine = ['--key', 'me.key', '--certificate', 'me.pem']
  const which = await keyferry(['encrypt', ...mine], data)
  expect([which.status, which.stdout.length]).toEqual([2, 0])
  expect(which.stderr).toContain(
    `--keyring is needed, one of ${keyrings[0]!.name}, ${keyrings[1]!.name}`,
  )
  const one = keyrings.filter(({ name }) => name === 'orders')
  writeFileSync(join(home, 'one.json'), JSON.stringify({ ...config, keyrings: one }))
  const sealed = await keyferry(['encrypt', ...mine, '--config', 'one.json'], data)
  expect([sealed.status, sealed.stderr]).toEqual([0, ''])
  const opened = await keyferry(['decrypt', ...mine, '--keyring', 'orders'], sealed.stdout)
  expect(opened.stdout.equals(data)).toBe(true)
})

it('nothing of a deriver is loaded', async () => {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: ['deriver/cli.ts'],
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    outdir: 'unused',
    splitting: true,
  })
  // What a file imports at once, and all that the commands import later.
  const reach = (name: string, seen: Set<string>): Set<string> => {
    if (seen.has(name)) return seen
    seen.add(name)
    for (const { path, kind } of metafile.inputs[name]?.imports ?? [])
      if (kind === 'import-statement' || name.endsWith('/client.ts')) reach(path, seen)
    return seen
  }
  const loaded = [...reach('deriver/cli.ts', new Set())]
  expect(loaded.filter((name) => name.startsWith('deriver/')).toSorted()).toEqual([
    'deriver/arguments.ts',
    'deriver/cli.ts',
    'deriver/commands/client-files.ts',
    'deriver/commands/client.ts',
    'deriver/commands/definition.ts',
    'deriver/commands/messages.ts',
    'deriver/commands/progress.ts',
    'deriver/commands/rewrap-file.ts',
    'deriver/commands/rewrap.ts',
    'deriver/commands/signatures.ts',
    'deriver/main.ts',
  ])
  expect(loaded).toContain('web/client.ts')
  expect(loaded).not.toContain('node:sqlite')
})
