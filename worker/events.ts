/**
 * Notices over hibernating WebSockets (docs/PROTOCOL.md, "HTTP"). They carry no content: whoever misses one finds out at the next
 * fetch.
 */
import { SUBPROTOCOL } from '../shared/api.ts'
import { base64url, type Bytes } from '../shared/bytes.ts'
import { type Role } from '../shared/envelope.ts'
import { type VerifiedPath } from '../shared/path.ts'

/** Sockets of one certificate; the oldest goes when one more comes. */
const MAX_SOCKETS_EACH = 8
/** The platform takes 32,768 per object. */
const MAX_SOCKETS = 30_000
/** Seconds. */
const ADMITTED_FOR = 3_600

/** Who listens, as the gateway tells the tenant's object: in the URL of an inner request that strangers cannot make. */
export interface Listener {
  role: Role
  /** Fingerprint, base64url. */
  fingerprint: string
  /** Seconds. */
  until: number
}

/**
 * A socket of a caller whom the gateway admits at this time. An hour later, or at the end of its path, it has to be admitted anew: so a list or a trust
 * document that came meanwhile reaches open sockets, too.
 */
export function listenerUrl(
  role: Role,
  { fingerprint, notAfter }: VerifiedPath,
  now: number,
): string {
  const until = Math.min(notAfter, now + ADMITTED_FOR)
  const fields = { role, fingerprint: base64url(fingerprint), until: String(until) }
  return `https://tenant/events?${new URLSearchParams(fields).toString()}`
}

function readListener(url: URL): Listener {
  const field = (name: string): string => url.searchParams.get(name) ?? ''
  const role = field('role') === 'deriver' ? 'deriver' : 'client'
  return { role, fingerprint: field('fingerprint'), until: Number(field('until')) }
}

export class Events {
  readonly #ctx: DurableObjectState

  constructor(ctx: DurableObjectState) {
    this.#ctx = ctx
    // Answered by the platform while the object sleeps.
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong'))
  }

  /** Opens a socket for a caller whom the gateway admitted. */
  open(request: Request): Response {
    const listener = readListener(new URL(request.url))
    if (this.#ctx.getWebSockets().length >= MAX_SOCKETS) return new Response(null, { status: 503 })
    const own = this.#ctx.getWebSockets(listener.fingerprint)
    for (const oldest of own.slice(0, Math.max(0, own.length + 1 - MAX_SOCKETS_EACH))) {
      oldest.close(1008, 'too many connections')
    }
    const { 0: client, 1: server } = new WebSocketPair()
    this.#ctx.acceptWebSocket(server, [listener.role, listener.fingerprint])
    server.serializeAttachment(listener)
    return new Response(null, {
      status: 101,
      webSocket: client,
      headers: { 'sec-websocket-protocol': SUBPROTOCOL },
    })
  }

  /** There is a new head. */
  head(hash: Bytes, now: number): void {
    this.#send(undefined, { hash: base64url(hash), type: 'head' }, now)
  }

  /** There is a new request. */
  request(now: number): void {
    this.#send('deriver', { type: 'request' }, now)
  }

  /** There is a refusal for the client of this certificate. */
  refusal(recipient: Bytes, now: number): void {
    this.#send(base64url(recipient), { type: 'refusal' }, now)
  }

  #send(tag: string | undefined, event: object, now: number): void {
    const text = JSON.stringify(event)
    for (const socket of this.#ctx.getWebSockets(tag)) {
      const { until } = socket.deserializeAttachment() as Listener
      try {
        if (now > until) socket.close(1008, 'to be admitted anew')
        else socket.send(text)
      } catch {
        // Closing already: the platform removes it.
      }
    }
  }
}
