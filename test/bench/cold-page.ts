/**
 * From a cold page to the first decrypted byte, by phase, in Chromium. Two visits: the first one of a device, which has an identity and asks for its
 * key, and every later one, which has it in IndexedDB.
 */
import { chromium as playwright, type BrowserContext } from 'playwright-core'
import { chromium, chromiumArgs } from '../../tools/chromium.ts'
import { ClientRelay } from '../lib/client-relay.ts'
import { LIBRARY, startRelayPage, type Library } from '../lib/relay-page.ts'
import { median } from './measure.ts'

/** In the order in which they come. */
export const PHASES = [
  'load',
  'store',
  'connect',
  'fetch',
  'wait',
  'verify',
  'unwrap',
  'decrypt',
  'all',
] as const
/** Milliseconds by phase. */
export type Phases = Record<(typeof PHASES)[number], number>

/**
 * What the phases are: load, from the navigation until the script has run; store, to open IndexedDB and read the identity; connect; and of the
 * time until the keyring is there, fetch while a call is out; wait while the client rests until it asks again, which gives the deriver time to answer;
 * unwrap while WebCrypto unwraps, decapsulates or derives, and no call is out; verify, all the rest of it, signatures and hashes above all; decrypt, of
 * one message.
 */
const SCRIPT = `${LIBRARY}
globalThis.loaded = performance.now()`

interface InPage {
  library: Library
  loaded: number
  message: number[] | undefined
}

/** Runs in the page. */
async function visitInPage([config, message]: [unknown, number[] | null]): Promise<{
  phases: Phases
  message: number[]
}> {
  const page = globalThis as unknown as InPage
  const { library } = page
  const load = page.loaded
  /** Time in which at least one of some work is on its way. */
  const meter = () => {
    const state = { inside: 0, since: 0, total: 0 }
    return {
      state,
      begin(): void {
        if (state.inside++ === 0) state.since = performance.now()
      },
      end(): void {
        if (--state.inside === 0) state.total += performance.now() - state.since
      },
    }
  }
  const network = meter()
  const unwrapping = meter()
  const { subtle } = crypto
  const methods = subtle as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>
  for (const name of [
    'unwrapKey',
    'decapsulateBits',
    'decapsulateKey',
    'deriveBits',
    'deriveKey',
  ]) {
    const method = methods[name]
    if (method === undefined) continue
    methods[name] = async (...args) => {
      const counts = network.state.inside === 0
      if (counts) unwrapping.begin()
      try {
        return await method.apply(subtle, args)
      } finally {
        if (counts) unwrapping.end()
      }
    }
  }
  const resting = meter()
  const rests = new Set<number>()
  const [set, clear] = [globalThis.setTimeout, globalThis.clearTimeout]
  const finish = (timer: number): void => {
    if (rests.delete(timer)) resting.end()
  }
  const later = (work: () => void, milliseconds: number): number => {
    const timer = set.call(globalThis, () => (finish(timer as never), work()), milliseconds)
    // Longer ones are deadlines.
    if (milliseconds < 10_000) resting.begin()
    if (milliseconds < 10_000) rests.add(timer as never)
    return timer as never
  }
  const cancel = (timer: number): void => {
    finish(timer)
    clear.call(globalThis, timer)
  }
  Object.assign(globalThis, { setTimeout: later, clearTimeout: cancel })
  const call: typeof fetch = async (input, init) => {
    network.begin()
    try {
      const response = await fetch(input, init)
      const body = await response.arrayBuffer()
      const { status, headers } = response
      return new Response(status === 204 || status === 202 ? null : body, { status, headers })
    } finally {
      network.end()
    }
  }
  const began = performance.now()
  const store = await library.openIndexedDbStore('bench')
  const identity = (await library.loadIdentity({ store }))!
  const stored = performance.now()
  const client = await library.connect({
    config: config as never,
    identity,
    store,
    fetch: call,
    WebSocket: null,
  })
  const connected = performance.now()
  const notes = await client.keyring('notes')
  const ready = performance.now()
  const [fetched, rested, unwrapped] = [network, resting, unwrapping].map(
    ({ state }) => state.total,
  )
  // The message of the first visit is made here, and is not counted.
  const bytes = message ?? [...(await notes.encrypt('Hello'))]
  const before = performance.now()
  if ((await notes.decrypt(new Uint8Array(bytes), { as: 'text' })) !== 'Hello')
    throw new Error('not what was encrypted')
  const done = performance.now()
  client.close()
  const [all, decrypt] = [load + (ready - began) + (done - before), done - before]
  const verify = ready - connected - fetched! - rested! - unwrapped!
  return {
    phases: {
      load,
      store: stored - began,
      connect: connected - stored,
      fetch: fetched!,
      wait: rested!,
      verify,
      unwrap: unwrapped!,
      decrypt,
      all,
    },
    message: bytes,
  }
}

/** Runs in the page: the identity, with nothing else. */
async function enrolInPage(): Promise<void> {
  const { library } = globalThis as unknown as InPage
  const store = await library.openIndexedDbStore('bench')
  const enroll = async (csr: string): Promise<string> =>
    (await fetch('/certify', { method: 'POST', body: csr })).text()
  await library.createIdentity({ name: 'kim', store, enroll })
}

async function visits(
  context: BrowserContext,
  { origin, config }: Awaited<ReturnType<typeof startRelayPage>>,
): Promise<[Phases, Phases]> {
  const open = async () => {
    const page = await context.newPage()
    await page.goto(origin)
    await page.waitForFunction(() => 'loaded' in globalThis)
    return page
  }
  const enrolment = await open()
  await enrolment.evaluate(enrolInPage)
  await enrolment.close()
  const first = await open()
  const one = await first.evaluate(visitInPage, [config, null] as [unknown, null])
  await first.close()
  const again = await open()
  const two = await again.evaluate(visitInPage, [config, one.message] as [unknown, number[]])
  await again.close()
  return [one.phases, two.phases]
}

/** Medians over so many devices, each in a browser profile of its own. */
export async function benchColdPage(devices: number): Promise<{ visit: string; phases: Phases }[]> {
  const relay = await ClientRelay.start()
  const app = await startRelayPage(relay, SCRIPT)
  const browser = await playwright.launch({ executablePath: chromium, args: chromiumArgs })
  const all: [Phases, Phases][] = []
  try {
    // The first one warms up the browser's own processes.
    for (let i = -1; i < devices; i++) {
      const context = await browser.newContext()
      const measured = await visits(context, app)
      if (i >= 0) all.push(measured)
      await context.close()
    }
  } finally {
    await browser.close()
    await app.close()
  }
  const mid = (visit: 0 | 1): Phases =>
    Object.fromEntries(
      PHASES.map((phase) => [phase, median(all.map((one) => one[visit][phase]))]),
    ) as Phases
  return [
    { visit: 'first visit', phases: mid(0) },
    { visit: 'later visit', phases: mid(1) },
  ]
}
