/** `npm run conformance`: other people's suites, counted. */
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runCommand, UsageError } from '../../tools/command.ts'
import { ABSENT, hasSuites } from './suites.ts'
import { runX509, X509_SUITES } from './x509-suites.ts'

const USAGE = `usage: npm run conformance -- [--only x509|crypto] [--json]

Runs other people's suites (KEYFERRY_SUITES names their folder) against Keyferry: certification paths and revocation lists in Node, signatures, HPKE, key
wrapping and Merkle proofs in Node, workerd and Chromium. Prints a table and the sums. A hang counts as a failure.
Exit status: 0 all passed, 1 something failed, 2 wrong usage, 3 the suites are not there.

example: npm run conformance -- --only x509
`

interface Row {
  suite: string
  engine: string
  passed: number
  failed: number
  skipped: number
}

const root = fileURLToPath(new URL('../../', import.meta.url))

async function x509Rows(): Promise<Row[]> {
  const rows: Row[] = []
  for (const { name, file } of X509_SUITES) {
    const { results, code } = await runX509(file)
    const count = (outcome: string): number =>
      results.filter((one) => one.outcome === outcome).length
    const [passed, skipped] = [count('passed'), count('skipped')]
    const failed = Math.max(results.length - passed - skipped, code === 0 ? 0 : 1)
    rows.push({ suite: name, engine: 'node', passed, failed, skipped })
  }
  return rows
}

async function cryptoRows(): Promise<Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'keyferry-conformance-'))
  const file = join(folder, 'counts.json')
  const args = ['tools/run.mjs', 'vitest', 'run', 'test/conformance/engines']
  args.push(
    '--project',
    'unit',
    '--project',
    'worker',
    '--project',
    'browser*',
    '--project',
    'noble',
  )
  args.push('--reporter', './test/conformance/count-reporter.mjs')
  try {
    await new Promise((resolve) => {
      const child = spawn(process.execPath, args, {
        cwd: root,
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { ...process.env, CONFORMANCE_COUNTS: file },
      })
      child.on('exit', resolve)
    })
    const { counts, failed } = JSON.parse(await readFile(file, 'utf8')) as {
      counts: Row[]
      failed: number
    }
    const rows = counts.toSorted((a, b) => a.suite.localeCompare(b.suite))
    if (failed > 0)
      rows.push({
        suite: 'engines disagree, or do not run',
        engine: '',
        passed: 0,
        failed,
        skipped: 0,
      })
    return rows
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function run(only: string | undefined, asJson: boolean): Promise<number> {
  if (only !== undefined && only !== 'x509' && only !== 'crypto')
    throw new UsageError('--only is x509 or crypto')
  if (!hasSuites) throw new Error(ABSENT)
  const rows = [
    ...(only === 'crypto' ? [] : await x509Rows()),
    ...(only === 'x509' ? [] : await cryptoRows()),
  ]
  const sum = (name: 'passed' | 'failed' | 'skipped'): number =>
    rows.reduce((total, row) => total + row[name], 0)
  if (asJson) {
    process.stdout.write(
      `${JSON.stringify({ rows, passed: sum('passed'), failed: sum('failed') }, null, 2)}\n`,
    )
  } else {
    const line = (suite: string, engine: string, ...numbers: (string | number)[]): string =>
      `${suite.padEnd(36)} ${engine.padEnd(20)} ${numbers.map((one) => String(one).padStart(8)).join('')}\n`
    process.stdout.write(line('suite', 'engine', 'passed', 'failed', 'n/a'))
    for (const { suite, engine, passed, failed, skipped } of rows)
      process.stdout.write(line(suite, engine, passed, failed, skipped))
    process.stdout.write(`${sum('passed')} passed, ${sum('failed')} failed\n`)
  }
  return sum('failed') === 0 ? 0 : 1
}

process.exitCode = await runCommand({
  name: 'conformance',
  usage: USAGE,
  options: { only: { type: 'string' }, json: { type: 'boolean', default: false } },
  run: ({ only, json }) => run(only, json),
})
