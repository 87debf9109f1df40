/** What stands before the nodes of a cluster: connections go round them, and past one that takes none. */
import { connect, createServer, type Socket } from 'node:net'
import { type AddressInfo } from 'node:net'

export interface Balancer {
  url: string
  /** Ports of the nodes, in the order in which they are tried next. */
  ports: number[]
  close(): Promise<void>
}

/** Joins two sockets: what ends one ends the other. */
function pipe(one: Socket, other: Socket): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.pipe(to)
    from.on('error', () => to.destroy())
    from.on('close', () => to.destroy())
  }
}

/** Starts one on a free port. */
export async function startBalancer(ports: readonly number[]): Promise<Balancer> {
  const balancer = { ports: [...ports] }
  const open = new Set<Socket>()
  const server = createServer((client) => {
    open.add(client)
    client.on('close', () => open.delete(client))
    client.on('error', () => client.destroy())
    // Round robin.
    balancer.ports.push(balancer.ports.shift()!)
    const left = [...balancer.ports]
    const next = (): void => {
      const port = left.shift()
      if (port === undefined) return void client.destroy()
      const node = connect(port, '127.0.0.1')
      node.once('error', next)
      node.once('connect', () => {
        node.off('error', next)
        pipe(client, node)
      })
    }
    next()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get ports() {
      return balancer.ports
    },
    set ports(value) {
      balancer.ports = value
    },
    async close() {
      for (const socket of open) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
