/** A browser without ML-KEM in its WebCrypto: X-Wing keys from a chunk of their own, through reload and restart; and a page that may store nothing. */
import { createServer, type Server } from 'node:http'
import { type AddressInfo } from 'node:net'
import { basename, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { build } from 'esbuild'
import { chromium as playwright, type BrowserContext, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { issueClient } from '../../deriver/ca.ts'
import { readCa } from '../../deriver/key-files.ts'
import { type AppConfigJson } from '../../shared/config.ts'
import { decodePem, encodePem } from '../../shared/pem.ts'
import { chromium, chromiumArgs } from '../../tools/chromium.ts'
import { startAcme, type Acme } from '../lib/acme.ts'
import { hideMlKem } from '../lib/older-platform.ts'

const now = (): number => Math.floor(Date.now() / 1000)
const ENTRY =
  "import * as client from './web/index.ts'; import { createIdentity } from './web/enroll.ts'; globalThis.library = { ...client, createIdentity }"

let acme: Acme
let app: Server
let origin: string
let context: BrowserContext
const served: string[] = []

/** The app's script in chunks, by name. */
async function bundle(): Promise<Map<string, Uint8Array>> {
  const { outputFiles } = await build({
    stdin: { contents: ENTRY, resolveDir: process.cwd(), sourcefile: 'app.ts' },
    bundle: true,
    splitting: true,
    write: false,
    outdir: 'out',
    entryNames: 'app',
    chunkNames: '[name]-[hash]',
    format: 'esm',
    target: 'es2022',
  })
  return new Map(outputFiles.map(({ path, contents }) => [`/${basename(path)}`, contents]))
}

async function certify(csrPem: string): Promise<string> {
  const issuer = await readCa(join(acme.directory, 'keyferry'), 'ca-client', null)
  const [csr] = decodePem(csrPem, 'CERTIFICATE REQUEST')
  const uri = 'keyferry://client.acme.example/browser'
  return encodePem('CERTIFICATE', await issueClient(acme.deriver.store, issuer, csr!, uri, now()))
}

async function startApp(): Promise<void> {
  const files = await bundle()
  app = createServer((request, response) => {
    const path = request.url ?? '/'
    const file = files.get(path)
    if (file !== undefined) {
      served.push(path)
      response.writeHead(200, { 'content-type': 'text/javascript' }).end(file)
    } else if (path === '/enroll') {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        void certify(Buffer.concat(chunks).toString()).then((pem) => response.end(pem))
      })
    } else {
      const page = '<!doctype html><title>app</title><script type="module" src="/app.js"></script>'
      response.writeHead(200, { 'content-type': 'text/html' }).end(page)
    }
  })
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(app.address() as AddressInfo).port}`
}

/** A browser with what it kept on disk, as it was before it learnt ML-KEM. */
async function launch(): Promise<Page> {
  context = await playwright.launchPersistentContext(join(acme.directory, 'browser'), {
    executablePath: chromium,
    args: chromiumArgs,
  })
  await context.addInitScript(`(${hideMlKem.toString()})()`)
  const page = await context.newPage()
  await page.goto(origin)
  return page
}

beforeAll(async () => {
  await startApp()
  acme = await startAcme([origin])
})
afterAll(async () => {
  await context?.close()
  app?.close()
  await acme?.close()
})

type Library = typeof import('../../web/index.ts') & typeof import('../../web/enroll.ts')

interface Work {
  config: AppConfigJson
  message: number[] | null
}

/** In the page: opens the keyring with what the store has, and encrypts or decrypts. Gives the message or the text, or the code of the error. */
async function work({ config, message }: Work): Promise<number[] | string> {
  const { library } = globalThis as unknown as { library: Library }
  const store = await library.openIndexedDbStore('app')
  const enroll = async (csr: string): Promise<string> =>
    (await fetch('/enroll', { method: 'POST', body: csr })).text()
  const identity =
    (await library.loadIdentity({ store })) ??
    (await library.createIdentity({ name: 'browser', store, enroll }))
  const client = await library.connect({ config, identity, store })
  try {
    const notes = await client.keyring('notes')
    return message === null
      ? Array.from(await notes.encrypt('Hello'))
      : await notes.decrypt(new Uint8Array(message), { as: 'text' })
  } catch (error) {
    if (library.isKeyferryError(error)) return error.code
    throw error
  } finally {
    client.close()
  }
}

/** In the page: the kinds of keys of the stored packages, after the channel was forgotten or not. */
async function storedKeys(forget: boolean): Promise<string[]> {
  const { library } = globalThis as unknown as { library: Library }
  const store = await library.openIndexedDbStore('app')
  const state = (await store.read())!
  if (forget) {
    const packages = state.packages.map((one) => ({
      ...one,
      channel: one.channel && { ...one.channel, key: null },
    }))
    await store.write({ ...state, packages, revision: state.revision + 1 })
  }
  return state.packages.flatMap(({ key: { suite, privateKeys } }) => [
    suite,
    ...privateKeys.map((one) =>
      one instanceof CryptoKey ? one.algorithm.name : Object.keys(one as object).join(),
    ),
  ])
}

/** Holds the first answer of the relay until the page asks for no more of its script. Gives what it asks for afterwards. */
async function holdFirstAnswer(page: Page): Promise<() => Promise<string[]>> {
  const seen = served.length
  const settle = async (): Promise<number> => {
    const before = served.length
    await setTimeout(300)
    return before > seen && before === served.length ? before : settle()
  }
  let settled: Promise<number> | undefined
  await page.route('**/calls', async (route) => {
    settled ??= settle()
    await settled
    await route.continue()
  })
  return async () => served.slice(await settled)
}

const isStandIn = (path: string): boolean => path.includes('ml-kem-noble')

it('makes X-Wing keys with the stand-in, or none while it does not load: never weaker ones', async () => {
  const { config } = acme
  const page = await launch()
  await page.route('**/ml-kem-noble*', (route) => route.abort())
  expect(await page.evaluate(work, { config, message: null })).toBe('ERR_IO')
  expect(await page.evaluate(storedKeys, false)).toEqual([])
  await page.unroute('**/ml-kem-noble*')
  await page.reload()
  const late = await holdFirstAnswer(page)
  const message = (await page.evaluate(work, { config, message: null })) as number[]
  expect(served.some(isStandIn)).toBe(true)
  expect(await late()).toEqual([])
  const kinds = ['MLKEM768-X25519', 'seed,wrapping', 'X25519']
  expect(await page.evaluate(storedKeys, true)).toEqual(kinds)
  // The welcome is opened again, of what the browser kept.
  await page.reload()
  expect(await page.evaluate(work, { config, message })).toBe('Hello')
  expect(await page.evaluate(storedKeys, true)).toEqual(kinds)
  await context.close()
  const restarted = await launch()
  expect(await restarted.evaluate(work, { config, message })).toBe('Hello')
  expect(await restarted.evaluate(storedKeys, false)).toEqual(kinds)
})

it('a page that may store nothing gets a store for the session', async () => {
  const page = await context.newPage()
  await page.goto(origin)
  const script = Buffer.from(
    (
      await build({
        stdin: { contents: ENTRY, resolveDir: process.cwd() },
        bundle: true,
        write: false,
        format: 'iife',
        target: 'es2022',
      })
    ).outputFiles[0]!.contents,
  ).toString('base64')
  const told = await page.evaluate(async (code) => {
    const frame = document.createElement('iframe')
    // An origin of its own, which has no storage.
    frame.setAttribute('sandbox', 'allow-scripts')
    frame.srcdoc = `<script src="data:text/javascript;base64,${code}"></script><script>
      library.openIndexedDbStore('app').then(({ sessionOnly }) =>
        parent.postMessage([sessionOnly.code, sessionOnly.cause.cause?.name ?? sessionOnly.cause.name], '*'))
    </script>`
    const answer = new Promise((resolve) => {
      addEventListener('message', ({ data }) => resolve(data), { once: true })
    })
    document.body.append(frame)
    return answer
  }, script)
  expect(told).toEqual(['ERR_IO', 'SecurityError'])
})

it('a modern browser loads nothing that stands in for its own, and nothing for the first key that it did not ask for before the first answer', async () => {
  served.length = 0
  const browser = await playwright.launch({ executablePath: chromium, args: chromiumArgs })
  try {
    const page = await (await browser.newContext()).newPage()
    await page.goto(origin)
    const late = await holdFirstAnswer(page)
    const message = await page.evaluate(work, {
      config: acme.config,
      message: null,
    })
    expect(message.length).toBeGreaterThan(0)
    expect(await page.evaluate(storedKeys, false)).toEqual([
      'MLKEM768-X25519',
      'ML-KEM-768',
      'X25519',
    ])
    expect(served.length).toBeGreaterThan(1)
    expect(served.filter(isStandIn)).toEqual([])
    expect(await late()).toEqual([])
  } finally {
    await browser.close()
  }
})
