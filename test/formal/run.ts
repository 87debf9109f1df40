/** `npm run formal`: every formal model whose tool is installed, against its recorded table. */
import { spawnSync } from 'node:child_process'
import { runCommand, UsageError } from '../../tools/command.ts'
import { MODELS, scriptOf } from './models.ts'

const USAGE = `usage: npm run formal -- [--only ${MODELS.join('|')}]…

Runs the formal models of docs/PROTOCOL.md and compares each table with the recorded one (test/formal/README.md). All of it takes about ten
minutes. A model whose tool is not installed is named and left out.
Exit status: 0 all that ran is as recorded, 1 something is not, 2 wrong usage, 3 nothing could be run.

example: npm run formal -- --only generations
`

function run({ only }: { only?: string[] | undefined }): number {
  const models = MODELS.filter((model) => only?.includes(model) ?? true)
  const unknown = only?.find((one) => !MODELS.some((model) => model === one))
  if (unknown !== undefined) throw new UsageError(`no model ${JSON.stringify(unknown)}`)
  const results = models.map((model) => {
    process.stdout.write(`== ${model}\n`)
    return { model, status: spawnSync('bash', [scriptOf(model)], { stdio: 'inherit' }).status }
  })
  const names = (wanted: (status: number | null) => boolean): string[] =>
    results.filter(({ status }) => wanted(status)).map(({ model }) => model)
  const passed = names((status) => status === 0)
  const absent = names((status) => status === 3)
  const failed = names((status) => status !== 0 && status !== 3)
  if (failed.length > 0) process.stdout.write(`failed: ${failed.join(', ')}\n`)
  if (absent.length > 0) process.stdout.write(`not run: ${absent.join(', ')}\n`)
  process.stdout.write(`${passed.length} passed, ${failed.length} failed\n`)
  if (failed.length > 0) return 1
  return passed.length > 0 ? 0 : 3
}

const options = { only: { type: 'string', multiple: true } } as const
process.exitCode = await runCommand({ name: 'formal', usage: USAGE, options, run })
