/** Results as text: for a screen, and as the generated part of docs/performance.md with its pictures. */
import { NOTES } from './contenders.ts'
import { judge, type Verdict } from './verdict.ts'
import { PEERS } from './keys-peers.ts'
import { curvesOf, exponent, type Line } from './measure.ts'
import { pictures, PICTURES } from './pictures.ts'
import { PHASES } from './phases.ts'
import { type RunResults } from './results.ts'

/** Three digits that count. */
export function digits(value: number): string {
  if (value >= 1_000) return Math.round(value).toLocaleString('en')
  return value === 0 ? '0' : String(Number(value.toPrecision(3)))
}

const figure = (line: Line): string =>
  'bytes' in line ? `${digits(line.bytes)} B` : `${digits(line.milliseconds)} ms`

/** For a screen. */
export function asText(results: RunResults): string {
  const { lines, page, peers, proofs, size } = results
  const out = lines.map(
    (line) =>
      `${line.name.padEnd(72)} ${figure(line).padStart(13)}  ${digits(line.ratio).padStart(8)} × ${line.against}${line.spread ? ` (${spreadOf(line)})` : ''}`,
  )
  for (const [name, points] of curvesOf(lines))
    out.push(`growth of ${name}: exponent ${exponent(points).toFixed(2)}`)
  for (const { name, minified, gzip } of peers)
    out.push(`bundle, ${name}: ${minified} bytes minified, ${gzip} with gzip`)
  for (const { visit, runs, p50, p99, trips, phases } of page)
    out.push(
      `${visit}, ${runs} runs: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, round trips ${trips}; ${PHASES.map((one) => `${one} ${phases[one].toFixed(1)}`).join(', ')}`,
    )
  out.push(...proofs)
  out.push(
    `browser client: ${size.client} bytes with gzip, with enrolment ${size.withEnrolment}; loaded when needed:`,
    ...Object.entries(size.chunks).map(([name, bytes]) => `${name.padEnd(40)} ${bytes}`),
  )
  return `${out.join('\n')}\n`
}

export function goalsAsText(verdicts: readonly Verdict[]): string {
  return verdicts
    .map(
      ({ work, goal, measured, isMet, alone }) =>
        `${isMet ? 'met   ' : 'missed'} ${work.padEnd(88)} ${digits(measured).padStart(8)}  ${goal}${alone === undefined ? '' : `, the platform alone ${digits(alone)}`}\n`,
    )
    .join('')
}

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n')
}

/** The middle half of the rounds' ratios. */
const spreadOf = ({ spread }: Line): string =>
  spread === undefined ? '' : `${digits(spread[0])} – ${digits(spread[1])}`

/** The pictures of these results, one below the other. */
function gallery(lines: readonly Line[]): string {
  const made = pictures(lines)
  return PICTURES.filter(({ file }) => made.has(file))
    .map(({ file, title }) => `![${title}](images/${file})`)
    .join('\n\n')
}

/** The generated part of docs/performance.md. */
export function asMarkdown(results: RunResults): string {
  const { machine, date, lines, page, peers, size } = results
  const { cpu, cores, system, node, openssl } = machine
  const goals = judge(results).map(({ work, goal, measured, isMet, alone }) => [
    work,
    goal,
    digits(measured),
    alone === undefined ? '' : digits(alone),
    isMet ? 'met' : '**missed**',
  ])
  const bundles = peers.map(({ name, minified, gzip }) => [name, digits(minified), digits(gzip)])
  const visits = page.map(({ visit, runs, p50, p99, trips, phases }) => [
    visit,
    ...[runs, trips, p50, p99, ...PHASES.map((one) => phases[one])].map(digits),
  ])
  return `Made on ${date}: ${cpu}, ${cores} cores, ${system}, Node ${node}, OpenSSL ${openssl}.

### Goals

${table(['work', 'goal', 'measured', 'the platform alone', ''], goals)}

### Growth

Both axes of each picture are logarithmic: the slope of a line is its exponent, which stands behind its name. 0 does not grow, 1 grows as its size does.

${gallery(lines)}

${table(
  ['what grows', 'exponent'],
  [...curvesOf(lines)].map(([name, points]) => [name, exponent(points).toFixed(2)]),
)}

### Everything that was measured

${table(
  ['what', 'time or size', 'ratio', 'middle half', 'against'],
  lines.map((line) => [line.name, figure(line), digits(line.ratio), spreadOf(line), line.against]),
)}

### From a page's request for a key to the first decrypted byte, milliseconds

${table(['visit', 'runs', 'round trips', 'p50', 'p99', ...PHASES], visits)}

### Bundles, bytes

${table(['what an app imports', 'minified', 'gzip'], [...bundles, ['keyferry, first file alone', '', digits(size.client)]])}

### What each of the others does

${[
  ...Object.entries(NOTES),
  ...PEERS.map(({ name, note }) => [`${name}, keys to many clients`, note] as const),
]
  .map(([name, note]) => `- ${name}: ${note}`)
  .join('\n')}
`
}
