/** `npm run cluster`: two nodes over one bucket, and what a kill -9 of one costs. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCommand, UsageError } from '../../tools/command.ts'
import { failOver, type FailOver } from './fail-over.ts'
import { hasCluster } from './nodes.ts'

const USAGE = `usage: npm run cluster -- [--rounds N] [--clients N] [--seconds N] [--json]

Starts two nodes of the relay (workerd's experimental cluster mode) over an S3-compatible bucket on loopback, with a deriver that pushes and clients that read.
Kills the node that owns the tenant with SIGKILL and measures how long no head is acknowledged; then starts another one. At the end a node with an empty disk must
have all that was acknowledged: every head, every object, and what fsck asks for.

  --rounds N    kills; default 3, at most 20
  --clients N   default 4, at most 32
  --seconds N   of load before each kill; default 10, at most 60
  --json        the result as JSON

example: npm run cluster -- --rounds 1

exit status: 0 nothing was lost, 1 something was, 2 wrong use, 3 could not be measured
`

const LIMITS = { rounds: 20, clients: 32, seconds: 60 }

function print({ rounds, report, violations, ...all }: FailOver): void {
  const say = (text: string): void => void process.stdout.write(`${text}\n`)
  for (const [i, { push, fetch }] of rounds.entries())
    say(
      `fail-over ${i + 1}: first head after ${push} ms, first fetch of a client after ${fetch} ms`,
    )
  say(
    `acknowledged: ${all.heads} heads, ${all.objects} objects; a push takes ${all.pushed.toFixed(0)} ms`,
  )
  say(`round trips of clients: ${all.messages}, ${all.during} of them while no node answered`)
  say(`what derivers were told: ${JSON.stringify(all.errors)}`)
  say(`bucket: ${JSON.stringify(all.bucket)}`)
  say(
    `fsck: head ${report.head?.version}, ${report.objects} objects, ${report.problems.length} problems`,
  )
  say(`violations: ${violations.length}`)
  for (const violation of violations) say(`  ${violation}`)
}

const options = {
  rounds: { type: 'string', default: '3' },
  clients: { type: 'string', default: '4' },
  seconds: { type: 'string', default: '10' },
  json: { type: 'boolean', default: false },
} as const

if (import.meta.main)
  process.exit(
    await runCommand({
      name: 'cluster',
      usage: USAGE,
      options,
      async run(values) {
        for (const [name, most] of Object.entries(LIMITS)) {
          const value = Number(values[name as keyof typeof LIMITS])
          if (!(Number.isInteger(value) && value >= 1 && value <= most))
            throw new UsageError(`--${name} takes a number from 1 to ${most}`)
        }
        if (!hasCluster()) throw new Error('no workerd with cluster mode for this machine')
        const directory = mkdtempSync(join(tmpdir(), 'keyferry-cluster-'))
        try {
          const result = await failOver({
            directory,
            rounds: Number(values.rounds),
            clients: Number(values.clients),
            before: 1_000 * Number(values.seconds),
            divisor: 1,
            say: (line) => void process.stderr.write(`${line}\n`),
          })
          if (values.json) process.stdout.write(`${JSON.stringify(result, null, 2)}\n`)
          else print(result)
          return result.violations.length === 0 ? 0 : 1
        } finally {
          rmSync(directory, { recursive: true, force: true })
        }
      },
    }),
  )
