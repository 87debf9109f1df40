/** Enrolment in a real browser: what a foreign page and script in the app's own page can make, and what they cannot. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { chromium as playwright, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { openClientCa, type ClientCa } from '../../deriver/index.ts'
import { hex } from '../../shared/bytes.ts'
import { chromium, chromiumArgs } from '../../tools/chromium.ts'
import {
  createEnrolment,
  toListener,
  type EnrolmentEvent,
  type EnrolmentOptions,
} from '../../web/enrolment/index.ts'
import { initAcme } from '../lib/init-acme.ts'

const COOKIE = 'session=42'
const URI = 'keyferry://client.acme.example/browser'

type Library = typeof import('../../web/index.ts') & typeof import('../../web/enroll.ts')

let directory: string
let ca: ClientCa
let app: Server
let foreign: Server
let origin: string
let browser: Browser
let page: Page
let events: EnrolmentEvent[]
/** What came to the enrolment, before the handler saw it. */
let calls: { method: string; cookie: string; origin: string; site: string }[]
beforeEach(() => {
  events = []
  calls = []
})

const listen = (server: Server): Promise<void> =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const portOf = (server: Server): number => (server.address() as AddressInfo).port
const keys = async (): Promise<string[]> => (await ca.keysOf(URI)).map((one) => hex(one.keyId))

function enrolment(options: Partial<EnrolmentOptions> = {}): ReturnType<typeof toListener> {
  const handler = createEnrolment({
    ca,
    session: ({ headers }) =>
      headers.get('cookie') === COOKIE ? { id: 'session 42', uri: URI } : null,
    secret: new Uint8Array(randomBytes(32)),
    origins: [origin],
    report: (event) => events.push(event),
    ...options,
  })
  return toListener(handler)
}

/** The customer's web app: a page, its script, and enrolment by two rules. It knows its user by a cookie. */
async function startApp(): Promise<void> {
  const bundle = await build({
    stdin: {
      contents:
        "import * as client from './web/index.ts'; import * as enroll from './web/enroll.ts'; globalThis.library = { ...client, ...enroll }",
      resolveDir: process.cwd(),
    },
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
  })
  const routes: Record<string, ReturnType<typeof toListener>> = {}
  app = createServer((request, response) => {
    const route = routes[request.url ?? '']
    if (route !== undefined) {
      const { cookie = '', origin: from = '', 'sec-fetch-site': site } = request.headers
      calls.push({ method: request.method!, cookie, origin: from, site: String(site) })
      void route(request, response)
      return
    }
    const isScript = request.url === '/keyferry.js'
    response.writeHead(200, {
      'content-type': isScript ? 'text/javascript' : 'text/html',
      'set-cookie': `${COOKIE}; HttpOnly; SameSite=Strict; Path=/`,
    })
    const html = '<!doctype html><title>app</title><script type=module src=/keyferry.js></script>'
    response.end(isScript ? bundle.outputFiles[0]!.text : html)
  })
  await listen(app)
  origin = `http://127.0.0.1:${portOf(app)}`
  routes['/enroll'] = enrolment()
  routes['/enroll-strict'] = enrolment({ accept: ['step-up', 'approval'] })
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  await initAcme(directory, [])
  ca = await openClientCa({ directory, passphrase: null })
  await startApp()
  foreign = createServer((_request: IncomingMessage, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html>')
  })
  await listen(foreign)
  browser = await playwright.launch({ executablePath: chromium, args: chromiumArgs })
  page = await (await browser.newContext()).newPage()
  calls = []
  events = []
  await page.goto(origin)
  await page.waitForFunction(() => 'library' in globalThis)
  await page.evaluate(async () => {
    const { library } = globalThis as unknown as { library: Library }
    const store = library.createMemoryStore()
    const enroll = library.enrollAt('/enroll')
    const identity = await library.createIdentity({ name: 'browser', store, enroll })
    Object.assign(globalThis, { identity })
  })
})
afterAll(async () => {
  await browser?.close()
  app?.close()
  foreign?.close()
  ca?.close()
  rmSync(directory, { recursive: true, force: true })
})

/** Everything that a page at this host tries with the user's cookie: four calls of script, then a form that leaves the page. Returns what it could read. */
async function attack(host: string): Promise<string[]> {
  const other = await page.context().newPage()
  await other.goto(`http://${host}:${portOf(foreign)}`)
  const seen = await other.evaluate(async (url) => {
    const credentials = 'include' as const
    const tries: RequestInit[] = [
      { credentials },
      { credentials, mode: 'no-cors' },
      { credentials, mode: 'no-cors', method: 'POST', body: '{}' },
      { credentials, method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } },
    ]
    const out: string[] = []
    for (const init of tries) {
      try {
        out.push(await (await fetch(url, init)).text())
      } catch {
        out.push('')
      }
    }
    return out
  }, `${origin}/enroll`)
  const left = other.waitForURL(`${origin}/enroll`)
  await other.evaluate((url) => {
    const form = document.createElement('form')
    Object.assign(form, { action: url, method: 'post', enctype: 'text/plain' })
    document.body.append(form)
    form.submit()
  }, `${origin}/enroll`)
  await left
  expect(JSON.parse((await other.locator('body').textContent())!)).toMatchObject({
    code: 'ERR_ORIGIN',
  })
  await other.close()
  return seen
}

const codes = (): string[] => events.map((one) => (one.type === 'refused' ? one.code : 'issued'))

it('[enrol-2] a foreign page of the same site, with the cookie of the user, enrols nobody', async () => {
  const before = await keys()
  expect(before).toHaveLength(1)
  // Another port of the same host: to a cookie that is the same site, and it goes along.
  expect(await attack('127.0.0.1')).toEqual(['', '', '', ''])
  const from = `http://127.0.0.1:${portOf(foreign)}`
  expect(calls).toEqual([
    { method: 'GET', cookie: COOKIE, origin: from, site: 'same-site' },
    { method: 'GET', cookie: COOKIE, origin: '', site: 'same-site' },
    { method: 'POST', cookie: COOKIE, origin: from, site: 'same-site' },
    // JSON is asked for first, and not allowed.
    { method: 'OPTIONS', cookie: '', origin: from, site: 'same-site' },
    { method: 'POST', cookie: COOKIE, origin: from, site: 'same-site' },
  ])
  expect(codes()).toEqual(['ERR_ORIGIN', 'ERR_ORIGIN', 'ERR_ORIGIN', 'ERR_METHOD', 'ERR_ORIGIN'])
  expect(await keys()).toEqual(before)
})

it('[enrol-2] a page of another site comes without the cookie, and is refused for its origin before that', async () => {
  const before = await keys()
  expect(await attack('localhost')).toEqual(['', '', '', ''])
  expect(calls.map(({ cookie, site }) => [cookie, site])).toEqual(
    Array.from({ length: 5 }, () => ['', 'cross-site']),
  )
  expect(codes()).toEqual(['ERR_ORIGIN', 'ERR_ORIGIN', 'ERR_ORIGIN', 'ERR_METHOD', 'ERR_ORIGIN'])
  expect(await keys()).toEqual(before)
})

it('script in the page can make what the session and its key can, and nothing else', async () => {
  const outcome = await page.evaluate(async () => {
    const { library, identity } = globalThis as unknown as {
      library: Library
      identity: import('../../web/index.ts').Identity
    }
    const out: string[] = []
    const make = async (run: (csr: string) => Promise<string>): Promise<void> => {
      const store = library.createMemoryStore()
      try {
        await library.createIdentity({ name: 'admin', store, enroll: run })
        out.push('ok')
      } catch (error) {
        out.push((error as { code: string }).code)
      }
    }
    const enroll = library.enrollAt('/enroll')
    // A key of its own: the session alone is not enough.
    await make((csr) => enroll(csr))
    // The key of the page signs for it: whoever runs script in the page can use its keys.
    await make((csr) => enroll(csr, identity))
    // The very same call again.
    let sent: RequestInit | undefined
    const recording = library.enrollAt('/enroll', {
      fetch: (input, init) => {
        if (init?.method === 'POST') sent = init
        return fetch(input, init)
      },
    })
    await make((csr) => recording(csr, identity))
    const { signal: _, ...again } = sent!
    out.push(((await (await fetch('/enroll', again)).json()) as { code: string }).code)
    return out
  })
  expect(outcome).toEqual(['ERR_NEW_KEY', 'ok', 'ok', 'ERR_REPLAY'])
  // Whatever name was asked for, the URI was that of the session.
  expect(new Set(events.map((one) => one.uri))).toEqual(new Set([URI]))
  expect(await keys()).toHaveLength(3)
})

it('[enrol-8] where no proof is accepted, the key of the page cannot speak for a second one', async () => {
  const before = await keys()
  const outcome = await page.evaluate(async () => {
    const { library, identity } = globalThis as unknown as {
      library: Library
      identity: import('../../web/index.ts').Identity
    }
    const enroll = library.enrollAt('/enroll-strict')
    const store = library.createMemoryStore()
    const second = library.createIdentity({
      name: 'second',
      store,
      enroll: (csr) => enroll(csr, identity),
    })
    const code = await second.then(
      () => 'ok',
      (error: { code: string }) => error.code,
    )
    // Its own key it may renew.
    const renewed = await library.renewBy(enroll)(identity)
    return [code, renewed.certificates.length, (await store.read()) === null]
  })
  expect(outcome).toEqual(['ERR_NEW_KEY', 1, true])
  expect(calls.every(({ cookie }) => cookie === COOKIE)).toBe(true)
  expect((await keys()).toSorted()).toEqual(before.toSorted())
})
