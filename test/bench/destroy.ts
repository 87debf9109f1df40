/** What destroying a version costs a deriver, by number of members. */
import { carryOut } from '../../deriver/carry-out.ts'
import { orderDestruction } from '../../deriver/destroy.ts'
import { rotateKeyring } from '../../deriver/keyrings.ts'
import { emptyLog } from '../../deriver/log.ts'
import { publish } from '../../deriver/publish.ts'
import { createHpke } from '../../shared/hpke.ts'
import { type Suite } from '../../shared/trust.ts'
import { tenantWith } from './deriver.ts'
import { cpuAlone, lineOf, median, Rounds, type Line } from './measure.ts'

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
    const seen = new Rounds()
    // The first round warms up and does not count.
    for (let round = 0; round <= rounds; round++) {
      if (round === 1) seen.clear()
      seen.note(
        'rotate',
        await cpuAlone(async () => {
          rotateKeyring(store, 'bench', clock.now)
          await publishNow()
        }),
      )
      orderDestruction(store, [`bench@${round + 1}`], 0, clock.now)
      seen.note(
        'destroy',
        await cpuAlone(async () => {
          await carryOut(store, keys, trust, clock.now)
          await publishNow()
        }),
      )
    }
    tenant.remove()
    const line = lineOf(
      `destroy, per member of ${size} (${suite})`,
      seen.of('destroy'),
      seen.of('rotate'),
      'a rotation, in all',
    )
    lines.push({ ...line, milliseconds: median(seen.of('destroy')) / size })
  }
  return lines
}
