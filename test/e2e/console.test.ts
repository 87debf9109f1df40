/** The console as its people and its enemies see it: a real deriver at work before a real relay, and its page in a Chromium. */
import { createServer, type Server } from 'node:http'
import { type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { chromium as playwright, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { issueClient } from '../../deriver/ca.ts'
import { endAccess, makeLink } from '../../deriver/console/access.ts'
import { startConsole, type Console } from '../../deriver/console/server.ts'
import { orderDestruction } from '../../deriver/destroy.ts'
import { appConfig, createKeyring, rotateKeyring } from '../../deriver/index.ts'
import { readCa } from '../../deriver/key-files.ts'
import { listRequests } from '../../deriver/pending.ts'
import { createCsr } from '../../shared/csr.ts'
import { CRL_REASONS } from '../../shared/issue.ts'
import { generateSigningKey } from '../../shared/signature.ts'
import { connect, createMemoryStore, type Keyferry, type Keyring } from '../../web/index.ts'
import { chromium, chromiumArgs } from '../../tools/chromium.ts'
import { startAcme, type Acme } from '../lib/acme.ts'
import { until } from '../lib/processes.ts'

const now = (): number => Math.floor(Date.now() / 1000)
const MARKUP = '<img src=x onerror="window.stolen = 1"><b>bold</b>'

let acme: Acme
let console_: Console
let other: Server
let browser: Browser
let page: Page
let client: Keyferry
const complaints: string[] = []

const link = (): string => `${console_.url}#login=${makeLink(acme.deriver.store, 'ada', now())}`
const version = (name: string): number =>
  acme.deriver.store.get<{ v: number }>(
    'SELECT encrypt_version AS v FROM keyrings WHERE name = ?',
    name,
  )!.v

/** A client of the built-in CA that asks for "payroll", which no rule gives it. */
async function startClient(): Promise<Keyferry> {
  const { store } = acme.deriver
  const key = await generateSigningKey('ES256', false)
  const issuer = await readCa(join(acme.directory, 'keyferry'), 'ca-client', null)
  const uri = 'keyferry://client.acme.example/dora'
  const certificate = await issueClient(store, issuer, await createCsr(key, 'dora'), uri, now())
  const identity = { key, certificates: [certificate] }
  return connect({ config: await appConfig(store), identity, store: createMemoryStore() })
}

async function open(view: string): Promise<void> {
  await page.evaluate((name) => {
    location.hash = `#/${name}`
  }, view)
  await page.waitForSelector(`#view[data-drawn="${view}"]`)
}

/** Presses Tab until the focus is on an element with this text. */
async function tabTo(text: string): Promise<void> {
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press('Tab')
    const found = await page.evaluate(() => document.activeElement?.textContent?.trim())
    if (found?.startsWith(text) === true) return
  }
  throw new Error(`the keyboard does not get to ${text}`)
}

/** The keyring, once the client has asked again. */
async function granted(name: string): Promise<Keyring> {
  for (let i = 0; i < 100; i++) {
    try {
      return await client.keyring(name)
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_PENDING' })
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
  throw new Error(`${name} was never granted`)
}

beforeAll(async () => {
  acme = await startAcme([])
  const { store } = acme.deriver
  const rules = ['keyferry://client.acme.example/finance/*']
  createKeyring(store, { name: 'payroll', rules, approvals: true }, now())
  createKeyring(store, { name: MARKUP, rules }, now())
  createKeyring(store, { name: 'mail', rules, kind: 'erasable' }, now())
  console_ = await startConsole({ store, port: 0 })
  // Somebody else's page: the same host, and so the same cookies, on another port.
  other = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' })
    response.end(`<!doctype html><title>other</title><iframe src="${console_.url}"></iframe>`)
  })
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  browser = await playwright.launch({ executablePath: chromium, args: chromiumArgs })
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 } })
  page = await context.newPage()
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(error.message))
  client = await startClient()
})

afterAll(async () => {
  client?.close()
  await browser?.close()
  other?.close()
  await console_?.stop()
  await acme?.close()
})

it('a link lets in once, and leaves no token in the address', async () => {
  const once = link()
  await page.goto(once)
  await page.waitForSelector('#view[data-drawn="overview"]')
  expect(page.url()).toBe(console_.url)
  expect(await page.locator('#who').textContent()).toBe('ada')
  expect(await page.evaluate(() => document.cookie)).toBe('')
  await page.locator('#live[data-state="ready"]').waitFor()
  const stranger = await (await browser.newContext()).newPage()
  await stranger.goto(once)
  await stranger.locator('#login-problem', { hasText: 'was used' }).waitFor()
  expect(await stranger.locator('#app').isVisible()).toBe(false)
  await stranger.close()
})

it('whatever names hold is text', async () => {
  await open('keyrings')
  const heading = page.locator('.ring h2', { hasText: 'onerror' })
  expect(await heading.textContent()).toBe(MARKUP)
  expect(await page.locator('#view img, #view b').count()).toBe(0)
  await open('log')
  await page.locator('.entry', { hasText: 'onerror' }).first().waitFor()
  expect(await page.locator('#view img').count()).toBe(0)
  expect(await page.evaluate(() => 'stolen' in window)).toBe(false)
})

it('a waiting client is approved by the keyboard alone, and gets its keyring', async () => {
  await expect(client.keyring('payroll')).rejects.toMatchObject({ code: 'ERR_PENDING' })
  await until(() => listRequests(acme.deriver.store).length > 0, 'the request')
  // What no certificate can hold is shown as text, too.
  const { store } = acme.deriver
  store.run('UPDATE pending SET reason = ?', MARKUP)
  await open('overview')
  await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur())
  await tabTo('Requests')
  await page.keyboard.press('Enter')
  await page.waitForSelector('#view[data-drawn="requests"]')
  expect(await page.locator('.request').textContent()).toContain(MARKUP)
  await tabTo('Approve')
  const ring = await page.evaluate(() => getComputedStyle(document.activeElement!).outlineStyle)
  expect(ring).toBe('solid')
  await page.keyboard.press('Enter')
  await page.waitForSelector('dialog[open]')
  // The way back has the focus.
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Cancel')
  await tabTo('Approve')
  await page.keyboard.press('Enter')
  await page.locator('.toast', { hasText: 'Approved' }).waitFor()
  // Or it was answered already, and waits no more.
  expect(listRequests(store).filter(({ state }) => state !== 'approved')).toEqual([])
  const ringOfClient = await granted('payroll')
  expect(await ringOfClient.decrypt(await ringOfClient.encrypt('x'), { as: 'text' })).toBe('x')
})

it('a rotation is asked about, done, and seen without a reload', async () => {
  await open('keyrings')
  const card = page.locator('.ring', { has: page.locator('h2', { hasText: /^notes$/ }) })
  await card.getByRole('button', { name: 'Rotate' }).click()
  await page.keyboard.press('Escape')
  expect(version('notes')).toBe(1)
  await card.getByRole('button', { name: 'Rotate' }).click()
  await page.getByRole('button', { name: 'Rotate now' }).click()
  await card.locator('tr', { hasText: 'v2' }).locator('.tag.good').waitFor()
  expect(version('notes')).toBe(2)
})

it('what is said of a version that is being destroyed stays in its column', async () => {
  const { store } = acme.deriver
  rotateKeyring(store, 'mail', now())
  orderDestruction(store, ['mail@1'], 90 * 86_400, now())
  const size = page.viewportSize()!
  await page.setViewportSize({ ...size, width: 1280 })
  const words = page.locator('.timeline .words', { hasText: 'being destroyed' })
  await words.waitFor()
  expect(await words.evaluate((cell) => cell.scrollWidth <= cell.clientWidth)).toBe(true)
  await page.setViewportSize(size)
})

it('a revocation shows what it will do before it is done', async () => {
  await open('clients')
  await page.getByRole('button', { name: 'Revoke' }).click()
  const dialog = page.locator('dialog[open]')
  await dialog.locator('li', { hasText: 'Re-keyed, for all who stay: payroll' }).waitFor()
  expect(await page.locator('.tag', { hasText: 'revoked' }).count()).toBe(0)
  const reasons = await dialog.locator('#reason option').allTextContents()
  expect(reasons).toEqual(['none', ...Object.keys(CRL_REASONS)])
  await dialog.getByRole('button', { name: 'Revoke this client' }).click()
  await page.locator('.tag', { hasText: 'revoked' }).waitFor()
})

it('inline script, markup from strings and frames of others are blocked', async () => {
  expect(complaints).toEqual([])
  const tried = await page.evaluate(() => {
    const violations: string[] = []
    document.addEventListener('securitypolicyviolation', (event) => {
      violations.push(event.effectiveDirective)
    })
    const attempt = (work: () => void): string => {
      try {
        work()
        return 'done'
      } catch (error) {
        return (error as Error).name
      }
    }
    const script = document.createElement('script')
    const image = document.createElement('img')
    const results = [
      attempt(() => (document.body.innerHTML = '<b>markup</b>')),
      attempt(() => (script.textContent = 'window.stolen = 1')),
      attempt(() => image.setAttribute('onerror', 'window.stolen = 1')),
      attempt(() => {
        const inline = document.createElement('script')
        inline.append('window.stolen = 1')
        document.body.append(inline)
      }),
    ]
    image.src = 'https://evil.example/x.png'
    document.body.append(image)
    return new Promise<{ results: string[]; violations: string[]; isStolen: boolean }>(
      (resolve) => {
        setTimeout(() => resolve({ results, violations, isStolen: 'stolen' in window }), 300)
      },
    )
  })
  expect(tried.isStolen).toBe(false)
  expect(tried.results.slice(0, 2)).toEqual(['TypeError', 'TypeError'])
  expect(tried.violations).toContain('img-src')
  expect(tried.violations).toContain('require-trusted-types-for')
  // Markup that got into the page on its way, with the headers that it has.
  const injected = await page.context().newPage()
  await injected.route(console_.url, async (route) => {
    const answer = await route.fetch()
    const body = (await answer.text()).replace('<body>', '<body><script>window.stolen = 1</script>')
    await route.fulfill({ response: answer, body })
  })
  const blocked: string[] = []
  injected.on('console', (message) => void blocked.push(message.text()))
  await injected.goto(console_.url)
  await expect.poll(() => blocked.join()).toContain('script-src')
  expect(await injected.evaluate(() => 'stolen' in window)).toBe(false)
  await injected.close()
  const framing = await browser.newPage()
  await framing.goto(`http://127.0.0.1:${(other.address() as AddressInfo).port}/`)
  expect(framing.frames().map((frame) => frame.url())[1]).toMatch(/^chrome-error:/)
  await framing.close()
})

it('another page in the same browser, even on the same host, changes nothing', async () => {
  const before = version('notes')
  const evil = await page.context().newPage()
  await evil.goto(`http://127.0.0.1:${(other.address() as AddressInfo).port}/`)
  const answers = await evil.evaluate(async (url) => {
    const path = `${url}api/keyrings/notes/rotate`
    const send = (options: RequestInit): Promise<string> =>
      fetch(path, { method: 'POST', credentials: 'include', ...options }).then(
        (response) => response.type,
        () => 'refused',
      )
    return Promise.all([
      send({ mode: 'no-cors', body: '{}' }),
      send({ headers: { 'content-type': 'application/json' }, body: '{}' }),
      send({ headers: { 'keyferry-proof': 'x' } }),
    ])
  }, console_.url)
  expect(answers).toEqual(['refused', 'refused', 'refused'])
  await evil.evaluate((url) => {
    const form = document.createElement('form')
    form.action = `${url}api/keyrings/notes/rotate`
    form.method = 'post'
    document.body.append(form)
    form.submit()
  }, console_.url)
  await evil.waitForURL(/rotate/)
  expect(await evil.textContent('body')).toContain('ERR_ORIGIN')
  await evil.close()
  expect(version('notes')).toBe(before)
})

it('fits a phone, in the dark, and ends when the session does', async () => {
  await page.reload()
  await page.setViewportSize({ width: 390, height: 844 })
  await page.emulateMedia({ colorScheme: 'dark' })
  for (const view of ['overview', 'keyrings', 'clients', 'requests', 'log', 'relay']) {
    await open(view)
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390)
  }
  endAccess(acme.deriver.store, 'ada')
  await page.locator('#login:not([hidden])').waitFor()
  expect(await page.locator('#login-problem').textContent()).toContain('has ended')
})
