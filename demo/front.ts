/**
 * The relay's door in the demo: what clients talk to. It passes everything on to the Worker as it is, and lets the insider answer deliveries.
 */
import { createServer, request as call, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { type Duplex } from 'node:stream'
import { OCTETS_TYPE } from '../shared/api.ts'
import { base64url, utf8, type Bytes } from '../shared/bytes.ts'
import { callSchema } from '../shared/client-calls.ts'
import { readSignedBody } from '../shared/credentials.ts'
import { decodeDelivery } from '../shared/delivery.ts'
import { encodeDelivery } from '../shared/encode-delivery.ts'
import { type CallSignature } from '../shared/http-signature.ts'
import { parseJson } from '../shared/json.ts'
import { MAX_BATCH, MAX_REQUEST } from '../shared/limits.ts'
import { parseCertificate } from '../shared/x509.ts'
import { hintsOnly } from './frames.ts'
import { readBody } from './http.ts'
import { type Bent, type Insider } from './insider.ts'

/** What the door is made of. `relay` is the Worker's address. */
export interface FrontOptions {
  relay: string
  port: number
  insider: Insider
}

/** A running door. */
export interface Front {
  readonly url: string
  stop(): Promise<void>
}

interface Answer {
  status: number
  headers: IncomingMessage['headers']
  body: Bytes
}

/** Headers that belong to one connection or one body. */
const OWN_HEADERS = ['connection', 'content-length', 'keep-alive', 'transfer-encoding']

/** The last part of the URI in a client's certificate. */
function nameOf({ certificates: [first] }: CallSignature): string {
  const [uri = ''] = parseCertificate(first!).uris
  return uri.slice(uri.lastIndexOf('/') + 1)
}

/** The body of a delivery, also of one whose head is none. */
export function writeBent({ catalog, head, refusals, trust, ...objects }: Bent): Bytes {
  const toJson = (value: object): Bytes =>
    utf8(
      JSON.stringify(value, (_, one: unknown) =>
        one instanceof Uint8Array ? base64url(one) : one,
      ),
    )
  return encodeDelivery({
    ...objects,
    catalog: catalog && toJson(catalog),
    head: toJson(head),
    refusals: refusals.map(toJson),
    trust: trust.map(toJson),
  })
}

/** Asks the Worker. The host stays: the client has signed it. */
function forward(port: number, request: IncomingMessage, body: Buffer): Promise<Answer> {
  const { method, url: path, headers } = request
  return new Promise((resolve, reject) => {
    const sent = { ...headers, 'accept-encoding': 'identity' }
    const outgoing = call({ host: '127.0.0.1', port, method, path, headers: sent }, (response) => {
      readBody(response, MAX_BATCH)
        .then((read) => {
          const { statusCode: status = 502, headers: received } = response
          resolve({ status, headers: received, body: new Uint8Array(read) })
        })
        .catch(reject)
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

/** The answer to a delivery as the insider wants it; any other answer as it is. */
async function bent(
  insider: Insider,
  request: IncomingMessage,
  asked: Buffer,
  answer: Answer,
): Promise<Answer> {
  const { status } = answer
  if (request.method !== 'POST' || request.url?.endsWith('/calls') !== true) return answer
  if (status !== 200 && status !== 204) return answer
  const url = new URL(request.url, 'http://relay')
  // The signature is the Worker's to check.
  const { signature, body } = await readSignedBody({
    method: 'POST',
    url,
    body: new Uint8Array(asked),
  })
  const ask = callSchema(parseJson(body, MAX_REQUEST), '')
  if (ask.call !== 'delivery') return answer
  const honest = status === 204 ? null : decodeDelivery(answer.body)
  const given = await insider.answer(nameOf(signature), ask, honest)
  if (given === honest) return answer
  const { 'content-type': _, ...headers } = answer.headers
  return given === null
    ? { status: 204, headers, body: new Uint8Array() }
    : { status: 200, headers: { ...headers, 'content-type': OCTETS_TYPE }, body: writeBent(given) }
}

/** Opens the door. */
export async function startFront({ relay, port, insider }: FrontOptions): Promise<Front> {
  const behind = Number(new URL(relay).port)
  const tunnels = new Set<Duplex>()

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request, MAX_BATCH)
    const answer = await bent(insider, request, body, await forward(behind, request, body))
    for (const [name, value] of Object.entries(answer.headers)) {
      if (value !== undefined && !OWN_HEADERS.includes(name)) response.setHeader(name, value)
    }
    response.writeHead(answer.status)
    response.end(answer.body)
  }

  /** A WebSocket goes through, but for deliveries: those are the insider's to answer. */
  function tunnel(request: IncomingMessage, socket: Duplex, first: Buffer): void {
    const lines = request.rawHeaders.flatMap((name, i, all) =>
      i % 2 === 0 && name.toLowerCase() !== 'sec-websocket-extensions'
        ? [`${name}: ${all[i + 1]}`]
        : [],
    )
    const upstream: Socket = connect(behind, '127.0.0.1', () => {
      upstream.write([`GET ${request.url} HTTP/1.1`, ...lines, '', ''].join('\r\n'))
      upstream.write(first)
      socket.pipe(upstream).pipe(hintsOnly()).pipe(socket)
    })
    for (const [one, other] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      tunnels.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => {
        tunnels.delete(one)
        other.destroy()
      })
    }
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      process.stderr.write(`relay: ${String(error)}\n`)
      if (response.headersSent) response.destroy()
      else response.writeHead(502).end()
    })
  })
  server.on('upgrade', tunnel)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop() {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
      for (const one of tunnels) one.destroy()
      server.closeAllConnections()
      return closed
    },
  }
}
