/** N keys to M clients: what it costs a deriver and what a relay stores, beside other libraries and beside one key at a time. CPU time of this process. */
import { rotateKeyring } from '../../deriver/keyrings.ts'
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
import { cpuAlone, type Line, median } from './measure.ts'
import { makePerClient } from './per-client.ts'

/** Keys delivered one by one that are really made; a million of them take minutes, and each costs the same. */
const SAMPLE = 500

interface World {
  deliver: () => Promise<void>
  /** Bytes at the relay for the keys, and for what each device gets once. */
  stored: () => Promise<{ keys: number; devices: number }>
  remove: () => void
}

/** A keyring with so many versions and members: a delivery is the next head after a rotation, with a bundle of all versions. */
async function makeOwn(keys: number, members: number): Promise<World> {
  const { tenant } = await tenantWith(members)
  const { store, keys: signers, trust, clock } = tenant
  const log = emptyLog()
  const head = () => publish(store, signers, trust, log, clock.now, 3_600)
  for (let i = 1; i < keys; i++) rotateKeyring(store, 'bench', clock.now)
  await head()
  return {
    async deliver() {
      // All versions are wrapped again: what was there before is not the same any more.
      store.run('UPDATE keyrings SET dirty = 1, number = number + 1')
      store.next('change')
      await head()
    },
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

/** For one size: every way in turn, round after round. */
async function benchSize(keys: number, members: number, rounds: number): Promise<Line[]> {
  const own = await makeOwn(keys, members)
  const peers = await Promise.all(
    PEERS.map(async (peer) => ({ ...peer, seal: await peer.prepare(members) })),
  )
  const payload = random(32 * keys)
  const perClient = makePerClient()
  const derive = makeBareDerive()
  const one = perClient()
  const spent = new Map<string, number[]>()
  const note = (name: string, milliseconds: number): void => {
    spent.set(name, [...(spent.get(name) ?? []), milliseconds])
  }
  let stored = new Map<string, number>()
  for (let round = -1; round < rounds; round++) {
    if (round === 0) spent.clear()
    note('keyferry, warm group', await cpuAlone(own.deliver))
    for (const { name, seal: send } of peers)
      note(
        name,
        await cpuAlone(async () => {
          stored.set(name, (await send(payload)).message.length)
        }),
      )
    const alone = await cpuAlone(() => {
      for (let i = 0; i < SAMPLE; i++) perClient()
      return Promise.resolve()
    })
    note('each key for each client', (alone / SAMPLE) * keys * members)
    note(
      'bare HMAC + AES-KW for each key',
      await cpuAlone(() => {
        for (let i = 0; i < keys; i++) derive()
        return Promise.resolve()
      }),
    )
  }
  const bytes = await own.stored()
  own.remove()
  stored = new Map([
    ...stored,
    ['keyferry, warm group', bytes.keys],
    ['keyferry, with the welcome of each device', bytes.keys + bytes.devices],
    ['each key for each client', one * keys * members],
  ])
  const size = `${keys} keys to ${members} clients`
  const base = median(spent.get('keyferry, warm group')!)
  const lines: Line[] = [...spent].map(([name, list]) => ({
    name: `${size}: ${name}`,
    milliseconds: median(list),
    ratio: median(list) / base,
    against: 'keyferry',
  }))
  for (const [name, count] of stored)
    lines.push({
      name: `${size}, bytes at the relay: ${name}`,
      bytes: count,
      ratio: count / bytes.keys,
      against: 'keyferry',
    })
  return lines
}

/** Every size in `sizes`: numbers of keys and of clients. */
export async function benchKeys(
  sizes: readonly (readonly [number, number])[],
  rounds: number,
): Promise<Line[]> {
  const lines: Line[] = []
  for (const [keys, members] of sizes) lines.push(...(await benchSize(keys, members, rounds)))
  return lines
}
