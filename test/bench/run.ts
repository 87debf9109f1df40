/** `npm run bench`: what things cost, as ratios within one run. Figures of two runs, or of two machines, do not compare. */
import { parseArgs } from 'node:util'
import { benchAudit } from './audit.ts'
import { benchClient } from './client.ts'
import { benchDeriver } from './deriver.ts'
import { benchHeads, proofLines } from './heads.ts'
import { benchRelay } from './relay.ts'
import { bundleSize } from './bundle.ts'
import { type Line } from './measure.ts'
import { benchPaths } from './paths.ts'

const USAGE = `usage: npm run bench -- [--quick] [--json]

Measures the deriver (rotation, join and revocation by number of members; a heartbeat by number of keyrings and members), the audit log by number of entries, a warm fetch of the client against
the bare operations, the size of proofs by number of keyrings, path validation and revocation lists beside other libraries, a delivery against a bare route in the same worker, and the size of the client.
--quick  fewer rounds, up to 1,000 members

example: npm run bench -- --quick
`

const { values } = parseArgs({
  options: { quick: { type: 'boolean' }, json: { type: 'boolean' }, help: { type: 'boolean' } },
})
if (values.help === true) {
  process.stdout.write(USAGE)
} else {
  const quick = values.quick === true
  const lines: Line[] = []
  const note = (text: string): void => void process.stderr.write(`${text}\n`)
  note('deriver …')
  lines.push(...(await benchDeriver(quick ? [10, 1_000] : [10, 1_000, 10_000], quick ? 3 : 7)))
  note('heads …')
  lines.push(...(await benchHeads(quick ? [1, 100] : [1, 100, 1_000], [10, 1_000], quick ? 3 : 7)))
  note('audit …')
  lines.push(
    ...(await benchAudit(quick ? [1_000, 10_000] : [1_000, 100_000, 1_000_000], quick ? 1 : 3)),
  )
  note('client …')
  lines.push(...(await benchClient(quick ? 100 : 300)))
  note('paths …')
  lines.push(...(await benchPaths(quick ? [10_000] : [10_000, 100_000], quick ? 5 : 15)))
  note('relay …')
  lines.push(...(await benchRelay(1_000, quick ? 3 : 7, quick ? 200 : 500)))
  const size = await bundleSize(['web/index.ts', 'web/enroll.ts'])
  if (values.json === true) {
    process.stdout.write(`${JSON.stringify({ lines, size }, null, 2)}\n`)
  } else {
    for (const { name, milliseconds, ratio, against } of lines) {
      const figures = `${milliseconds.toFixed(4).padStart(10)} ms  ${ratio.toFixed(2).padStart(8)}`
      process.stdout.write(`${name.padEnd(64)} ${figures} × ${against}\n`)
    }
    for (const line of proofLines([1, 10, 100, 1_000, 10_000, 100_000]))
      process.stdout.write(`${line}\n`)
    process.stdout.write(
      `browser client: ${size.minified} bytes minified, ${size.gzip} with gzip\n`,
    )
  }
}
