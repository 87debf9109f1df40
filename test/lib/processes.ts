/** Relay and deriver as processes of their own, to be killed. */
import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** A relay in its own processes. */
export interface RelayProcess {
  url: string
  port: number
  /** SIGKILL to node and workerd at once. */
  kill(): Promise<void>
  stop(): Promise<void>
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve()
    else child.once('exit', () => resolve())
  })
}

/** Starts `demo/relay.ts` on a directory; port 0 takes a free one. */
export async function spawnRelay(
  directory: string,
  invite: string,
  port = 0,
): Promise<RelayProcess> {
  const args = [
    'demo/relay.ts',
    '--directory',
    directory,
    '--port',
    String(port),
    '--invite',
    invite,
  ]
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve)
    child.once('exit', (code) => reject(new Error(`the relay ended with ${code}`)))
  })
  const { url, workerd } = JSON.parse(line) as { url: string; workerd?: number }
  return {
    url,
    port: Number(new URL(url).port),
    async kill() {
      if (workerd !== undefined) process.kill(workerd, 'SIGKILL')
      child.kill('SIGKILL')
      await ended(child)
    },
    async stop() {
      child.kill('SIGTERM')
      await ended(child)
    },
  }
}

/** A deriver's command line as a process. */
export interface DeriverProcess {
  /** Lines of `--json` output so far. */
  events: Record<string, unknown>[]
  /** SIGSTOP, SIGCONT and the like. */
  signal(signal: NodeJS.Signals): void
  kill(): Promise<void>
  /** SIGTERM; resolves with the exit status. */
  stop(): Promise<number | null>
}

/** Starts `keyferry run --json` on a directory with unsealed keys. */
export function spawnDeriver(directory: string, ...options: string[]): DeriverProcess {
  return spawnRun(directory, '--json', ...options)
}

/** The same in a network namespace of Linux. */
export function spawnDeriverIn(
  namespace: string,
  directory: string,
  ...options: string[]
): DeriverProcess {
  const args = ['deriver/cli.ts', 'run', '--dir', directory, '--json', ...options]
  return watch('ip', ['netns', 'exec', namespace, process.execPath, ...args])
}

/** Starts `keyferry run` on a directory whose settings, or whose options, say that it prints JSON. */
export function spawnRun(directory: string, ...options: string[]): DeriverProcess {
  return watch(process.execPath, ['deriver/cli.ts', 'run', '--dir', directory, ...options])
}

function watch(command: string, args: readonly string[]): DeriverProcess {
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
  const events: Record<string, unknown>[] = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    events.push(JSON.parse(line) as Record<string, unknown>)
  })
  return {
    events,
    signal: (signal) => void child.kill(signal),
    async kill() {
      child.kill('SIGKILL')
      await ended(child)
    },
    async stop() {
      child.kill('SIGTERM')
      await ended(child)
      return child.exitCode
    },
  }
}

/** Waits until `check` gives something, looking every 20 ms. */
export async function until<T>(
  check: () => T | undefined | false | null,
  what: string,
  milliseconds = 30_000,
): Promise<T> {
  const end = Date.now() + milliseconds
  for (;;) {
    const found = check()
    if (found !== undefined && found !== false && found !== null) return found
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
