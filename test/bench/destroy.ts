/** What destroying a version costs a deriver, by number of members. */
import { carryOut } from '../../deriver/carry-out.ts'
import { orderDestruction } from '../../deriver/destroy.ts'
import { rotateKeyring } from '../../deriver/keyrings.ts'
import { emptyLog } from '../../deriver/log.ts'
import { publish } from '../../deriver/publish.ts'
import { createHpke } from '../../shared/hpke.ts'
import { type Suite } from '../../shared/trust.ts'
import { tenantWith } from './deriver.ts'
import { cpu, type Line, median } from './measure.ts'

/** For each suite: rotation and destruction, and the difference per member. */
export async function benchDestroy(size: number, rounds: number): Promise<Line[]> {
  const lines: Line[] = []
  for (const suite of ['MLKEM768-X25519', 'X25519'] as const satisfies Suite[]) {
    const { tenant, keyring } = await tenantWith(size)
    const { store, keys, trust, clock } = tenant
    const { publicKey } = await createHpke(suite).generate(false)
    store.run('UPDATE devices SET suite = ?, public_key = ?', suite, publicKey)
    store.run("UPDATE keyrings SET kind = 'erasable'")
    store.run('INSERT OR IGNORE INTO held SELECT key_id, ?, 0 FROM devices', keyring)
    const log = emptyLog()
    const publishNow = () => publish(store, keys, trust, log, clock.now, 3_600)
    const times = { rotate: [] as number[], destroy: [] as number[] }
    for (let round = 0; round <= rounds; round++) {
      times.rotate.push(
        await cpu(async () => {
          rotateKeyring(store, 'bench', clock.now)
          await publishNow()
        }),
      )
      orderDestruction(store, [`bench@${round + 1}`], 0, clock.now)
      times.destroy.push(
        await cpu(async () => {
          await carryOut(store, keys, trust, clock.now)
          await publishNow()
        }),
      )
    }
    tenant.remove()
    // The first round warms up and does not count.
    for (const list of Object.values(times)) list.shift()
    lines.push({
      name: `destroy, per member of ${size} (${suite})`,
      milliseconds: median(times.destroy) / size,
      ratio: median(times.destroy) / median(times.rotate),
      against: 'a rotation, in all',
    })
  }
  return lines
}
