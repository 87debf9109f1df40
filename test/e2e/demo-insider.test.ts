/** "Be the insider" as a visitor sees it: every attack in real browsers, its code on the page, and life going on afterwards. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium as playwright, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { chromium, chromiumArgs } from '../../tools/chromium.ts'
import { note, openTab, ready, say, startDemo, version, WAIT, type Demo } from '../lib/demo.ts'

const SHOTS = fileURLToPath(new URL('../../test-results/', import.meta.url))
/** Milliseconds: the end of the last head, and room for a slow machine. */
const STALE_WAIT = 90_000

let demo: Demo
let browser: Browser
let ada: Page
let ben: Page
const complaints: string[] = []

async function open(name: string): Promise<Page> {
  return openTab(browser, `${demo.origin}/?as=${name}`, (text, url) => {
    complaints.push(`${name}: ${text} ${url}`)
  })
}

const text = async (page: Page, id: string): Promise<string> =>
  (await page.locator(`#${id}`).textContent()) ?? ''

const headOf = async (page: Page): Promise<number> => Number(await text(page, 'browser-head'))

/** Waits for the code that a page shows. */
async function code(page: Page, expected: string, timeout = WAIT): Promise<void> {
  await expect.poll(() => text(page, 'insider-code'), { timeout }).toBe(expected)
}

/** The notes of the page were decrypted again. */
async function decrypts(page: Page, count: number): Promise<void> {
  const words = count === 1 ? 'The one here still decrypts' : `All ${count} here still decrypt`
  await expect.poll(() => text(page, 'insider-kept'), { timeout: WAIT }).toContain(words)
}

/** The relay is honest, and the page has verified what it says. */
async function isWell(page: Page): Promise<void> {
  const answer = (): Promise<string> => text(page, 'insider-answer')
  await expect.poll(answer, { timeout: WAIT }).toMatch(/^It verified every statement/)
  await ready(page)
}

const count = (page: Page): Promise<number> => page.locator('.message-text').count()

/** A new note goes from one to the other. */
async function exchange(words: string): Promise<void> {
  await say(ada, words)
  await note(ben, words).waitFor({ timeout: WAIT })
}

/** Pictures for people: test-results/ is not in git. */
async function shoot(name: string): Promise<void> {
  for (const [device, width] of Object.entries({ desktop: 1280, phone: 390 })) {
    for (const colorScheme of ['light', 'dark'] as const) {
      await ada.setViewportSize({ width, height: 900 })
      await ada.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      const overflow = await ada.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      )
      expect(overflow).toBe(0)
      await ada.evaluate(() => scrollTo(0, 0))
      const { y, height } = (await ada.locator('.insider').boundingBox())!
      await ada.screenshot({
        path: join(SHOTS, `demo-insider-${name}-${device}-${colorScheme}.png`),
        fullPage: true,
        clip: { x: 0, y: y - 20, width, height: height + 40 },
      })
    }
  }
  await ada.setViewportSize({ width: 1280, height: 900 })
}

beforeAll(async () => {
  mkdirSync(SHOTS, { recursive: true })
  browser = await playwright.launch({ executablePath: chromium, args: chromiumArgs })
  demo = await startDemo()
  ada = await open('ada')
  ben = await open('ben')
  await Promise.all([ready(ada), ready(ben)])
  await say(ben, 'The keys of the archive are with Northwind.')
  await note(ada, 'Northwind').waitFor({ timeout: WAIT })
})

afterAll(async () => {
  await browser?.close()
  await demo?.stop()
})

test('an honest relay has nothing to be refused', async () => {
  await isWell(ada)
  await decrypts(ada, 1)
  expect(await ada.isDisabled('#insider-stop')).toBe(true)
  expect(await ada.locator('.attack[aria-pressed="true"]').count()).toBe(0)
  await shoot('honest')
})

test('the relay’s hints go through its door', async () => {
  const [socket] = await Promise.all([ben.waitForEvent('websocket'), ben.reload()])
  await isWell(ben)
  const [frame] = await Promise.all([
    socket.waitForEvent('framereceived', { timeout: WAIT }),
    ada.click('#rotate'),
  ])
  expect(JSON.parse(String(frame.payload))).toMatchObject({ type: 'head' })
})

test.each([
  ['deriver', 'ERR_PATH_INVALID', 'a CA of its own'],
  ['old', 'ERR_ROLLBACK', 'a head from before'],
  ['label', 'ERR_HASH', 'under the id of the other'],
  ['member', 'ERR_HASH', 'a device of its own'],
  ['signature', 'ERR_SCHEMA', 'signature off the head'],
  ['tenant', 'ERR_TENANT', 'another customer'],
])('%s is refused in every tab with %s', async (attack, expected, did) => {
  const before = await headOf(ada)
  await ada.click(`[data-attack="${attack}"]`)
  await code(ada, expected)
  await code(ben, expected)
  const pressed = ada.locator('.attack[aria-pressed="true"]')
  expect(await pressed.getAttribute('data-attack')).toBe(attack)
  expect(await pressed.textContent()).toContain(expected)
  expect(await text(ada, 'insider-did')).toContain(did)
  expect(await text(ada, 'insider-answer')).not.toMatch(/^It (verified|waits)/)
  expect(await text(ada, 'insider-bound')).toMatch(/it can go on until \d\d:\d\d:\d\d, \d+\ss/)
  await decrypts(ada, await count(ada))
  // Nothing was taken over; only what was honest and on its way before.
  expect(await headOf(ada)).toBeLessThanOrEqual(before + 1)
  if (attack === 'label') await shoot('refused')
  await ada.click('#insider-stop')
  await Promise.all([isWell(ada), isWell(ben)])
  expect(await text(ada, 'insider-code')).toBe('')
  await exchange(`After ${attack}.`)
})

test('a keyboard is enough, and a screen reader is told', async () => {
  await ada.focus('[data-attack="signature"]')
  await ada.keyboard.press('Enter')
  await code(ada, 'ERR_SCHEMA')
  const focused = (): Promise<string | undefined> =>
    ada.evaluate(() => (document.activeElement as HTMLElement).dataset['attack'])
  expect(await focused()).toBe('signature')
  await ada.keyboard.press('Tab')
  for (let i = 0; i < 8 && (await focused()) !== undefined; i++) await ada.keyboard.press('Tab')
  expect(await ada.evaluate(() => document.activeElement?.id)).toBe('insider-stop')
  await ada.keyboard.press('Space')
  await isWell(ada)
  // Not lost with the button that is disabled now.
  expect(await focused()).toBe('signature')
  const group = ada.getByRole('group', { name: 'What the relay does wrong' })
  expect(await group.getByRole('button').count()).toBe(8)
  const told = ada.locator('#outcome [role="status"][aria-live="polite"]')
  expect(await told.textContent()).toContain('The relay')
})

test('a hidden revocation is not seen before the end of the last head, and then by everybody', async () => {
  const before = await version(ada, 'notes')
  await ada.click('[data-attack="revocation"]')
  const bound = (): Promise<string> => text(ada, 'insider-bound')
  await expect.poll(bound, { timeout: WAIT }).toMatch(/\d+\ss from now\. A head lives 30\ss here/)
  const revoked = ada.locator('.person', { hasText: 'Lost-laptop' })
  await expect.poll(() => revoked.textContent(), { timeout: WAIT }).toContain('Revoked')
  await shoot('hidden')
  await code(ada, 'ERR_STALE', STALE_WAIT)
  await code(ben, 'ERR_STALE', STALE_WAIT)
  expect(await bound()).toContain('it encrypts nothing under head')
  expect(await version(ada, 'notes')).toBeLessThanOrEqual(before)
  await decrypts(ada, await count(ada))
  await say(ada, 'This one is not sent.')
  const error = ada.locator('#compose-error')
  await expect.poll(() => error.textContent(), { timeout: WAIT }).toContain('ERR_STALE')
  await ada.click('#insider-stop')
  await Promise.all([isWell(ada), isWell(ben)])
  // The revocation had moved the keys on.
  for (const page of [ada, ben]) {
    await expect.poll(() => version(page, 'notes'), { timeout: WAIT }).toBeGreaterThan(before)
  }
  await exchange('After the revocation.')
}, 240_000)

test('of two views one fails by name, and both are one again', async () => {
  await ada.click('[data-attack="split"]')
  const seen = async (page: Page, name: string): Promise<string> =>
    (await page.locator(`[data-view="${name}"]`).textContent()) ?? ''
  const seenHead = async (page: Page, name: string): Promise<number> =>
    Number(/head (\d+)/.exec(await seen(page, name))?.[1])
  for (const page of [ada, ben]) {
    await expect
      .poll(async () => (await seenHead(page, 'ben')) - (await seenHead(page, 'ada')), {
        timeout: WAIT,
      })
      .toBeGreaterThan(0)
  }
  expect(await text(ben, 'insider-answer')).toContain('Ada’s browser is the one kept behind')
  await code(ada, 'ERR_STALE', STALE_WAIT)
  await expect.poll(() => seen(ben, 'ada'), { timeout: WAIT }).toContain('ERR_STALE')
  expect(await text(ben, 'insider-code')).toBe('')
  await decrypts(ada, await count(ada))
  await shoot('split')
  await ada.click('#insider-stop')
  await Promise.all([isWell(ada), isWell(ben)])
  for (const page of [ada, ben]) {
    await expect
      .poll(async () => (await seenHead(page, 'ben')) - (await seenHead(page, 'ada')), {
        timeout: WAIT,
      })
      .toBe(0)
    expect(await seen(page, 'ada')).not.toContain('ERR_')
  }
  await exchange('After the split.')
}, 240_000)

test('who comes during an attack refuses it too, and reads everything once it is over', async () => {
  await ada.click('[data-attack="tenant"]')
  await code(ada, 'ERR_TENANT')
  const carol = await open('carol')
  await code(carol, 'ERR_TENANT')
  expect(await count(carol)).toBe(0)
  await carol.click('#insider-stop')
  await Promise.all([isWell(ada), isWell(carol)])
  await note(carol, 'Northwind').waitFor({ timeout: WAIT })
})

test('the browsers had nothing to complain about', () => {
  expect(complaints).toEqual([])
})
