/** How a relay's cost grows: with tenants, with stored members, with sockets; and what a revocation among many members costs it. CPU of workerd. */
import { setTimeout } from 'node:timers/promises'
import { paths, SUBPROTOCOL, TEXT_TYPE } from '../../shared/api.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { signBody } from '../../shared/credentials.ts'
import { type Signer } from '../../shared/http-signature.ts'
import { MAX_BATCH } from '../../shared/limits.ts'
import { signTicket } from '../../shared/ticket.ts'
import { enrol, pushHead, toJson, upload } from '../lib/calls.ts'
import { makeKeyring, publish, type Keyring } from '../lib/publication.ts'
import {
  issueSigner,
  makeClient,
  makeWorld,
  seconds,
  uriOf,
  type Client,
  type World,
} from '../lib/world.ts'
import { lineOf, median, type Line } from './measure.ts'
import { withRelay, type Measured } from './workerd.ts'

/** Calls at a time. */
const CALLERS = 8
/** Sockets of one certificate, at most. */
const SOCKETS_EACH = 8

interface Site {
  world: World
  /** Hash of the head that the relay has. */
  head: Bytes
  client: Client
  keyring: Keyring
}

/** A tenant with so many members, and a head. */
async function makeSite(relay: Measured, members: number): Promise<Site> {
  const world = await makeWorld()
  const client = await makeClient(world, 'bench')
  const keyring = makeKeyring('bench', [client], members - 1)
  await enrol(relay, world)
  const publication = await publish(world, [keyring])
  await uploadAll(relay, world, publication.objects)
  const answer = await pushHead(relay, world, publication, null)
  if (answer.status !== 204) throw new Error(`the relay answers ${answer.status}`)
  return { world, client, keyring, head: publication.headHash }
}

/** In batches of what one call may have; returns how many there were. */
async function uploadAll(
  relay: Measured,
  world: World,
  objects: readonly Bytes[],
): Promise<number> {
  const batches: Bytes[][] = []
  let size = MAX_BATCH
  for (const object of objects) {
    size += object.length + 4
    if (size > MAX_BATCH) {
      batches.push([])
      size = object.length + 4
    }
    batches.at(-1)!.push(object)
  }
  for (const batch of batches) {
    const answer = await upload(relay, world, batch)
    if (answer.status !== 204) throw new Error(`the relay answers ${answer.status}`)
  }
  return batches.length
}

async function deliver(relay: Measured, { world, client, keyring }: Site): Promise<void> {
  const have = { catalog: 0, head: '', objects: [], trust: 1 }
  const ask = { have, keyrings: [keyring.id], package: client.packageHash, slots: [0] }
  const body = toJson({ call: 'delivery', ...ask })
  const url = new URL(paths.calls(world.tenant), relay.url)
  const posted = await signBody({ method: 'POST', url, body }, client.signer, seconds())
  const headers = { 'content-type': TEXT_TYPE }
  const response = await relay.fetch(url, { method: 'POST', body: posted, headers })
  await response.arrayBuffer()
  if (!response.ok) throw new Error(`the relay answers ${response.status}`)
}

/** CPU milliseconds of one of so many deliveries, round the tenants; `null` where it cannot be measured. */
async function costOf(
  relay: Measured,
  sites: readonly Site[],
  count: number,
): Promise<{ cpu: number; perSecond: number } | null> {
  let left = count
  const before = relay.cpu()
  const start = performance.now()
  const caller = async (): Promise<void> => {
    while (left-- > 0) await deliver(relay, sites[left % sites.length]!)
  }
  await Promise.all(Array.from({ length: CALLERS }, caller))
  const [after, time] = [relay.cpu(), performance.now() - start]
  if (before === null || after === null) return null
  return { cpu: (after - before) / count, perSecond: (1_000 * count) / time }
}

/** One line for each size, interleaved over the rounds; none where there is no /proc. */
async function curve(
  relay: Measured,
  what: string,
  groups: readonly (readonly [size: number, sites: readonly Site[]])[],
  rounds: number,
  count: number,
): Promise<Line[]> {
  const costs = groups.map(() => [] as number[])
  const rates = groups.map(() => [] as number[])
  // Every tenant once: what is read first is read from the disk.
  for (const [, sites] of groups) for (const site of sites) await deliver(relay, site)
  for (let round = 0; round < rounds; round++) {
    for (const [i, [, sites]] of groups.entries()) {
      const cost = await costOf(relay, sites, count)
      if (cost === null) return []
      costs[i]!.push(cost.cpu)
      rates[i]!.push(cost.perSecond)
    }
  }
  return groups.map(([size], i) =>
    lineOf(
      `relay CPU: delivery, ${what} ${size}, ${median(rates[i]!).toFixed(0)}/s`,
      costs[i]!,
      costs[0]!,
      `${what} ${groups[0]![0]}`,
      [{ curve: `a delivery at a relay, by ${what}`, x: size }],
    ),
  )
}

/** A socket and how long it took; a relay takes only so many certificates that it does not know from one address. */
async function openSocket(
  address: URL,
  url: URL,
  signer: Signer,
): Promise<{ socket: WebSocket; milliseconds: number }> {
  for (let left = 15; ; left--) {
    const start = performance.now()
    const socket = new WebSocket(address, [SUBPROTOCOL, await signTicket(url, signer, seconds())])
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.addEventListener('open', () => resolve(true))
      socket.addEventListener('error', () => resolve(false))
    })
    if (isOpen) return { socket, milliseconds: performance.now() - start }
    if (left === 0) throw new Error('no socket opens')
    await setTimeout(1_000)
  }
}

/** Milliseconds from a push to its notice at the last of so many sockets, and CPU for each of them. */
async function benchFanOut(relay: Measured, count: number, rounds: number): Promise<Line[]> {
  const site = await makeSite(relay, 1)
  const { world } = site
  const url = new URL(paths.events(world.tenant), relay.url)
  const address = new URL(url)
  address.protocol = 'ws:'
  const sockets: WebSocket[] = []
  let signer: Signer | undefined
  const opened: number[] = []
  for (let i = 0; i < count; i++) {
    if (i % SOCKETS_EACH === 0)
      signer = await issueSigner(world.cas.client, uriOf('client', `c${i}`), world.now)
    const { socket, milliseconds } = await openSocket(address, url, signer!)
    opened.push(milliseconds)
    sockets.push(socket)
  }
  const [times, costs]: [number[], number[]] = [[], []]
  for (let round = 0; round < rounds; round++) {
    const told = sockets.map(
      (socket) =>
        new Promise((resolve) => socket.addEventListener('message', resolve, { once: true })),
    )
    const next = await publish(world, [site.keyring], { version: round + 2 })
    const before = relay.cpu()
    const start = performance.now()
    const pushed = await pushHead(relay, world, next, site.head)
    if (pushed.status !== 204) throw new Error(`the relay answers ${pushed.status}`)
    await Promise.all(told)
    times.push(performance.now() - start)
    const after = relay.cpu()
    if (before !== null && after !== null) costs.push((after - before) / count)
    site.head = next.headHash
  }
  for (const socket of sockets) socket.close()
  const tenth = Math.max(1, Math.floor(count / 10))
  const [early, late] = [median(opened.slice(0, tenth)), median(opened.slice(-tenth))]
  return [
    {
      name: `relay latency: a head at the last of ${count} sockets`,
      milliseconds: median(times),
      ratio: median(times) / count,
      against: 'ms for each socket',
    },
    ...(costs.length === 0
      ? []
      : [
          {
            name: `relay CPU: a head, for each of ${count} sockets`,
            milliseconds: median(costs),
            ratio: 1,
            against: 'itself',
          },
        ]),
    {
      name: `relay latency: opening the last tenth of ${count} sockets`,
      milliseconds: late,
      ratio: late / early,
      against: 'the first tenth',
    },
  ]
}

/** What a revocation among so many members costs: all of their leaves are new. One transaction for each batch of objects, one for the head. */
async function benchRevocation(relay: Measured, members: number, rounds: number): Promise<Line[]> {
  const site = await makeSite(relay, members)
  const { world, keyring } = site
  const costs: { objects: number; head: number }[] = []
  let [batches, bytes] = [0, 0]
  for (let round = 0; round < rounds; round++) {
    keyring.generation++
    keyring.crowd = makeKeyring('next', [], members - 2 - round).crowd
    const next = await publish(world, [keyring], { version: round + 2, catalogNumber: round + 2 })
    bytes = next.objects.reduce((sum, { length }) => sum + length, 0)
    const start = relay.cpu()
    batches = await uploadAll(relay, world, next.objects)
    const between = relay.cpu()
    const answer = await pushHead(relay, world, next, site.head)
    if (answer.status !== 204) throw new Error(`the relay answers ${answer.status}`)
    const end = relay.cpu()
    site.head = next.headHash
    if (start === null || between === null || end === null) return []
    costs.push({ objects: between - start, head: end - between })
  }
  // A jiffy is 10 ms: means say more than medians.
  const mean = (of: (one: (typeof costs)[number]) => number): number =>
    costs.reduce((sum, one) => sum + of(one), 0) / costs.length
  const all = mean(({ objects, head }) => objects + head)
  return [
    [`a revocation among ${members} members, ${(bytes / 1_000).toFixed(0)} kB`, all],
    [`its objects, transactions: ${batches}`, mean(({ objects }) => objects)],
    ['its head, transactions: 1', mean(({ head }) => head)],
  ].map(([name, milliseconds]) => ({
    name: `relay CPU: ${name}`,
    milliseconds: Number(milliseconds),
    ratio: Number(milliseconds) / all,
    against: 'all of it',
  }))
}

/** All of it; `quick` with fewer and smaller ones. */
export async function benchScale(quick: boolean): Promise<Line[]> {
  const [rounds, count] = quick ? [3, 200] : [7, 500]
  return withRelay(async (relay) => {
    const lines: Line[] = []
    const tenants: Site[] = []
    const counts = quick ? [1, 10] : [1, 10, 100]
    while (tenants.length < counts.at(-1)!) tenants.push(await makeSite(relay, 10))
    const stored: [number, Site[]][] = []
    for (const members of quick ? [100, 10_000] : [100, 1_000, 10_000, 100_000])
      stored.push([members, [await makeSite(relay, members)]])
    for (const [what, groups] of [
      ['tenants', counts.map((n) => [n, tenants.slice(0, n)] as const)],
      ['stored members', stored],
    ] as const)
      lines.push(...(await curve(relay, what, groups, rounds, count)))
    lines.push(...(await benchRevocation(relay, 10_000, quick ? 5 : 20)))
    lines.push(...(await benchFanOut(relay, quick ? 200 : 2_000, rounds)))
    return lines
  })
}
