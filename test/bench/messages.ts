/** Messages beside other libraries and beside the bare cipher, in Node and in Chromium, with the sizes of all of them in a bundle. */
import { gzipSync } from 'node:zlib'
import { chromium as playwright, type Page } from 'playwright-core'
import { chromium, chromiumArgs } from '../../tools/chromium.ts'
import { type Keyring } from '../../web/index.ts'
import { ClientRelay } from '../lib/client-relay.ts'
import { bundle } from '../lib/page-app.ts'
import { LIBRARY, startRelayPage, type Library } from '../lib/relay-page.ts'
import { makeAws } from './contender-aws.ts'
import {
  contest,
  takeTurns,
  type Load,
  type namesOf,
  type prepareOne,
  type Result,
  type Turn,
} from './contest.ts'
import { COLLECTING, lineOf, type Line } from './measure.ts'

const MEBIBYTE = 1_048_576

/** What an app would import of each library. */
const BUNDLES: Record<string, string> = {
  'keyferry, connect and messages': "export { connect, openIndexedDbStore } from './web/index.ts'",
  'keyferry, with enrolment': "export * from './web/index.ts'; export * from './web/enroll.ts'",
  age: "export { Encrypter, Decrypter, generateX25519Identity } from 'age-encryption'",
  openpgp: "export { encrypt, decrypt, createMessage, readMessage } from 'openpgp'",
  jose: "export { CompactEncrypt, compactDecrypt } from 'jose'",
  libsodium: "export { default } from 'libsodium-wrappers-sumo'",
  '@hpke/core':
    "export { CipherSuite, HkdfSha256, Aes256Gcm, DhkemX25519HkdfSha256 } from '@hpke/core'",
}

function loads(quick: boolean): Load[] {
  return [
    { size: 32, times: quick ? 50 : 100, rounds: quick ? 3 : 5 },
    { size: 1_000, times: quick ? 50 : 100, rounds: quick ? 3 : 5 },
    { size: (quick ? 16 : 64) * MEBIBYTE, times: 1, rounds: 5, turn: 400 },
  ]
}

function nameOf(size: number): string {
  if (size >= MEBIBYTE) return `${size / MEBIBYTE} MiB`
  return size >= 1_000 ? `${size / 1_000} kB` : `${size} B`
}

/** Ways that let their pieces go. */
const isStream = (name: string): boolean => name.endsWith('stream') || name.endsWith('let go')

/** What a way is compared with: ours with the bare cipher, the others with ours; of long messages streams with streams. */
function againstOf(name: string, size: number): string {
  const isLong = size >= MEBIBYTE
  const letsGo = isLong && isStream(name)
  // Of a long message the derivation of its key is nothing, and the cipher all.
  const bare = letsGo ? 'raw WebCrypto, let go' : 'raw WebCrypto'
  if (name.startsWith('keyferry') && !isLong) return 'least calls'
  if (/^(keyferry|raw|least)/.test(name)) return bare
  return letsGo ? 'keyferry stream' : 'keyferry one-shot'
}

/** Ours against the bare cipher, and the others against ours. */
function linesOf(where: string, results: readonly Result[]): Line[] {
  return results.map(({ size, operation, name, rounds }) => {
    const against = againstOf(name, size)
    const other = results.find(
      (one) => one.size === size && one.operation === operation && one.name === against,
    )!
    const at = [{ curve: `${where}: ${operation}, ${name}`, x: size }]
    const title = `${where}: ${operation} ${nameOf(size)}, ${name}`
    return lineOf(title, rounds, other.rounds, against, at)
  })
}

async function inNode(quick: boolean): Promise<Result[]> {
  const client = await (await ClientRelay.start()).connect()
  try {
    return await contest(await client.keyring('notes'), loads(quick), makeAws())
  } finally {
    client.close()
  }
}

interface InPage {
  library: Library
  contest: typeof contest
  namesOf: typeof namesOf
  prepareOne: typeof prepareOne
  keyring: Keyring
  turn: Turn
}

/** Runs in the page: a client with its keys in IndexedDB, as an app has it. */
async function openInPage([config, name]: [unknown, string]): Promise<void> {
  const page = globalThis as unknown as InPage
  const store = await page.library.openIndexedDbStore(name)
  const enroll = async (csr: string): Promise<string> =>
    (await fetch('/certify', { method: 'POST', body: csr })).text()
  const identity = await page.library.createIdentity({ name: 'kim', store, enroll })
  const client = await page.library.connect({
    config: config as never,
    identity,
    store,
    WebSocket: null,
  })
  page.keyring = await client.keyring('notes')
}

type Open = (name: string) => Promise<Page>

/** Of long messages each way has a page of its own: the memory that one leaves behind is no other's to collect. */
async function takePages(open: Open, load: Load, names: readonly string[]): Promise<Result[]> {
  const turns = new Map<string, Turn>()
  const tabs: Page[] = []
  for (const name of names) {
    const tab = await open(name)
    tabs.push(tab)
    const prepareIn = async ([wanted, way]: [Load, string]): Promise<void> => {
      const page = globalThis as unknown as InPage
      page.turn = await page.prepareOne(page.keyring, wanted, way)
    }
    await tab.evaluate(prepareIn, [load, name] as [Load, string])
    turns.set(name, async (operation) => {
      await tab.bringToFront()
      return tab.evaluate((one) => (globalThis as unknown as InPage).turn(one), operation)
    })
  }
  const results = await takeTurns(turns, load)
  for (const tab of tabs) await tab.close()
  return results
}

/** Streams beside streams, and then what holds whole messages beside its like: tens of megabytes in tabs that wait are no stream's to carry. */
async function takeLong(open: Open, load: Load): Promise<Result[]> {
  const first = await open('names')
  const names = await first.evaluate((wanted) => {
    const page = globalThis as unknown as InPage
    return page.namesOf(page.keyring, wanted)
  }, load)
  await first.close()
  return [
    ...(await takePages(open, load, names.filter(isStream))),
    ...(await takePages(
      open,
      load,
      names.filter((name) => !isStream(name)),
    )),
  ]
}

async function inChromium(quick: boolean): Promise<Result[]> {
  const script = `${LIBRARY}; import * as contest from './test/bench/contest.ts'; Object.assign(globalThis, contest)`
  const app = await startRelayPage(await ClientRelay.start(), script, true)
  const browser = await playwright.launch({
    executablePath: chromium,
    args: [...chromiumArgs, COLLECTING],
  })
  const open = async (name: string): Promise<Page> => {
    const page = await browser.newPage()
    page.on('pageerror', (error) => process.stderr.write(`${error.message}\n`))
    await page.goto(app.origin)
    await page.evaluate(openInPage, [app.config, name] as [unknown, string])
    return page
  }
  try {
    const [short, long] = [loads(quick).slice(0, -1), loads(quick).at(-1)!]
    const page = await open('short')
    const results = await page.evaluate((wanted) => {
      const { contest: run, keyring } = globalThis as unknown as InPage
      return run(keyring, wanted)
    }, short)
    await page.close()
    return [...results, ...(await takeLong(open, long))]
  } finally {
    await browser.close()
    await app.close()
  }
}

/** Bytes of each library, minified, and with gzip. */
export async function peerSizes(): Promise<{ name: string; minified: number; gzip: number }[]> {
  const sizes = Object.entries(BUNDLES).map(async ([name, contents]) => {
    const code = await bundle(contents)
    return { name, minified: code.length, gzip: gzipSync(code, { level: 9 }).length }
  })
  return Promise.all(sizes)
}

export async function benchMessages(quick: boolean): Promise<Line[]> {
  const node = linesOf('node', await inNode(quick))
  return [...node, ...linesOf('chromium', await inChromium(quick))]
}
