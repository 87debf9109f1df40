/** What a warm, verified fetch costs a client, against the signature checks and unwrappings that nobody can leave out. CPU time of this process. */
import { type Bytes } from '../../shared/bytes.ts'
import { generateSigningKey, signBytes } from '../../shared/signature.ts'
import { type Keyferry } from '../../web/index.ts'
import { ClientRelay } from '../lib/client-relay.ts'
import { wrap, type Keyring } from '../lib/publication.ts'
import { random } from '../lib/world.ts'
import { cpu, lineOf, spent, type Line } from './measure.ts'

const ECDSA = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const AES_KW = { name: 'AES-KW', length: 256 }

/** What a fetch has to do at least, besides signing its call: signatures to verify, and AES-KW unwrappings. */
interface Least {
  verify: number
  unwrap: number
}

/** The bare operations, on WebCrypto, with keys imported as they have to be. */
async function makeBare(): Promise<(least: Least) => Promise<void>> {
  const key = await generateSigningKey('ES256', false)
  const data = random(1_000)
  const sig = await signBytes(key, data)
  const raw = random(32)
  const wrapped: Bytes = await wrap(raw, random(32))
  const unwrapping = await crypto.subtle.importKey('raw', raw, 'AES-KW', false, ['unwrapKey'])
  return async ({ verify, unwrap }) => {
    await signBytes(key, data)
    for (let i = 0; i < verify; i++) {
      const one = await crypto.subtle.importKey('spki', key.spki, ECDSA, false, ['verify'])
      await crypto.subtle.verify(ECDSA, one, sig, data)
    }
    for (let i = 0; i < unwrap; i++) {
      const usages: KeyUsage[] = ['unwrapKey']
      await crypto.subtle.unwrapKey('raw', wrapped, unwrapping, 'AES-KW', AES_KW, false, usages)
    }
  }
}

interface Warm {
  relay: ClientRelay
  fetchOnce: () => Promise<number>
  close: () => void
}

/** A client with a keyring, and what it spends on a fetch, without what the relay beside it spends. */
async function makeClient(): Promise<Warm> {
  const relay = await ClientRelay.start(['notes'], { alg: 'ES256' })
  let away = 0
  const outside: typeof fetch = async (input, init) => {
    const before = spent()
    const response = await relay.fetch(input, init)
    away += spent() - before
    return response
  }
  const client: Keyferry = await relay.connect({ fetch: outside })
  await client.keyring('notes')
  // The loop beside it has nothing to do for as long as nothing is asked for.
  const fetchOnce = async (): Promise<number> => {
    away = 0
    const all = await cpu(() => client.refresh())
    return all - away
  }
  return { relay, fetchOnce, close: () => client.close() }
}

/** Adds a version, and drops old ones: what is measured is a fetch, not a history. */
function rotate({ keyrings }: ClientRelay): Keyring {
  const keyring = keyrings[0]!
  const version = keyring.versions.at(-1)!.version + 1
  const added = { version, nonce: random(16), secret: random(32) }
  keyring.versions = [...keyring.versions.slice(-7), added]
  keyring.number++
  return keyring
}

/** Cases, what is done before each fetch, and what it has to do at least: head, deriver certificate and list, and the catalog where it is new. */
const CASES: Record<string, { change: (relay: ClientRelay) => Promise<void>; least: Least }> = {
  'nothing new': { change: async () => {}, least: { verify: 0, unwrap: 0 } },
  'a new head': { change: (relay) => relay.publish(), least: { verify: 4, unwrap: 0 } },
  'a new head, with a rotation': {
    change(relay) {
      rotate(relay)
      return relay.publish()
    },
    // The new version as HMAC key and as HKDF key.
    least: { verify: 4, unwrap: 2 },
  },
  'a new head, with a revocation': {
    change(relay) {
      const keyring = rotate(relay)
      keyring.generation++
      keyring.kek = random(32)
      return relay.publish()
    },
    // And the cell and the name of the new generation.
    least: { verify: 4, unwrap: 4 },
  },
}

/** Unmeasured rounds of each case: a client that lives for days fetches with compiled code. */
const WARM_UP = 300

/**
 * A warm fetch in each case, down to the key to encrypt with, against the bare operations, the two in turns. One case after the other: what publishing
 * leaves to the garbage collector of this process would else be counted for the fetches that have nothing to do.
 */
export async function benchClient(rounds: number): Promise<Line[]> {
  const bare = await makeBare()
  const { relay, fetchOnce, close } = await makeClient()
  const lines: Line[] = []
  for (const [name, { change, least }] of Object.entries(CASES)) {
    const times = { own: [] as number[], bare: [] as number[] }
    for (let round = -WARM_UP; round < rounds; round++) {
      await change(relay)
      const own = await fetchOnce()
      const other = await cpu(() => bare(least))
      if (round < 0) continue
      times.own.push(own)
      times.bare.push(other)
    }
    lines.push(lineOf(`fetch: ${name}`, times.own, times.bare, 'bare operations'))
  }
  close()
  return lines
}
