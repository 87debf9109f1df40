/** `npm run bench`: what things cost, as ratios within one run. Figures of two runs, or of two machines, do not compare. */
import { parseArgs } from 'node:util'
import { benchAudit } from './audit.ts'
import { benchClient } from './client.ts'
import { benchColdPage, PHASES } from './cold-page.ts'
import { NOTES } from './contenders.ts'
import { benchDeriver } from './deriver.ts'
import { benchHeads, proofLines } from './heads.ts'
import { benchKeys } from './keys.ts'
import { benchRelay } from './relay.ts'
import { chunkSizes, mainSize } from './bundle.ts'
import { benchDestroy } from './destroy.ts'
import { type Line } from './measure.ts'
import { benchMessages, peerSizes } from './messages.ts'
import { benchPaths } from './paths.ts'

const PARTS = [
  'deriver',
  'keys',
  'destroy',
  'heads',
  'audit',
  'client',
  'messages',
  'page',
  'paths',
  'relay',
] as const
type Part = (typeof PARTS)[number]

const USAGE = `usage: npm run bench -- [--quick] [--json] [--only PART]…

Measures the deriver (rotation, join and revocation by number of members; N keys to M clients beside other libraries; a destruction; a heartbeat by number of keyrings and members), the audit log by number
of entries, a warm fetch of the client against the bare operations, the size of proofs by number of keyrings, messages beside other libraries and the bare cipher in Node and in Chromium, the time from a cold page
to the first decrypted byte, path validation and revocation lists beside other libraries, a delivery against a bare route in the same worker, and the size of the client.
--quick  fewer rounds, up to 1,000 members
--only   only these parts: ${PARTS.join(', ')}

example: npm run bench -- --quick --only messages
`

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    json: { type: 'boolean' },
    only: { type: 'string', multiple: true },
    help: { type: 'boolean' },
  },
})
const quick = values.quick === true
const isWanted = (part: Part): boolean => values.only === undefined || values.only.includes(part)

const LINES: Partial<Record<Part, () => Promise<Line[]>>> = {
  deriver: () => benchDeriver(quick ? [10, 1_000] : [10, 1_000, 10_000, 100_000], quick ? 3 : 5),
  keys: () =>
    benchKeys(
      quick
        ? [
            [1, 100],
            [1_000, 100],
          ]
        : [
            [1, 1_000],
            [1_000, 10],
            [1_000, 1_000],
          ],
      quick ? 3 : 5,
    ),
  destroy: () => benchDestroy(1_000, quick ? 2 : 5),
  heads: () => benchHeads(quick ? [1, 100] : [1, 100, 1_000], [10, 1_000], quick ? 3 : 7),
  audit: () => benchAudit(quick ? [1_000, 10_000] : [1_000, 100_000, 1_000_000], quick ? 1 : 3),
  client: () => benchClient(quick ? 100 : 300),
  messages: () => benchMessages(quick),
  paths: () => benchPaths(quick ? [10_000] : [10_000, 100_000], quick ? 5 : 15),
  relay: () => benchRelay(1_000, quick ? 3 : 7, quick ? 200 : 500),
}

const CLIENT = ['web/index.ts']

async function measure() {
  const lines: Line[] = []
  for (const [part, bench] of Object.entries(LINES)) {
    if (!isWanted(part as Part)) continue
    process.stderr.write(`${part} …\n`)
    lines.push(...(await bench()))
  }
  const page = isWanted('page') ? await benchColdPage(quick ? 3 : 9) : []
  const size = {
    client: (await mainSize(CLIENT)).gzip,
    withEnrolment: (await mainSize([...CLIENT, 'web/enroll.ts'])).gzip,
    chunks: Object.fromEntries((await chunkSizes(CLIENT)).sizes),
  }
  const peers = isWanted('messages') ? await peerSizes() : []
  return { lines, page, peers, size }
}

function print({ lines, page, peers, size }: Awaited<ReturnType<typeof measure>>): void {
  const say = (text: string): void => void process.stdout.write(`${text}\n`)
  for (const line of lines) {
    const figure = 'bytes' in line ? `${line.bytes} B ` : `${line.milliseconds.toFixed(4)} ms`
    say(
      `${line.name.padEnd(64)} ${figure.padStart(13)}  ${line.ratio.toFixed(2).padStart(8)} × ${line.against}`,
    )
  }
  if (isWanted('messages'))
    for (const [name, note] of Object.entries(NOTES)) say(`${name}: ${note}`)
  for (const { name, minified, gzip } of peers)
    say(`bundle, ${name}: ${minified} bytes minified, ${gzip} with gzip`)
  for (const { visit, phases } of page)
    say(
      `cold page, ${visit}, ms: ${PHASES.map((one) => `${one} ${phases[one].toFixed(1)}`).join(', ')}`,
    )
  if (isWanted('heads'))
    for (const line of proofLines([1, 10, 100, 1_000, 10_000, 100_000])) say(line)
  say(
    `browser client: ${size.client} bytes with gzip, with enrolment ${size.withEnrolment}; loaded when needed:`,
  )
  for (const [name, bytes] of Object.entries(size.chunks)) say(`${name.padEnd(40)} ${bytes}`)
}

const unknown = values.only?.find((part) => !(PARTS as readonly string[]).includes(part))
if (values.help === true) {
  process.stdout.write(USAGE)
} else if (unknown !== undefined) {
  process.stderr.write(`no part ${unknown}: ${PARTS.join(', ')}\n`)
  process.exitCode = 2
} else {
  const measured = await measure()
  if (values.json === true) process.stdout.write(`${JSON.stringify(measured, null, 2)}\n`)
  else print(measured)
}
