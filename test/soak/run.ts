/** `npm run soak`: a mixed load on one relay for as long as is asked, and everything that has to hold meanwhile. */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCommand, UsageError } from '../../tools/command.ts'
import { LoadTenant } from '../load/tenant.ts'
import { buildRelay, serve, type Served } from '../lib/workerd.ts'
import { SoakLoad, type Counts } from './load.ts'
import { findGrowth, sample, trend, type Sample } from './process.ts'
import { Strangers } from './strangers.ts'

const USAGE = `usage: npm run soak -- [--minutes N] [--json]

Runs the relay in plain workerd with two tenants, three derivers and up to 32 clients, and does everything at once for so long: keys rotate, clients join, are
revoked, renew their certificates and start again, messages are encrypted and read, sockets are open, strangers call, flood, send bombs and dawdle.
Every minute, and at the end, fsck reads everything that is stored, and all that was acknowledged has to be there. No client may ever see a lower version, nobody
revoked may open what is encrypted later, no stranger may be answered by other than a refusal, and memory and open files of workerd must not go on growing.

  --minutes N   default 10, at most 1440; certificates live for 3 minutes of it
  --json        the figures as JSON

example: npm run soak -- --minutes 2

exit status: 0 nothing was violated, 1 something was, 2 wrong use, 3 it could not run
`

/** Seconds that clients' certificates live: they renew after two thirds of it. */
const LIFETIME = 180
/** Members of each tenant at the start. */
const MEMBERS = 8
const SAMPLE_EVERY = 5_000
const FSCK_EVERY = 60_000
/** Violations that are shown and kept. */
const MOST = 100

interface Figures {
  minutes: number
  counts: Counts & { renewals: number; heads: number; objects: number; fscks: number }
  /** Codes that clients' calls ended with, and derivers'. */
  failures: Record<string, number>
  errors: Record<string, number>
  /** Strangers' answers by status, and bodies that were cut off. */
  strangers: Record<string, number>
  /** Of workerd: medians of the second and the last quarter, and CPU in percent of one core. */
  workerd: { memory: [number, number]; files: [number, number]; cpu: number }
  /** Bytes of the databases. */
  stored: number
  violations: string[]
}

function sizeOf(directory: string): number {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => statSync(join(directory, name), { throwIfNoEntry: false }))
    .reduce((sum, stat) => sum + (stat?.isFile() === true ? stat.size : 0), 0)
}

function merge(maps: readonly ReadonlyMap<string | number, number>[]): Record<string, number> {
  const all: Record<string, number> = {}
  for (const map of maps) for (const [key, n] of map) all[key] = (all[key] ?? 0) + n
  return all
}

class Soak {
  readonly violations: string[] = []
  readonly #tenants: LoadTenant[] = []
  readonly #samples: Sample[] = []
  #fscks = 0

  violate = (what: string): void => {
    process.stderr.write(`violation: ${what}\n`)
    if (this.violations.length < MOST) this.violations.push(what)
  }

  async #prepare(directory: string, relay: Served): Promise<Strangers> {
    for (const [name, instances] of [
      ['acme', 2],
      ['other', 1],
    ] as const) {
      const tenant = await LoadTenant.start({
        directory: join(directory, name),
        relay: relay.url,
        invite: 'invite',
        instances,
        lifetime: LIFETIME,
        violate: this.violate,
      })
      this.#tenants.push(tenant)
      tenant.run()
      await Promise.all(Array.from({ length: MEMBERS }, () => tenant.join()))
    }
    return Strangers.make(
      relay.url,
      this.#tenants.map(({ id }) => id),
      this.violate,
    )
  }

  async #fsck(): Promise<void> {
    for (const tenant of this.#tenants) await tenant.check()
    this.#fscks++
  }

  /** Until the time is over or somebody stops it. */
  async #watch(relay: Served, load: SoakLoad, end: number, stop: AbortSignal): Promise<void> {
    let fsck = Date.now() + FSCK_EVERY
    let line = 0
    while (Date.now() < end && !stop.aborted) {
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_EVERY))
      const now = sample(relay.pid)
      this.#samples.push(now)
      if (Date.now() >= fsck) {
        await this.#fsck()
        fsck = Date.now() + FSCK_EVERY
      }
      if (++line % 3 !== 0) continue
      const { rotations, joins, revocations, messages, hostile } = load.counts
      const left = Math.max(0, Math.round((end - Date.now()) / 1_000))
      process.stderr.write(
        `${left} s left: ${rotations} rotations, ${joins} joins, ${revocations} revocations, ${messages} messages, ${hostile} hostile calls; ` +
          `${now.memory.toFixed(0)} MB, ${now.files} files, ${this.violations.length} violations\n`,
      )
    }
  }

  async run(directory: string, minutes: number, stop: AbortSignal): Promise<Figures> {
    const out = join(directory, 'relay')
    await buildRelay(out)
    const data = join(directory, 'data')
    const relay = await serve(out, data)
    try {
      const strangers = await this.#prepare(directory, relay)
      const load = new SoakLoad(this.#tenants, strangers, this.violate)
      const start = Date.now()
      load.start()
      await this.#watch(relay, load, start + minutes * 60_000, stop)
      await load.stop()
      await this.#fsck()
      for (const growth of findGrowth(this.#samples)) this.violate(growth)
      const tenants = this.#tenants
      const [first, last] = [this.#samples[0], this.#samples.at(-1)]
      const seconds = (this.#samples.length - 1) * (SAMPLE_EVERY / 1_000)
      const all = tenants.flatMap(({ members, left }) => [...members, ...left])
      const count = (of: (tenant: LoadTenant) => number): number =>
        tenants.reduce((total, tenant) => total + of(tenant), 0)
      return {
        minutes: (Date.now() - start) / 60_000,
        counts: {
          ...load.counts,
          renewals: all.reduce((n, { renewals }) => n + renewals, 0),
          heads: count(({ acknowledged }) => acknowledged.heads.size),
          objects: count(({ acknowledged }) => acknowledged.objects.size),
          fscks: this.#fscks,
        },
        failures: merge(all.map(({ failures }) => failures)),
        errors: merge(tenants.map(({ errors }) => errors)),
        strangers: { ...merge([strangers.statuses]), 'cut off': strangers.cut },
        workerd: {
          memory: trend(this.#samples, 'memory'),
          files: trend(this.#samples, 'files'),
          cpu: first && last ? (100 * (last.cpu - first.cpu)) / Math.max(1, seconds) : 0,
        },
        stored: sizeOf(data),
        violations: this.violations,
      }
    } finally {
      await Promise.all(this.#tenants.map((tenant) => tenant.close()))
      await relay.end('SIGKILL')
    }
  }
}

function print({ counts, workerd, ...all }: Figures): void {
  const say = (text: string): void => void process.stdout.write(`${text}\n`)
  const list = (one: Record<string, number>): string =>
    Object.entries(one)
      .map(([name, n]) => `${n} ${name}`)
      .join(', ') || 'none'
  const [memory, memoryLater] = workerd.memory.map((one) => one.toFixed(0))
  const [files, filesLater] = workerd.files
  say(`minutes: ${all.minutes.toFixed(1)}`)
  say(`done: ${list({ ...counts })}`)
  say(`what clients' calls ended with, other than well: ${list(all.failures)}`)
  say(`what derivers were told, other than well: ${list(all.errors)}`)
  say(`answers to strangers, by status: ${list(all.strangers)}`)
  say(
    `workerd: ${memory} MB early, ${memoryLater} MB late; ${files} files early, ${filesLater} late; ${workerd.cpu.toFixed(0)} % of a core`,
  )
  say(`databases: ${(all.stored / 1_048_576).toFixed(1)} MB`)
  say(`violations: ${all.violations.length}`)
  for (const violation of all.violations) say(`  ${violation}`)
}

const options = {
  minutes: { type: 'string', default: '10' },
  json: { type: 'boolean', default: false },
} as const

if (import.meta.main)
  process.exit(
    await runCommand({
      name: 'soak',
      usage: USAGE,
      options,
      async run(values) {
        const minutes = Number(values.minutes)
        if (!(minutes > 0 && minutes <= 1_440))
          throw new UsageError('--minutes takes a number up to 1440')
        const directory = mkdtempSync(join(tmpdir(), 'keyferry-soak-'))
        const stop = new AbortController()
        // What was measured until then is still printed.
        for (const signal of ['SIGINT', 'SIGTERM'] as const)
          process.once(signal, () => stop.abort())
        try {
          const figures = await new Soak().run(directory, minutes, stop.signal)
          if (values.json) process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`)
          else print(figures)
          return figures.violations.length === 0 ? 0 : 1
        } finally {
          rmSync(directory, { recursive: true, force: true })
        }
      },
    }),
  )
