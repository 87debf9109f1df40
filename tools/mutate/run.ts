/** Runs of the tests in a copy of the tree that has every mutant in it, off. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
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

export class Copy {
  readonly path = mkdtempSync(join(tmpdir(), 'keyferry-mutate-'))
  readonly #env: NodeJS.ProcessEnv
  readonly #running = new Set<ChildProcess>()

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

  /** Whether the tests pass, up to the first that does not. One that hangs does not. */
  async #run(tests: readonly string[], env: NodeJS.ProcessEnv, timeout: number): Promise<boolean> {
    const args = ['tools/run.mjs', 'vitest', 'run', '--project', 'unit', '--bail', '1', ...tests]
    const child = spawn(process.execPath, args, {
      cwd: this.path,
      env: { ...this.#env, ...env },
      stdio: 'ignore',
      detached: true,
    })
    this.#running.add(child)
    const timer = setTimeout(() => this.#kill(child), timeout)
    const code = await new Promise((resolve) => child.on('exit', resolve))
    clearTimeout(timer)
    this.#running.delete(child)
    return code === 0
  }

  /** With all that it has started: a test in an endless loop hears no signal of its parent. */
  #kill(child: ChildProcess): void {
    try {
      process.kill(-child.pid!, 'SIGKILL')
    } catch {
      // It has just ended.
    }
  }

  /** What one test file reaches with every mutant off; `null` if it does not pass. */
  async reach(test: string): Promise<Reach | null> {
    const path = join(this.path, `${test.replaceAll('/', '-')}.reached`)
    writeFileSync(path, '')
    const begin = performance.now()
    if (!(await this.#run([test], { KEYFERRY_MUTANTS_REACHED: path }, 300_000))) return null
    const reached = readFileSync(path, 'utf8').split('\n').filter(Boolean).map(Number)
    const ms = performance.now() - begin
    const code = readFileSync(join(this.path, test), 'utf8')
    const imports = (file: string): boolean => code.includes(`/${file}'`)
    return { test, ms, reached: new Set(reached), imports }
  }

  /** Whether every test passes that reaches a mutant of a file: those that import the file first, and quick ones before long ones. */
  async survives(file: string, mutant: number, reaches: readonly Reach[]): Promise<boolean> {
    const due = reaches
      .filter(({ reached }) => reached.has(mutant))
      .toSorted((a, b) => Number(b.imports(file)) - Number(a.imports(file)) || a.ms - b.ms)
    for (let rest = due, limit = 3_000; rest.length > 0; limit *= 5) {
      let sum = 0
      const group = rest.filter(({ ms }, index) => (sum += ms) < limit || index === 0)
      rest = rest.slice(group.length)
      const tests = group.map(({ test }) => test)
      const time = 60_000 + 5 * group.reduce((total, { ms }) => total + ms, 0)
      if (!(await this.#run(tests, { KEYFERRY_MUTANT: String(mutant) }, time))) return false
    }
    return true
  }

  remove(): void {
    for (const child of this.#running) this.#kill(child)
    rmSync(this.path, { recursive: true, force: true })
  }
}
