/** What a rotation, a join and a revocation cost a deriver, by number of members. CPU time of this process, all its threads, and of a revocation also by the clock. */
import { Aes256Gcm, CipherSuite, HkdfSha256 } from '@hpke/core'
import { XWing } from '@hpke/hybridkem-x-wing'
import { publish } from '../../deriver/publish.ts'
import { createKeyring, rotateKeyring } from '../../deriver/keyrings.ts'
import { random } from '../../deriver/random.ts'
import { emptyLog } from '../../deriver/log.ts'
import { renewGeneration } from '../../deriver/members.ts'
import { handleRequest } from '../../deriver/requests.ts'
import { seal } from '../../deriver/seal.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { createHpke } from '../../shared/hpke.ts'
import { fillKeyring } from '../lib/many-members.ts'
import { makeClient, makeRequest, makeTenant, type TestTenant } from '../lib/tenant.ts'
import { bareWrap, makeBareJoin } from './bare.ts'
import { cpuAlone, lineOf, Rounds, turn, type Line } from './measure.ts'

/** A tenant whose keyring has `count` members; they are written as rows, since only their number matters here. */
export async function tenantWith(count: number): Promise<{ tenant: TestTenant; keyring: Bytes }> {
  const tenant = await makeTenant()
  const { store, keys, trust, clock } = tenant
  const keyring = createKeyring(
    store,
    { name: 'bench', rules: trust.body.clients.sans },
    clock.now,
  ).id
  fillKeyring(store, keyring, count, clock.now + 30 * 86_400)
  store.transaction(() => {
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

/** CPU milliseconds of a turn of what is short: a bare operation, a rotation. */
const SHORT_TURN = 20

/** Bytes of the same kind each time: what is measured is the operation. */
const [WRAPPING, SECRET, LEAF] = [random(32), random(32), random(137)]
const PLAINTEXT = random(32)
const INFO = random(200)

/** The same seal by a library whose ML-KEM is JavaScript; its elliptic curve is WebCrypto's. */
async function makeLibraryJoin(): Promise<() => Promise<unknown>> {
  const suite = new CipherSuite({
    kem: new XWing(),
    kdf: new HkdfSha256(),
    aead: new Aes256Gcm(),
  })
  const { publicKey } = await suite.kem.generateKeyPair()
  const sender = { recipientPublicKey: publicKey, info: INFO.buffer }
  return () => suite.seal(sender, PLAINTEXT.buffer)
}

/** Rotation, join and revocation for each number of members, and the bare operations, interleaved over the rounds. */
export async function benchDeriver(sizes: readonly number[], rounds: number): Promise<Line[]> {
  const worlds: Awaited<ReturnType<typeof tenantWith>>[] = []
  for (const size of sizes) worlds.push(await tenantWith(size))
  const { publicKey } = await createHpke('MLKEM768-X25519').generate(false)
  const bareJoin = makeBareJoin()
  const libraryJoin = await makeLibraryJoin()
  const seen = new Rounds()
  // The first rounds warm up and do not count.
  for (let round = -2; round < rounds; round++) {
    if (round === 0) seen.clear()
    // Not counted: what the engine still does for the hundred thousand members of the round before.
    await turn(bareJoin, 15 * SHORT_TURN)
    seen.note('bare join', await turn(bareJoin, SHORT_TURN))
    seen.note(
      'bare seal',
      await turn(() => void seal('MLKEM768-X25519', publicKey, PLAINTEXT, INFO), SHORT_TURN),
    )
    seen.note('hpke', await turn(libraryJoin, SHORT_TURN))
    seen.note('bare wrap', await turn(() => bareWrap(WRAPPING, SECRET, LEAF), SHORT_TURN))
    for (const [i, { tenant, keyring }] of worlds.entries()) {
      const size = sizes[i]!
      const { store, keys, trust, clock } = tenant
      const log = emptyLog()
      await publish(store, keys, trust, log, clock.now, 3_600)
      const publishNow = () => publish(store, keys, trust, log, clock.now, 3_600)
      seen.note(
        `rotate ${size}`,
        await turn(async () => {
          rotateKeyring(store, 'bench', clock.now)
          await publishNow()
        }, SHORT_TURN),
      )
      const client = await makeClient(tenant, `new-${round + 2}`, 'MLKEM768-X25519')
      const request = await makeRequest(tenant, client, [keyring])
      seen.note(
        `join ${size}`,
        await cpuAlone(async () => {
          await handleRequest(store, keys, trust, request, clock.now)
          await publishNow()
        }),
      )
      seen.note(
        `revoke ${size}`,
        await cpuAlone(async () => {
          const before = performance.now()
          store.transaction(() => {
            renewGeneration(
              store,
              { root: keys.root, tenant: trust.tenant },
              keyring,
              clock.now,
              (d) => d.uri !== client.uri,
            )
          })
          seen.note(`revoke ${size}, elapsed`, (performance.now() - before) / size)
          await publishNow()
        }),
      )
    }
  }
  for (const { tenant } of worlds) tenant.remove()
  const first = sizes[0]!
  const lines: Line[] = [
    lineOf(
      'seal a welcome (X-Wing)',
      seen.of('bare seal'),
      seen.of('bare join'),
      'bare key pair + X25519 + ML-KEM-768',
    ),
    lineOf(
      'seal a welcome (X-Wing), by @hpke/core',
      seen.of('hpke'),
      seen.of('bare seal'),
      'keyferry',
    ),
  ]
  for (const size of sizes) {
    const [rotations, revocations] = [seen.of(`rotate ${size}`), seen.of(`revoke ${size}`)]
    const perMember = revocations.map((one, round) => (one - rotations[round]!) / size)
    const curve = (what: string) => [{ curve: `${what}, by members`, x: size }]
    const against = `${first} members`
    const made = [
      lineOf(
        `rotate, ${size} members`,
        rotations,
        seen.of(`rotate ${first}`),
        against,
        curve('rotation'),
      ),
      lineOf(
        `join (X-Wing), ${size} members`,
        seen.of(`join ${size}`),
        seen.of(`join ${first}`),
        against,
        curve('join'),
      ),
      // Of a few members it is less than what rotations differ by.
      size >= 1_000 &&
        lineOf(
          `revoke, per remaining member of ${size}`,
          perMember,
          seen.of('bare wrap'),
          'bare AES-KW + SHA-256',
        ),
      size >= 1_000 &&
        lineOf(
          `revoke, per remaining member of ${size}, elapsed`,
          seen.of(`revoke ${size}, elapsed`),
          perMember,
          'its CPU time',
        ),
      lineOf(`revoke, ${size} members`, revocations, rotations, 'a rotation', curve('revocation')),
    ]
    lines.push(...made.filter((line) => line !== false))
  }
  return lines
}
