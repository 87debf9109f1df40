/** docs/enrolment.md: its example run as it stands there, its other blocks compiled. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openClientCa } from '../../deriver/index.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { createIdentity, enrollAt, loadIdentity, renewIdentity } from '../../web/enroll.ts'
import { createMemoryStore } from '../../web/index.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { initAcme } from '../lib/init-acme.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const ORIGIN = 'https://app.acme.example'
const URI = 'keyferry://client.acme.example/me'
const page = readFileSync(join(ROOT, 'docs/enrolment.md'), 'utf8')
const blocks = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, text]) => text!)
const example = join(ROOT, 'examples/enrolment.ts')

let directory: string
let app: ChildProcess
let login: URL
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  await initAcme(join(directory, 'keyferry'), [], { origins: [ORIGIN] })
  const env = { ...process.env, ORIGIN, PORT: '0' }
  app = spawn(process.execPath, [example], { cwd: directory, env, stdio: ['ignore', 'pipe', 'inherit'] }) // prettier-ignore
  login = new URL(
    await new Promise<string>((resolve, reject) => {
      createInterface({ input: app.stdout! }).once('line', resolve)
      app.once('exit', (code) => reject(new Error(`the example ended with ${code}`)))
    }),
  )
})
afterAll(async () => {
  if (app?.exitCode === null) {
    const ended = new Promise((resolve) => app.once('exit', resolve))
    app.kill()
    await ended
  }
  rmSync(directory, { recursive: true, force: true })
})

it('the page shows examples/enrolment.ts', () => {
  expect(blocks[0]).toBe(readFileSync(example, 'utf8'))
})

it('the example certifies whoever logged in, for the URI of the session, and nobody else', async () => {
  const enroll = (cookie: string) =>
    enrollAt(new URL('/enroll', login), { headers: { origin: ORIGIN, cookie } })
  const create = (cookie: string, store = createMemoryStore()) =>
    createIdentity({ name: 'me', store, enroll: enroll(cookie) })
  await expectCode(create(''), 'ERR_SESSION')
  const wrong = await fetch(new URL('/login/guessed', login), { redirect: 'manual' })
  await expectCode(create(wrong.headers.getSetCookie()[0]!.split(';')[0]!), 'ERR_SESSION')

  const response = await fetch(login, { redirect: 'manual' })
  const [set] = response.headers.getSetCookie()
  expect(set).toMatch(/; HttpOnly; SameSite=Strict$/)
  const cookie = set!.split(';')[0]!
  const store = createMemoryStore()
  const identity = await create(cookie, store)
  expect(parseCertificate(identity.certificates[0]!).uris).toEqual([URI])
  await renewIdentity({ store, enroll: enroll(cookie) })
  // A further device has the session alone.
  await expectCode(create(cookie), 'ERR_NEW_KEY')
  expect(await loadIdentity({ store })).not.toBe(null)
  const ca = await openClientCa({ directory: join(directory, 'keyferry'), passphrase: null })
  expect(await ca.keysOf(URI)).toHaveLength(1)
  ca.close()
})

/** What each of the other blocks takes as given. */
const GIVEN = [
  `import { type IncomingMessage, type ServerResponse } from 'node:http'
import { createCa, toListener, type CaOptions } from 'keyferry/enrolment'
declare const issuer: CaOptions['issuer']
declare const issued: CaOptions['issued']
declare const enrolment: (request: Request) => Promise<Response>
declare const server: {
  all(path: string, handler: (request: IncomingMessage, response: ServerResponse) => unknown): void
}
export { ca }
`,
  `import { createEnrolment } from 'keyferry/enrolment'
import { createOidcSession } from 'keyferry/enrolment/oidc'
declare const nonceOfLogin: (request: Request) => Promise<string | null>
declare const options: Parameters<typeof createEnrolment>[0]
export const make = () => createEnrolment({ ...options, session })
`,
]

it('its other blocks compile', { timeout: 120_000 }, async () => {
  const others = blocks.slice(1)
  expect(others).toHaveLength(GIVEN.length)
  const folder = join(directory, 'blocks')
  mkdirSync(join(folder, 'node_modules'), { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  symlinkSync(ROOT, join(folder, 'node_modules/keyferry'))
  symlinkSync(join(ROOT, 'node_modules/@types'), join(folder, 'node_modules/@types'))
  for (const [i, text] of others.entries())
    writeFileSync(join(folder, `block-${i}.ts`), `${GIVEN[i]}${text}`)
  const compilerOptions = {
    target: 'es2024',
    lib: ['es2024', 'dom'],
    types: ['node'],
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    noUnusedLocals: true,
    skipLibCheck: true,
    noEmit: true,
    allowImportingTsExtensions: true,
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
  const compile = () =>
    promisify(execFile)(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder]).then(
      () => '',
      (error: { stdout: string }) => error.stdout,
    )
  expect(await compile()).toBe('')
  // That it would say so: a block with a name that is not there.
  writeFileSync(join(folder, 'block-0.ts'), `${GIVEN[0]}${others[0]!.replace('issued', 'gone')}`)
  expect(await compile()).toContain('gone')
})
