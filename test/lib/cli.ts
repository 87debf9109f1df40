/** The command line: as a process for each command, or as one for all of a test file. */
import { execFile, fork, type ChildProcess } from 'node:child_process'

/** What a command said. */
export interface Result {
  status: number
  stdout: string
  stderr: string
}

/** What a command gets from its surroundings. */
export interface CliOptions {
  cwd?: string
  /** Beside this process's. */
  env?: NodeJS.ProcessEnv
}

/** A command for test/lib/cli-host.ts. */
export interface HostedCommand {
  id: number
  args: string[]
  cwd: string
  env: NodeJS.ProcessEnv
}

type Run = (...args: string[]) => Promise<Result>

const cli = new URL('../../deriver/cli.ts', import.meta.url).pathname
const host = new URL('./cli-host.ts', import.meta.url).pathname

const environment = (directory: string, env?: NodeJS.ProcessEnv): NodeJS.ProcessEnv => ({
  ...process.env,
  KEYFERRY_DIR: directory,
  ...env,
})

/** Runs each command on a tenant's directory in a process of its own: what users meet, and 0.2 to 0.4 s of a core. */
export function spawnKeyferryIn(directory: string, { cwd, env }: CliOptions = {}): Run {
  return (...args) =>
    new Promise((resolve) => {
      const options = { cwd, env: environment(directory, env) }
      const child = execFile(
        process.execPath,
        [cli, ...args],
        options,
        (_error, stdout, stderr) => {
          resolve({ status: child.exitCode ?? -1, stdout, stderr })
        },
      )
      child.stdin?.end()
    })
}

interface Waiting {
  resolve: (result: Result) => void
  reject: (error: Error) => void
}

let hosting: ChildProcess | undefined
let count = 0
const waiting = new Map<number, Waiting>()

function startHost(): ChildProcess {
  const child = fork(host, { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  child.on('message', ({ id, ...result }: Result & { id: number }) => {
    waiting.get(id)?.resolve(result)
    waiting.delete(id)
  })
  child.once('exit', (code) => {
    hosting = undefined
    for (const { reject } of waiting.values()) reject(new Error(`the command line ended (${code})`))
    waiting.clear()
  })
  // It ends with this process, and keeps it from nothing.
  child.unref()
  child.channel?.unref()
  return child
}

/** Runs the commands on a tenant's directory one after another in one process: the same function, outputs and statuses as {@link spawnKeyferryIn}. */
export function keyferryIn(directory: string, { cwd = process.cwd(), env }: CliOptions = {}): Run {
  return (...args) =>
    new Promise((resolve, reject) => {
      hosting ??= startHost()
      const id = count++
      waiting.set(id, { resolve, reject })
      const command: HostedCommand = { id, args, cwd, env: environment(directory, env) }
      hosting.send(command)
    })
}
