/** What a delivery costs a relay against a bare hono route in the same worker: CPU of workerd, requests interleaved in rounds. */

import { paths, TEXT_TYPE } from '../../shared/api.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { signBody } from '../../shared/credentials.ts'
import { sha256 } from '../../shared/hash.ts'
import { askDelivery, enrol, pushAll, readDelivery, toJson, type Relay } from '../lib/calls.ts'
import { makeKeyring, publish } from '../lib/publication.ts'
import { makeClient, makeWorld, seconds } from '../lib/world.ts'
import { lineOf, median, type Line } from './measure.ts'
import { withRelay } from './workerd.ts'

type Send = () => Promise<Response>

const post = (url: URL, body: Bytes): Promise<Response> =>
  fetch(url, { method: 'POST', body, headers: { 'content-type': TEXT_TYPE } })

async function load(send: Send, count: number): Promise<void> {
  let left = count
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const response = await send()
      await response.arrayBuffer()
      if (!response.ok) throw new Error(`the relay answers ${response.status}`)
    }
  }
  await Promise.all(Array.from({ length: 8 }, worker))
}

/** Milliseconds of each of so many calls, one after the other. */
async function latencies(send: Send, count: number): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < count; i++) {
    const start = performance.now()
    await (await send()).arrayBuffer()
    times.push(performance.now() - start)
  }
  return times
}

/** How long a delivery of one tenant takes while another one floods over eight connections: both share a process and its one thread here, so that at most eight calls are before it. */
async function benchFlood(
  relay: Relay,
  flood: Send,
  rounds: number,
  count: number,
): Promise<Line[]> {
  const world = await makeWorld()
  const client = await makeClient(world, 'quiet')
  const keyring = makeKeyring('quiet', [client])
  await enrol(relay, world)
  await pushAll(relay, world, await publish(world, [keyring]), null)
  const have = { catalog: 0, head: '', objects: [], trust: 1 }
  const ask = { have, keyrings: [keyring.id], package: client.packageHash, slots: [0] }
  const body = toJson({ call: 'delivery', ...ask })
  const url = new URL(paths.calls(world.tenant), relay.url)
  const quiet: Send = async () => {
    return post(url, await signBody({ method: 'POST', url, body }, client.signer, seconds()))
  }
  const [alone, flooded]: [number[], number[]] = [[], []]
  for (let round = 0; round < rounds; round++) {
    alone.push(median(await latencies(quiet, count / 10)))
    const flooding = load(flood, count)
    flooded.push(median(await latencies(quiet, count / 20)))
    await flooding
  }
  return [
    lineOf('relay latency: delivery, alone', alone, alone, 'alone'),
    lineOf('relay latency: delivery, while another tenant floods', flooded, alone, 'alone'),
  ]
}

/** Delivery and not-modified against a bare route, in a tenant with so many members of one keyring. */
export async function benchRelay(members: number, rounds: number, count: number): Promise<Line[]> {
  return withRelay(async (relay) => {
    const world = await makeWorld()
    const client = await makeClient(world, 'bench')
    const keyring = makeKeyring('bench', [client], members - 1)
    const publication = await publish(world, [keyring])
    await enrol(relay, world)
    await pushAll(relay, world, publication, null)
    const nothing = { catalog: 0, head: '', objects: [] as Bytes[], trust: 1 }
    const ask = (have: object = nothing): Send => {
      const of = { keyrings: [keyring.id], package: client.packageHash, slots: [0] }
      const body = toJson({ call: 'delivery', have, ...of })
      const url = new URL(paths.calls(world.tenant), relay.url)
      return async () => {
        return post(url, await signBody({ method: 'POST', url, body }, client.signer, seconds()))
      }
    }
    const kinds: [string, Send][] = [
      ['bare hono route', () => fetch(new URL('/bare', relay.url), { method: 'POST', body: 'x' })],
      [`delivery, signed, ${members} members`, ask()],
    ]
    const { keyrings } = readDelivery(await askDelivery(relay, world, client, [keyring.id]))
    const objects = keyrings.flatMap((one) => [one.bundle, one.manifest, one.welcome].map(sha256))
    const all = { catalog: 1, head: publication.headHash, objects, trust: 1 }
    if ((await ask(all)()).status !== 204) throw new Error('the relay has something new')
    kinds.push(['nothing new, signed', ask(all)])
    const times = kinds.map(() => [] as number[])
    for (const [, send] of kinds) await load(send, 50)
    for (let round = 0; round < rounds; round++) {
      for (const [i, [, send]] of kinds.entries()) {
        const before = relay.cpu()
        await load(send, count)
        const after = relay.cpu()
        if (before === null || after === null) return []
        times[i]!.push((after - before) / count)
      }
    }
    const lines = kinds.map(([name], i) =>
      lineOf(`relay CPU: ${name}`, times[i]!, times[0]!, 'bare route'),
    )
    return [...lines, ...(await benchFlood(relay, ask(), rounds, count))]
  })
}
