/** What has to hold of the built site: links lead somewhere, and every page works in Chromium with nothing from elsewhere. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { type AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import { chromium as playwright, type Browser, type Page } from 'playwright-core'
import { chromium, chromiumArgs } from '../chromium.ts'

const TYPES: Record<string, string> = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
}

/** A word that stands on few pages, and one of those. */
const SEARCH = { word: 'SoftHSM2', page: '/deriver' }

const VIEWS = [
  { width: 1280, height: 800, colorScheme: 'light' },
  { width: 390, height: 844, colorScheme: 'dark' },
] as const

const pagesOf = (folder: string): string[] =>
  readdirSync(folder).filter((name) => name.endsWith('.html') && name !== '404.html')

const decode = (text: string): string => text.replaceAll('&amp;', '&').replaceAll('&quot;', '"')

/** Links that lead nowhere: to no file, or to no element of the page. */
export function findDeadLinks(folder: string): string[] {
  const pages = new Map(
    pagesOf(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]),
  )
  const ids = new Map(
    [...pages].map(([name, html]) => [
      name,
      new Set([...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => decode(id!))),
    ]),
  )
  const problems = new Set<string>()
  for (const [name, html] of pages)
    for (const [, raw] of html.matchAll(/ (?:href|src)="([^"]+)"/g)) {
      const link = decode(raw!)
      if (/^(https?|mailto|data):/.test(link)) continue
      const [path, hash] = link.split('#') as [string, string?]
      const target = path === '' ? name : path.replace(/^\//, '') || 'index.html'
      if (!existsSync(join(folder, decodeURI(target))))
        problems.add(`${name}: ${link}: there is no such file`)
      else if (hash !== undefined && ids.get(target)?.has(decodeURIComponent(hash)) === false)
        problems.add(`${name}: ${link}: there is no such heading`)
    }
  return [...problems]
}

async function serve(folder: string): Promise<Server> {
  const files = new Set(readdirSync(folder, { recursive: true, encoding: 'utf8' }))
  const server = createServer(({ url }, response) => {
    const path = decodeURI(new URL(url!, 'http://site').pathname).slice(1) || 'index.html'
    if (!files.has(path) || extname(path) === '') response.writeHead(404).end()
    else {
      response.setHeader('content-type', TYPES[extname(path)] ?? 'application/octet-stream')
      response.end(readFileSync(join(folder, path)))
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

/** What is wrong with a page as it is shown. */
async function look(page: Page, url: string): Promise<string[]> {
  await page.goto(url, { waitUntil: 'networkidle' })
  return page.evaluate(() => {
    const found: string[] = []
    const { scrollWidth, clientWidth } = document.documentElement
    if (scrollWidth > clientWidth) found.push(`${scrollWidth - clientWidth} pixels too wide`)
    for (const image of document.querySelectorAll<HTMLImageElement>('main img')) {
      if (image.naturalWidth === 0) found.push(`${image.src} does not load`)
      if (image.alt === '') found.push(`${image.src} has no description`)
    }
    if (document.querySelectorAll('main h1').length !== 1) found.push('not one heading of level 1')
    return found
  })
}

async function search(page: Page): Promise<string[]> {
  await page.keyboard.press('/')
  await page.locator('#localsearch-input').fill(SEARCH.word)
  const results = page.locator('#localsearch-list a')
  const isFound = results.first().waitFor({ timeout: 15_000 })
  if (
    !(await isFound.then(
      () => true,
      () => false,
    ))
  )
    return [`nothing is found for ${SEARCH.word}`]
  const links = await results.evaluateAll((all) => all.map((one) => one.getAttribute('href')!))
  if (!links.some((link) => link.startsWith(SEARCH.page)))
    return [`the search for ${SEARCH.word} does not find ${SEARCH.page}`]
  await page.locator(`#localsearch-list a[href^="${SEARCH.page}"]`).first().click()
  await page.waitForURL((url) => url.pathname.startsWith(SEARCH.page), { timeout: 15_000 })
  return []
}

async function lookAll(browser: Browser, origin: string, names: string[]): Promise<string[]> {
  const problems: string[] = []
  for (const { width, height, colorScheme } of VIEWS) {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme })
    const page = await context.newPage()
    let at = ''
    const say = (text: string): void => void problems.push(`${at} at ${width} pixels: ${text}`)
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) say(message.text())
    })
    page.on('pageerror', ({ message }) => say(message))
    page.on('request', (request) => {
      const url = request.url()
      if (!url.startsWith(origin) && !url.startsWith('data:')) say(`asks for ${url}`)
    })
    for (const name of names) {
      at = name
      for (const problem of await look(page, `${origin}/${name}`)) say(problem)
    }
    await page.goto(`${origin}/index.html`, { waitUntil: 'networkidle' })
    at = 'the search'
    for (const problem of await search(page)) say(problem)
    await context.close()
  }
  return problems
}

/** Opens every page as a browser on a desktop and on a phone does. */
export async function lookAt(folder: string): Promise<string[]> {
  const server = await serve(folder)
  const browser = await playwright.launch({ executablePath: chromium, args: chromiumArgs })
  try {
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return await lookAll(browser, origin, pagesOf(folder))
  } finally {
    await browser.close()
    server.close()
  }
}
