/** What does not grow with a tenant: the cost of a heartbeat; and what grows slowly: the size of a head and its proofs. */
import { createKeyring } from '../../deriver/keyrings.ts'
import { emptyLog } from '../../deriver/log.ts'
import { publish } from '../../deriver/publish.ts'
import { KEYRING_LEAF } from '../../shared/manifest.ts'
import { buildTree, proveLeaf } from '../../shared/tree.ts'
import { makeTenant, type TestTenant } from '../lib/tenant.ts'
import { tenantWith } from './deriver.ts'
import { lineOf, Rounds, turn, type Line } from './measure.ts'

/** A heartbeat (a head over what is unchanged) for these numbers of keyrings, and of members of one keyring. */
export async function benchHeads(
  keyrings: readonly number[],
  members: readonly number[],
  rounds: number,
): Promise<Line[]> {
  const worlds: { name: string; curve: string; x: number; tenant: TestTenant }[] = []
  for (const count of keyrings) {
    const tenant = await makeTenant()
    for (let i = 0; i < count; i++)
      createKeyring(
        tenant.store,
        { name: `k${i}`, rules: ['keyferry://client.acme.example/*'] },
        tenant.clock.now,
      )
    worlds.push({
      name: `heartbeat with ${count} keyrings`,
      curve: 'heartbeat, by keyrings',
      x: count,
      tenant,
    })
  }
  for (const count of members) {
    const { tenant } = await tenantWith(count)
    worlds.push({
      name: `heartbeat with ${count} members`,
      curve: 'heartbeat, by members',
      x: count,
      tenant,
    })
  }
  const seen = new Rounds()
  const log = emptyLog()
  for (let round = -2; round < rounds; round++) {
    if (round === 0) seen.clear()
    for (const { name, tenant } of worlds) {
      const { store, keys, trust, clock } = tenant
      const beat = () => publish(store, keys, trust, log, (clock.now += 60), 3_600)
      seen.note(name, await turn(beat, 20))
    }
  }
  for (const { tenant } of worlds) tenant.remove()
  const first = worlds[0]!.name
  return worlds.map(({ name, curve, x }) =>
    lineOf(name, seen.of(name), seen.of(first), first, [{ curve, x }]),
  )
}

/** Bytes of the proof of one keyring, by number of keyrings: what a fetch carries twice beside a head of one size. */
export function proofLines(counts: readonly number[]): string[] {
  return counts.map((count) => {
    const leaves = Array.from({ length: count }, (_, i) => {
      const leaf = new Uint8Array(KEYRING_LEAF)
      new DataView(leaf.buffer).setUint32(0, i)
      return leaf
    })
    const { path } = proveLeaf(leaves, count >> 1)
    const { size } = buildTree(leaves, KEYRING_LEAF).head
    return `proof among ${String(size).padStart(6)} keyrings: ${String(32 * path.length).padStart(4)} bytes`
  })
}
