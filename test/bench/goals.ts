/** What Keyferry wants to be, as ratios of one run: `npm run bench -- --check` fails where one is missed. */
import { curvesOf, exponent, figureOf, type Line } from './measure.ts'

/** A goal, and how what was measured is read for it. */
export interface Goal {
  work: string
  /** `most` is an upper bound, `least` a lower one. */
  bound: { most: number } | { least: number }
  /** What was measured; `undefined` where this run has no figure for it. */
  measured: (results: Results) => number | undefined
}

/** What the goals are read from. */
export interface Results {
  lines: readonly Line[]
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

/** How many times the second is in the first. */
const quotient =
  (name: RegExp, by: RegExp) =>
  (results: Results): number | undefined => {
    const [one, other] = [last(results, name), last(results, by)]
    return one && other && figureOf(one) / figureOf(other)
  }

const growth =
  (curve: string) =>
  ({ lines }: Results): number | undefined => {
    const points = curvesOf(lines).get(curve)
    return points && exponent(points)
  }

/** Bytes that a client loads more when there are twice as many clients. */
function perDoubling({ lines }: Results): number | undefined {
  const sizes = lines.filter(({ name }) =>
    /^chromium: .* bytes a client loads: keyferry$/.test(name),
  )
  const [one, two] = [sizes.at(-2), sizes.at(-1)]
  return one && two && figureOf(two) - figureOf(one)
}

const page = (name: string): RegExp =>
  new RegExp(`^chromium: 1000 keys among \\d+ clients: ${name}`)
const keys = (name: string): RegExp => new RegExp(`^1000 keys to \\d+ clients: ${name}`)
const stored = (name: string): RegExp =>
  new RegExp(`^1000 keys to \\d+ clients, bytes at the relay: ${name}`)

export const GOALS: readonly Goal[] = [
  {
    work: 'rotate a keyring: growth by members',
    bound: { most: 0.05 },
    measured: growth('rotation, by members'),
  },
  {
    work: '1000 keys to the members of a keyring: less deriver CPU than each key for each client',
    bound: { least: 1_000 },
    measured: ratio(keys('each key')),
  },
  {
    work: 'the same, bytes at the relay, with the welcomes that each device gets once',
    bound: { least: 120 },
    measured: quotient(stored('each key'), stored('keyferry, with')),
  },
  {
    work: 'the same, bytes at the relay, without them',
    bound: { least: 500 },
    measured: ratio(stored('each key')),
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
    measured: ratio(/^seal a welcome/),
  },
  {
    work: 'revoke, per remaining member, of bare AES-KW + SHA-256',
    bound: { most: 5 },
    measured: ratio(/^revoke, per remaining member/),
  },
  {
    work: 'client in Chromium, a new bundle of 1000 keys, of Ed25519 + SHA-256',
    bound: { most: 5 },
    measured: quotient(page('keyferry'), page('Ed25519')),
  },
  { work: 'the same: faster than jose', bound: { least: 3 }, measured: ratio(page('jose')) },
  { work: 'the same: faster than openpgp', bound: { least: 50 }, measured: ratio(page('openpgp')) },
  { work: 'the same: faster than age', bound: { least: 200 }, measured: ratio(page('age')) },
  {
    work: 'bytes a client loads more when members double',
    bound: { most: 48 },
    measured: perDoubling,
  },
  {
    work: 'encrypt 64 MiB in Chromium, of raw WebCrypto',
    bound: { most: 1.25 },
    measured: ratio(/^chromium: encrypt 64 MiB, keyferry one-shot/),
  },
  {
    work: 'the same: faster than age',
    bound: { least: 4 },
    measured: ratio(/^chromium: encrypt 64 MiB, age/),
  },
  {
    work: 'the same: faster than openpgp',
    bound: { least: 4 },
    measured: ratio(/^chromium: encrypt 64 MiB, openpgp$/),
  },
  {
    work: 'encrypt 64 MiB in Node: faster than age',
    bound: { least: 2 },
    measured: ratio(/^node: encrypt 64 MiB, age/),
  },
  {
    work: 'decrypt 64 MiB in Node: faster than openpgp',
    bound: { least: 1.2 },
    measured: ratio(/^node: decrypt 64 MiB, openpgp$/),
  },
  {
    work: 'path of three (P-256): faster than @peculiar/x509',
    bound: { least: 3 },
    measured: ratio(/^path, P-256: @peculiar/),
  },
  {
    work: 'path of three (P-256), of bare signature checks',
    bound: { most: 3 },
    measured: (results) => {
      const bare = ratio(/^path, P-256: bare signature checks \(WebCrypto\)/)(results)
      return bare && 1 / bare
    },
  },
  {
    work: 'a delivery, of a bare route in the same worker',
    bound: { most: 6 },
    measured: ratio(/^relay CPU: delivery/),
  },
  {
    work: 'bytes of the client with gzip',
    bound: { most: 30_000 },
    measured: ({ size }) => size.client,
  },
]

/** A goal with what was measured. */
export interface Verdict {
  work: string
  goal: string
  measured: number
  isMet: boolean
}

/** The goals that this run has figures for. */
export function judge(results: Results): Verdict[] {
  return GOALS.flatMap(({ work, bound, measured }) => {
    const value = measured(results)
    if (value === undefined) return []
    const isMost = 'most' in bound
    const limit = isMost ? bound.most : bound.least
    const isMet = isMost ? value <= limit : value >= limit
    return [{ work, goal: `${isMost ? '≤' : '≥'} ${limit}`, measured: value, isMet }]
  })
}
