/** Kills the node that owns a tenant under load, as often as asked, and looks at the end whether all that was acknowledged is there. */
import { type RelayReport } from '../../deriver/index.ts'
import { median } from '../bench/measure.ts'
import { LoadTenant } from '../load/tenant.ts'
import { type Member } from '../load/member.ts'
import { startBalancer } from './balancer.ts'
import { startCluster, type Cluster } from './nodes.ts'

export interface FailOverOptions {
  /** Temporary, and empty. */
  directory: string
  rounds: number
  clients: number
  /** Milliseconds of load before each kill. */
  before: number
  /** Makes leases shorter: for tests. */
  divisor: number
  say: (line: string) => void
}

/** Times are milliseconds. */
export interface FailOver {
  /** From the kill to the first head that was acknowledged after it, and to the first fetch of a client. */
  rounds: { push: number; fetch: number }[]
  heads: number
  objects: number
  /** Round trips of clients in all, and while no relay answered. */
  messages: number
  during: number
  /** A step with a push, median. */
  pushed: number
  /** What derivers were told in place of a 204. */
  errors: Record<string, number>
  bucket: { calls: Record<string, number>; objects: number; bytes: number }
  report: RelayReport
  violations: string[]
}

/** Longest that a fail-over may take; leases last 20 s. */
const LIMIT = 120_000

const wait = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds))

/** Load until it is stopped: a deriver that pushes, and clients that fetch, encrypt and decrypt. */
class Load {
  readonly #tenant: LoadTenant
  readonly #running: Promise<void>[] = []
  #isOn = true
  /** When a node was killed, and from then on the first push and the first fetch that began later and were answered; milliseconds since 1970. */
  #killed = 0
  push = 0
  fetch = 0
  messages = 0
  readonly pushes: number[] = []

  constructor(tenant: LoadTenant) {
    this.#tenant = tenant
    this.#running.push(this.#push(), ...tenant.members.map((member) => this.#use(member)))
  }

  async #push(): Promise<void> {
    while (this.#isOn) {
      this.#tenant.rotate()
      const [began, heads] = [Date.now(), this.#tenant.head]
      await this.#tenant.derivers[0]!.step()
      if (this.#tenant.head > heads) {
        this.pushes.push(Date.now() - began)
        if (this.push === 0 && began > this.#killed) this.push = Date.now()
      }
      await wait(100)
    }
  }

  async #use(member: Member): Promise<void> {
    while (this.#isOn) {
      const began = Date.now()
      const fetched = await member.attempt('fetch', () => member.client.refresh())
      if (this.fetch === 0 && 'value' in fetched && began > this.#killed) this.fetch = Date.now()
      if ((await member.roundTrip(`${member.name} ${this.messages}`)) !== undefined) this.messages++
      await wait(50)
    }
  }

  note(killed: number): void {
    this.#killed = killed
    this.push = this.fetch = 0
  }

  async stop(): Promise<void> {
    this.#isOn = false
    await Promise.all(this.#running)
  }
}

async function until(isSo: () => boolean, what: string): Promise<void> {
  const end = Date.now() + LIMIT
  while (!isSo()) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`)
    await wait(10)
  }
}

/** Starts one on ports that the balancer knows. */
async function addNode(cluster: Cluster, balancer: { ports: number[] }, name: string) {
  const node = await cluster.start(name)
  balancer.ports.push(node.port)
  return node
}

/** Two nodes with a balancer in front; the caller closes the cluster. */
async function play(cluster: Cluster, options: FailOverOptions): Promise<FailOver> {
  const { directory, clients, say } = options
  const violations: string[] = []
  const balancer = await startBalancer([])
  let tenant: LoadTenant | undefined
  let load: Load | undefined
  try {
    for (const name of ['node-1', 'node-2']) await addNode(cluster, balancer, name)
    tenant = await LoadTenant.start({
      directory: `${directory}/tenant`,
      relay: balancer.url,
      invite: 'invite',
      violate: (what) => violations.push(what),
    })
    const joining = Array.from({ length: clients }, () => tenant!.join())
    await tenant.derivers[0]!.step()
    const stepping = { on: true }
    const steps = (async () => {
      while (stepping.on) {
        await tenant.derivers[0]!.step()
        await wait(50)
      }
    })()
    await Promise.all(joining)
    stepping.on = false
    await steps
    load = new Load(tenant)
    const rounds: FailOver['rounds'] = []
    let during = 0
    for (let round = 1; round <= options.rounds; round++) {
      await wait(options.before)
      const node = cluster.owner()
      if (node === undefined) throw new Error('no node owns the tenant')
      say(`round ${round}: kill -9 of the node that owns the tenant, at head ${tenant.head}`)
      await node.end('SIGKILL')
      const [killed, messages] = [Date.now(), load.messages]
      balancer.ports = balancer.ports.filter((port) => port !== node.port)
      cluster.nodes.splice(cluster.nodes.indexOf(node), 1)
      load.note(killed)
      await until(() => load!.push > 0 && load!.fetch > 0, 'a head')
      const [push, fetch] = [load.push - killed, load.fetch - killed]
      during += load.messages - messages
      rounds.push({ push, fetch })
      say(`round ${round}: a head after ${push} ms`)
      await addNode(cluster, balancer, `node-${round + 2}`)
    }
    await wait(options.before)
    await load.stop()
    // From the bucket alone: other machines, with empty disks.
    await Promise.all(cluster.nodes.map((node) => node.end('SIGTERM')))
    cluster.nodes.length = 0
    balancer.ports = []
    await addNode(cluster, balancer, 'node-last')
    say('a node with an empty disk: fsck')
    const report = await tenant.check()
    for (const member of tenant.members) await member.client.refresh()
    const { objects } = cluster.bucket
    return {
      rounds,
      heads: tenant.acknowledged.heads.size,
      objects: tenant.acknowledged.objects.size,
      messages: load.messages,
      during,
      pushed: median(load.pushes),
      errors: Object.fromEntries(tenant.errors),
      bucket: {
        calls: Object.fromEntries(cluster.bucket.counts),
        objects: objects.size,
        bytes: [...objects.values()].reduce((sum, { body }) => sum + body.length, 0),
      },
      report,
      violations,
    }
  } finally {
    await load?.stop()
    await tenant?.close()
    await balancer.close()
  }
}

/** Throws where nothing can be measured: workerd does not start, or nothing is acknowledged within two minutes. */
export async function failOver(options: FailOverOptions): Promise<FailOver> {
  options.say('building, and starting a bucket and two nodes …')
  const cluster = await startCluster(options.directory, options.divisor)
  try {
    return await play(cluster, options)
  } finally {
    await cluster.close()
  }
}
