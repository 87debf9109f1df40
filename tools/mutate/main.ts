/** `npm run mutate`: takes one check away at a time in shared/ and demands that a test fails. */
import { execFileSync, spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { mutantsOf, type Mutant } from './mutants.ts'

const USAGE = `usage: npm run mutate -- [--file shared/x.ts]… [--jobs N] [--again] [--json]

Takes away one check at a time in shared/, in a copy, and runs the tests until one fails. Prints the survivors: checks that no test would miss. What
tools/mutate/equivalent.json lists with a reason is left out. Goes on where it was stopped, unless a file or its tests changed; --again forgets that.
Takes about half an hour for all of shared/.
Exit status: 0 no survivor, 1 survivors, 2 wrong usage, 3 the tests do not pass unchanged.

example: npm run mutate -- --file shared/path.ts
`

const root = fileURLToPath(new URL('../../', import.meta.url))
const resultsPath = join(root, 'test-results/mutate.json')
const equivalent = JSON.parse(
  readFileSync(join(root, 'tools/mutate/equivalent.json'), 'utf8'),
) as Record<string, Record<string, string>>

function git(...args: string[]): string[] {
  return execFileSync('git', args, { cwd: root, encoding: 'utf8' }).split('\n').filter(Boolean)
}

/** A copy of the tree, as it stands here. */
function copyTree(): string {
  const copy = mkdtempSync(join(tmpdir(), 'keyferry-mutate-'))
  for (const name of git('ls-files', '--cached', '--others', '--exclude-standard')) {
    if (!existsSync(join(root, name))) continue
    mkdirSync(dirname(join(copy, name)), { recursive: true })
    writeFileSync(join(copy, name), readFileSync(join(root, name)))
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  return copy
}

/** Test files of the unit project that import a file of shared/ themselves, and so are the first to ask. */
function nearTests(file: string): string[] {
  const tests = git('ls-files', 'test/unit', 'test/properties', 'test/vectors').filter((name) =>
    name.endsWith('.test.ts'),
  )
  return tests.filter((name) => readFileSync(join(root, name), 'utf8').includes(`/${file}'`))
}

const running = new Set<ReturnType<typeof spawn>>()

/** Whether the tests pass in a copy. One that hangs does not. */
async function pass(copy: string, tests: readonly string[]): Promise<boolean> {
  const args = ['tools/run.mjs', 'vitest', 'run', '--project', 'unit', '--bail', '1', ...tests]
  // Other people's suites are beside this checkout, not beside the copy.
  const env = {
    ...process.env,
    KEYFERRY_SUITES: process.env['KEYFERRY_SUITES'] ?? join(root, '../shared/suites'),
  }
  const child = spawn(process.execPath, args, { cwd: copy, env, stdio: 'ignore', timeout: 300_000 })
  running.add(child)
  const code = await new Promise((resolve) => child.on('exit', resolve))
  running.delete(child)
  return code === 0
}

async function survives(copy: string, file: string, mutant: Mutant): Promise<boolean> {
  const path = join(copy, file)
  const code = readFileSync(join(root, file), 'utf8')
  writeFileSync(path, code.slice(0, mutant.start) + mutant.text + code.slice(mutant.end))
  try {
    const near = nearTests(file)
    return (near.length === 0 || (await pass(copy, near))) && (await pass(copy, []))
  } finally {
    writeFileSync(path, code)
  }
}

const { values } = parseArgs({
  options: {
    file: { type: 'string', multiple: true },
    jobs: { type: 'string', default: '2' },
    again: { type: 'boolean' },
    json: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
})

async function main(): Promise<number> {
  const all = git('ls-files', 'shared').filter((name) => name.endsWith('.ts'))
  const files = values.file ?? all
  const jobs = Number(values.jobs)
  if (files.some((name) => !all.includes(name)) || !(jobs >= 1 && jobs <= 16)) {
    process.stderr.write(`mutate: error: --file is a file of shared/, --jobs 1 to 16\n${USAGE}`)
    return 2
  }
  const state = execFileSync(
    'git',
    [
      'hash-object',
      ...git(
        'ls-files',
        'test/unit',
        'test/lib',
        'test/vectors',
        'test/properties',
        'docs/vectors',
      ),
    ],
    { cwd: root, encoding: 'utf8' },
  )
  type Results = { tests: string; verdicts: Record<string, boolean> }
  const kept =
    existsSync(resultsPath) && values.again !== true
      ? (JSON.parse(readFileSync(resultsPath, 'utf8')) as Results)
      : null
  // A survivor of earlier tests may be caught by later ones; what was caught stays so.
  const verdicts = Object.fromEntries(
    Object.entries(kept?.verdicts ?? {}).filter(([, alive]) => kept?.tests === state || !alive),
  )
  const queue = files.flatMap((file) =>
    mutantsOf(readFileSync(join(root, file), 'utf8'))
      .filter(({ id }) => equivalent[file]?.[id] === undefined)
      .map((mutant) => ({ file, mutant, key: `${file} ${mutant.id}` })),
  )
  const due = queue.filter(({ key }) => verdicts[key] === undefined)
  process.stderr.write(`${queue.length} mutants, ${due.length} to try\n`)
  const copies = Array.from({ length: Math.min(jobs, due.length) }, copyTree)
  const save = (): void => {
    mkdirSync(dirname(resultsPath), { recursive: true })
    writeFileSync(resultsPath, JSON.stringify({ tests: state, verdicts } satisfies Results))
  }
  const clean = (): void => {
    for (const child of running) child.kill()
    for (const copy of copies) rmSync(copy, { recursive: true, force: true })
  }
  process.once('SIGINT', () => {
    clean()
    process.exit(130)
  })
  try {
    if (copies[0] !== undefined && !(await pass(copies[0], []))) {
      process.stderr.write('mutate: error: the tests do not pass as they are\n')
      return 3
    }
    let done = 0
    const work = async (copy: string): Promise<void> => {
      for (let next = due.shift(); next !== undefined; next = due.shift()) {
        verdicts[next.key] = await survives(copy, next.file, next.mutant)
        save()
        const mark = verdicts[next.key] ? 'SURVIVED' : 'caught'
        process.stderr.write(
          `${++done}: ${mark} ${next.file}:${next.mutant.line} ${next.mutant.id}\n`,
        )
      }
    }
    await Promise.all(copies.map(work))
  } finally {
    clean()
  }
  const survivors = queue.filter(({ key }) => verdicts[key])
  if (values.json === true) {
    process.stdout.write(
      `${JSON.stringify(
        survivors.map(({ file, mutant }) => ({ file, line: mutant.line, id: mutant.id })),
        null,
        2,
      )}\n`,
    )
  } else {
    for (const { file, mutant } of survivors)
      process.stdout.write(`${file}:${mutant.line}  ${mutant.id}\n`)
    process.stdout.write(
      `${queue.length - survivors.length} caught, ${survivors.length} survived\n`,
    )
  }
  return survivors.length === 0 ? 0 : 1
}

if (values.help === true) process.stdout.write(USAGE)
else process.exitCode = await main()
