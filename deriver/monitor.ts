/** Serves `/metrics` and `/health` without a login: numbers, addresses of relays, and nothing of keyrings or clients. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { isIP } from 'node:net'
import { readHealth } from './health.ts'
import { listenAt } from './listen-at.ts'
import { metricsText, type EventCounts } from './metrics.ts'
import { type Store } from './store.ts'

/** How to start it. */
export interface MonitorOptions {
  store: Store
  host: string
  /** 0 takes a free one. */
  port: number
  /** Names by which it is asked, besides addresses and localhost. */
  hosts: readonly string[]
  counts: EventCounts
  isStandby: () => boolean
  now: () => number
}

/** A running one. */
export interface Monitor {
  readonly url: string
  stop(): Promise<void>
}

/** A name that somebody else gave this address is not answered: a page of theirs could read here. */
function isOwnName(header: string | undefined, hosts: readonly string[]): boolean {
  const name = (header ?? '').replace(/:\d+$/, '').toLowerCase()
  return name === 'localhost' || isIP(name.replace(/^\[|\]$/g, '')) !== 0 || hosts.includes(name)
}

async function answer(
  { store, hosts, counts, isStandby, now }: MonitorOptions,
  { method, url, headers }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const send = (status: number, type: string, body: string): void => {
    response.writeHead(status, {
      'content-type': type,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    })
    response.end(body)
  }
  if (!isOwnName(headers.host, hosts)) return send(403, 'text/plain', 'not this host\n')
  if (method !== 'GET' && method !== 'HEAD') return send(405, 'text/plain', 'GET\n')
  const path = (url ?? '').split('?')[0]
  if (path === '/health') {
    const health = readHealth(store, now(), isStandby())
    return send(
      health.status === 'failing' ? 503 : 200,
      'application/json',
      `${JSON.stringify(health)}\n`,
    )
  }
  if (path !== '/metrics') return send(404, 'text/plain', '/metrics or /health\n')
  send(
    200,
    'text/plain; version=0.0.4; charset=utf-8',
    await metricsText(store, counts, isStandby(), now()),
  )
}

/** Starts it. Throws `ERR_IO` for an address that is taken. */
export async function startMonitor(options: MonitorOptions): Promise<Monitor> {
  const { host, port } = options
  const server = createServer((request, response) => {
    answer(options, request, response).catch(() => {
      if (!response.headersSent) response.writeHead(500)
      response.end()
    })
  })
  server.requestTimeout = 10_000
  const taken = await listenAt(server, host, port)
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${taken}/`,
    stop() {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
      server.closeAllConnections()
      return closed
    },
  }
}
