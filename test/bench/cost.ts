/** `npm run cost`: what deliveries cost on Cloudflare, from rows, calls and CPU measured here and the prices of prices.ts. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runCommand } from '../../tools/command.ts'
import { startRelay } from '../../demo/relay.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import {
  askDelivery,
  enrol,
  INVITE,
  pushHead,
  readDelivery,
  upload,
  type Relay,
} from '../lib/calls.ts'
import { makeKeyring, publish } from '../lib/publication.ts'
import { makeClient, makeWorld } from '../lib/world.ts'
import { jiffies, JIFFY } from './workerd.ts'
import {
  costOfMillion,
  OTHERS,
  PRICES,
  PRICES_OF,
  SAMPLE,
  type Count,
  type Measured,
} from './prices.ts'

const USAGE = `usage: npm run cost -- [--json] [--write] [--quick]

Runs the relay in workerd with tenants of three sizes, counts rows and calls and the CPU of deliveries, and prints what a million of them cost by Cloudflare's published
prices, beside key management services. CPU is this machine's: on Cloudflare it was not measured.

  --json    figures for a program
  --write   puts the tables into docs/OPERATIONS.md
  --quick   fewer calls

example: npm run cost -- --json

exit status: 0 done, 2 wrong use, 3 it could not be measured
`

const SIZES = [100, 1_000, 10_000]
const PAGE = fileURLToPath(new URL('../../docs/OPERATIONS.md', import.meta.url))
const [BEGIN, END] = ['<!-- npm run cost -- --write: begin -->', '<!-- npm run cost: end -->']

/** A kind of call of a tenant of one size. */
interface Line extends Measured {
  members: number
  what: string
  perMillion: number
}

async function measure(members: number, count: number): Promise<Line[]> {
  const directory = mkdtempSync(join(tmpdir(), 'keyferry-cost-'))
  const entry = fileURLToPath(new URL('../worker/metered.ts', import.meta.url))
  const server = await startRelay({ directory, invites: [INVITE], entry })
  try {
    const relay: Relay = { url: new URL(server.url), fetch: (url, init) => fetch(url, init) }
    const world = await makeWorld()
    const client = await makeClient(world, 'cost')
    const keyring = makeKeyring('cost', [client], members - 1)
    const counted = async (): Promise<Count> =>
      (await (await fetch(new URL(`/count/${world.tenant}`, relay.url))).json()) as Count
    const lines: Line[] = []
    /** Does something so often, and says what one time of it took. */
    const meter = async (
      what: string,
      times: number,
      requests: number,
      work: () => Promise<unknown>,
    ): Promise<void> => {
      await counted()
      const pid = server.workerd ?? 0
      const before = jiffies(pid)
      for (let i = 0; i < times; i++) await work()
      const after = jiffies(pid)
      if (before === null || after === null) throw new Error('there is no /proc to read CPU from')
      const { calls, read, written } = await counted()
      const measured: Measured = {
        requests,
        objectRequests: calls / times,
        cpu: ((after - before) * JIFFY) / times,
        read: read / times,
        written: written / times,
      }
      lines.push({ members, what, ...measured, perMillion: costOfMillion(measured) })
    }
    const first = await publish(world, [keyring])
    await enrol(relay, world)
    await upload(relay, world, first.objects)
    await pushHead(relay, world, first, null)
    let answer = await askDelivery(relay, world, client, [keyring.id])
    const slots = [readDelivery(answer).keyrings[0]!.member!.proof.index]
    await meter('first delivery', count, 1, () =>
      askDelivery(relay, world, client, [keyring.id], { slots }),
    )
    answer = await askDelivery(relay, world, client, [keyring.id])
    const { keyrings } = readDelivery(answer)
    const objects = keyrings.flatMap((one) => [one.bundle, one.manifest, one.welcome].map(sha256))
    const have = { catalog: 1, head: first.headHash, objects, trust: 1 }
    await meter('nothing new', count, 1, async () => {
      const { status } = await askDelivery(relay, world, client, [keyring.id], { slots, have })
      if (status !== 204) throw new Error(`the relay answers ${status}`)
    })
    let [version, last]: [number, Bytes] = [1, first.headHash]
    const next = async (catalogNumber: number): Promise<void> => {
      version++
      const made = await publish(world, [keyring], { version, catalogNumber })
      if (catalogNumber > 1) await upload(relay, world, made.objects)
      await pushHead(relay, world, made, last)
      last = made.headHash
    }
    await meter('heartbeat', 5, 1, () => next(1))
    await meter('rotation for all members', 5, 2, () => {
      keyring.generation++
      return next(version + 1)
    })
    return lines
  } finally {
    await server.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}

const number = (value: number, digits = 1): string =>
  value.toLocaleString('en', { maximumFractionDigits: digits })

function tables(lines: readonly Line[]): string {
  const rows = lines.map(
    (one) =>
      `| ${number(one.members)} | ${one.what} | ${one.requests} | ${number(one.objectRequests)} | ${number(one.read)} | ${number(one.written)} | ${number(one.cpu, 2)} | $${one.perMillion.toFixed(2)} |`,
  )
  const prices = Object.values(PRICES).map(
    ({ price, unit, page }) => `| $${price} | ${unit} | ${page} |`,
  )
  const others = OTHERS.map(
    ({ name, perMillion, key }) => `| ${name} | $${perMillion.toFixed(2)} | ${key} |`,
  )
  return [
    '| members | call | of the Worker | of objects | rows read | rows written | ms of CPU here | a million of them |',
    '| --: | --- | --: | --: | --: | --: | --: | --: |',
    ...rows,
    '',
    `Prices of ${PRICES_OF}, without what a plan includes; ${SAMPLE * 100} % of calls are logged. A heartbeat and a rotation are the deriver's, and come by the clock, not by the client.`,
    '',
    `| price | for a | page of Cloudflare's documentation |`,
    '| --: | --- | --- |',
    ...prices,
    '',
    'For comparison, a million calls of a key management service, each of which is one encryption or decryption; one delivery is good for any number of them:',
    '',
    '| service | a million calls | and a key |',
    '| --- | --: | --- |',
    ...others,
  ].join('\n')
}

const flag = { type: 'boolean', default: false } as const
const options = { json: flag, write: flag, quick: flag }

if (import.meta.main)
  process.exit(
    await runCommand({
      name: 'cost',
      usage: USAGE,
      options,
      async run(values) {
        const lines: Line[] = []
        for (const members of SIZES) {
          process.stderr.write(`${number(members)} members …\n`)
          lines.push(...(await measure(members, values.quick ? 100 : 500)))
        }
        const report = { lines, prices: PRICES, pricesOf: PRICES_OF, others: OTHERS }
        const text = tables(lines)
        process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : `${text}\n`)
        if (values.write) {
          const page = readFileSync(PAGE, 'utf8')
          const [before, after] = [page.indexOf(BEGIN), page.indexOf(END)]
          if (before < 0 || after < before) throw new Error(`${PAGE} has no place for the tables`)
          const place = page.slice(0, before + BEGIN.length)
          writeFileSync(PAGE, `${place}\n\n${text}\n\n${page.slice(after)}`)
        }
        return 0
      },
    }),
  )
