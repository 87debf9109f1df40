/** Nodes of a cluster of plain workerd over one bucket. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { buildRelay, serve, type Served } from '../lib/workerd.ts'
import { startBucket, type Bucket } from './bucket.ts'

const CREDENTIALS = { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' }

/** Whether this machine has a workerd with cluster mode. */
export function hasCluster(): boolean {
  const machine = process.arch === 'x64' ? '64' : process.arch
  const { resolve } = createRequire(import.meta.url)
  try {
    return existsSync(resolve(`workerd-cluster-linux-${machine}/bin/workerd`))
  } catch {
    return false
  }
}

export interface Cluster {
  bucket: Bucket
  nodes: Served[]
  /** Starts a node on a directory of its own; the same name again finds what it left there. */
  start(name: string): Promise<Served>
  /** The node that owns the largest database in the bucket: that of the tenant. */
  owner(): Served | undefined
  close(): Promise<void>
}

/** Builds the relay in `directory`, and starts a bucket. `divisor` makes leases so many times shorter than their 20 s. */
export async function startCluster(directory: string, divisor = 1): Promise<Cluster> {
  const out = join(directory, 'relay')
  await buildRelay(out, '--cluster', 's3://relay/one')
  const config = join(out, 'relay.capnp')
  if (divisor !== 1)
    writeFileSync(
      config,
      readFileSync(config, 'utf8').replace(
        'cluster = (',
        `cluster = (unsafeTimeDivisor = ${divisor}, `,
      ),
    )
  const keys = join(directory, 'keys')
  mkdirSync(keys)
  writeFileSync(join(keys, 'cluster.key'), 'a key of a cluster that runs on loopback only')
  const bucket = await startBucket()
  const nodes: Served[] = []
  return {
    bucket,
    nodes,
    async start(name) {
      const args = ['--experimental', '-I', keys, '--cluster-addr', '127.0.0.1:0']
      const env = { ...CREDENTIALS, AWS_ENDPOINT_URL: bucket.url, AWS_REGION: 'auto' }
      const node = await serve(out, join(directory, name), { args, env })
      nodes.push(node)
      return node
    },
    owner() {
      const all = [...bucket.objects]
      const read = (name: string): Record<string, string> =>
        JSON.parse(bucket.objects.get(name)!.body.toString()) as Record<string, string>
      const sizes = all
        .filter(([name]) => name.endsWith('/own.json'))
        .map(([name]) => {
          const own = all.filter(([other]) => other.startsWith(name.replace('own.json', '')))
          return { name, size: own.reduce((sum, [, { body }]) => sum + body.length, 0) }
        })
      const [largest] = sizes.toSorted((a, b) => b.size - a.size)
      if (largest === undefined) return undefined
      const record = all.find(([name]) =>
        name.endsWith(`/nodes/${read(largest.name)['node']}.json`),
      )
      const address = record && read(record[0])['address']
      return nodes.find(({ clusterPort }) => address === `127.0.0.1:${clusterPort}`)
    },
    async close() {
      await Promise.all(nodes.map((node) => node.end('SIGKILL')))
      await bucket.close()
    },
  }
}
