/** Two real tabs of one browser profile: one fetches, both use what it brought, and neither goes on under what the other has replaced. */
import {
  chromium as playwright,
  type Browser,
  type BrowserContext,
  type Page,
} from 'playwright-core'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { chromium, chromiumArgs } from '../../tools/chromium.ts'
import { type Keyferry, type Keyring } from '../../web/index.ts'
import { ClientRelay } from '../lib/client-relay.ts'
import { startRelayPage, type Library } from '../lib/relay-page.ts'
import { random } from '../lib/world.ts'

let browser: Browser
let relay: ClientRelay
let app: Awaited<ReturnType<typeof startRelayPage>>
let context: BrowserContext

interface InPage {
  library: Library
  client: Keyferry
  notes: Keyring
  states: string[]
}

beforeAll(async () => {
  browser = await playwright.launch({ executablePath: chromium, args: chromiumArgs })
})
afterAll(() => browser?.close())

beforeEach(async () => {
  relay = await ClientRelay.start()
  app = await startRelayPage(relay)
  context = await browser.newContext()
  return async () => {
    await context.close()
    await app.close()
  }
})

/** A tab, and how many calls of the relay it has made. */
async function openTab(): Promise<{ page: Page; calls: () => number }> {
  const page = await context.newPage()
  let calls = 0
  page.on('request', (request) => {
    if (new URL(request.url()).pathname.startsWith('/v1/')) calls++
  })
  await page.goto(app.origin)
  return { page, calls: () => calls }
}

/** Runs in the page: the client of this profile, made when there is none. */
async function connectInPage(config: unknown): Promise<void> {
  const page = globalThis as unknown as InPage
  const { library: keyferry } = page
  const store = await keyferry.openIndexedDbStore('tabs')
  const enroll = async (csr: string): Promise<string> =>
    (await fetch('/certify', { method: 'POST', body: csr })).text()
  const identity =
    (await keyferry.loadIdentity({ store })) ??
    (await keyferry.createIdentity({ name: 'kim', store, enroll }))
  page.client = await keyferry.connect({
    config: config as never,
    identity,
    store,
    WebSocket: null,
  })
  page.states = []
  page.client.on('state', ({ state }) => page.states.push(state))
}

async function keyringInPage(): Promise<number> {
  const page = globalThis as unknown as InPage
  page.notes = await page.client.keyring('notes')
  return page.notes.version
}

const refresh = (page: Page): Promise<void> =>
  page.evaluate(() => (globalThis as unknown as InPage).client.refresh())

const encrypt = (page: Page): Promise<number[]> =>
  page.evaluate(async () => [
    ...(await (globalThis as unknown as InPage).notes.encrypt('Hello', { context: 'note/1' })),
  ])

const decrypt = (page: Page, message: number[]): Promise<string> =>
  page.evaluate(
    (bytes) =>
      (globalThis as unknown as InPage).notes.decrypt(new Uint8Array(bytes), {
        context: 'note/1',
        as: 'text',
      }),
    message,
  )

const versionOf = (page: Page): Promise<number> =>
  page.evaluate(() => (globalThis as unknown as InPage).notes.version)

async function rotate(): Promise<number> {
  const [keyring] = relay.keyrings
  const version = keyring!.versions.at(-1)!.version + 1
  keyring!.versions.push({ version, nonce: random(16), secret: random(32) })
  keyring!.number++
  await relay.publish()
  return version
}

it('what one tab has fetched another uses without a call, and its encryption follows', async () => {
  const one = await openTab()
  await one.page.evaluate(connectInPage, app.config)
  await one.page.evaluate(keyringInPage)
  const message = await encrypt(one.page)
  // The second tab never reaches the relay.
  const other = await openTab()
  await other.page.route('**/v1/**', (route) => route.abort())
  await other.page.evaluate(connectInPage, app.config)
  expect(await other.page.evaluate(keyringInPage)).toBe(2)
  expect(await decrypt(other.page, message)).toBe('Hello')
  const version = await rotate()
  await refresh(one.page)
  await expect.poll(() => encrypt(other.page).then(() => versionOf(other.page))).toBe(version)
  const next = await encrypt(other.page)
  expect(await decrypt(one.page, next)).toBe('Hello')
  // Gone for one, gone for the other.
  relay.policy = 'silent'
  await relay.remove('notes')
  await refresh(one.page)
  await expect
    .poll(() => encrypt(other.page).catch((error: Error) => error.message))
    .toContain('no deriver signed it')
  expect(await other.page.evaluate(() => (globalThis as unknown as InPage).states)).toContain(
    'unproven',
  )
  // What was encrypted before stays readable.
  expect(await decrypt(other.page, next)).toBe('Hello')
})

it('two tabs that begin at once fetch one after the other, and the second takes what is there', async () => {
  const first = await openTab()
  await first.page.evaluate(connectInPage, app.config)
  // How much one tab alone needs.
  await first.page.evaluate(keyringInPage)
  await expect.poll(() => relay.requests.length).toBe(1)
  await first.page.evaluate(() => (globalThis as unknown as InPage).client.close())
  const tabs = [await openTab(), await openTab()]
  for (const { page } of tabs) await page.evaluate(connectInPage, app.config)
  await rotate()
  let inside = 0
  let most = 0
  relay.interfere = async () => {
    most = Math.max(most, ++inside)
    await new Promise((resolve) => setTimeout(resolve, 200))
    inside--
    return undefined
  }
  const before = relay.deliveries.length
  // Both are served by the store at once; their first fetches wait for each other.
  await Promise.all(tabs.map(({ page }) => page.evaluate(keyringInPage)))
  await expect
    .poll(async () => Promise.all(tabs.map(({ page }) => versionOf(page))))
    .toEqual([3, 3])
  expect(most).toBe(1)
  await expect.poll(() => inside).toBe(0)
  expect(relay.deliveries.length - before).toBe(1)
  expect(tabs.map(({ calls }) => calls()).toSorted((a, b) => a - b)).toEqual([0, 1])
})

it('a tab that hangs in a fetch does not keep the other from its own', async () => {
  const tabs = [await openTab(), await openTab()]
  for (const { page } of tabs) {
    await page.evaluate(connectInPage, app.config)
    await page.evaluate(keyringInPage)
  }
  await expect.poll(() => relay.deliveries.length).toBeGreaterThan(1)
  const version = await rotate()
  // No answer ever comes, and the tab does not give up within its 15 s.
  let isHeld = false
  await tabs[0]!.page.route('**/v1/**', () => void (isHeld = true))
  const hanging = refresh(tabs[0]!.page).catch(() => {})
  await expect.poll(() => isHeld).toBe(true)
  await refresh(tabs[1]!.page)
  expect(await versionOf(tabs[1]!.page)).toBe(version)
  await tabs[0]!.page.close()
  await hanging
}, 60_000)
