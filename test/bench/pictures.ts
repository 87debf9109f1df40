/** Which curves of growth stand in one picture. */
import { chart } from './chart.ts'
import { curvesOf, exponent, type Line } from './measure.ts'

/** A picture: the curves whose names begin so, with what follows as their label. */
interface Picture {
  file: string
  title: string
  x: string
  y: string
  prefix: RegExp
}

const CPU = 'milliseconds of CPU'
const TIME = 'milliseconds'

export const PICTURES: readonly Picture[] = [
  {
    file: 'growth-deriver.svg',
    title: 'CPU time of a deriver by number of members',
    x: 'members',
    y: CPU,
    prefix: /^(?=[a-z]+, by members$)/,
  },
  {
    file: 'growth-keys-by-clients.svg',
    title: 'CPU time to make 1000 keys ready for clients, by their number',
    x: 'clients',
    y: CPU,
    prefix: /^1000 keys, by clients: (?!bytes)/,
  },
  {
    file: 'growth-keys-by-keys.svg',
    title: 'CPU time to make keys ready for 1000 clients, by their number',
    x: 'keys',
    y: CPU,
    prefix: /^1000 clients, by keys: (?!bytes)/,
  },
  {
    file: 'growth-stored.svg',
    title: 'Bytes at the relay of 1000 keys, by number of clients',
    x: 'clients',
    y: 'bytes',
    prefix: /^1000 keys, by clients: bytes at the relay, /,
  },
  {
    file: 'growth-page-by-keys.svg',
    title: 'Time of a client in Chromium among 1000 clients, by number of keys',
    x: 'keys',
    y: TIME,
    prefix: /^in a page, 1000 clients, by keys: (?!bytes|keyferry:)/,
  },
  {
    file: 'growth-page-by-clients.svg',
    title: 'Time of a client in Chromium with 1000 keys, by number of clients',
    x: 'clients',
    y: TIME,
    prefix: /^in a page, 1000 keys, by clients: (?!bytes|keyferry:)/,
  },
  {
    file: 'growth-page-bytes.svg',
    title: 'Bytes that a client loads for 1000 keys, by number of clients',
    x: 'clients',
    y: 'bytes',
    prefix: /^in a page, 1000 keys, by clients: bytes a client loads, /,
  },
  {
    file: 'growth-messages-node.svg',
    title: 'Time to encrypt a message in Node, by its length',
    x: 'bytes',
    y: TIME,
    prefix: /^node: encrypt, /,
  },
  {
    file: 'growth-messages-chromium.svg',
    title: 'Time to encrypt a message in Chromium, by its length',
    x: 'bytes',
    y: TIME,
    prefix: /^chromium: encrypt, /,
  },
  {
    file: 'growth-relay.svg',
    title: 'CPU time of a relay for a delivery, by what it holds',
    x: 'tenants, or members of one keyring',
    y: CPU,
    prefix: /^a delivery at a relay, /,
  },
  {
    file: 'growth-audit.svg',
    title: 'CPU time to read an audit log, by its length',
    x: 'entries',
    y: CPU,
    prefix: /^(?=.*, by entries$)(?!a revocation)/,
  },
]

/** The pictures by file name; those of which a run has no curve are left out. */
export function pictures(lines: readonly Line[]): Map<string, string> {
  const curves = [...curvesOf(lines)]
  const made = PICTURES.flatMap(({ file, title, x, y, prefix }): [string, string][] => {
    const some = curves.flatMap(([name, points]): [string, typeof points][] => {
      if (!prefix.test(name)) return []
      const label = name.replace(prefix, '').replace(/, by (members|entries)$/, '')
      return [[`${label} (${exponent(points).toFixed(2)})`, points]]
    })
    return some.length === 0 ? [] : [[file, chart(new Map(some), title, x, y)]]
  })
  return new Map(made)
}
