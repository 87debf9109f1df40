/** A real browser and a Node service of one tenant: a file of tens of MiB from one to the other and back, keys that never leave, reload. */
import { createHash, randomFillSync } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { build } from 'esbuild'
import { chromium as playwright, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { issueClient } from '../../deriver/ca.ts'
import { appConfig, createKeyring } from '../../deriver/index.ts'
import { readCa } from '../../deriver/key-files.ts'
import { decodePem, encodePem } from '../../shared/pem.ts'
import { chromium, chromiumArgs } from '../../tools/chromium.ts'
import { connect, createMemoryStore, type Keyferry } from '../../web/index.ts'
import { createIdentity } from '../../web/enroll.ts'
import { startAcme, type Acme } from '../lib/acme.ts'
import { callOf } from '../lib/client-call.ts'

const MEBIBYTES = 40
const now = (): number => Math.floor(Date.now() / 1000)
const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex')

let acme: Acme
let app: Server
let origin: string
let browser: Browser
let page: Page
let service: Keyferry
const uploads = new Map<string, Buffer>()
const consoleErrors: string[] = []
/** The paths that Chromium asked the relay about first. */
const preflights: string[] = []
/** What the page called. */
const calls = new Set<string | undefined>()

async function certify(csrPem: string, name: string): Promise<string> {
  const issuer = await readCa(join(acme.directory, 'keyferry'), 'ca-client', null)
  const [csr] = decodePem(csrPem, 'CERTIFICATE REQUEST')
  const der = await issueClient(
    acme.deriver.store,
    issuer,
    csr!,
    `keyferry://client.acme.example/${name}`,
    now(),
  )
  return encodePem('CERTIFICATE', der)
}

/** The customer's web app: a page, its script, enrolment, and a place for files. */
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
  const script = bundle.outputFiles[0]!.text
  app = createServer((request, response) => {
    if (request.url === '/enroll') {
      void acme.enrolment(request, response)
      return
    }
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      const url = request.url ?? '/'
      const { url: relay } = acme.relay
      const csp = `default-src 'none'; script-src 'self'; connect-src 'self' ${relay} ${relay.replace('http', 'ws')}; require-trusted-types-for 'script'`
      const answer = (type: string, data: string | Buffer): void => {
        const headers = { 'content-type': type, 'content-security-policy': csp }
        const cookie = 'session=42; HttpOnly; SameSite=Strict; Path=/'
        response.writeHead(200, { ...headers, 'set-cookie': cookie }).end(data)
      }
      if (url === '/keyferry.js') answer('text/javascript', script)
      else if (url.startsWith('/files/') && request.method === 'PUT') {
        uploads.set(url, body)
        answer('text/plain', '')
      } else if (url.startsWith('/files/')) answer('application/octet-stream', uploads.get(url)!)
      else
        answer(
          'text/html',
          '<!doctype html><title>app</title><script type="module" src="/keyferry.js"></script>',
        )
    })
  })
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(app.address() as AddressInfo).port}`
}

beforeAll(async () => {
  await startApp()
  acme = await startAcme([origin])
  const rules = ['keyferry://client.acme.example/*']
  createKeyring(acme.deriver.store, { name: 'files', rules }, now())
  const config = await appConfig(acme.deriver.store)
  const store = createMemoryStore()
  const identity = await createIdentity({
    name: 'service',
    store,
    enroll: (csr) => certify(csr, 'service'),
  })
  service = await connect({ config, identity, store })
  await service.keyring('files')
  browser = await playwright.launch({ executablePath: chromium, args: chromiumArgs })
  const context = await browser.newContext()
  page = await context.newPage()
  const network = await context.newCDPSession(page)
  await network.send('Network.enable')
  network.on('Network.requestWillBeSent', ({ request }) => {
    if (request.method === 'OPTIONS') preflights.push(new URL(request.url).pathname)
  })
  page.on('request', (request) => calls.add(callOf(request.url(), { body: request.postData() })))
  page.on('console', (message) => {
    if (message.type() === 'error') consoleErrors.push(message.text())
  })
  page.on('pageerror', (error) => consoleErrors.push(error.message))
  await page.goto(origin)
  await page.evaluate(openInPage, config)
})
afterAll(async () => {
  service?.close()
  await browser?.close()
  app?.close()
  await acme?.close()
})

/** Runs in the page: an identity (kept if there is one), a connection, the keyring, and two helpers for files. */
async function openInPage(config: unknown): Promise<void> {
  const { library: keyferry } = globalThis as unknown as {
    library: typeof import('../../web/index.ts') & typeof import('../../web/enroll.ts')
  }
  const store = await keyferry.openIndexedDbStore('test')
  const identity =
    (await keyferry.loadIdentity({ store })) ??
    (await keyferry.createIdentity({
      name: 'browser',
      store,
      enroll: keyferry.enrollAt('/enroll'),
    }))
  const client = await keyferry.connect({ config: config as never, identity, store })
  const keyring = await client.keyring('files')
  const collect = async (stream: ReadableStream<Uint8Array>): Promise<Blob> =>
    new Response(stream as ReadableStream<Uint8Array<ArrayBuffer>>).blob()
  Object.assign(globalThis, { keyferry, client, keyring, identity, store, collect })
}

type Library = typeof import('../../web/index.ts')

interface InPage {
  keyring: Awaited<ReturnType<Keyferry['keyring']>>
  identity: { key: { key: CryptoKey } }
  store: { read(): Promise<unknown> }
  collect: (stream: ReadableStream<Uint8Array>) => Promise<Blob>
}

it('no call costs a preflight: not the first key, further fetches, grants, objects and waiting calls', async () => {
  createKeyring(
    acme.deriver.store,
    { name: 'more', rules: ['keyferry://client.acme.example/*'] },
    now(),
  )
  await page.evaluate(
    async (config) => {
      const { keyferry, identity, store } = globalThis as unknown as InPage & { keyferry: Library }
      const options = { config, identity, store } as unknown as Parameters<Library['connect']>[0]
      const client = await keyferry.connect(options)
      await client.keyring('more')
      await client.refresh()
      client.close()
    },
    await appConfig(acme.deriver.store),
  )
  // Whoever verifies a sender fetches the list of the CA.
  const signature = await (await service.keyring('files')).sign('data')
  const sender = await page.evaluate(async (bytes) => {
    const { keyring } = globalThis as unknown as InPage
    return (await keyring.verify(new Uint8Array(bytes), 'data')).uri
  }, Array.from(signature))
  expect(sender).toBe('keyferry://client.acme.example/service')
  await page.evaluate(
    async (config) => {
      const { keyferry, identity, store } = globalThis as unknown as InPage & { keyferry: Library }
      // No socket gets through.
      class Closed extends EventTarget {
        constructor() {
          super()
          queueMicrotask(() => this.dispatchEvent(new Event('error')))
        }
        close(): void {}
      }
      const options = { config, identity, store, WebSocket: Closed } as unknown
      const client = await keyferry.connect(options as Parameters<Library['connect']>[0])
      await client.keyring('files')
      Object.assign(globalThis, { waiting: client })
    },
    await appConfig(acme.deriver.store),
  )
  await expect.poll(() => calls.has('wait')).toBe(true)
  await page.evaluate(() => (globalThis as unknown as { waiting: Keyferry }).waiting.close())
  expect([...calls].filter((name) => name !== undefined).toSorted()).toEqual([
    'delivery',
    'object',
    'request',
    'wait',
  ])
  expect(preflights).toEqual([])
})

it(`a file of ${MEBIBYTES} MiB is encrypted in Chromium and decrypted in Node`, async () => {
  const hash = await page.evaluate(async (mebibytes) => {
    const { keyring, collect } = globalThis as unknown as InPage
    const piece = crypto.getRandomValues(new Uint8Array(65_536))
    const file = new Blob(Array.from({ length: mebibytes * 16 }, () => piece))
    const plain = new Uint8Array(await file.arrayBuffer())
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', plain))
    const encrypted = await collect(
      file.stream().pipeThrough(keyring.encryptStream({ context: 'file' })),
    )
    await fetch('/files/up', { method: 'PUT', body: encrypted })
    return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
  }, MEBIBYTES)
  const encrypted = uploads.get('/files/up')!
  expect(encrypted.length).toBeGreaterThan(MEBIBYTES * 1_048_576)
  const files = await service.keyring('files')
  const stream = new Blob([new Uint8Array(encrypted)])
    .stream()
    .pipeThrough(files.decryptStream({ context: 'file' }))
  expect(sha256(new Uint8Array(await new Response(stream as never).arrayBuffer()))).toBe(hash)
})

it(`a file of ${MEBIBYTES} MiB is encrypted in Node and decrypted in Chromium`, async () => {
  const plain = randomFillSync(new Uint8Array(MEBIBYTES * 1_048_576 + 12_345))
  const files = await service.keyring('files')
  const stream = new Blob([plain]).stream().pipeThrough(files.encryptStream({ context: 'back' }))
  uploads.set('/files/down', Buffer.from(await new Response(stream as never).arrayBuffer()))
  const hash = await page.evaluate(async () => {
    const { keyring, collect } = globalThis as unknown as InPage
    const response = await fetch('/files/down')
    const blob = await collect(
      response.body!.pipeThrough(keyring.decryptStream({ context: 'back' })),
    )
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()))
    return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
  })
  expect(hash).toBe(sha256(plain))
})

it('no private key in the page can be exported, in the identity or anywhere in what is stored', async () => {
  const found = await page.evaluate(async () => {
    const { identity, store } = globalThis as unknown as InPage
    const keys: CryptoKey[] = [identity.key.key]
    const visit = (value: unknown): void => {
      if (value instanceof CryptoKey) keys.push(value)
      else if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array))
        Object.values(value).forEach(visit)
    }
    visit(await store.read())
    const secret = keys.filter((key) => key.type !== 'public')
    const formats = ['raw', 'pkcs8', 'jwk', 'raw-seed', 'raw-secret']
    const exported = await Promise.all(
      secret.flatMap((key) =>
        formats.map((format) =>
          crypto.subtle.exportKey(format as 'raw', key).then(
            () => true,
            () => false,
          ),
        ),
      ),
    )
    return {
      count: secret.length,
      algorithms: secret.map((key) => key.algorithm.name),
      extractable: secret.filter((key) => key.extractable).length,
      exported: exported.filter(Boolean).length,
    }
  })
  // The certificate's key, both halves of X-Wing, the channel key.
  expect(found.count).toBeGreaterThanOrEqual(4)
  expect(found.algorithms).toContain('ML-KEM-768')
  expect(found).toMatchObject({ extractable: 0, exported: 0 })
})

it('after a reload the same identity opens the keyring again, also with the relay away', async () => {
  const config = await appConfig(acme.deriver.store)
  const fingerprint = await page.evaluate(
    () =>
      (globalThis as unknown as { identity: { certificates: Uint8Array[] } }).identity
        .certificates[0]!.length,
  )
  const message = await page.evaluate(async () => {
    const { keyring } = globalThis as unknown as InPage
    return Array.from(await keyring.encrypt('before the reload'))
  })
  await page.route(`${acme.relay.url}/**`, (route) => route.abort())
  await page.reload()
  await page.evaluate(openInPage, config)
  const text = await page.evaluate(async (bytes) => {
    const { keyring } = globalThis as unknown as InPage
    return keyring.decrypt(new Uint8Array(bytes), { as: 'text' })
  }, message)
  expect(text).toBe('before the reload')
  const again = await page.evaluate(
    () =>
      (globalThis as unknown as { identity: { certificates: Uint8Array[] } }).identity
        .certificates[0]!.length,
  )
  expect(again).toBe(fingerprint)
  await page.unroute(`${acme.relay.url}/**`)
})

it('the page worked under a strict content security policy without an error', () => {
  expect(consoleErrors.filter((text) => !text.includes('ERR_FAILED'))).toEqual([])
})
