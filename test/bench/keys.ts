/** N keys to M clients: what it costs a deriver and what a relay stores, beside other libraries and beside one key at a time. CPU time of this process. */
import { addVersion, rotateKeyring } from '../../deriver/keyrings.ts'
import { emptyLog } from '../../deriver/log.ts'
import { publish } from '../../deriver/publish.ts'
import { random } from '../../deriver/random.ts'
import { seal } from '../../deriver/seal.ts'
import { encodeWelcome } from '../../shared/bundle.ts'
import { createHpke } from '../../shared/hpke.ts'
import { KEM_ID } from '../../shared/suites.ts'
import { makeBareDerive } from './bare.ts'
import { tenantWith } from './deriver.ts'
import { PEERS } from './keys-peers.ts'
import { lineOf, Rounds, turn, type Line } from './measure.ts'
import { makePerClient } from './per-client.ts'

/** Keys delivered one by one that are really made: a hundred million of them take hours, and each costs the same. */
const SAMPLE = 500
/** Recipients that other libraries really seal to. For more, what these take is multiplied: each costs the same, and the keys are a small part of it. */
const MOST = 1_000

/** The names of our ways, of the one that is modelled, and of what nobody can leave out. */
const NEW = 'keyferry'
const NEXT = 'keyferry, one of them new'
const EACH = 'each key for each client'
const BARE = 'bare HMAC + AES-KW for each key'

interface World {
  /** Makes all versions new: derived, committed to and wrapped by the next head. */
  renew: () => void
  /** Makes one version new; the head goes with a bundle of all. */
  rotate: () => void
  head: () => Promise<unknown>
  /** Bytes at the relay for the keys, and for what each device gets once. */
  stored: () => Promise<{ keys: number; devices: number }>
  remove: () => void
}

/** A keyring with so many versions and members, which have the key of its generation. */
async function makeOwn(keys: number, members: number): Promise<World> {
  const { tenant, keyring } = await tenantWith(members)
  const { store, keys: signers, trust, clock } = tenant
  const log = emptyLog()
  const head = () => publish(store, signers, trust, log, clock.now, 3_600)
  store.transaction(() => {
    for (let i = 1; i < keys; i++) addVersion(store, keyring, clock.now)
  })
  await head()
  const change = (versions: string, bundle: string): void => {
    store.transaction(() => {
      store.run(`UPDATE versions SET key_id = NULL, nonce = randomblob(16) ${versions}`)
      store.run(`UPDATE keyrings SET dirty = 1, number = number + 1 ${bundle}`)
      store.next('change')
    })
  }
  return {
    renew: () => change('', ', bundle = NULL'),
    rotate() {
      // The oldest makes room: the next head has as many as the one before.
      store.run('DELETE FROM versions WHERE version = (SELECT min(version) FROM versions)')
      rotateKeyring(store, 'bench', clock.now)
    },
    head,
    async stored() {
      const named = store.get<{ bytes: number }>(
        `SELECT sum(length(body)) AS bytes FROM objects WHERE hash IN
           (SELECT manifest FROM keyrings UNION SELECT bundle FROM keyrings UNION SELECT release FROM keyrings
            UNION SELECT members_index FROM keyrings UNION SELECT hash FROM pages UNION SELECT tree_index FROM trees)`,
      )!.bytes
      const { publicKey } = await createHpke('MLKEM768-X25519').generate(false)
      const sealed = seal('MLKEM768-X25519', publicKey, random(32), random(200))
      const welcome = encodeWelcome({ kem: KEM_ID['MLKEM768-X25519'], ...sealed })
      return { keys: named, devices: members * welcome.length }
    },
    remove: () => tenant.remove(),
  }
}

type Sender = Awaited<ReturnType<(typeof PEERS)[number]['prepare']>>

/** Bytes of messages of the other libraries by way, to one recipient and to the most. */
type Lengths = Map<string, number>

/** For one size: every way in turn, round after round. */
async function benchSize(
  keys: number,
  members: number,
  rounds: number,
  senders: ReadonlyMap<string, Sender>,
  lengths: Lengths,
): Promise<Line[]> {
  const own = await makeOwn(keys, members)
  const payload = random(32 * keys)
  const perClient = makePerClient()
  const derive = makeBareDerive()
  const [one, factor] = [perClient(), Math.max(1, members / MOST)]
  const seen = new Rounds()
  const sent = new Map<string, number>()
  // Of many each turn is long, and what it runs is warm from the sizes before.
  for (let round = members > MOST ? 0 : -1; round < rounds; round++) {
    if (round === 0) seen.clear()
    seen.note(NEW, await turn(own.head, undefined, own.renew))
    if (keys > 1) seen.note(NEXT, await turn(own.head, undefined, own.rotate))
    for (const [name, send] of senders) {
      const spent = await turn(async () => {
        sent.set(name, (await send(payload)).message.length)
      })
      seen.note(name, spent * factor)
    }
    const sample = await turn(() => {
      for (let i = 0; i < SAMPLE; i++) perClient()
    })
    seen.note(EACH, (sample / SAMPLE) * keys * members)
    const bare = await turn(() => {
      for (let i = 0; i < keys; i++) derive()
    })
    seen.note(BARE, bare)
  }
  own.renew()
  await own.head()
  const bytes = await own.stored()
  own.remove()
  for (const [name, length] of sent) {
    const first = `${name} ${keys}`
    if (members === 1) lengths.set(first, length)
    const fixed = lengths.get(first) ?? 0
    sent.set(name, fixed + (length - fixed) * factor)
  }
  const stored = new Map([
    [NEW, bytes.keys],
    ['keyferry, with the welcome of each device', bytes.keys + bytes.devices],
    ...sent,
    [EACH, one * keys * members],
  ])
  const size = `${keys} keys to ${members} clients`
  const at = (name: string) => [
    ...(keys === 1_000 ? [{ curve: `1000 keys, by clients: ${name}`, x: members }] : []),
    ...(members === 1_000 ? [{ curve: `1000 clients, by keys: ${name}`, x: keys }] : []),
  ]
  const lines = seen.names.map((name) =>
    lineOf(`${size}: ${name}`, seen.of(name), seen.of(NEW), NEW, at(name)),
  )
  for (const [name, count] of stored)
    lines.push({
      name: `${size}, bytes at the relay: ${name}`,
      bytes: count,
      ratio: count / bytes.keys,
      against: NEW,
      at: at(`bytes at the relay, ${name}`),
    })
  return lines
}

/** Every number of keys to every number of clients; `rounds` for the largest, fewer for the others. */
export async function benchKeys(
  keys: readonly number[],
  clients: readonly number[],
  rounds: number,
): Promise<Line[]> {
  const lines: Line[] = []
  const lengths: Lengths = new Map()
  let senders = new Map<string, Sender>()
  let prepared = 0
  for (const members of clients) {
    if (Math.min(members, MOST) !== prepared) {
      prepared = Math.min(members, MOST)
      senders = new Map()
      for (const peer of PEERS) senders.set(peer.name, await peer.prepare(prepared))
    }
    for (const count of keys) {
      const isGoal = count === 1_000 && members === 1_000
      const some = isGoal ? rounds : members > MOST ? 1 : Math.min(rounds, 2)
      lines.push(...(await benchSize(count, members, some, senders, lengths)))
    }
  }
  return lines
}
