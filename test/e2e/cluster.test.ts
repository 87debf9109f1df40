/** workerd's cluster mode, with leases of four seconds in place of twenty: `npm run cluster` measures it as it is. SLOW=1 runs this. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { failOver } from '../cluster/fail-over.ts'
import { hasCluster } from '../cluster/nodes.ts'
import { LIMIT, SLOW } from '../lib/commands.ts'

let directory: string

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

it.skipIf(!SLOW || !hasCluster())(
  '[relay-10] a cluster has every head and object that it acknowledged after the node that owned the tenant was killed',
  async () => {
    const { rounds, heads, during, report, violations } = await failOver({
      directory,
      rounds: 2,
      clients: 2,
      before: 1_000,
      divisor: 5,
      say: () => {},
    })
    expect(violations).toEqual([])
    expect(rounds).toHaveLength(2)
    expect(heads).toBeGreaterThan(4)
    expect(report.head!.version).toBeGreaterThanOrEqual(heads)
    // Clients went on with the keys that they had.
    expect(during).toBeGreaterThan(0)
    const config = readFileSync(join(directory, 'relay', 'relay.capnp'), 'utf8')
    expect(config).not.toContain('loopback only')
  },
  LIMIT,
)
