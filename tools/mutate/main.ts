/** `npm run mutate`: takes one check away at a time and demands that a test fails. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { instrument, mutantsOf } from './mutants.ts'
import { Copy, git, type Reach } from './run.ts'

const USAGE = `usage: npm run mutate -- [--file PATH]… [--jobs N] [--again] [--json]

Takes away one check at a time, in shared/ or in the files named, in a copy, and runs the tests that reach it until one fails. Prints the survivors:
checks that no test would miss. The tests are those that run in Node; of worker/ they reach waiters.ts and revoked.ts. What
tools/mutate/equivalent.json lists with a reason is left out. Goes on where it was stopped, unless a file or its tests changed; --again forgets
that. Takes about half an hour for all of shared/.
Exit status: 0 no survivor, 1 survivors, 2 wrong usage, 3 the tests do not pass unchanged.

example: npm run mutate -- --file shared/path.ts
`

const root = fileURLToPath(new URL('../../', import.meta.url))
const resultsPath = join(root, 'test-results/mutate.json')
const equivalent = JSON.parse(
  readFileSync(join(root, 'tools/mutate/equivalent.json'), 'utf8'),
) as Record<string, Record<string, string>>

const { values } = parseArgs({
  options: {
    file: { type: 'string', multiple: true },
    jobs: { type: 'string', default: '2' },
    again: { type: 'boolean' },
    json: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
})

/** Tests of the size of the code, which the mutants in the copy change; they run nothing of it. And one whose module of an HSM has a process of its own or none. */
const LEFT_OUT = [
  'test/unit/client-size.test.ts',
  'test/unit/deploy.test.ts',
  'test/unit/pkcs11.test.ts',
]

/** Names the tests as they are now. */
function stateOfTests(): string {
  const folders = ['test/unit', 'test/lib', 'test/vectors', 'test/properties', 'docs/vectors']
  const hashes = execFileSync('git', ['hash-object', ...git(root, 'ls-files', ...folders)], {
    cwd: root,
    encoding: 'utf8',
  })
  return hashes
}

/** Verdicts of earlier runs. A survivor of earlier tests may be caught by later ones; what was caught stays so. */
function readVerdicts(state: string): Record<string, boolean> {
  if (!existsSync(resultsPath) || values.again === true) return {}
  const kept = JSON.parse(readFileSync(resultsPath, 'utf8')) as Results
  return Object.fromEntries(
    Object.entries(kept.verdicts).filter(([, alive]) => kept.tests === state || !alive),
  )
}

interface Results {
  tests: string
  verdicts: Record<string, boolean>
}

/** Does the work of a queue, each worker one after the other. */
async function each<W, T>(
  workers: readonly W[],
  queue: readonly T[],
  work: (worker: W, one: T) => Promise<void>,
): Promise<void> {
  const left = [...queue]
  const go = async (worker: W): Promise<void> => {
    for (let one = left.shift(); one !== undefined; one = left.shift()) await work(worker, one)
  }
  await Promise.all(workers.map(go))
}

async function main(): Promise<number> {
  const all = git(root, 'ls-files', 'shared', 'web', 'deriver', 'worker').filter((name) =>
    name.endsWith('.ts'),
  )
  const files = values.file ?? all.filter((name) => name.startsWith('shared/'))
  const jobs = Number(values.jobs)
  if (files.some((name) => !all.includes(name)) || !(jobs >= 1 && jobs <= 16)) {
    process.stderr.write(
      `mutate: error: --file is a file of shared/, web/, deriver/ or worker/, --jobs 1 to 16\n${USAGE}`,
    )
    return 2
  }
  const tests = stateOfTests()
  const verdicts = readVerdicts(tests)
  const texts = new Map<string, string>()
  let count = 0
  const queue = files.flatMap((file) => {
    const code = readFileSync(join(root, file), 'utf8')
    const mutants = mutantsOf(code)
    texts.set(file, instrument(file, code, mutants, count))
    return mutants.map((mutant) => {
      return { file, mutant, number: count++, key: `${file} ${mutant.id}` }
    })
  })
  const asked = queue.filter(({ file, mutant }) => equivalent[file]?.[mutant.id] === undefined)
  const due = asked.filter(({ key }) => verdicts[key] === undefined)
  process.stderr.write(`${asked.length} mutants, ${due.length} to try\n`)
  if (due.length > 0) {
    const copy = new Copy(root, texts)
    process.once('SIGINT', () => {
      copy.remove()
      process.exit(130)
    })
    try {
      const reaches: Reach[] = []
      const names = git(root, 'ls-files', 'test').filter(
        (name) =>
          /^test\/(unit|properties|vectors|conformance)\/.*\.test\.ts$/.test(name) &&
          !LEFT_OUT.includes(name),
      )
      const failed: string[] = []
      const testers = Array.from({ length: jobs }, () => copy.tester())
      await each(testers, names, async (tester, test) => {
        const reach = await tester.reach(test)
        if (reach === null) failed.push(test)
        else reaches.push(reach)
      })
      if (failed.length > 0) {
        process.stderr.write(`mutate: error: not passed as they are: ${failed.join(', ')}\n`)
        return 3
      }
      let done = 0
      await each(testers, due, async (tester, { key, number, file, mutant }) => {
        verdicts[key] = await tester.survives(file, number, reaches)
        mkdirSync(dirname(resultsPath), { recursive: true })
        writeFileSync(resultsPath, JSON.stringify({ tests, verdicts } satisfies Results))
        const mark = verdicts[key] ? 'SURVIVED' : 'caught'
        process.stderr.write(`${++done}: ${mark} ${file}:${mutant.line} ${mutant.id}\n`)
      })
    } finally {
      copy.remove()
    }
  }
  const survivors = asked.filter(({ key }) => verdicts[key])
  if (values.json === true) {
    const shown = survivors.map(({ file, mutant: { line, id } }) => ({ file, line, id }))
    process.stdout.write(`${JSON.stringify(shown, null, 2)}\n`)
  } else {
    for (const { file, mutant } of survivors)
      process.stdout.write(`${file}:${mutant.line}  ${mutant.id}\n`)
    process.stdout.write(
      `${asked.length - survivors.length} caught, ${survivors.length} survived\n`,
    )
  }
  return survivors.length === 0 ? 0 : 1
}

if (values.help === true) process.stdout.write(USAGE)
else process.exitCode = await main()
