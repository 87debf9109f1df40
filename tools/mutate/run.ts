/** Runs of the tests in a copy of the tree. */
import { execFileSync, fork, type ChildProcess } from 'node:child_process'
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

/** What a tester is told. `mutant` is the number of the one that is on; `reached` the file for the numbers of those that are reached. */
export interface Task {
  mutant?: number
  reached?: string
  tests: string[]
}

/** A test file alone: how long it takes, in milliseconds, and the numbers of the mutants that it reaches. */
export interface Reach {
  test: string
  ms: number
  reached: Set<number>
  /** Whether it imports a file itself, and so is likely to be about it. */
  imports(file: string): boolean
}

export function git(root: string, ...args: string[]): string[] {
  return execFileSync('git', args, { cwd: root, encoding: 'utf8' }).split('\n').filter(Boolean)
}

/** Milliseconds for a process to load, and for a test that does not end. */
const START = 120_000
const LEAST = 30_000

/** A copy of the tree that has every mutant in it, off. */
export class Copy {
  readonly path = mkdtempSync(join(tmpdir(), 'keyferry-mutate-'))
  readonly #env: NodeJS.ProcessEnv
  readonly #testers = new Set<Tester>()

  /** Copies the tree as it stands, with these texts in place of its own. */
  constructor(root: string, texts: ReadonlyMap<string, string>) {
    for (const name of git(root, 'ls-files', '--cached', '--others', '--exclude-standard')) {
      if (!existsSync(join(root, name))) continue
      mkdirSync(dirname(join(this.path, name)), { recursive: true })
      writeFileSync(join(this.path, name), texts.get(name) ?? readFileSync(join(root, name)))
    }
    symlinkSync(join(root, 'node_modules'), join(this.path, 'node_modules'))
    // Other people's suites are beside this checkout, not beside the copy.
    this.#env = { KEYFERRY_SUITES: join(root, '../shared/suites'), ...process.env }
  }

  /** A process of its own that runs tests in the copy, one task at a time. */
  tester(): Tester {
    const tester = new Tester(this.path, this.#env)
    this.#testers.add(tester)
    return tester
  }

  remove(): void {
    for (const tester of this.#testers) tester.stop()
    rmSync(this.path, { recursive: true, force: true })
  }
}

export class Tester {
  readonly #path: string
  readonly #env: NodeJS.ProcessEnv
  #child: ChildProcess | undefined

  constructor(path: string, env: NodeJS.ProcessEnv) {
    this.#path = path
    this.#env = env
  }

  /** The first of these tests that does not pass; all of them, where one does not end or ends the process. */
  async #run(task: Task, milliseconds: number): Promise<string[]> {
    if (this.#child === undefined) {
      const options = { cwd: this.#path, env: this.#env, detached: true } as const
      const child = fork('tools/mutate/tester.ts', { ...options, stdio: 'ignore' })
      this.#child = child
      if ((await this.#answer(child, START)) !== 'ready') throw new Error('vitest does not start')
    }
    this.#child.send(task)
    const answer = await this.#answer(this.#child, milliseconds)
    if (answer === undefined) return task.tests
    const { failed } = answer as { failed: string | null }
    return failed === null ? [] : [failed]
  }

  #answer(child: ChildProcess, milliseconds: number): Promise<unknown> {
    return new Promise((resolve) => {
      const end = (answer: unknown): void => {
        clearTimeout(timer)
        child.removeAllListeners()
        if (answer === undefined) this.stop()
        resolve(answer)
      }
      const timer = setTimeout(() => end(undefined), milliseconds)
      child.once('message', end)
      child.once('exit', () => end(undefined))
    })
  }

  /** Ends the process with all that it has started: a test in an endless loop hears no signal of its parent. */
  stop(): void {
    const child = this.#child
    this.#child = undefined
    try {
      if (child !== undefined) process.kill(-child.pid!, 'SIGKILL')
    } catch {
      // It has just ended.
    }
  }

  /** What one test file reaches with every mutant off; `null` if it does not pass. */
  async reach(test: string): Promise<Reach | null> {
    const reached = join(this.#path, `${test.replaceAll('/', '-')}.reached`)
    writeFileSync(reached, '')
    const begin = performance.now()
    if ((await this.#run({ reached, tests: [test] }, 300_000)).length > 0) return null
    const ms = performance.now() - begin
    const numbers = readFileSync(reached, 'utf8').split('\n').filter(Boolean).map(Number)
    const code = readFileSync(join(this.#path, test), 'utf8')
    const imports = (file: string): boolean => code.includes(`/${file}'`)
    return { test, ms, reached: new Set(numbers), imports }
  }

  /**
   * Whether every test passes that reaches a mutant of a file: those that import the file first, and quick ones before long ones. What fails has to pass
   * again with the mutant off; throws where it does not.
   */
  async survives(file: string, mutant: number, reaches: readonly Reach[]): Promise<boolean> {
    const due = reaches
      .filter(({ reached }) => reached.has(mutant))
      .toSorted((a, b) => Number(b.imports(file)) - Number(a.imports(file)) || a.ms - b.ms)
    const time = LEAST + 5 * due.reduce((total, { ms }) => total + ms, 0)
    const tests = due.map(({ test }) => test)
    if (tests.length === 0) return true
    const failed = await this.#run({ mutant, tests }, time)
    if (failed.length === 0) return true
    const [control] = await this.#run({ tests: failed.slice(0, 1) }, time)
    if (control !== undefined) throw new Error(`${control} does not pass with the mutant off`)
    return false
  }
}
