/**
 * From a page's request for a key to the first decrypted byte, in Chromium, with a relay in workerd and a deriver that runs, all on loopback; and how many
 * round trips that takes, beside one of a route that does nothing.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { chromium as playwright, type BrowserContext, type Page } from 'playwright-core'
import { startRelay } from '../../demo/relay.ts'
import { issueClient } from '../../deriver/ca.ts'
import { appConfig, createKeyring, initTenant, openDeriver } from '../../deriver/index.ts'
import { readCa } from '../../deriver/key-files.ts'
import { rotateKeyring } from '../../deriver/keyrings.ts'
import { type AppConfigJson } from '../../shared/config.ts'
import { decodePem, encodePem } from '../../shared/pem.ts'
import { chromium, chromiumArgs } from '../../tools/chromium.ts'
import { createIdentity } from '../../web/enroll.ts'
import { connect, createMemoryStore, type Keyferry } from '../../web/index.ts'
import { startPageApp, type PageApp } from '../lib/page-app.ts'
import { lineOf, median, p99, type Line } from './measure.ts'
import { VISITS, type Kind, type Phases, type Visit } from './phases.ts'

const SCRIPT =
  "import * as bench from './test/bench/first-byte-page.ts'; Object.assign(globalThis, { bench })"

const now = (): number => Math.floor(Date.now() / 1000)

/** The browser's own list of suggestions is a page of three hundred files, which it loads with each window, beside the page that is measured. */
const ALONE =
  '--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup,PreloadTopChromeWebUI'

interface InPage {
  bench: typeof import('./first-byte-page.ts')
}

/** A tenant whose pages come from `app`, and a service of it. */
interface Site {
  app: PageApp
  relay: string
  config: AppConfigJson
  service: Keyferry
  /** Makes a new version and gives a message under it, as soon as the relay has it. */
  rotate: () => Promise<number[]>
  close: () => Promise<void>
}

async function startSite(): Promise<Site> {
  const directory = mkdtempSync(join(tmpdir(), 'keyferry-bench-'))
  const tenant = join(directory, 'keyferry')
  const entry = fileURLToPath(new URL('worker.ts', import.meta.url))
  const relay = await startRelay({ directory: join(directory, 'relay'), invites: ['code'], entry })
  let certify = (_csr: string): Promise<string> => Promise.reject(new Error('no CA yet'))
  const app = await startPageApp(
    SCRIPT,
    async (_url, { body }) => new Response(await certify(new TextDecoder().decode(body))),
    // As docs/client.md tells pages.
    { isIsolated: true, head: `<link rel="preconnect" href="${relay.url}" crossorigin>` },
  )
  await initTenant({
    directory: tenant,
    organization: 'Acme',
    domain: 'acme.example',
    relays: [relay.url],
    origins: [app.origin],
    passphrase: null,
    now: now(),
  })
  const deriver = await openDeriver({ directory: tenant, passphrase: null, invite: 'code' })
  const { store } = deriver
  createKeyring(store, { name: 'notes', rules: ['keyferry://client.acme.example/*'] }, now())
  const ca = await readCa(tenant, 'ca-client', null)
  let count = 0
  certify = async (csr) => {
    const [der] = decodePem(csr, 'CERTIFICATE REQUEST')
    const uri = `keyferry://client.acme.example/kim-${count++}`
    return encodePem('CERTIFICATE', await issueClient(store, ca, der!, uri, now()))
  }
  const stop = new AbortController()
  const running = deriver.run(stop.signal)
  const config = await appConfig(store)
  const memory = createMemoryStore()
  const identity = await createIdentity({ name: 'service', store: memory, enroll: certify })
  const service = await connect({ config, identity, store: memory })
  const notes = await service.keyring('notes')
  return {
    app,
    relay: relay.url,
    config,
    service,
    async rotate() {
      const told = new Promise<void>((resolve) => {
        const off = service.on('key', () => (off(), resolve()))
      })
      rotateKeyring(store, 'notes', now())
      await told
      return [...(await notes.encrypt('Hello'))]
    },
    async close() {
      service.close()
      stop.abort()
      await running
      deriver.close()
      await relay.stop()
      await app.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** A page of the site, with a count of what it asks the relay; the browser keeps no script. */
async function openPage(
  context: BrowserContext,
  { app, relay }: Site,
): Promise<{ page: Page; trips: (until: number) => Promise<number> }> {
  const page = await context.newPage()
  const network = await context.newCDPSession(page)
  await network.send('Network.enable')
  await network.send('Network.setCacheDisabled', { cacheDisabled: true })
  let seen: number[] = []
  network.on('Network.requestWillBeSent', ({ request, wallTime }) => {
    if (request.url.startsWith(relay)) seen.push(wallTime * 1_000)
  })
  await page.goto(app.origin)
  await page.waitForFunction(() => 'bench' in globalThis)
  return {
    page,
    async trips(until) {
      await setTimeout(50)
      // What a client asks for after the first byte is for later.
      const count = seen.filter((at) => at <= until).length
      seen = []
      return count
    },
  }
}

interface Run {
  phases: Phases
  trips: number
  bare: number
}

const bareOf = (page: Page, relay: string): Promise<number> =>
  page.evaluate((url) => (globalThis as unknown as InPage).bench.bare(url), `${relay}/bare`)

async function visitCold(
  context: BrowserContext,
  site: Site,
  message: number[],
): Promise<Run & { page: Page; count: (until: number) => Promise<number> }> {
  const { page, trips: count } = await openPage(context, site)
  const { phases, at } = await page.evaluate(
    ([config, data]) => (globalThis as unknown as InPage).bench.cold(config, data),
    [site.config, message] as [AppConfigJson, number[]],
  )
  const trips = await count(at)
  return { phases, trips, bare: await bareOf(page, site.relay), page, count }
}

async function closePage(page: Page): Promise<void> {
  await page.evaluate(() => (globalThis as unknown as InPage).bench.close())
  await page.close()
}

/** One device: its first visit, later ones with and without a new key, and new keys while its page is open. */
async function runDevice(
  context: BrowserContext,
  site: Site,
  note: (kind: Kind, run: Run) => void,
  later: number,
): Promise<void> {
  let message = await site.rotate()
  const enrolment = await openPage(context, site)
  await enrolment.page.evaluate(() => (globalThis as unknown as InPage).bench.enroll())
  await enrolment.page.close()
  const first = await visitCold(context, site, message)
  note('grant', first)
  await closePage(first.page)
  for (let i = 0; i < later; i++) {
    message = await site.rotate()
    const cold = await visitCold(context, site, message)
    note('cold', cold)
    for (let n = 0; n < 2; n++) {
      message = await site.rotate()
      await cold.count(0)
      const { phases, at } = await cold.page.evaluate(
        (data) => (globalThis as unknown as InPage).bench.warm(data),
        message,
      )
      const trips = await cold.count(at)
      note('warm', { phases, trips, bare: await bareOf(cold.page, site.relay) })
    }
    await closePage(cold.page)
    const kept = await visitCold(context, site, message)
    note('kept', kept)
    await closePage(kept.page)
  }
}

function visitOf(kind: Kind, runs: readonly Run[]): Visit {
  const asked = runs.map(({ phases }) => phases.asked)
  const names = Object.keys(runs[0]!.phases) as (keyof Phases)[]
  const phases = Object.fromEntries(
    names.map((name) => [name, median(runs.map((run) => run.phases[name]))]),
  ) as Phases
  return {
    visit: VISITS[kind],
    runs: runs.length,
    p50: median(asked),
    p99: p99(asked),
    trips: median(runs.map(({ trips }) => trips)),
    phases,
  }
}

/** So many devices, each in a browser profile of its own, with so many later visits each. */
export async function benchFirstByte(
  devices: number,
  later: number,
): Promise<{ visits: Visit[]; lines: Line[] }> {
  const site = await startSite()
  const args = [...chromiumArgs, ALONE]
  const profiles = mkdtempSync(join(tmpdir(), 'keyferry-bench-'))
  const runs = new Map<Kind, Run[]>()
  try {
    // The first one warms up the browser's own processes.
    for (let i = -1; i < devices; i++) {
      // In a private window Chromium opens no connection ahead.
      const profile = join(profiles, String(i))
      const context = await playwright.launchPersistentContext(profile, {
        executablePath: chromium,
        args,
      })
      const note = (kind: Kind, { phases, trips, bare }: Run): void => {
        if (i >= 0) runs.set(kind, [...(runs.get(kind) ?? []), { phases, trips, bare }])
      }
      await runDevice(context, site, note, i < 0 ? 1 : later)
      await context.close()
    }
  } finally {
    await site.close()
    rmSync(profiles, { recursive: true, force: true })
  }
  const lines = [...runs].map(([kind, list]) =>
    lineOf(
      `first byte, ${VISITS[kind]}`,
      list.map(({ phases }) => phases.asked),
      list.map(({ bare }) => bare),
      'a bare round trip',
    ),
  )
  return { visits: [...runs].map(([kind, list]) => visitOf(kind, list)), lines }
}
