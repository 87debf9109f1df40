/** docs/client.md, followed as it stands by somebody who has the tarball and no source: the page opened in Chromium, built, and with workers. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build as bundle } from 'esbuild'
import { chromium as playwright, type Browser, type Page } from 'playwright-core'
import { build, createServer as createVite, type ViteDevServer } from 'vite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ROOT } from '../../tools/package/build.ts'
import { chromium, chromiumArgs } from '../../tools/chromium.ts'
import { blocksOf } from '../lib/consumer.ts'
import { FILES, serveFolder, startNotesApp, type NotesApp } from '../lib/notes-app.ts'

const page = readFileSync(join(ROOT, 'docs/client.md'), 'utf8')
const example = (name: string): string => readFileSync(join(ROOT, 'examples/vite', name), 'utf8')

let app: NotesApp
let vite: ViteDevServer
let browser: Browser
let tab: Page
const said: string[] = []
const errors: string[] = []
beforeAll(async () => {
  app = await startNotesApp()
  process.env['BACKEND'] = app.backend
  vite = await createVite({
    root: app.project,
    configFile: join(app.project, 'vite.config.ts'),
    logLevel: 'warn',
    server: { middlewareMode: true, hmr: false, ws: false },
  })
  app.serve(vite.middlewares)
  browser = await playwright.launch({ executablePath: chromium, args: chromiumArgs })
  tab = await (await browser.newContext()).newPage()
  const note = (text: string): void => {
    // Vite reloads pages over a socket, for which there is no port here.
    if (!/WebSocket closed without|\[vite\]|:\d+\/\?token=/.test(text)) errors.push(text)
  }
  tab.on('console', (message) => {
    said.push(message.text())
    if (message.type() === 'error') note(message.text())
  })
  tab.on('pageerror', (error) => note(error.message))
})
afterAll(async () => {
  await browser?.close()
  await vite?.close()
  await app?.close()
  delete process.env['BACKEND']
})

/** What the page shows, once it is no longer waiting. */
async function shown(): Promise<string | null> {
  return tab.locator('#note').filter({ hasNotText: 'waiting' }).textContent()
}

describe('the page of docs/client.md', () => {
  it('is examples/vite', () => {
    expect(blocksOf(page, 'html')).toEqual([example(FILES.html)])
    expect(blocksOf(page, 'ts').slice(0, 2)).toEqual(FILES.ts.map(example))
  })

  it('says what is wrong without a login', async () => {
    await tab.goto(app.origin)
    expect(await shown()).toMatch(/^ERR_SESSION/)
  })

  it('shows the decrypted note after it, and says how long the first key took', async () => {
    errors.length = 0
    await tab.goto(`${app.origin}${app.loginPath}`)
    expect(await shown()).toBe('Hello')
    expect(said.find((line) => line.startsWith('first key: '))).toMatch(/^first key: [\d.]+ ms$/)
    expect(errors).toEqual([])
  })

  it('shows it with the relay away', async () => {
    await tab.route(`${app.relayUrl}/**`, (route) => route.abort())
    await tab.reload()
    expect(await shown()).toBe('Hello')
    await tab.unroute(`${app.relayUrl}/**`)
  })
})

describe('built by Vite', () => {
  const policy = blocksOf(page, 'http')[0]!
    .trim()
    .replace(/^[^:]+: /, '')

  it('it works under the policy of the page, without an error', async () => {
    await build({
      root: app.project,
      configFile: join(app.project, 'vite.config.ts'),
      logLevel: 'error',
    })
    app.serve(serveFolder(join(app.project, 'dist'), app.here(policy)))
    errors.length = 0
    await tab.goto(app.origin)
    expect(await shown()).toBe('Hello')
    expect(errors).toEqual([])
    // That it is in force.
    await tab.evaluate(() => fetch('https://elsewhere.example').catch(() => {}))
    expect(errors.join()).toContain('Content Security Policy')
  })

  it('a worker connects and decrypts with the identity that the page made', async () => {
    const worker = `import { connect, openIndexedDbStore } from 'keyferry'
addEventListener('message', async ({ data: { config, message } }) => {
  const keyferry = await connect({ config, store: await openIndexedDbStore('notes-app') })
  const notes = await keyferry.keyring('notes')
  postMessage(await notes.decrypt(message, { context: 'note/17', as: 'text' }))
})
`
    const main = `import { connect, openIndexedDbStore } from 'keyferry'
const config = await (await fetch('/keyferry.json')).json()
const notes = await (await connect({ config, store: await openIndexedDbStore('notes-app') })).keyring('notes')
globalThis.message = await notes.encrypt('from the page', { context: 'note/17' })
globalThis.config = config
globalThis.ask = (message) => new Promise((resolve, reject) => {
  const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' })
  worker.addEventListener('message', ({ data }) => resolve(data))
  worker.addEventListener('error', (event) => reject(new Error(event.message)))
  worker.postMessage({ config, message })
})
document.documentElement.dataset.ready = ''
`
    writeFileSync(join(app.project, 'src/worker.js'), worker)
    writeFileSync(join(app.project, 'src/workers.js'), main)
    writeFileSync(
      join(app.project, 'workers.html'),
      '<!doctype html><title>workers</title><script type="module" src="/src/workers.js"></script>',
    )
    const input = join(app.project, 'workers.html')
    await build({
      root: app.project,
      configFile: false,
      logLevel: 'error',
      worker: { format: 'es' },
      build: { outDir: 'dist-workers', rollupOptions: { input } },
    })
    // Workers need a Trusted Types policy of the app's own.
    const plain = app.here(policy).replace(/; require-trusted-types-for.*/, '')
    app.serve(serveFolder(join(app.project, 'dist-workers'), plain))
    await tab.goto(`${app.origin}/workers.html`)
    await tab.locator('html[data-ready]').waitFor({ state: 'attached' })
    expect(await tab.evaluate('ask(message)')).toBe('from the page')
  })

  it('a service worker, bundled by esbuild, connects and decrypts', async () => {
    const contents = `import { connect, openIndexedDbStore } from 'keyferry'
let opening
async function open() {
  const config = await (await fetch('/keyferry.json')).json()
  const keyferry = await connect({ config, store: await openIndexedDbStore('notes-app') })
  return keyferry.keyring('notes')
}
addEventListener('install', () => skipWaiting())
addEventListener('activate', (event) => event.waitUntil(clients.claim()))
addEventListener('fetch', (event) => {
  if (new URL(event.request.url).pathname !== '/open') return
  event.respondWith((async () => {
    const message = new Uint8Array(await event.request.arrayBuffer())
    const notes = await (opening ??= open())
    return new Response(await notes.decrypt(message, { context: 'note/17', as: 'text' }))
  })())
})
`
    await bundle({
      stdin: { contents, resolveDir: app.project },
      bundle: true,
      minify: true,
      format: 'esm',
      outfile: join(app.project, 'dist-workers/sw.js'),
    })
    const text = await tab.evaluate(async () => {
      await navigator.serviceWorker.register('/sw.js', { type: 'module' })
      await navigator.serviceWorker.ready
      if (navigator.serviceWorker.controller === null)
        await new Promise((resolve) =>
          navigator.serviceWorker.addEventListener('controllerchange', resolve, { once: true }),
        )
      const { message } = globalThis as unknown as { message: Uint8Array<ArrayBuffer> }
      return (await fetch('/open', { method: 'POST', body: message })).text()
    })
    expect(text).toBe('from the page')
  })
})
