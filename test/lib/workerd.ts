/** The relay in plain workerd, as `npm run selfhost` makes it: one process, without miniflare. */
import { execFile, spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('../..', import.meta.url))

export interface Served {
  url: string
  port: number
  /** Of the process. */
  pid: number
  /** Where other nodes of a cluster reach it. */
  clusterPort: number | undefined
  /** Lines that it printed. */
  log: string[]
  /** Ends it, and waits for that. */
  end(signal: NodeJS.Signals): Promise<void>
}

export interface ServeOptions {
  /** 0, the default, takes a free one. */
  port?: number
  args?: readonly string[]
  env?: Record<string, string>
  invite?: string
}

/** Makes the directory from which the relay runs. */
export async function buildRelay(out: string, ...args: string[]): Promise<void> {
  await promisify(execFile)('npm', ['run', '-s', 'selfhost', '--', '--out', out, ...args], {
    cwd: root,
  })
}

/** Starts workerd as the unit of systemd does, but told its ports on a pipe. `out` is a build, `data` holds the databases. */
export async function serve(
  out: string,
  data: string,
  options: ServeOptions = {},
): Promise<Served> {
  const { port = 0, args = [], env = {}, invite = 'invite' } = options
  mkdirSync(data, { recursive: true })
  const own = ['-d', `disk=${data}`, '-s', `http=127.0.0.1:${port}`, '--control-fd=3', ...args]
  const child = spawn(join(out, 'workerd'), ['serve', join(out, 'relay.capnp'), ...own], {
    env: { INVITES: invite, ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  })
  const log: string[] = []
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream! }).on('line', (line) => log.push(line))
  let clusterPort: number | undefined
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const told = new Promise<number>((resolve, reject) => {
    createInterface({ input: child.stdio[3] as NodeJS.ReadableStream }).on('line', (line) => {
      const said = JSON.parse(line) as { event: string; port: number }
      if (said.event === 'listen') resolve(said.port)
      else clusterPort = said.port
    })
    child.once('exit', (code) => reject(new Error(`workerd ended with ${code}: ${log.join()}`)))
  })
  const taken = await told
  return {
    url: `http://127.0.0.1:${taken}`,
    port: taken,
    pid: child.pid!,
    clusterPort,
    log,
    async end(signal) {
      child.kill(signal)
      await ended
    },
  }
}
