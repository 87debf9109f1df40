/**
 * `npm start`: the relay in workerd, the customer's deriver and the customer's web app, each on a free port, until Ctrl-C.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { DOMAIN, KEYRINGS, ORGANIZATION, startCustomer } from './customer.ts'
import { startFront } from './front.ts'
import { Insider } from './insider.ts'
import { makeOwnKeys } from './insider-keys.ts'
import { buildPage } from './page-assets.ts'
import { startRelay } from './relay.ts'
import { startServer } from './server.ts'

const USAGE = `usage: npm start [-- OPTION...]

Starts the Keyferry demo: the relay, a customer's deriver and the customer's web app. Open the address that it prints.

  --directory DIR   keep everything in DIR, and go on from there the next time; default: a temporary one, removed at the end
  --port N          port of the web app; default: a free one
  --relay-port N    port that clients find the relay at; default: a free one
  --help            this text

exit status: 0 after Ctrl-C, 2 wrong use, 3 it could not start
`

/** Milliseconds for stopping everything. */
const STOP_TIMEOUT = 10_000

/** What a kept directory remembers: the trust document names these addresses. */
interface Kept {
  port: number
  relayPort: number
  invite: string
}

/** Something to be stopped, in the reverse order of starting. */
type Stop = () => Promise<void> | void

const say = (text: string): void => void process.stdout.write(`${text}\n`)

async function step<T>(name: string, work: () => Promise<T>, result: (value: T) => string) {
  const began = performance.now()
  const value = await work()
  const took = `${Math.round(performance.now() - began)} ms`
  say(`  ✓ ${name.padEnd(9)} ${result(value)}  (${took})`)
  return value
}

function portOf(text: string | undefined, name: string): number | undefined {
  if (text === undefined) return undefined
  const port = Number(text)
  if (/^\d{1,5}$/.test(text) && port < 65_536) return port
  throw new RangeError(`--${name} is a port number`)
}

function readKept(directory: string): Kept | null {
  const path = join(directory, 'demo.json')
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Kept) : null
}

/** Starts everything in a directory. Returns the web app's address. */
async function start(directory: string, ports: Partial<Kept>, stops: Stop[]): Promise<string> {
  const kept = readKept(directory)
  const invite = kept?.invite ?? randomBytes(12).toString('base64url')
  say('\nKeyferry demo\n')
  const relay = await step(
    'relay',
    () => startRelay({ directory: join(directory, 'relay'), invites: [invite] }),
    ({ url }) => `${url}  workerd, untrusted; it serves no code`,
  )
  stops.push(() => relay.stop())
  const insider = new Insider(
    await makeOwnKeys(ORGANIZATION, DOMAIN, Math.floor(Date.now() / 1000)),
  )
  const front = await step(
    'its door',
    () =>
      startFront({
        relay: relay.url,
        port: ports.relayPort ?? kept?.relayPort ?? 0,
        insider,
      }),
    ({ url }) => `${url}  what clients talk to; an insider may sit there`,
  )
  stops.push(() => front.stop())
  const assets = await step('page', buildPage, (files) => {
    const bytes = Buffer.byteLength(files.get('/main.js')!.body)
    return `bundled, ${Math.round(bytes / 1024)} KiB of script`
  })
  const app = await startServer({
    port: ports.port ?? kept?.port ?? 0,
    assets,
    relay: front.url,
    insider,
    databaseFiles: () => relay.databaseFiles(),
    directory: join(directory, 'board'),
  })
  stops.push(() => app.stop())
  const customer = await step(
    'deriver',
    () =>
      startCustomer({
        directory: join(directory, 'deriver'),
        relay: relay.url,
        front: front.url,
        invite,
        origin: app.origin,
        onChange: () => app.changed(),
      }),
    ({ tenant }) => `tenant ${tenant.slice(0, 12)}…, keyrings ${KEYRINGS.join(' and ')}`,
  )
  stops.push(() => customer.stop())
  app.open(customer)
  say(`  ✓ ${'web app'.padEnd(9)} ${app.origin}  the customer's own origin`)
  const keep: Kept = {
    port: Number(new URL(app.origin).port),
    relayPort: Number(new URL(front.url).port),
    invite,
  }
  writeFileSync(join(directory, 'demo.json'), JSON.stringify(keep), { mode: 0o600 })
  return app.origin
}

async function main(argv: string[]): Promise<number> {
  let values
  const ports: Partial<Kept> = {}
  try {
    ;({ values } = parseArgs({
      args: argv,
      options: {
        directory: { type: 'string' },
        port: { type: 'string' },
        'relay-port': { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }))
    const port = portOf(values.port, 'port')
    const relayPort = portOf(values['relay-port'], 'relay-port')
    if (port !== undefined) ports.port = port
    if (relayPort !== undefined) ports.relayPort = relayPort
  } catch (error) {
    process.stderr.write(`demo: error: ${(error as Error).message}\ndemo: hint: see --help\n`)
    return 2
  }
  if (values.help) {
    process.stdout.write(USAGE)
    return 0
  }
  const stops: Stop[] = []
  // A terminal's Ctrl-C arrives twice: from the terminal and through tools/run.mjs.
  const stopped = new Promise<void>((done) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => done())
  })
  let directory = values.directory
  if (directory === undefined) {
    const temporary = mkdtempSync(join(tmpdir(), 'keyferry-demo-'))
    directory = temporary
    stops.push(() => rmSync(temporary, { recursive: true, force: true, maxRetries: 5 }))
  } else {
    directory = resolve(directory)
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  }
  let status = 0
  try {
    const origin = await start(directory, ports, stops)
    say(`\n  Ada   ${origin}/?as=ada`)
    say(`  Ben   ${origin}/?as=ben   (a second tab is a second identity)\n`)
    say(`  State in ${directory}${values.directory === undefined ? ', removed at the end' : ''}`)
    say('  Ctrl-C stops everything.\n')
    await stopped
    say('\n  stopping …')
  } catch (error) {
    process.stderr.write(`demo: error: ${(error as Error).message}\n`)
    status = 3
  }
  setTimeout(() => process.exit(status === 0 ? 3 : status), STOP_TIMEOUT).unref()
  for (const stop of stops.toReversed()) await stop()
  return status
}

// ML-KEM in WebCrypto is experimental in Node, which says so in the middle of the progress lines.
process.removeAllListeners('warning')
process.on('warning', (warning) => {
  if (warning.name !== 'ExperimentalWarning') process.stderr.write(`demo: ${String(warning)}\n`)
})

process.exit(await main(process.argv.slice(2)))
