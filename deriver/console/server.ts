/**
 * The console: a page and its API over a deriver's database, on the customer's side. It opens no key file and holds no key; what it changes, it changes as the
 * command line does. The relay never serves it.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { KeyferryError } from '../../shared/errors.ts'
import { keepConditions } from '../conditions.ts'
import { listenAt } from '../listen-at.ts'
import { type Store } from '../store.ts'
import { endAccess, openSession, sessionOf, tokenOf, type Caller } from './access.ts'
import { loadAssets, type Asset } from './assets.ts'
import { createGuard, HEADERS, requirePrivate, type Guard } from './guard.ts'
import { cookieOf, onlyFields, readBody, sendError, sendJson, textField } from './http.ts'
import { createFeed, type Feed } from './feed.ts'
import { findOrder, LOOKS } from './routes.ts'

/** Failed logins within a minute after which nobody is let in until it is over. */
const MAX_FAILED = 10
const FAILED_WINDOW = 60

/** How to start a console. */
export interface ConsoleOptions {
  store: Store
  /** Default 127.0.0.1. */
  host?: string
  /** 0 takes a free one. */
  port: number
  /** What people open, where that is a proxy's address. */
  url?: string
  /** Seconds since 1970. */
  now?: () => number
}

/** A running console. */
export interface Console {
  /** What people open, with a slash at its end. */
  readonly url: string
  readonly port: number
  stop(): Promise<void>
}

interface Parts {
  store: Store
  now: () => number
  guard: Guard
  assets: Map<string, Asset>
  feed: Feed
  failed: { since: number; count: number; note: (isMany: boolean) => void }
}

const cookieName = ({ isSecure }: Guard): string =>
  isSecure ? '__Secure-keyferry-console' : 'keyferry-console'

function setCookie({ guard }: Parts, response: ServerResponse, value: string, age: number): void {
  const secure = guard.isSecure ? '; Secure' : ''
  response.setHeader(
    'set-cookie',
    `${cookieName(guard)}=${value}; Path=${guard.path}; Max-Age=${age}; HttpOnly; SameSite=Strict${secure}`,
  )
}

/** Whoever calls: by a script's token, or by a session's cookie with the proof that only its page has. */
function callerOf({ store, guard, now }: Parts, request: IncomingMessage): Caller {
  const { authorization } = request.headers
  const [, token] = /^Bearer ([\w-]{1,100})$/.exec(authorization ?? '') ?? []
  const proof = request.headers['keyferry-proof']
  const caller =
    authorization !== undefined
      ? tokenOf(store, token ?? '', now())
      : sessionOf(
          store,
          cookieOf(request, cookieName(guard)),
          typeof proof === 'string' ? proof : '',
          now(),
        )
  if (caller === null)
    throw new KeyferryError('ERR_UNAUTHORIZED', 'no session: keyferry console link opens one')
  return caller
}

async function login(parts: Parts, request: IncomingMessage, response: ServerResponse) {
  const { store, failed } = parts
  const now = parts.now()
  const body = await readBody(request)
  onlyFields(body, 'token')
  if (now >= failed.since + FAILED_WINDOW) {
    failed.note(false)
    Object.assign(failed, { since: now, count: 0 })
  }
  if (failed.count >= MAX_FAILED)
    throw new KeyferryError('ERR_QUOTA', 'too many tokens that were none: wait a minute')
  const opened = openSession(store, textField(body, 'token', 100) ?? '', now)
  if (opened === null) {
    failed.count++
    if (failed.count === MAX_FAILED) failed.note(true)
    throw new KeyferryError('ERR_UNAUTHORIZED', 'this link was used, has ended, or never was one')
  }
  const { name, ends } = opened.access
  setCookie(parts, response, opened.cookie, ends - now)
  sendJson(response, { name, ends, proof: opened.proof })
}

async function callApi(
  parts: Parts,
  path: string,
  query: URLSearchParams,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { store, now } = parts
  const isPost = request.method === 'POST'
  if (!isPost && request.method !== 'GET') throw new KeyferryError('ERR_METHOD', 'GET or POST')
  if (path === 'login' && isPost) return login(parts, request, response)
  const caller = callerOf(parts, request)
  if (!isPost) {
    if (path === 'session') return sendJson(response, { name: caller.name, ends: caller.ends })
    if (path === 'events') return parts.feed.add(request, response, () => callerOf(parts, request))
    const look = Object.hasOwn(LOOKS, path) ? LOOKS[path] : undefined
    if (look === undefined) throw new KeyferryError('ERR_NOT_FOUND', 'no such thing here')
    return sendJson(response, await look({ store, query, now: now() }))
  }
  const body = await readBody(request)
  if (path === 'logout' && caller.kind === 'session') {
    endAccess(store, caller.id)
    setCookie(parts, response, '', 0)
    return sendJson(response, {})
  }
  const found = findOrder(path)
  if (found === null) throw new KeyferryError('ERR_NOT_FOUND', 'no such thing here')
  if (caller.kind === 'reader') throw new KeyferryError('ERR_DENIED', 'this token only reads')
  const order = { store, caller, id: found.id, body, now: now() }
  sendJson(response, await found.action(order))
}

async function handle(
  parts: Parts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { guard, assets } = parts
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
  guard.check(request)
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://console')
  // A proxy may keep the part of the path that leads here, or take it away.
  const path = pathname.startsWith(guard.path)
    ? pathname.slice(guard.path.length)
    : pathname.slice(1)
  if (path.startsWith('api/')) return callApi(parts, path.slice(4), searchParams, request, response)
  const asset = assets.get(path)
  if (asset === undefined) throw new KeyferryError('ERR_NOT_FOUND', 'no such page')
  if (request.method !== 'GET') throw new KeyferryError('ERR_METHOD', 'GET')
  response.writeHead(200, { 'content-type': asset.type })
  response.end(asset.body)
}

/** Starts a console. Throws `ERR_USAGE` for an address that needs a proxy with TLS, `ERR_IO` for one that is taken. */
export async function startConsole(options: ConsoleOptions): Promise<Console> {
  const { store, host = '127.0.0.1', port, url: base } = options
  requirePrivate(host, base)
  const now = options.now ?? (() => Math.floor(Date.now() / 1000))
  const conditions = keepConditions(store, now)
  const many = new KeyferryError('ERR_QUOTA', `${MAX_FAILED} wrong tokens within a minute`)
  const failed = {
    since: 0,
    count: 0,
    note: (isMany: boolean) => conditions.set('logins', isMany ? many : null),
  }
  const assets = await loadAssets()
  const server = createServer()
  server.headersTimeout = 10_000
  server.requestTimeout = 20_000
  const taken = await listenAt(server, host, port)
  const url = base ?? `http://${host.includes(':') ? `[${host}]` : host}:${taken}/`
  const guard = createGuard({ host, port: taken, url })
  const feed = createFeed(store)
  const parts: Parts = { store, now, guard, assets, feed, failed }
  server.on('request', (request, response) => {
    handle(parts, request, response).catch((error: unknown) => sendError(response, error))
  })
  return {
    url,
    port: taken,
    async stop() {
      feed.stop()
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
      server.closeAllConnections()
      await closed
    },
  }
}
