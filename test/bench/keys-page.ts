/** What a client pays for 1,000 keys among 1,000 clients, in Chromium: a new bundle fetched, verified and ready to encrypt, beside what other libraries pay to open theirs. */
import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import { chromium as playwright } from 'playwright-core'
import { chromium, chromiumArgs } from '../../tools/chromium.ts'
import { base64url, type Bytes } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import { ClientRelay } from '../lib/client-relay.ts'
import { makeKeyring, type Keyring } from '../lib/publication.ts'
import { LIBRARY, startRelayPage, type Library } from '../lib/relay-page.ts'
import { random } from '../lib/world.ts'
import { OPENERS, PEERS, type PeerName, type Sent } from './keys-peers.ts'
import { type Line, median } from './measure.ts'

const SCRIPT = `${LIBRARY}; import { OPENERS } from './test/bench/keys-peers.ts'; Object.assign(globalThis, { OPENERS })`

interface InPage {
  library: Library
  OPENERS: typeof OPENERS
  /** Milliseconds of one of so many rounds of everything. */
  refresh: () => Promise<{ milliseconds: number; bytes: number }>
  open: Record<string, (message: string) => Promise<Bytes>>
  bare: () => Promise<number>
}

/** Makes client, openers and the bare operations, in the page. */
async function prepareInPage([config, recipients, bareKey, signature, data]: [
  unknown,
  Record<string, Sent['recipient']>,
  JsonWebKey,
  number[],
  number[],
]): Promise<void> {
  const page = globalThis as unknown as InPage
  const { library } = page
  const counted = { away: 0, bytes: 0 }
  // What is on its way is not the client's time; the answer is there as a whole when the client begins with it.
  const call: typeof fetch = async (input, init) => {
    const began = performance.now()
    const response = await fetch(input, init)
    const body = await response.arrayBuffer()
    const { status, headers } = response
    counted.bytes += body.byteLength
    const answer = new Response(status === 204 || status === 202 ? null : body, { status, headers })
    counted.away += performance.now() - began
    return answer
  }
  const store = await library.openIndexedDbStore('bench')
  const enroll = async (csr: string): Promise<string> =>
    (await fetch('/certify', { method: 'POST', body: csr })).text()
  const identity = await library.createIdentity({ name: 'kim', store, enroll })
  const client = await library.connect({
    config: config as never,
    identity,
    store: library.createMemoryStore(),
    fetch: call,
    WebSocket: null,
  })
  await client.keyring('notes')
  page.refresh = async () => {
    Object.assign(counted, { away: 0, bytes: 0 })
    const began = performance.now()
    await client.refresh()
    return { milliseconds: performance.now() - began - counted.away, bytes: counted.bytes }
  }
  page.open = {}
  for (const [name, recipient] of Object.entries(recipients))
    page.open[name] = await page.OPENERS[name as PeerName](recipient)
  const key = await crypto.subtle.importKey('jwk', bareKey, 'Ed25519', false, ['verify'])
  const [sig, bytes] = [Uint8Array.from(signature), Uint8Array.from(data)]
  page.bare = async () => {
    const began = performance.now()
    for (let i = 0; i < 20; i++) {
      await crypto.subtle.verify('Ed25519', key, sig, sig)
      await crypto.subtle.digest('SHA-256', bytes)
    }
    return (performance.now() - began) / 20
  }
}

async function openInPage([name, message]: [string, string]): Promise<number> {
  const open = (globalThis as unknown as InPage).open[name]!
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

/** For these numbers of keys and clients: everything in turn, round after round. */
export async function benchKeysInPage(
  keys: number,
  members: number,
  rounds: number,
): Promise<Line[]> {
  const relay = await ClientRelay.start([])
  relay.keyrings.push(keyringOf(keys, members))
  await relay.publish()
  const app = await startRelayPage(relay, SCRIPT)
  const peers = await Promise.all(
    PEERS.map(
      async (peer) => [peer.name, await (await peer.prepare(members))(random(32 * keys))] as const,
    ),
  )
  const bundle = relay.publication!.releases.get(relay.keyrings[0]!)!.body.bundle
  const data = relay.publication!.objects.find(
    (one) => base64url(sha256(one)) === base64url(bundle),
  )!
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const signature = [...sign(null, random(64), privateKey)]
  const jwk = createPublicKey(publicKey.export({ format: 'pem', type: 'spki' })).export({
    format: 'jwk',
  })
  const browser = await playwright.launch({ executablePath: chromium, args: chromiumArgs })
  const times = new Map<string, number[]>()
  const note = (name: string, value: number): void => {
    times.set(name, [...(times.get(name) ?? []), value])
  }
  let bytes = 0
  try {
    const page = await browser.newPage()
    page.on('pageerror', (error) => process.stderr.write(`${error.message}\n`))
    await page.goto(app.origin)
    await page.evaluate(prepareInPage, [
      app.config,
      Object.fromEntries(peers.map(([name, { recipient }]) => [name, recipient])),
      jwk,
      signature,
      [...data],
    ] as Parameters<typeof prepareInPage>[0])
    for (let round = -3; round < rounds; round++) {
      if (round === 0) times.clear()
      rotate(relay.keyrings[0]!)
      await relay.publish()
      const made = await page.evaluate(() => (globalThis as unknown as InPage).refresh())
      note('keyferry', made.milliseconds)
      bytes = made.bytes
      for (const [name, { message }] of peers)
        note(name, await page.evaluate(openInPage, [name, message] as [string, string]))
      note(
        'Ed25519 + SHA-256 of the bundle',
        await page.evaluate(() => (globalThis as unknown as InPage).bare()),
      )
    }
  } finally {
    await browser.close()
    await app.close()
  }
  const title = `chromium: ${keys} keys among ${members} clients`
  const base = median(times.get('keyferry')!)
  const lines: Line[] = [...times].map(([name, list]) => ({
    name: `${title}: ${name}`,
    milliseconds: median(list),
    ratio: median(list) / base,
    against: 'keyferry',
  }))
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
    })
  return lines
}
