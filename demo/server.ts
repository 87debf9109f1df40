/**
 * The customer's web server: the page, its sessions, the certificates they get, the message board, and a look into the relay's database.
 * It holds ciphertext only. Whoever changes something needs a session and a header that no other site can send.
 */
import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { isKeyferryError } from '../deriver/index.ts'
import { toListener } from '../web/enrolment/index.ts'
import { Board, ID } from './board.ts'
import { uriOf, type Customer } from './customer.ts'
import { cookiesOf, HttpError, readJson, securityHeaders, sendJson, textField } from './http.ts'
import { type Insider } from './insider.ts'
import { insiderRoutes } from './insider-routes.ts'
import { type Asset } from './page-assets.ts'
import { dumpRelay, viewRelay } from './relay-view.ts'

/** What the server is made of. The customer comes later: its trust document names the server's origin. */
export interface ServerOptions {
  port: number
  assets: Map<string, Asset>
  /** Where clients fetch. */
  relay: string
  insider: Insider
  databaseFiles: () => string[]
  /** Where the board keeps its ciphertext. */
  directory: string
}

/** A running web server. */
export interface WebApp {
  readonly origin: string
  /** Serves for this customer from now on. */
  open(customer: Customer): void
  /** Tells the pages that the customer's state is new. */
  changed(): void
  stop(): Promise<void>
}

/** A call of a session. */
export interface Call {
  request: IncomingMessage
  response: ServerResponse
  url: URL
  customer: Customer
  /** Name of the session. */
  name: string
  /** The last part of the path. */
  id: string
}

export type Route = (call: Call) => Promise<void> | void

const NAME = /^[a-z]{2,16}$/
/** A page sends it with everything that changes something; it also says which of the browser's sessions is meant. */
const HEADER = 'keyferry-demo'
const SEALED_LIMIT = 400_000

/** Starts the server. */
export async function startServer(options: ServerOptions): Promise<WebApp> {
  const { assets, databaseFiles } = options
  const board = new Board(options.directory)
  const sessions = new Map<string, string>()
  /** Open pages with the names of their sessions. */
  const listeners = new Map<ServerResponse, string>()
  const headers = securityHeaders(options.relay)
  let current: Customer | null = null
  let enrolment: ReturnType<typeof toListener>
  let host = ''

  function tell(topic: 'state' | 'messages' | 'insider'): void {
    for (const listener of listeners.keys()) listener.write(`data: ${topic}\n\n`)
  }

  const routes: Record<string, Route> = {
    ...insiderRoutes({
      insider: options.insider,
      present: () => [...listeners.values()],
      tell: () => tell('insider'),
    }),
    'GET /config': async ({ response, customer }) => sendJson(response, await customer.config()),
    'GET /state': async ({ response, customer, name }) => {
      const status = await customer.status()
      const names = new Set(sessions.values())
      const revoked = [...names].filter((one) => customer.isRevoked(one))
      sendJson(response, {
        name,
        status,
        revoked,
        events: customer.events(),
        board: board.totals(),
      })
    },
    'GET /messages': ({ response, url }) => {
      sendJson(response, board.list(Number(url.searchParams.get('after') ?? '0')))
    },
    'GET /events': ({ request, response, name }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(': hello\n\n')
      listeners.set(response, name)
      tell('insider')
      request.on('close', () => {
        listeners.delete(response)
        tell('insider')
      })
    },
    'GET /relay-view': ({ response }) => sendJson(response, viewRelay(databaseFiles())),
    'GET /relay-dump': ({ response }) => {
      response.writeHead(200, { 'content-type': 'application/octet-stream' })
      response.end(dumpRelay(databaseFiles()))
    },
    'GET /files': async ({ response, id }) => {
      const { stream, size } = await board.read(id)
      response.writeHead(200, {
        'content-type': 'application/octet-stream',
        'content-length': size,
      })
      await pipeline(stream, response)
    },
    'POST /messages': async ({ request, response, name }) => {
      const body = await readJson(request, SEALED_LIMIT)
      const kind = textField(body, 'kind', /^(note|file)$/) as 'note' | 'file'
      const id = textField(body, 'id', ID)
      const sealed = textField(body, 'sealed', /^[\w-]{1,390000}$/)
      sendJson(response, board.add({ id, from: name, kind, sealed }), 201)
      tell('messages')
    },
    'POST /files': ({ response, name }) => sendJson(response, { id: board.begin(name) }, 201),
    'PUT /files': async ({ request, response, url, name, id }) => {
      const offset = Number(url.searchParams.get('offset'))
      if (!Number.isSafeInteger(offset) || offset < 0)
        throw new HttpError(400, 'MALFORMED', 'offset is no number')
      sendJson(response, { size: await board.append(id, name, offset, request) })
    },
    'DELETE /files': async ({ response, name, id }) => {
      await board.drop(id, name)
      sendJson(response, {})
    },
    'POST /rotate': ({ response, customer }) => sendJson(response, { versions: customer.rotate() }),
    'POST /revoke': async ({ request, response, customer }) => {
      const name = textField(await readJson(request, 1_000), 'name', NAME)
      sendJson(response, { certificates: customer.revoke(name) })
    },
  }

  /** Opens a session for the name asked for. A real app asks for more than a name. */
  async function openSession(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const name = textField(await readJson(request, 1_000), 'name', NAME)
    const token = randomBytes(24).toString('base64url')
    sessions.set(token, name)
    response.setHeader('set-cookie', `session-${name}=${token}; Path=/; HttpOnly; SameSite=Strict`)
    sendJson(response, { name })
  }

  /** The session of the name asked for. */
  function sessionOf(cookie: string | null | undefined, asked: unknown) {
    const id = cookiesOf(cookie ?? '').get(`session-${String(asked)}`) ?? ''
    const name = sessions.get(id)
    return name === undefined || name !== asked ? null : { id, name, uri: uriOf(name) }
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    // A page of another name that points here is not served.
    if (request.headers.host !== host) throw new HttpError(421, 'HOST', 'not this server')
    const url = new URL(request.url ?? '/', `http://${host}`)
    const asset = assets.get(url.pathname)
    if (asset !== undefined && request.method === 'GET') {
      response.writeHead(200, { 'content-type': asset.type })
      response.end(asset.body)
      return
    }
    if (request.method !== 'GET') {
      const origin = request.headers.origin
      const isOwn = origin === undefined || origin === `http://${host}`
      if (request.headers[HEADER] === undefined || !isOwn)
        throw new HttpError(403, 'FORBIDDEN', 'only the page itself may do this')
    }
    const [, first = '', id = ''] = url.pathname.split('/')
    const key = `${request.method} /${first}`
    if (key === 'POST /session') return openSession(request, response)
    if (current === null) throw new HttpError(503, 'STARTING', 'still starting')
    if (first === 'enroll') return enrolment(request, response)
    const route = Object.hasOwn(routes, key) ? routes[key] : undefined
    if (route === undefined) throw new HttpError(404, 'NOT_FOUND', 'no such thing here')
    const isRead = request.method === 'GET'
    const asked = request.headers[HEADER] ?? (isRead ? url.searchParams.get('as') : null)
    const { name } = sessionOf(request.headers.cookie, asked) ?? {}
    if (name === undefined) throw new HttpError(401, 'NO_SESSION', 'no session of this name')
    if (request.method !== 'GET' && current.isRevoked(name))
      throw new HttpError(403, 'REVOKED', `${name} was revoked`)
    return route({ request, response, url, customer: current, name, id })
  }

  function fail(response: ServerResponse, error: unknown): void {
    if (response.headersSent) {
      response.destroy()
      return
    }
    const status = error instanceof HttpError ? error.status : isKeyferryError(error) ? 422 : 500
    const code = error instanceof HttpError || isKeyferryError(error) ? error.code : 'INTERNAL'
    if (status === 500) process.stderr.write(`web app: ${String(error)}\n`)
    const message = status === 500 ? 'internal error' : (error as Error).message
    sendJson(response, { code, message }, status)
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => fail(response, error))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, '127.0.0.1', resolve)
  })
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`

  return {
    origin: `http://${host}`,
    open(given) {
      current = given
      const handler = given.enrolment((call) =>
        sessionOf(call.headers.get('cookie'), call.headers.get(HEADER)),
      )
      enrolment = toListener(handler)
    },
    changed() {
      tell('state')
    },
    stop() {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
      server.closeAllConnections()
      return closed
    },
  }
}
