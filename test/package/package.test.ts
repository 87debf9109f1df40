/** The tarball: what is in it, what it asks for, how it is imported and typed, and what its command says on an old Node. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compile, readManifest, ROOT, type Packed } from '../../tools/package/build.ts'
import { readApi } from '../../tools/package/main.ts'
import { installPackage, packInto } from '../lib/consumer.ts'

const run = promisify(execFile)
const require = createRequire(import.meta.url)
const entries = Object.keys(readManifest().exports).map((path) => `keyferry${path.slice(1)}`)
/** Those that a page or a client imports; `jose` looks at `navigator`. */
const clients = entries.filter((name) => !/\/(deriver|oidc)$/.test(name))

let directory: string
let project: string
let packed: Packed
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  project = join(directory, 'project')
  packed = packInto(directory)
  installPackage(project, packed, ['jose', '@types/node', 'undici-types'])
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const node = (args: string[]) =>
  run(process.execPath, args, { cwd: project, timeout: 110_000 }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: { code: number; stdout: string; stderr: string }) => error,
  )

describe('the tarball', () => {
  it('holds JavaScript with declarations, and no TypeScript source, test or relay', () => {
    const pages = ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json']
    expect(new Set(packed.files.map((file) => file.split('/')[0]))).toEqual(
      new Set([...pages, 'deriver', 'shared', 'web']),
    )
    const code = packed.files.filter((file) => file.includes('/'))
    expect(code.filter((file) => !/\.(js|d\.ts)$/.test(file))).toEqual([])
    expect(code.length).toBeGreaterThan(100)
  })

  it('asks for what its files import, and installs nothing of relay, HSM or tests', () => {
    const json = JSON.parse(
      readFileSync(join(project, 'node_modules/keyferry/package.json'), 'utf8'),
    ) as Record<string, Record<string, string>>
    const { devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      devDependencies: Record<string, string>
    }
    expect(Object.keys(json['dependencies']!)).toContain('@noble/hashes')
    expect(Object.keys(json['dependencies']!).filter((name) => name in devDependencies)).toEqual([])
    expect(json).not.toHaveProperty('devDependencies')
    expect(json).not.toHaveProperty('scripts')
    expect(json['engines']).toEqual({ node: '>=22.12' })
    expect(json['sideEffects']).toBe(false)
  })

  it('has nothing that publint objects to', async () => {
    const { messages, pkg } = await publint({
      pkgDir: join(project, 'node_modules/keyferry'),
      strict: true,
    })
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([])
  })
})

describe('an import', () => {
  it('has no effect and needs no page, as on a server that renders pages', async () => {
    // Whatever only a browser or a network has is a trap.
    writeFileSync(
      join(project, 'traps.mjs'),
      `const traps = ['window', 'document', 'navigator', 'indexedDB', 'localStorage', 'WebSocket', 'fetch', 'location', 'addEventListener', 'setTimeout', 'setInterval']
for (const name of traps)
  Object.defineProperty(globalThis, name, { configurable: true, get: () => { throw new Error('touched ' + name) } })
const before = Object.getOwnPropertyNames(globalThis).join()
for (const name of ${JSON.stringify(clients)}) await import(name)
if (Object.getOwnPropertyNames(globalThis).join() !== before) throw new Error('a new global')
process.stdout.write('imported')
`,
    )
    expect(await node(['traps.mjs'])).toMatchObject({ code: 0, stdout: 'imported', stderr: '' })
  })

  it('of a part leaves the rest out of a bundle', async () => {
    const size = async (contents: string): Promise<number> => {
      const { outputFiles } = await build({
        stdin: { contents, resolveDir: project },
        bundle: true,
        minify: true,
        write: false,
        format: 'esm',
        logLevel: 'error',
      })
      return outputFiles[0]!.contents.length
    }
    const all = await size("export { connect, openIndexedDbStore } from 'keyferry'")
    expect(all).toBeGreaterThan(30_000)
    expect(await size("import { connect } from 'keyferry'; import 'keyferry/enroll'")).toBe(0)
    expect(await size("export { isMessage } from 'keyferry'")).toBeLessThan(1_000)
    expect(await size("export { isKeyferryError } from 'keyferry'")).toBeLessThan(5_000)
  })

  it('of what the exports do not name is refused', async () => {
    const { code, stderr } = await node(['-e', "import('keyferry/shared/bytes.js')"])
    expect(code).toBe(1)
    expect(stderr).toContain('ERR_PACKAGE_PATH_NOT_EXPORTED')
  })
})

describe('types', { timeout: 120_000 }, () => {
  const source = `import { connect, isKeyferryError, openIndexedDbStore, type Keyferry, type Keyring, type Store } from 'keyferry'
import { createIdentity, enrollAt, renewBy } from 'keyferry/enroll'
import { createEnrolment, toListener } from 'keyferry/enrolment'
import { createOidcSession } from 'keyferry/enrolment/oidc'
import { createFileStore } from 'keyferry/node'
import { openClientCa, openDeriver } from 'keyferry/deriver'
export const used = [createEnrolment, toListener, createOidcSession, createFileStore, openClientCa, openDeriver]
export async function open(config: Parameters<typeof connect>[0]['config']): Promise<Keyring> {
  const store: Store = await openIndexedDbStore()
  const enroll = enrollAt('/enroll')
  const identity = await createIdentity({ name: 'me', store, enroll })
  const keyferry: Keyferry = await connect({ config, identity, store, renew: renewBy(enroll) })
  keyferry.on('ready', ({ milliseconds }) => milliseconds.toFixed())
  return keyferry.keyring('notes')
}
export async function read(keyring: Keyring, message: Uint8Array): Promise<string> {
  try {
    return await keyring.decrypt(message, { as: 'text' })
  } catch (error) {
    if (isKeyferryError(error) && error.code === 'ERR_STALE') return ''
    throw error
  }
}
`
  const check = async (text: string, options: object): Promise<string> => {
    writeFileSync(join(project, 'app.ts'), text)
    const compilerOptions = {
      target: 'es2022',
      lib: ['es2022', 'dom', 'dom.iterable'],
      types: ['node'],
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      noEmit: true,
      ...options,
    }
    writeFileSync(
      join(project, 'tsconfig.json'),
      JSON.stringify({ compilerOptions, files: ['app.ts'] }),
    )
    const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin/tsc')
    const { stdout } = await node([tsc, '-p', 'tsconfig.json'])
    return stdout
  }
  const resolutions = [
    ['bundler', { module: 'esnext', moduleResolution: 'bundler' }],
    ['node16', { module: 'node16', moduleResolution: 'node16' }],
  ] as const

  it.each(resolutions)('are found and check with moduleResolution %s', async (_, options) => {
    expect(await check(source, options)).toBe('')
    // That it would say so.
    const wrong = source.replace("{ name: 'me', store", '{ name: 1, store')
    expect(await check(wrong, options)).toContain('TS2322')
    expect(await check(`${source}new Object() as Keyring satisfies string`, options)).toContain(
      'TS1360',
    )
  })

  it('of each entry are as docs/api records them: `npm run api` after a wanted change', () => {
    const folder = join(directory, 'api')
    compile(folder)
    const api = readApi(folder)
    expect(new Set(api.keys())).toEqual(new Set(readdirSync(join(ROOT, 'docs/api'))))
    expect(api.size).toBe(entries.length)
    for (const [name, { text }] of api)
      expect(text, name).toBe(readFileSync(join(ROOT, 'docs/api', name), 'utf8'))
    // What a client's types mention can be imported by name: nothing internal shows.
    const hidden = [...api].filter(([name]) => name !== 'deriver.d.ts').map(([, one]) => one.hidden)
    const constants = ['CLIENT_CODES', 'SPOKEN_CODES', 'RELAY_CODES', 'SERVICE_CODES', 'ALGORITHMS']
    expect(hidden.flat().filter((name) => !constants.includes(name))).toEqual([])
  })
})

describe('the command', () => {
  const bin = 'node_modules/.bin/keyferry'

  it('runs from where npm puts it', async () => {
    const { code, stdout } = await node([bin, '--help'])
    expect(code).toBe(0)
    expect(stdout).toContain('usage: keyferry')
  })

  it('serves the console, whose page is in the package', async () => {
    const tenant = join(directory, 'tenant')
    const at = ['--dir', tenant]
    const relay = ['--relay', 'https://relay.example']
    const init = [
      'init',
      '--org',
      'Acme',
      '--domain',
      'acme.example',
      ...relay,
      '--unsealed',
      ...at,
    ]
    expect((await node([bin, ...init])).code).toBe(0)
    const served = spawn(process.execPath, [bin, 'console', '--json', ...at], { cwd: project })
    try {
      const [line] = (await once(served.stdout, 'data')) as [Buffer]
      const { url } = JSON.parse(line.toString()) as { url: string }
      expect(await (await fetch(url)).text()).toContain('<script type="module" src="main.js">')
      expect((await (await fetch(`${url}main.js`)).text()).length).toBeGreaterThan(10_000)
    } finally {
      const ended = once(served, 'exit')
      served.kill('SIGTERM')
      expect(await ended).toEqual([0, null])
    }
  })

  it('wraps the key of a large keyring on a second thread, whose file is in the package', async () => {
    writeFileSync(
      join(project, 'wrap.mjs'),
      `import { WrapJob } from './node_modules/keyferry/deriver/wrap-job.js'
import { wrapBeside } from './node_modules/keyferry/deriver/wrap-thread.js'
const job = WrapJob.of(new Uint8Array(32), 2_000)
wrapBeside(job)
for (let page = 0; page < 8; page++) job.ready(page)
const states = new Int32Array(job.memory, 4, 8)
const look = setInterval(() => {
  if (states.some((state) => state !== 3)) return
  process.stdout.write('wrapped')
  clearInterval(look)
}, 5)
`,
    )
    // A process that may use one processor alone starts none.
    const parallel = `data:text/javascript,${encodeURIComponent(
      `import os from 'node:os'; import { syncBuiltinESMExports } from 'node:module'
os.availableParallelism = () => 2; syncBuiltinESMExports()`,
    )}`
    expect(await node(['--import', parallel, 'wrap.mjs'])).toMatchObject({
      code: 0,
      stdout: 'wrapped',
      stderr: '',
    })
  })

  it.each(['20.20.2', '22.12.0', '24.6.9'])('says on Node %s what it needs', async (version) => {
    const older = `data:text/javascript,Object.defineProperty(process.versions,'node',{value:'${version}'})`
    const { code, stdout, stderr } = await node(['--import', older, bin, '--help'])
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
    expect(stderr).toBe(
      `keyferry: error: this is Node ${version}, and keyferry needs 24.7 or newer\n` +
        'keyferry: hint: npm install --save-dev node@24, then npx keyferry takes that one\n',
    )
  })
})
