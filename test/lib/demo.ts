/** The demo as a process, and its pages in a Chromium. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type Browser, type Locator, type Page } from 'playwright-core'

const START = fileURLToPath(new URL('../../demo/start.ts', import.meta.url))

/** Milliseconds. */
export const WAIT = 30_000

/** A running demo. */
export interface Demo {
  /** The address that it prints. */
  origin: string
  stop(): Promise<void>
}

export async function startDemo(): Promise<Demo> {
  const demo = spawn(process.execPath, [START], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const origin = await new Promise<string>((resolve, reject) => {
    const read = (data: Buffer): void => {
      output += data.toString()
      const found = /(http:\/\/\S+)\/\?as=ada/.exec(output)
      if (found !== null && output.includes('Ctrl-C')) resolve(found[1]!)
    }
    demo.stdout.on('data', read)
    demo.stderr.on('data', read)
    demo.once('exit', (code) => reject(new Error(`the demo ended (${code}): ${output}`)))
  })
  return {
    origin,
    async stop() {
      if (demo.exitCode !== null) return
      const ended = once(demo, 'exit')
      demo.kill('SIGTERM')
      await ended
    },
  }
}

/** A tab of an identity, perhaps not ready yet. `complain` is told of everything that the browser complains about. */
export async function openTab(
  browser: Browser,
  address: string,
  complain: (text: string, url: string) => void,
): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } })
  page.on('console', (message) => {
    if (message.type() === 'error') complain(message.text(), message.location().url)
  })
  page.on('pageerror', (error) => complain(error.message, ''))
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`)
    })
  })
  await page.goto(address)
  return page
}

/** Waits until the keys are there. */
export async function ready(page: Page): Promise<void> {
  await page.locator('#status[data-state="ready"]').waitFor({ timeout: WAIT })
}

export async function say(page: Page, text: string): Promise<void> {
  await page.fill('#note', text)
  await page.click('#send')
}

/** A decrypted note. */
export function note(page: Page, text: string): Locator {
  return page.locator('.message-text').filter({ hasText: text })
}

/** The version of a keyring that a page encrypts with. */
export async function version(page: Page, keyring: string): Promise<number> {
  return Number(await page.locator(`[data-version="${keyring}"]`).textContent())
}
