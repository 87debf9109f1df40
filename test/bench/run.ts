/** `npm run bench`: what things cost, as ratios within one run. Figures of two runs, or of two machines, do not compare. */
import { parseArgs } from 'node:util'
import { chunkSizes, mainSize } from './bundle.ts'
import { readPublished, writePage } from './docs.ts'
import { benchFirstByte } from './first-byte.ts'
import { judge } from './verdict.ts'
import { proofLines } from './heads.ts'
import { peerSizes } from './messages.ts'
import { LINES, NAMED } from './parts.ts'
import { asText, goalsAsText } from './report.ts'
import { thisMachine, writeResults, type RunResults } from './results.ts'

const PARTS = [...Object.keys(LINES), 'page', ...Object.keys(NAMED)]

const USAGE = `usage: npm run bench -- [--quick] [--check] [--docs] [--json] [--only PART]…

Measures the deriver (rotation, join and revocation by number of members; N keys to M clients beside other libraries; a destruction; a heartbeat by number of
keyrings and members), the audit log by number of entries, a warm fetch of the client against the bare operations, the size of proofs by number of keyrings,
messages beside other libraries and the bare cipher in Node and in Chromium, the time from a page's request for a key to the first decrypted byte, path validation and
revocation lists beside other libraries, a delivery against a bare route in the same worker, a relay's cost by number of tenants, stored members and sockets,
and the size of the client. What it measured is left in bench/results.json.
--quick  fewer rounds, up to 1,000 members, 16 MiB in place of 64
--only   only these parts: ${PARTS.join(', ')}; a run without it leaves out ${Object.keys(NAMED).join(', ')}, which takes minutes and gigabytes
--check  exit 1 where a goal is missed
--docs   write docs/performance.json, and of it docs/performance.md and its pictures; with --only, with these parts in the place of those in the last whole run
Exit status: 0 done, 1 a goal is missed (--check), 2 wrong usage, 3 a part failed, and the others stand.

example: npm run bench -- --quick --only messages
`

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    json: { type: 'boolean' },
    check: { type: 'boolean' },
    docs: { type: 'boolean' },
    only: { type: 'string', multiple: true },
    help: { type: 'boolean' },
  },
})
const quick = values.quick === true
const isWanted = (part: string): boolean => values.only?.includes(part) ?? !(part in NAMED)

const CLIENT = ['web/index.ts']

/** Parts that failed: what the others measured counts all the same. */
const failed: string[] = []

async function attempt<T>(part: string, bench: () => Promise<T>): Promise<T | undefined> {
  if (!isWanted(part)) return undefined
  const began = performance.now()
  try {
    const made = await bench()
    process.stderr.write(`${part}: ${((performance.now() - began) / 1_000).toFixed(0)} s\n`)
    return made
  } catch (error) {
    failed.push(part)
    process.stderr.write(`${part}: failed: ${(error as Error).stack}\n`)
    return undefined
  }
}

async function measure(): Promise<RunResults> {
  const results: RunResults = {
    machine: thisMachine(),
    date: new Date().toISOString().slice(0, 10),
    quick,
    lines: [],
    page: [],
    peers: [],
    proofs: isWanted('heads') ? proofLines([1, 10, 100, 1_000, 10_000, 100_000]) : [],
    size: {
      client: (await mainSize(CLIENT)).gzip,
      withEnrolment: (await mainSize([...CLIENT, 'web/enroll.ts'])).gzip,
      chunks: Object.fromEntries((await chunkSizes(CLIENT)).sizes),
    },
  }
  for (const [part, bench] of Object.entries({ ...LINES, ...NAMED })) {
    results.lines.push(...((await attempt(part, () => bench(quick))) ?? []))
    // A run that is stopped leaves what it has measured until then.
    writeResults(results)
  }
  const page = await attempt('page', () => benchFirstByte(quick ? 2 : 6, quick ? 2 : 4))
  results.lines.push(...(page?.lines ?? []))
  results.page = page?.visits ?? []
  results.peers = isWanted('messages') ? await peerSizes() : []
  return results
}

/** The results of docs/performance.json with what was measured again: a ratio is of figures of one part. */
function renew(results: RunResults): RunResults {
  const last = readPublished()
  const again = new Map(results.lines.map((line) => [line.name, line]))
  const lines = last.lines.map((line) => again.get(line.name) ?? line)
  const known = new Set(lines.map(({ name }) => name))
  return {
    ...last,
    date: results.date,
    size: results.size,
    lines: [...lines, ...results.lines.filter(({ name }) => !known.has(name))],
    ...(results.page.length > 0 && { page: results.page }),
    ...(results.peers.length > 0 && { peers: results.peers }),
  }
}

const unknown = values.only?.find((part) => !PARTS.includes(part))
if (values.help === true) {
  process.stdout.write(USAGE)
} else if (unknown !== undefined) {
  process.stderr.write(`no part ${unknown}: ${PARTS.join(', ')}\n`)
  process.exitCode = 2
} else if (values.docs === true && quick) {
  process.stderr.write('--docs takes no quick run\n')
  process.exitCode = 2
} else {
  const results = await measure()
  process.stdout.write(
    values.json === true ? `${JSON.stringify(results, null, 2)}\n` : asText(results),
  )
  process.stderr.write(`${writeResults(results)}\n`)
  const whole = values.only === undefined ? results : renew(results)
  if (values.docs === true && failed.length === 0) await writePage(whole)
  const verdicts = judge(values.docs === true ? whole : results)
  process.stderr.write(goalsAsText(verdicts))
  if (values.check === true && verdicts.some(({ isMet }) => !isMet)) process.exitCode = 1
  if (failed.length > 0) {
    process.stderr.write(`failed: ${failed.join(', ')}\n`)
    process.exitCode = 3
  }
}
