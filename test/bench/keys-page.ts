/** What a client pays for 1,000 keys among 1,000 clients, in Chromium: a new bundle fetched, verified and ready to encrypt, beside what other libraries pay to open theirs. */
import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import { chromium as playwright } from 'playwright-core'
import { chromium, chromiumArgs } from '../../tools/chromium.ts'
import { equal, type Bytes } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import { ClientRelay } from '../lib/client-relay.ts'
import { makeKeyring, type Keyring } from '../lib/publication.ts'
import { LIBRARY, startRelayPage, type Library } from '../lib/relay-page.ts'
import { random } from '../../deriver/random.ts'
import { OPENERS, PEERS, type PeerName, type Sent } from './keys-peers.ts'
import type { makeLeastClient } from './least-client.ts'
import { COLLECTING, Rounds, type Line } from './measure.ts'

const SCRIPT = `${LIBRARY}; import { OPENERS } from './test/bench/keys-peers.ts'; import { makeLeastClient } from './test/bench/least-client.ts'
Object.assign(globalThis, { OPENERS, makeLeastClient })`

/** Milliseconds of a delivery by phase, and its bytes. What is on its way is not the client's time. */
interface Delivered {
  /** Until the signed call is made. */
  ask: number
  /** From the whole answer until everything in it is verified, the version to encrypt with unwrapped and compared with its commitment. */
  open: number
  /** Storing it, in memory, and telling who listens. */
  tell: number
  /** What the first message takes longer than the next one: the key for it, unwrapped as one that derives. */
  ready: number
  bytes: number
}

interface InPage {
  library: Library
  OPENERS: typeof OPENERS
  refresh: () => Promise<Delivered>
  open: Record<string, (message: string) => Promise<Bytes>>
  bare: () => Promise<number>
  least: () => Promise<number>
  makeLeastClient: typeof makeLeastClient
}

/** What nobody can leave out, by what the work is counted against. */
const BARE = 'Ed25519 + SHA-256 of the bundle'
/** What a client of this protocol cannot leave out on this platform: see least-client.ts. */
const LEAST = 'what the platform alone takes'

/** Unmeasured rounds: a client that lives for days opens a delivery with compiled code. */
const WARM_UP = 20

/** Makes client, openers and the bare operations, in the page. */
async function prepareInPage([config, recipients, bareKey, signature, signed, data]: [
  unknown,
  Record<string, Sent['recipient']>,
  JsonWebKey,
  number[],
  number[],
  number[],
]): Promise<void> {
  const page = globalThis as unknown as InPage
  const { library } = page
  const { gc } = globalThis as unknown as { gc: (options: { type: 'minor' }) => void }
  const seen = { asked: 0, answered: 0, verified: 0, body: new ArrayBuffer() }
  // As it lies there: what a browser takes to send it through a stream once more is not the client's time.
  const inOnePiece = ({ status, headers }: Response, body: ArrayBuffer): Response => {
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(new Uint8Array(body))
        controller.close()
      },
    })
    return new Response(status === 204 || status === 202 ? null : stream, { status, headers })
  }
  const call: typeof fetch = async (input, init) => {
    seen.asked = performance.now()
    const response = await fetch(input, init)
    const body = await response.arrayBuffer()
    const answer = inOnePiece(response, body)
    seen.body = body
    seen.answered = performance.now()
    return answer
  }
  const memory = library.createMemoryStore()
  const write = memory.write.bind(memory)
  memory.write = (state) => {
    seen.verified = performance.now()
    return write(state)
  }
  const store = await library.openIndexedDbStore('bench')
  const enroll = async (csr: string): Promise<string> =>
    (await fetch('/certify', { method: 'POST', body: csr })).text()
  const identity = await library.createIdentity({ name: 'kim', store, enroll })
  const client = await library.connect({
    config: config as never,
    identity,
    store: memory,
    fetch: call,
    WebSocket: null,
  })
  const notes = await client.keyring('notes')
  const message = new Uint8Array(32)
  page.refresh = async () => {
    gc({ type: 'minor' })
    const began = performance.now()
    await client.refresh()
    const told = performance.now()
    await notes.encrypt(message)
    const first = performance.now()
    await notes.encrypt(message)
    const second = performance.now()
    return {
      ask: seen.asked - began,
      open: seen.verified - seen.answered,
      tell: told - seen.verified,
      ready: first - told - (second - first),
      bytes: seen.body.byteLength,
    }
  }
  page.open = {}
  for (const [name, recipient] of Object.entries(recipients))
    page.open[name] = await page.OPENERS[name as PeerName](recipient)
  const key = await crypto.subtle.importKey('jwk', bareKey, 'Ed25519', false, ['verify'])
  const [sig, body, bytes] = [signature, signed, data].map((one) => Uint8Array.from(one))
  page.bare = async () => {
    gc({ type: 'minor' })
    const began = performance.now()
    if (!(await crypto.subtle.verify('Ed25519', key, sig!, body!))) throw new Error('not signed')
    await crypto.subtle.digest('SHA-256', bytes!)
    return performance.now() - began
  }
  const takeLeast = await page.makeLeastClient({ key, signature: sig!, body: body! })
  page.least = async () => {
    const answer = inOnePiece(new Response(seen.body.slice(0)), seen.body.slice(0))
    gc({ type: 'minor' })
    const began = performance.now()
    await takeLeast(answer)
    return performance.now() - began
  }
}

async function openInPage([name, message]: [string, string]): Promise<number> {
  const open = (globalThis as unknown as InPage).open[name]!
  ;(globalThis as unknown as { gc: (options: { type: 'minor' }) => void }).gc({ type: 'minor' })
  const began = performance.now()
  await open(message)
  return performance.now() - began
}

/** A keyring with so many versions and members. */
function keyringOf(keys: number, members: number): Keyring {
  const keyring = makeKeyring('notes', [], members - 1)
  keyring.versions = Array.from({ length: keys }, (_, i) => ({
    version: i + 1,
    nonce: random(16),
    secret: random(32),
  }))
  return keyring
}

/** The next version in place of the oldest: as many as before. */
function rotate(keyring: Keyring): void {
  const version = keyring.versions.at(-1)!.version + 1
  keyring.versions = [
    ...keyring.versions.slice(1),
    { version, nonce: random(16), secret: random(32) },
  ]
  keyring.number++
}

/** Numbers of keys and of clients, of which each pair is measured, and rounds. */
export interface PageSizes {
  pairs: readonly (readonly [keys: number, clients: number])[]
  rounds: number
}

/** Everything in turn, round after round, for each pair. */
export async function benchKeysInPage({ pairs, rounds }: PageSizes): Promise<Line[]> {
  const senders = new Map<number, { name: PeerName; send: Sender }[]>()
  const lines: Line[] = []
  for (const [keys, clients] of pairs) {
    const known =
      senders.get(clients) ??
      (await Promise.all(
        PEERS.map(async (peer) => ({ name: peer.name, send: await peer.prepare(clients) })),
      ))
    senders.set(clients, known)
    const isGoal = keys === 1_000 && clients === 1_000
    lines.push(...(await benchPair(keys, clients, isGoal ? rounds : 5, known)))
  }
  return lines
}

type Sender = Awaited<ReturnType<(typeof PEERS)[number]['prepare']>>

/** One pair. */
async function benchPair(
  keys: number,
  members: number,
  rounds: number,
  senders: readonly { name: PeerName; send: Sender }[],
): Promise<Line[]> {
  const relay = await ClientRelay.start([])
  relay.keyrings.push(keyringOf(keys, members))
  await relay.publish()
  const app = await startRelayPage(relay, SCRIPT, true)
  const payload = random(32 * keys)
  const peers = await Promise.all(
    senders.map(async ({ name, send }) => [name, await send(payload)] as const),
  )
  const { bundle } = relay.publication!.releases.get(relay.keyrings[0]!)!.body
  const objectOf = (hash: Bytes): Bytes =>
    relay.publication!.objects.find((one) => equal(sha256(one), hash))!
  const data = objectOf(bundle)
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const signed = random(1_000)
  const signature = sign(null, signed, privateKey)
  const jwk = createPublicKey(publicKey.export({ format: 'pem', type: 'spki' })).export({
    format: 'jwk',
  })
  const browser = await playwright.launch({
    executablePath: chromium,
    args: [...chromiumArgs, COLLECTING],
  })
  const seen = new Rounds()
  let bytes = 0
  try {
    const page = await browser.newPage()
    page.on('pageerror', (error) => process.stderr.write(`${error.message}\n`))
    await page.goto(app.origin)
    await page.evaluate(prepareInPage, [
      app.config,
      Object.fromEntries(peers.map(([name, { recipient }]) => [name, recipient])),
      jwk,
      [...signature],
      [...signed],
      [...data],
    ] as Parameters<typeof prepareInPage>[0])
    for (let round = -WARM_UP; round < rounds; round++) {
      if (round === 0) seen.clear()
      rotate(relay.keyrings[0]!)
      await relay.publish()
      const made = await page.evaluate(() => (globalThis as unknown as InPage).refresh())
      const { ask, open, tell, ready } = made
      seen.note('keyferry', open + tell + ready)
      for (const [phase, time] of Object.entries({ ask, open, tell, ready }))
        seen.note(`keyferry: ${phase}`, time)
      bytes = made.bytes
      for (const [name, { message }] of peers)
        seen.note(name, await page.evaluate(openInPage, [name, message] as [string, string]))
      seen.note(BARE, await page.evaluate(() => (globalThis as unknown as InPage).bare()))
      seen.note(LEAST, await page.evaluate(() => (globalThis as unknown as InPage).least()))
    }
  } finally {
    await browser.close()
    await app.close()
  }
  const title = `chromium: ${keys} keys among ${members} clients`
  const at = (name: string) => [
    ...(members === 1_000 ? [{ curve: `in a page, 1000 clients, by keys: ${name}`, x: keys }] : []),
    ...(keys === 1_000 ? [{ curve: `in a page, 1000 keys, by clients: ${name}`, x: members }] : []),
  ]
  const lines = seen
    .lines(`${title}: `, 'keyferry')
    .map((line, i) => ({ ...line, at: at(seen.names[i]!) }))
  const sizes = new Map([
    ['keyferry', bytes],
    ...peers.map(([name, { message }]) => [name, message.length] as const),
  ])
  for (const [name, count] of sizes)
    lines.push({
      name: `${title}, bytes a client loads: ${name}`,
      bytes: count,
      ratio: count / bytes,
      against: 'keyferry',
      at: at(`bytes a client loads, ${name}`),
    })
  return lines
}
