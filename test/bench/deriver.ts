/** What a rotation, a join and a revocation cost a deriver, by number of members. CPU time of this process. */
import { publish } from '../../deriver/publish.ts'
import { createKeyring, rotateKeyring } from '../../deriver/keyrings.ts'
import { random } from '../../deriver/random.ts'
import { emptyLog } from '../../deriver/log.ts'
import { saveDevice, type DeviceRow } from '../../deriver/devices.ts'
import { renewGeneration } from '../../deriver/members.ts'
import { handleRequest } from '../../deriver/requests.ts'
import { seal } from '../../deriver/seal.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { createHpke } from '../../shared/hpke.ts'
import { makeClient, makeRequest, makeTenant, type TestTenant } from '../lib/tenant.ts'
import { bareWrap, makeBareJoin } from './bare.ts'
import { cpu, cpuAlone, type Line, median } from './measure.ts'

/** A tenant whose keyring has `count` members; they are written as rows, since only their number matters here. */
export async function tenantWith(count: number): Promise<{ tenant: TestTenant; keyring: Bytes }> {
  const tenant = await makeTenant()
  const { store, keys, trust, clock } = tenant
  const keyring = createKeyring(
    store,
    { name: 'bench', rules: trust.body.clients.sans },
    clock.now,
  ).id
  store.transaction(() => {
    for (let slot = 0; slot < count; slot++) {
      const device: DeviceRow = {
        key_id: random(32),
        uri: `keyferry://client.acme.example/${slot}`,
        fingerprint: random(32),
        certificates: new Uint8Array(),
        issuers: new Uint8Array(),
        package_hash: random(32),
        suite: 'X25519',
        expires: clock.now + 30 * 86_400,
        channel_salt: random(32),
        channel_id: random(32),
        welcome_hash: random(32),
        root: 1,
        public_key: random(32),
      }
      saveDevice(store, device)
      store.run(
        'INSERT INTO members VALUES (?, ?, ?, ?)',
        keyring,
        slot,
        device.key_id,
        new Uint8Array(136),
      )
    }
    renewGeneration(
      store,
      { root: keys.root, tenant: trust.tenant },
      keyring,
      clock.now,
      () => true,
    )
  })
  await publish(store, keys, trust, emptyLog(), clock.now, 3_600)
  return { tenant, keyring }
}

/** Bare operations that are timed at once: one is too short for the clock of a process. */
const BARE = 200

/** Milliseconds of one of so many operations. */
async function each(work: () => void): Promise<number> {
  const spent = await cpu(() => {
    for (let i = 0; i < BARE; i++) work()
    return Promise.resolve()
  })
  return spent / BARE
}

/** Bytes of the same kind each time: what is measured is the operation. */
const [WRAPPING, SECRET, LEAF] = [random(32), random(32), random(137)]
const PLAINTEXT = random(32)
const INFO = random(200)

/** Rotation, join and revocation for each number of members, and the bare operations, interleaved over the rounds. */
export async function benchDeriver(sizes: readonly number[], rounds: number): Promise<Line[]> {
  const worlds: Awaited<ReturnType<typeof tenantWith>>[] = []
  for (const size of sizes) worlds.push(await tenantWith(size))
  const { publicKey } = await createHpke('MLKEM768-X25519').generate(false)
  const bareJoin = makeBareJoin()
  const bare = { join: [] as number[], seal: [] as number[], wrap: [] as number[] }
  const times = sizes.map(() => ({
    rotate: [] as number[],
    join: [] as number[],
    revoke: [] as number[],
  }))
  // The first rounds warm up and do not count.
  for (let round = -2; round < rounds; round++) {
    for (const [i, { tenant, keyring }] of worlds.entries()) {
      const { store, keys, trust, clock } = tenant
      const log = emptyLog()
      await publish(store, keys, trust, log, clock.now, 3_600)
      const publishNow = () => publish(store, keys, trust, log, clock.now, 3_600)
      times[i]!.rotate.push(
        await cpuAlone(async () => {
          rotateKeyring(store, 'bench', clock.now)
          await publishNow()
        }),
      )
      const client = await makeClient(tenant, `new-${round + 2}`, 'MLKEM768-X25519')
      const request = await makeRequest(tenant, client, [keyring])
      times[i]!.join.push(
        await cpuAlone(async () => {
          await handleRequest(store, keys, trust, request, clock.now)
          await publishNow()
        }),
      )
      times[i]!.revoke.push(
        await cpuAlone(async () => {
          store.transaction(() => {
            renewGeneration(
              store,
              { root: keys.root, tenant: trust.tenant },
              keyring,
              clock.now,
              (d) => d.uri !== client.uri,
            )
          })
          await publishNow()
        }),
      )
      bare.join.push(await each(bareJoin))
      bare.seal.push(await each(() => void seal('MLKEM768-X25519', publicKey, PLAINTEXT, INFO)))
      bare.wrap.push(await each(() => bareWrap(WRAPPING, SECRET, LEAF)))
    }
  }
  for (const { tenant } of worlds) tenant.remove()
  const counted = (list: readonly number[], of = 1): number[] => list.slice(2 * of)
  const of = (list: readonly number[]): number => median(counted(list))
  const ofBare = (list: readonly number[]): number => median(counted(list, sizes.length))
  const base = times[0]!
  const lines: Line[] = [
    {
      name: 'seal a welcome (X-Wing)',
      milliseconds: ofBare(bare.seal),
      ratio: ofBare(bare.seal) / ofBare(bare.join),
      against: 'bare key pair + X25519 + ML-KEM-768',
    },
  ]
  for (const [i, size] of sizes.entries()) {
    const { rotate, join, revoke } = times[i]!
    const perMember = (of(revoke) - of(base.rotate)) / size
    lines.push(
      {
        name: `rotate, ${size} members`,
        milliseconds: of(rotate),
        ratio: of(rotate) / of(base.rotate),
        against: `${sizes[0]} members`,
        at: { curve: 'rotation, by members', x: size },
      },
      {
        name: `join (X-Wing), ${size} members`,
        milliseconds: of(join),
        ratio: of(join) / of(base.join),
        against: `${sizes[0]} members`,
        at: { curve: 'join, by members', x: size },
      },
      {
        name: `revoke, per remaining member of ${size}`,
        milliseconds: perMember,
        ratio: perMember / ofBare(bare.wrap),
        against: 'bare AES-KW + SHA-256',
      },
      {
        name: `revoke, ${size} members`,
        milliseconds: of(revoke),
        ratio: of(revoke) / of(rotate),
        against: 'a rotation',
        at: { curve: 'revocation, by members', x: size },
      },
    )
  }
  return lines
}
