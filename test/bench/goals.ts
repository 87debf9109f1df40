/** What Keyferry wants to be, as ratios of one run: `npm run bench -- --check` fails where one is missed. */
import { VISITS, type Visit } from './phases.ts'
import { compare, curvesOf, exponent, figureOf, type Line } from './measure.ts'

/** A goal, and how what was measured is read for it. */
export interface Goal {
  work: string
  /** `most` is an upper bound, `least` a lower one. */
  bound: { most: number } | { least: number }
  /** What was measured; `undefined` where this run has no figure for it. */
  measured: (results: Results) => number | undefined
  /** What the platform alone reaches in the same run, where that was measured. */
  alone?: (results: Results) => number | undefined
}

/** What the goals are read from. */
export interface Results {
  lines: readonly Line[]
  page?: readonly Pick<Visit, 'visit' | 'trips'>[]
  size: { client: number }
}

/** The last line of that name: where there are several sizes, the largest. */
function last({ lines }: Results, name: RegExp): Line | undefined {
  return lines.findLast((line) => name.test(line.name))
}

const ratio =
  (name: RegExp) =>
  (results: Results): number | undefined =>
    last(results, name)?.ratio

/** How many times the second is in the first: round by round, where both have the same ones. */
const quotient =
  (name: RegExp, by: RegExp) =>
  (results: Results): number | undefined => {
    const [one, other] = [last(results, name), last(results, by)]
    if (one === undefined || other === undefined) return undefined
    return one.rounds !== undefined && one.rounds.length === other.rounds?.length
      ? compare(one.rounds, other.rounds).ratio
      : figureOf(one) / figureOf(other)
  }

const growth =
  (curve: string) =>
  ({ lines }: Results): number | undefined => {
    const points = curvesOf(lines).get(curve)
    return points && exponent(points)
  }

/** Bytes that a client loads more when there are twice as many clients. */
function perDoubling({ lines }: Results): number | undefined {
  const bytesAmong = (members: number): number | undefined => {
    const name = `chromium: 1000 keys among ${members} clients, bytes a client loads: keyferry`
    const line = lines.find((one) => one.name === name)
    return line && figureOf(line)
  }
  const [one, two] = [bytesAmong(500), bytesAmong(1_000)]
  return one === undefined || two === undefined ? undefined : two - one
}

const trips =
  (visit: string) =>
  ({ page }: Results): number | undefined =>
    page?.find((one) => one.visit === visit)?.trips

/** What a page reaches of one of the others that does nothing but what it cannot leave out. */
const aloneBeside = (name: string): Pick<Goal, 'alone'> => ({
  alone: quotient(page(name), page('what the platform alone takes')),
})

const page = (name: string): RegExp =>
  new RegExp(`^chromium: 1000 keys among 1000 clients: ${name}$`)
const keys = (name: string): RegExp => new RegExp(`^1000 keys to 1000 clients: ${name}$`)
const stored = (name: string): RegExp =>
  new RegExp(`^1000 keys to 1000 clients, bytes at the relay: ${name}$`)
const visit = (name: string): RegExp => new RegExp(`^first byte, ${name}$`)

/** Of both ways, the one that does worse against a goal. */
const both =
  (where: string, name: string, by: string, worse: (...values: number[]) => number) =>
  (results: Results): number | undefined => {
    const values = ['encrypt', 'decrypt'].map((operation) => {
      const line = (of: string): RegExp => new RegExp(`^${where}: ${operation} \\d+ MiB, ${of}$`)
      return quotient(line(name), line(by))(results)
    })
    return values.some((value) => value === undefined) ? undefined : worse(...(values as number[]))
  }

const OWN = 'keyferry stream'
const RAW = 'raw WebCrypto, let go'
/** The same calls, of whoever offers a stream, with no format around them. */
const RAW_STREAM = 'raw WebCrypto, stream'

export const GOALS: readonly Goal[] = [
  {
    work: 'rotate a keyring: growth by members',
    bound: { most: 0.05 },
    measured: growth('rotation, by members'),
  },
  {
    work: '1000 new keys to 1000 members: less deriver CPU than each key for each client',
    bound: { least: 1_000 },
    measured: ratio(keys('each key for each client')),
  },
  {
    work: 'the same, bytes at the relay, with the welcomes that each device gets once',
    bound: { least: 120 },
    measured: quotient(
      stored('each key for each client'),
      stored('keyferry, with the welcome of each device'),
    ),
  },
  {
    work: 'the same, bytes at the relay, without them',
    bound: { least: 500 },
    measured: ratio(stored('each key for each client')),
  },
  {
    work: 'the same: less deriver CPU than jose',
    bound: { least: 25 },
    measured: ratio(keys('jose')),
  },
  {
    work: 'the same: less deriver CPU than openpgp',
    bound: { least: 25 },
    measured: ratio(keys('openpgp')),
  },
  {
    work: 'the same: less deriver CPU than age',
    bound: { least: 35 },
    measured: ratio(keys('age')),
  },
  {
    work: 'seal a welcome (X-Wing), of bare public-key operations',
    bound: { most: 1.5 },
    measured: ratio(/^seal a welcome \(X-Wing\)$/),
  },
  {
    work: 'revoke, per remaining member, of bare AES-KW + SHA-256',
    bound: { most: 5 },
    measured: ratio(/^revoke, per remaining member of \d+$/),
  },
  {
    work: 'revoke, per remaining member of 100,000, microseconds elapsed',
    bound: { most: 10 },
    measured: (results) => {
      const line = last(results, /^revoke, per remaining member of 100000, elapsed$/)
      return line && 1_000 * figureOf(line)
    },
    // The bare operations of the same run, of which each member takes these at least.
    alone: (results) => {
      const line = last(results, /^revoke, per remaining member of 100000$/)
      return line && (1_000 * figureOf(line)) / line.ratio
    },
  },
  {
    work: 'client in Chromium: 1000 keys verified and the current one ready, of Ed25519 + SHA-256',
    bound: { most: 5 },
    measured: quotient(page('keyferry'), page('Ed25519 \\+ SHA-256 of the bundle')),
    alone: quotient(
      page('what the platform alone takes'),
      page('Ed25519 \\+ SHA-256 of the bundle'),
    ),
  },
  {
    work: 'the same: faster than jose',
    bound: { least: 3 },
    measured: ratio(page('jose')),
    ...aloneBeside('jose'),
  },
  {
    work: 'the same: faster than openpgp',
    bound: { least: 50 },
    measured: ratio(page('openpgp')),
    ...aloneBeside('openpgp'),
  },
  {
    work: 'the same: faster than age',
    bound: { least: 200 },
    measured: ratio(page('age')),
    ...aloneBeside('age'),
  },
  {
    work: 'bytes a client loads more when members double',
    bound: { most: 32 },
    measured: perDoubling,
  },
  {
    work: '64 MiB stream in Chromium, of raw WebCrypto',
    bound: { most: 1.25 },
    measured: both('chromium', OWN, RAW, Math.max),
    alone: both('chromium', RAW_STREAM, RAW, Math.max),
  },
  {
    work: '64 MiB stream in Chromium, of raw WebCrypto as a stream',
    bound: { most: 1.25 },
    measured: both('chromium', OWN, RAW_STREAM, Math.max),
  },
  {
    work: '64 MiB stream in Node, of raw WebCrypto',
    bound: { most: 1.25 },
    measured: both('node', OWN, RAW, Math.max),
  },
  {
    work: '64 MiB stream in Chromium: faster than age',
    bound: { least: 4 },
    measured: both('chromium', 'age stream', OWN, Math.min),
    alone: both('chromium', 'age stream', RAW_STREAM, Math.min),
  },
  {
    work: '64 MiB stream in Chromium: faster than openpgp',
    bound: { least: 4 },
    measured: both('chromium', 'openpgp stream', OWN, Math.min),
  },
  {
    work: '64 MiB stream in Node: faster than age',
    bound: { least: 2 },
    measured: both('node', 'age stream', OWN, Math.min),
  },
  {
    work: '64 MiB stream in Node: decrypts faster than openpgp',
    bound: { least: 1.2 },
    measured: ratio(/^node: decrypt \d+ MiB, openpgp stream$/),
  },
  {
    work: 'path of three (P-256): faster than @peculiar/x509',
    bound: { least: 3 },
    measured: ratio(/^path, P-256: @peculiar/),
  },
  {
    work: 'path of three (P-256), of bare signature checks in OpenSSL',
    bound: { most: 3 },
    measured: quotient(
      /^path, P-256: keyferry$/,
      /^path, P-256: bare signature checks \(OpenSSL\)$/,
    ),
  },
  {
    work: 'path of three (P-256), of bare signature checks by WebCrypto, as a page has them',
    bound: { most: 3 },
    measured: quotient(
      /^path, P-256: keyferry$/,
      /^path, P-256: bare signature checks \(WebCrypto\)$/,
    ),
  },
  {
    work: 'relay: a delivery, of a bare route in the same worker',
    bound: { most: 6 },
    measured: ratio(/^relay CPU: delivery, signed/),
  },
  {
    work: 'relay: nothing new, of a bare route in the same worker',
    bound: { most: 2.5 },
    measured: ratio(/^relay CPU: nothing new, signed/),
  },
  {
    work: 'a new key in a page just loaded: round trips, preflights counted',
    bound: { most: 2 },
    measured: trips(VISITS.cold),
  },
  {
    work: 'the same, p50 of a bare round trip',
    bound: { most: 5 },
    measured: ratio(visit(VISITS.cold)),
  },
  {
    work: 'a new key in an open page, p50 of a bare round trip',
    bound: { most: 5 },
    measured: ratio(visit(VISITS.warm)),
  },
  {
    work: 'push of a revocation among 10,000 members, milliseconds of a relay’s CPU',
    bound: { most: 50 },
    measured: (results) => {
      const line = last(results, /^relay CPU: a revocation among 10000 members/)
      return line && figureOf(line)
    },
  },
  {
    work: 'bytes of the client with gzip',
    bound: { most: 30_000 },
    measured: ({ size }) => size.client,
  },
]
