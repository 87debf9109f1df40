/**
 * The relay on one machine: the Worker of wrangler.toml in workerd, through miniflare, with its database in a directory that stays.
 * As a program it prints one JSON line and runs until a signal.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { runCommand, UsageError } from '../tools/command.ts'
import { build } from 'esbuild'
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare'
import { unstable_getMiniflareWorkerOptions as workerOptions } from 'wrangler'

const CONFIG = fileURLToPath(new URL('../wrangler.toml', import.meta.url))

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** How to start a relay. */
export interface RelayOptions {
  /** Where the tenants' databases are kept. */
  directory: string
  /** 0, the default, takes a free one. */
  port?: number
  /** Default 127.0.0.1. */
  host?: string
  /** Secrets that admit new tenants. */
  invites: readonly string[]
  /** Another entry than wrangler.toml's, with more routes: for measuring. */
  entry?: string
  /** Takes what workerd prints. Default: it goes to standard error. */
  log?: (line: string) => void
}

/** A running relay. */
export interface Relay {
  readonly url: string
  /** Process id of workerd: killing the parent alone may leave it. */
  readonly workerd: number | undefined
  /** The SQLite files of the tenants. */
  databaseFiles(): string[]
  stop(): Promise<void>
}

/** The Worker as one module, as `wrangler deploy` makes it. */
async function bundle(entry: string): Promise<string> {
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2024',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*', 'node:*'],
    loader: { '.sql': 'text' },
    logLevel: 'silent',
  })
  return result.outputFiles[0]!.text
}

/** The databases of the Worker's own objects; those that miniflare keeps for itself are left out. */
function databases(directory: string): string[] {
  const objects = join(directory, 'do')
  if (!existsSync(objects)) return []
  return readdirSync(objects, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.sqlite') && !name.endsWith('metadata.sqlite'))
    .map((name) => join(objects, name))
    .toSorted()
}

/** The youngest workerd among this process's children; undefined where there is no `ps`. */
function childWorkerd(): number | undefined {
  try {
    const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' })
    const own = table
      .split('\n')
      .map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line))
      .filter((row) => row?.[2] === String(process.pid) && row[3]!.includes('workerd'))
      .map((row) => Number(row![1]))
    return own.at(-1)
  } catch {
    return undefined
  }
}

/** Starts a relay. What was stored in the directory before is there again. */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const { port = 0, host = '127.0.0.1', invites } = options
  const directory = resolve(options.directory)
  mkdirSync(directory, { recursive: true })
  const log = options.log ?? ((line: string) => void process.stderr.write(`workerd: ${line}\n`))
  const { workerOptions: worker, main: own } = workerOptions(CONFIG)
  const entry = options.entry ?? own
  const before = SIGNALS.map((signal) => process.listeners(signal))
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      ...worker,
      modules: [{ type: 'ESModule', path: 'index.js', contents: await bundle(entry!) }],
      bindings: {
        ...(worker['bindings'] as object),
        INVITES: invites.join(','),
        LOG_SAMPLE: '0',
      },
      host,
      port,
      cf: false,
      // Any other name for this would be ignored without a word, and the data be gone at a restart.
      resourcePersistencePath: directory,
      log: new Log(LogLevel.NONE),
      handleRuntimeStdio(out: Readable, err: Readable) {
        for (const stream of [out, err]) {
          stream.on('data', (data: Buffer) => {
            for (const line of data.toString().split('\n')) if (line.trim() !== '') log(line)
          })
        }
      },
    }),
  )
  // miniflare ends the process at a signal, before anything else here is stopped.
  for (const [i, signal] of SIGNALS.entries()) {
    for (const listener of process.listeners(signal)) {
      if (!before[i]!.includes(listener)) process.off(signal, listener)
    }
  }
  try {
    const { port: taken } = await miniflare.ready
    const url = `http://${host}:${taken}`
    const health = await fetch(`${url}/healthz`)
    if (!health.ok) throw new Error(`the relay is not well: ${health.status}`)
    return {
      url,
      workerd: childWorkerd(),
      databaseFiles: () => databases(directory),
      stop: () => miniflare.dispose(),
    }
  } catch (error) {
    await miniflare.dispose()
    throw error
  }
}

const USAGE = `usage: node demo/relay.ts --directory DIR [--port N] [--host ADDRESS] [--invite CODE]...

Runs the relay in workerd and prints one JSON line {"url", "workerd"}; then it runs until SIGINT or SIGTERM.

  --directory DIR   where the tenants' databases are kept
  --port N          default 0: a free one, named in the output
  --host ADDRESS    default 127.0.0.1
  --invite CODE     admits a new tenant; may be repeated. Without it enrolment is closed

exit status: 0 after a signal, 2 wrong use, 3 it could not start
`

const options = {
  directory: { type: 'string' },
  port: { type: 'string', default: '0' },
  host: { type: 'string', default: '127.0.0.1' },
  invite: { type: 'string', multiple: true },
} as const

if (import.meta.main)
  process.exit(
    await runCommand({
      name: 'relay',
      usage: USAGE,
      options,
      async run({ directory, host, invite = [], ...values }) {
        const port = Number(values.port)
        if (directory === undefined) throw new UsageError('--directory is needed')
        if (!(Number.isInteger(port) && port >= 0 && port < 65_536))
          throw new UsageError('--port takes a number below 65536')
        const relay = await startRelay({ directory, port, host, invites: invite })
        process.stdout.write(`${JSON.stringify({ url: relay.url, workerd: relay.workerd })}\n`)
        await new Promise<void>((done) => {
          for (const signal of SIGNALS) process.on(signal, () => done())
        })
        await relay.stop()
        return 0
      },
    }),
  )
