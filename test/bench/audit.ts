/** What checking a log and asking it cost, by the number of its entries. CPU time of this process. */
import { follow, type ReadQuery } from '../../deriver/audit-entries.ts'
import { auditStore } from '../../deriver/audit-file.ts'
import { verifyAudit } from '../../deriver/audit-verify.ts'
import { createKeyring } from '../../deriver/keyrings.ts'
import { random } from '../../deriver/random.ts'
import { appendLeaf, logSize, openLog } from '../../deriver/log.ts'
import { publish } from '../../deriver/publish.ts'
import { hex, type Bytes } from '../../shared/bytes.ts'
import { encodeEntry } from '../../shared/log.ts'
import { makeTenant, type TestTenant } from '../lib/tenant.ts'
import { cpuAlone, type Line, median } from './measure.ts'

const uriOf = (n: number): string => `keyferry://client.acme.example/${n}`

/** A tenant with a log of some entries: members of one keyring that come and rotate their packages, and a tenth that goes. */
async function tenantWith(count: number): Promise<{ tenant: TestTenant; keyring: Bytes }> {
  const tenant = await makeTenant()
  const { store, keys, trust, clock } = tenant
  const rules = trust.body.clients.sans
  const keyring = createKeyring(store, { name: 'bench', rules }, clock.now).id
  await publish(store, keys, trust, openLog(store), clock.now, 3_600)
  const devices = Array.from({ length: Math.ceil(count / 4) }, () => random(32))
  store.transaction(() => {
    for (let i = logSize(store); i < count; i++) {
      const n = i % devices.length
      const device = devices[n]!
      const uri = uriOf(n)
      const round = Math.floor(i / devices.length)
      const member = { device, keyring, package: random(32), uri }
      const leaf =
        round === 0
          ? encodeEntry('member-added', clock.now, member)
          : n % 10 === 0
            ? encodeEntry('device-denied', clock.now, { device, uri })
            : encodeEntry('package-rotated', clock.now, member)
      appendLeaf(store, leaf)
    }
  })
  clock.now += 60
  await publish(store, keys, trust, openLog(store), clock.now, 3_600)
  return { tenant, keyring }
}

/** One pass for a question. */
async function ask(tenant: TestTenant, query: ReadQuery): Promise<unknown> {
  return follow((await auditStore(tenant.store)).leaves(), query).readings
}

/** Check, start of a deriver, and both questions for each size of the log. */
export async function benchAudit(sizes: readonly number[], rounds: number): Promise<Line[]> {
  const lines: Line[] = []
  const base = new Map<string, number>()
  for (const size of sizes) {
    const { tenant, keyring } = await tenantWith(size)
    const { store, trust } = tenant
    const works: [string, () => Promise<unknown>][] = [
      ['audit verify', async () => verifyAudit(await auditStore(store), trust.tenant)],
      ['read the log at the start', async () => openLog(store)],
      ['audit who-had', () => ask(tenant, { keyring: hex(keyring), version: '1' })],
      ['audit what-had', () => ask(tenant, { uri: uriOf(1) })],
    ]
    for (const [name, work] of works) {
      const times: number[] = []
      // Of a million each takes long enough.
      const some = size >= 1_000_000 ? 1 : rounds
      for (let round = 0; round < some; round++) times.push(await cpuAlone(work))
      const milliseconds = median(times)
      const first = base.get(name) ?? milliseconds
      base.set(name, first)
      const against = `${sizes[0]} entries`
      lines.push({
        name: `${name}, ${size} entries`,
        milliseconds,
        ratio: milliseconds / first,
        against,
        at: [{ curve: `${name}, by entries`, x: size }],
      })
    }
    tenant.remove()
  }
  return lines
}
