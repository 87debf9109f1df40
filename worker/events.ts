/**
 * Notices over hibernating WebSockets (docs/PROTOCOL.md, "HTTP"). They carry nothing that cannot be fetched: whoever misses one finds out at the next
 * fetch.
 */
import { SUBPROTOCOL } from '../shared/api.ts'
import { base64url, fromBase64url, hex, type Bytes } from '../shared/bytes.ts'
import { type Role } from '../shared/envelope.ts'
import { MAX_WHOLE } from '../shared/limits.ts'
import { type News } from '../shared/news.ts'
import { parseCertificate } from '../shared/x509.ts'
// Erased as a whole: see worker/call.ts.
import type { Caller } from './caller.ts'
import type { DeliveryAsk } from './deliver.ts'
import type { Standing } from './standing.ts'
import { type Tickets } from './tickets.ts'
import { Waiters, type Waiting } from './waiters.ts'
import type { Whole } from './whole.ts'

/** Sockets of one certificate; the oldest goes when one more comes. */
const MAX_SOCKETS_EACH = 8
/** Seconds. */
const ADMITTED_FOR = 3_600

/** Who listens, as the gateway tells the tenant's object: in the URL of an inner request that strangers cannot make. */
export interface Listener {
  role: Role
  /** Fingerprint, base64url. */
  fingerprint: string
  /** Seconds. */
  until: number
  /** Of each certificate of the path but the anchor: the key id of its issuer, base64url, and its serial, hexadecimal. */
  path: [string, string][]
  /** Names the documents by which the gateway admitted it: {@link Standing}. */
  standing: string
  /** Hash of what the ticket's signature is over, and the last second in which the gateway takes it. */
  ticket: { hash: string; expires: number }
}

/** What a socket keeps while the object sleeps. */
interface Attachment extends Listener {
  /** What its client would ask with now. */
  ask?: DeliveryAsk
}

/** Bytes that one head sends over sockets in whole deliveries, one that turned out too large counted as the largest; everyone after that gets the hint. */
export const MAX_WHOLE_EACH_HEAD = 4 * 1_048_576

/** A list that replaced another one. */
export interface ChangedList {
  /** Key id of its issuer, base64url. */
  issuer: string
  /** Serials, hexadecimal. */
  revoked: ReadonlySet<string>
}

/** What tells a caller from others, and its path from other paths. */
export function waitingOf({ path, certificates }: Pick<Caller, 'path' | 'certificates'>): Waiting {
  return {
    fingerprint: base64url(path.fingerprint),
    path: path.issuers.map(({ keyId }, i) => [
      base64url(keyId),
      hex(parseCertificate(certificates[i]!).serial),
    ]),
  }
}

/**
 * A socket of a caller whom the gateway admits at this time. An hour later, or at the end of its path, it has to be admitted anew. One that a list revokes, or that came in
 * by rules which a trust document changes, is closed at once.
 */
export function listenerUrl(
  caller: Pick<Caller, 'role' | 'path' | 'certificates'> & { standing: Pick<Standing, 'tag'> },
  ticket: Listener['ticket'],
  now: number,
): string {
  const { role, path, standing } = caller
  const listener: Listener = {
    ...waitingOf(caller),
    role,
    until: Math.min(path.notAfter, now + ADMITTED_FOR),
    standing: standing.tag,
    ticket,
  }
  return `https://tenant/events?${new URLSearchParams({ listener: JSON.stringify(listener) }).toString()}`
}

function readListener(request: Request): Listener {
  return JSON.parse(new URL(request.url).searchParams.get('listener') ?? '') as Listener
}

function isOpen({ readyState }: WebSocket): boolean {
  return readyState === WebSocket.OPEN
}

function close(socket: WebSocket, reason: string): void {
  try {
    socket.close(1008, reason)
  } catch {
    // Closing already: the platform removes it.
  }
}

export class Events {
  readonly #ctx: DurableObjectState
  readonly #tickets: Tickets
  readonly #waiters = new Waiters()

  constructor(ctx: DurableObjectState, tickets: Tickets) {
    this.#ctx = ctx
    this.#tickets = tickets
    // Answered by the platform while the object sleeps.
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong'))
  }

  /** Whether anybody may listen. */
  get hasAny(): boolean {
    return this.#ctx.getWebSockets().length + this.#waiters.size > 0
  }

  /** How many sockets are open and calls wait. A socket that was closed is still there for as long as its other end does not answer. */
  get size(): number {
    return this.#ctx.getWebSockets().filter(isOpen).length + this.#waiters.size
  }

  /** See {@link Waiters.wait}. `most` counts sockets, too. */
  wait(who: Waiting, after: string, seconds: number, most: number): Promise<News | null> {
    const room = most - this.size + this.#waiters.size
    return this.#waiters.wait(who, after, seconds, room)
  }

  /**
   * Opens a socket for a caller whom the gateway admitted: 101, 401 for a ticket that was used, 409 for one who was not admitted by the documents of now, which `standing`
   * names, 429 above the quota.
   */
  open(request: Request, most: number, standing: string): Response {
    const listener = readListener(request)
    // PROTOCOL [relay-4]: whom a change leaves out is not closed again later
    if (listener.standing !== standing) return new Response(null, { status: 409 })
    if (this.size >= most) return new Response(null, { status: 429 })
    const { hash, expires } = listener.ticket
    // PROTOCOL [relay-12]
    if (!this.#tickets.use(fromBase64url(hash), expires)) return new Response(null, { status: 401 })
    const all = this.#ctx.getWebSockets(listener.fingerprint)
    const own = all.filter(isOpen)
    // Whoever does not answer a closing keeps the connection.
    if (all.length - own.length >= MAX_SOCKETS_EACH) return new Response(null, { status: 429 })
    for (const oldest of own.slice(0, Math.max(0, own.length + 1 - MAX_SOCKETS_EACH))) {
      close(oldest, 'too many connections')
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

  /** A client has the answer to an ask, and would ask so now. */
  remember(ask: DeliveryAsk): void {
    for (const socket of this.#ctx.getWebSockets(base64url(ask.recipient)))
      socket.serializeAttachment({ ...(socket.deserializeAttachment() as Attachment), ask })
  }

  /** There is a new head. `whole` makes the delivery of a client that fits into an event. */
  head(hash: Bytes, now: number, whole: (ask: DeliveryAsk) => Whole | null): void {
    const name = base64url(hash)
    const hint = JSON.stringify({ hash: name, type: 'head' })
    let left = MAX_WHOLE_EACH_HEAD
    this.#send(undefined, now, (socket, { ask, ...listener }) => {
      if (ask === undefined || left <= 0) return hint
      const made = whole({ ...ask, now })
      // Looking for what then is too large costs the same reads, and more of them.
      left -= made?.text.length ?? MAX_WHOLE
      if (made === null) return hint
      socket.serializeAttachment({ ...listener, ask: made.next })
      return `{"delivery":"${made.text}","hash":"${name}","type":"delivery"}`
    })
    this.#waiters.head(hash)
  }

  /** There is a new request. */
  request(now: number): void {
    this.#send('deriver', now, () => '{"type":"request"}')
  }

  /** There is a refusal for the client of this certificate. */
  refusal(recipient: Bytes, now: number): void {
    this.#send(base64url(recipient), now, () => '{"type":"refusal"}')
    this.#waiters.refusal(recipient)
  }

  /** Closes the sockets of certificates that one of these lists revokes, and ends their waiting. */
  revoke(lists: readonly ChangedList[]): void {
    const byIssuer = new Map(lists.map(({ issuer, revoked }) => [issuer, revoked]))
    const isRevoked = ({ path }: Waiting): boolean =>
      path.some(([issuer, serial]) => byIssuer.get(issuer)?.has(serial) === true)
    for (const socket of this.#ctx.getWebSockets()) {
      if (isRevoked(socket.deserializeAttachment() as Listener))
        close(socket, 'to be admitted anew')
    }
    this.#waiters.dismiss(isRevoked)
  }

  /** Closes all sockets, and ends all waiting. */
  closeAll(reason: string): void {
    this.#waiters.dismiss()
    for (const socket of this.#ctx.getWebSockets()) close(socket, reason)
  }

  #send(
    tag: string | undefined,
    now: number,
    textFor: (socket: WebSocket, attachment: Attachment) => string,
  ): void {
    for (const socket of this.#ctx.getWebSockets(tag).filter(isOpen)) {
      const attachment = socket.deserializeAttachment() as Attachment
      try {
        if (now > attachment.until) socket.close(1008, 'to be admitted anew')
        else socket.send(textFor(socket, attachment))
      } catch {
        // Closing already: the platform removes it.
      }
    }
  }
}
