/** A hostile way between a client that is another program and a real relay: it changes what the relay answers. */
import { createServer, request, type IncomingMessage } from 'node:http'
import { type AddressInfo } from 'node:net'
import { callOf } from './client-call.ts'

/** Changes the body of an answer. */
export type Bend = (body: Buffer) => Buffer

export interface BendingProxy {
  url: string
  /** For deliveries, answers of status 200; null for none. */
  bend: Bend | null
  /** The last delivery as the relay gave it. */
  last: Buffer | null
  stop(): Promise<void>
}

async function readAll(message: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of message) parts.push(part as Buffer)
  return Buffer.concat(parts)
}

/** Starts a proxy on loopback. The `Host` stays that of the proxy: it is signed. */
export async function startBendingProxy(relay: string): Promise<BendingProxy> {
  const { hostname, port } = new URL(relay)
  const server = createServer((incoming, outgoing) => {
    const { method = 'GET', url = '/', headers } = incoming
    const asked = readAll(incoming)
    const onward = request({ hostname, port, path: url, method, headers }, (answer) => {
      void Promise.all([asked, readAll(answer)]).then(([sent, body]) => {
        const isDelivery = answer.statusCode === 200 && callOf(url, { body: sent }) === 'delivery'
        if (isDelivery) proxy.last = body
        const own = isDelivery && proxy.bend !== null ? proxy.bend(body) : body
        const type = answer.headers['content-type']
        outgoing.writeHead(
          answer.statusCode ?? 500,
          type === undefined ? {} : { 'content-type': type },
        )
        outgoing.end(own)
      })
    })
    onward.once('error', () => outgoing.destroy())
    void asked.then((body) => onward.end(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const proxy: BendingProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bend: null,
    last: null,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return proxy
}
