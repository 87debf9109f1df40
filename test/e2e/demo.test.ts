/** The demo as a visitor sees it: `demo/start.ts` as a process, two identities in one Chromium. */
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  createReadStream,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium as playwright, type Browser, type Page } from 'playwright-core'
import { initTenant, openDeriver } from '../../deriver/index.ts'
import { newestTrust } from '../../deriver/trust.ts'
import { encodeEnvelope } from '../../shared/envelope.ts'
import { type TrustDocument } from '../../shared/trust.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { chromium, chromiumArgs } from '../../tools/chromium.ts'
import { note, openTab, ready, say, startDemo, version, WAIT, type Demo } from '../lib/demo.ts'

const RELAY = fileURLToPath(new URL('../../demo/relay.ts', import.meta.url))
const SHOTS = fileURLToPath(new URL('../../test-results/', import.meta.url))
const FILE_SIZE = 30 * 1024 * 1024

let demo: Demo
let browser: Browser
let ada: Page
let ben: Page
let folder: string
let isRevoked = false
const complaints: string[] = []

/** A tab of an identity. Everything that the browser complains about is kept. */
async function open(name: string): Promise<Page> {
  const page = await openTab(browser, `${demo.origin}/?as=${name}`, (text, url) => {
    // Relay and web app refuse a revoked client, and Chromium writes every refusal down.
    const isRefusal = /^(Failed to load|WebSocket connection to .* failed)/.test(text)
    if (isRevoked && name === 'ben' && isRefusal) return
    complaints.push(`${name}: ${text} ${url}`)
  })
  await ready(page)
  return page
}

function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  return new Promise((resolve, reject) => {
    createReadStream(path)
      .on('data', (data) => hash.update(data))
      .on('end', () => resolve(hash.digest('hex')))
      .on('error', reject)
  })
}

/** Pictures for people: test-results/ is not in git. */
async function shoot(page: Page, name: string): Promise<void> {
  const sizes = { desktop: [1440, 900], phone: [390, 844] } as const
  for (const [device, [width, height]] of Object.entries(sizes)) {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.setViewportSize({ width, height })
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      await page.evaluate(() => scrollTo(0, 0))
      const path = join(SHOTS, `demo-${name}-${device}-${colorScheme}`)
      await page.screenshot({ path: `${path}.png` })
      await page.screenshot({ path: `${path}-full.png`, fullPage: true })
    }
  }
  await page.setViewportSize({ width: 1440, height: 900 })
}

beforeAll(async () => {
  mkdirSync(SHOTS, { recursive: true })
  folder = mkdtempSync(join(tmpdir(), 'keyferry-demo-test-'))
  browser = await playwright.launch({ executablePath: chromium, args: chromiumArgs })
  demo = await startDemo()
  ada = await open('ada')
  ben = await open('ben')
})

afterAll(async () => {
  await browser?.close()
  await demo?.stop()
  rmSync(folder, { recursive: true, force: true })
})

test('two browser identities get certificates with keys that cannot be exported', async () => {
  for (const [page, name] of [
    [ada, 'ada'],
    [ben, 'ben'],
  ] as const) {
    const identity = page.locator('#identity')
    expect(await identity.textContent()).toContain(`keyferry://client.acme.example/${name}`)
    expect(await identity.textContent()).toContain('non-extractable')
    await page.locator('.held', { hasText: 'Private key' }).waitFor({ timeout: WAIT })
    expect(await page.locator('#browser-view').textContent()).not.toContain('Exportable')
  }
})

test('the name alone, in another browser, gets no certificate', async () => {
  const said: string[] = []
  const other = await openTab(browser, `${demo.origin}/?as=ada`, (text) => said.push(text))
  await other.locator('#status[data-state="bad"]').waitFor({ timeout: WAIT })
  expect(await other.locator('#status').textContent()).toContain('ERR_NEW_KEY')
  // Nothing can be clicked that would do nothing.
  for (const id of ['#send', '#file', '#rotate'])
    expect([id, await other.isDisabled(id)]).toEqual([id, true])
  await shoot(other, 'new-key')
  await other.getByRole('link', { name: 'Go on as Cleo' }).click()
  await ready(other)
  expect(await other.locator('#identity').textContent()).toContain('example/cleo')
  expect(await other.isDisabled('#send')).toBe(false)
  // Chromium writes down what Acme's server refused.
  expect(said.filter((text) => !text.startsWith('Failed to load'))).toEqual([])
  await other.close()
})

test('a note goes there and back', async () => {
  await say(ada, 'The contract is signed, invoice 4711 follows.')
  await note(ben, 'invoice 4711').waitFor({ timeout: WAIT })
  await say(ben, 'Thank you, I file it under Northwind.')
  await note(ada, 'Northwind').waitFor({ timeout: WAIT })
})

test('a file of 30 MiB arrives as it was', async () => {
  const path = join(folder, 'quarterly-report.pdf')
  writeFileSync(path, randomBytes(FILE_SIZE))
  await ada.setInputFiles('#file', path)
  const button = ben.getByRole('button', { name: 'Decrypt and save' })
  await button.waitFor({ timeout: 60_000 })
  const [download] = await Promise.all([
    ben.waitForEvent('download', { timeout: 60_000 }),
    button.click(),
  ])
  expect(download.suggestedFilename()).toBe('quarterly-report.pdf')
  expect(await hashOf(await download.path())).toBe(await hashOf(path))
})

test('a dropped file is sent too', async () => {
  const dataTransfer = await ben.evaluateHandle(() => {
    const transfer = new DataTransfer()
    transfer.items.add(new File(['dropped on the page'], 'dropped.txt', { type: 'text/plain' }))
    return transfer
  })
  await ben.dispatchEvent('body', 'dragover', { dataTransfer })
  expect(await ben.isVisible('#veil')).toBe(true)
  await ben.dispatchEvent('body', 'drop', { dataTransfer })
  const box = ada.locator('.file-box', { hasText: 'dropped.txt' })
  await box.waitFor({ timeout: WAIT })
  expect(await ben.isVisible('#veil')).toBe(false)
  const [download] = await Promise.all([
    ada.waitForEvent('download', { timeout: WAIT }),
    box.getByRole('button').click(),
  ])
  expect(readFileSync(await download.path(), 'utf8')).toBe('dropped on the page')
})

test('after a rotation both go on under a higher version', async () => {
  const before = await version(ada, 'notes')
  await ada.click('#rotate')
  for (const page of [ada, ben]) {
    await expect.poll(() => version(page, 'notes'), { timeout: WAIT }).toBe(before + 1)
  }
  await say(ada, 'This one is under the new key.')
  await note(ben, 'under the new key').waitFor({ timeout: WAIT })
  await note(ben, 'invoice 4711').waitFor()
})

test('a reload finds identity and messages again', async () => {
  const identity = await ada.locator('#identity').textContent()
  await ada.reload()
  await ready(ada)
  await note(ada, 'under the new key').waitFor({ timeout: WAIT })
  expect(await ada.locator('#identity').textContent()).toBe(identity)
  expect(await ada.locator('.unread').count()).toBe(0)
})

test('the relay has neither notes nor names of keyrings, but the names in certificates', async () => {
  await shoot(ada, 'ada')
  const found = ada.locator('#found')
  for (const text of ['invoice 4711', 'under the new key', 'Northwind', 'notes', 'quarterly']) {
    await ada.fill('#needle', text)
    await ada.click('#search button[type=submit]')
    await expect.poll(() => found.textContent(), { timeout: WAIT }).toMatch(/^Not found in/)
    await ada.fill('#needle', '')
    await ada.click('#search button[type=submit]')
    await expect.poll(() => found.textContent()).toMatch(/^Search for/)
  }
  await ada.fill('#needle', 'keyferry://client.acme.example/ada')
  await ada.click('#search button[type=submit]')
  await expect.poll(() => found.textContent(), { timeout: WAIT }).toMatch(/^Found/)
  const view = (await ada.locator('#relay-view').textContent()) ?? ''
  expect(view).toContain('Bundle')
  expect(view).toContain('Ciphertext')
})

test('a revoked identity cannot read what comes after, and what it has stays', async () => {
  isRevoked = true
  await ada.click('[data-revoke="ben"]')
  await ben.locator('#status[data-state="bad"]').waitFor({ timeout: WAIT })
  const before = await version(ben, 'notes')
  await expect.poll(() => version(ada, 'notes'), { timeout: WAIT }).toBeGreaterThan(before)
  await say(ada, 'Ben is not to see this.')
  await note(ada, 'Ben is not to see this').waitFor({ timeout: WAIT })
  const unread = ben.locator('.unread')
  await unread.waitFor({ timeout: WAIT })
  expect(await unread.locator('.code').textContent()).toBe('ERR_UNKNOWN_KEY')
  expect(await note(ben, 'Ben is not to see this').count()).toBe(0)
  expect(await note(ben, 'invoice 4711').count()).toBe(1)
  await shoot(ben, 'revoked')
  await expect.poll(() => ben.locator('#send').isDisabled(), { timeout: WAIT }).toBe(true)
  const looks = await ben.evaluate(() =>
    ['#file-label', '#send'].map((id) => getComputedStyle(document.querySelector(id)!).opacity),
  )
  expect(looks).toEqual(['0.5', '0.5'])
  // The page may say what it likes: Acme's server refuses as well.
  const status = await ben.evaluate(async () => {
    const headers = { 'keyferry-demo': 'ben', 'content-type': 'application/octet-stream' }
    return (await fetch('/messages', { method: 'POST', headers, body: 'x' })).status
  })
  expect(status).toBe(403)
})

test('the browser had nothing to complain about', () => {
  expect(complaints).toEqual([])
})

/** `demo/relay.ts` as a process. */
async function startRelay(
  directory: string,
): Promise<{ url: string; kill: () => void; stop: () => Promise<unknown> }> {
  const args = [RELAY, '--directory', directory, '--invite', 'welcome']
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const { url, workerd } = JSON.parse(line.toString()) as { url: string; workerd: number }
  return {
    url,
    kill() {
      for (const pid of [child.pid!, workerd]) process.kill(pid, 'SIGKILL')
    },
    stop() {
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      return ended
    },
  }
}

/** Whoever has a trust document of a tenant learns whether a relay has it, too. */
async function knows(url: string, { tenant, envelope }: TrustDocument): Promise<boolean> {
  const headers = { 'content-type': 'application/json' }
  const init = { method: 'POST', body: Buffer.from(encodeEnvelope(envelope)), headers }
  return (await fetch(`${url}/v1/${tenant}/trust`, init)).status === 204
}

test('a relay that is killed has its tenants again', async () => {
  const [kept, other, deriverPath] = ['kept', 'other', 'deriver'].map((name) => join(folder, name))
  const now = Math.floor(Date.now() / 1000)
  await initTenant({
    directory: deriverPath!,
    organization: 'Acme',
    domain: 'acme.example',
    relays: ['https://relay.example'],
    origins: ['https://app.example'],
    passphrase: null,
    now,
  })
  const before = await startRelay(kept!)
  const deriver = await openDeriver({
    directory: deriverPath!,
    passphrase: null,
    relays: [before.url],
    invite: 'welcome',
  })
  await deriver.step()
  const trust = await newestTrust(deriver.store)
  deriver.close()
  expect(await knows(before.url, trust)).toBe(true)
  before.kill()
  const after = await startRelay(kept!)
  const empty = await startRelay(other!)
  try {
    expect(await knows(after.url, trust)).toBe(true)
    expect(await knows(empty.url, trust)).toBe(false)
  } finally {
    await Promise.all([after.stop(), empty.stop()])
  }
})
