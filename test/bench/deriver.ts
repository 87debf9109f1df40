/** What a rotation, a join and a revocation cost a deriver, by number of members. CPU time of this process. */
import { publish } from '../../deriver/publish.ts'
import { createKeyring, rotateKeyring } from '../../deriver/keyrings.ts'
import { random } from '../../deriver/random.ts'
import { emptyLog } from '../../deriver/log.ts'
import { saveDevice, type DeviceRow } from '../../deriver/devices.ts'
import { renewGeneration } from '../../deriver/members.ts'
import { handleRequest } from '../../deriver/requests.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { makeClient, makeRequest, makeTenant, type TestTenant } from '../lib/tenant.ts'
import { cpu, type Line, median } from './measure.ts'

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

/** Rotation, join and revocation for each number of members, interleaved over the rounds. */
export async function benchDeriver(sizes: readonly number[], rounds: number): Promise<Line[]> {
  const worlds = await Promise.all(sizes.map(tenantWith))
  const times = sizes.map(() => ({
    rotate: [] as number[],
    join: [] as number[],
    revoke: [] as number[],
  }))
  // The first round warms up and does not count.
  for (let round = -1; round < rounds; round++) {
    for (const [i, { tenant, keyring }] of worlds.entries()) {
      const { store, keys, trust, clock } = tenant
      const log = emptyLog()
      await publish(store, keys, trust, log, clock.now, 3_600)
      const publishNow = () => publish(store, keys, trust, log, clock.now, 3_600)
      times[i]!.rotate.push(
        await cpu(async () => {
          rotateKeyring(store, 'bench', clock.now)
          await publishNow()
        }),
      )
      const client = await makeClient(tenant, `new-${round + 1}`, 'MLKEM768-X25519')
      const request = await makeRequest(tenant, client, [keyring])
      times[i]!.join.push(
        await cpu(async () => {
          await handleRequest(store, keys, trust, request, clock.now)
          await publishNow()
        }),
      )
      times[i]!.revoke.push(
        await cpu(async () => {
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
    }
  }
  for (const time of times) for (const list of Object.values(time)) list.shift()
  for (const { tenant } of worlds) tenant.remove()
  const base = times[0]!
  return sizes.flatMap((size, i) => {
    const { rotate, join, revoke } = times[i]!
    const perMember = (median(revoke) - median(base.rotate)) / size
    return [
      {
        name: `rotate, ${size} members`,
        milliseconds: median(rotate),
        ratio: median(rotate) / median(base.rotate),
        against: `${sizes[0]} members`,
      },
      {
        name: `join (X-Wing), ${size} members`,
        milliseconds: median(join),
        ratio: median(join) / median(base.join),
        against: `${sizes[0]} members`,
      },
      {
        name: `revoke, per remaining member of ${size}`,
        milliseconds: perMember,
        ratio: median(revoke) / median(rotate),
        against: 'a rotation, in all',
      },
    ]
  })
}
