/**
 * The event stream (docs/PROTOCOL.md, "HTTP"): hints to fetch, over a WebSocket that is opened again whenever it breaks; where none gets through, by calls that
 * relays answer late.
 */
import { eventsPath, JSON_TYPE, SUBPROTOCOL } from '../shared/api.ts'
import { eventSchema, type Event } from '../shared/events.ts'
import { utf8 } from '../shared/bytes.ts'
import { type Signer } from '../shared/http-signature.ts'
import { signTicket } from '../shared/ticket.ts'
import { parseJson } from '../shared/json.ts'
import { MAX_WAIT, MAX_WHOLE } from '../shared/limits.ts'
import { newsSchema } from '../shared/news.ts'
import { abortable, sleep } from './bounded.ts'
import { createTransport } from './transport.ts'

const MAX_EVENT = MAX_WHOLE + 1_024
const MAX_NEWS = 1_024
/** Milliseconds. */
const PING = 30_000
const OPENING = 10_000
/** Until a socket is tried again, after one that did not open. */
const WAITING = 600_000
const FIRST_PAUSE = 1_000
const LONGEST_PAUSE = 60_000

/** What listening needs. */
export interface ListenOptions {
  relays: readonly string[]
  tenant: string
  signer: Signer
  /** Seconds. */
  now: () => number
  fetch: typeof fetch
  /** Where the platform has none, calls wait. */
  WebSocket: typeof WebSocket | undefined
  /** A hint; `null` when the stream begins and something may have been missed. */
  onHint: (event: Event | null) => void
  signal: AbortSignal
}

function readEvent(data: unknown): Event | null {
  if (typeof data !== 'string' || data.length > MAX_EVENT) return null
  try {
    return eventSchema(parseJson(utf8(data), MAX_EVENT), '')
  } catch {
    return null
  }
}

/** One socket, until it closes. Returns the milliseconds that it was open. */
async function listenOnce(
  relay: string,
  Socket: typeof WebSocket,
  options: ListenOptions,
): Promise<number> {
  const { tenant, signer, now, onHint, signal } = options
  const url = new URL(eventsPath(tenant), relay)
  const ticket = await signTicket(url, signer, now())
  url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:'
  const socket = new Socket(url.href, [SUBPROTOCOL, ticket])
  let opened = 0
  let isAlive = true
  let timer: ReturnType<typeof setInterval> | undefined
  let late: ReturnType<typeof setTimeout> | undefined
  const closed = new Promise<void>((resolve) => {
    // Some proxies answer no handshake at all.
    late = setTimeout(resolve, OPENING)
    socket.addEventListener('close', () => resolve())
    socket.addEventListener('error', () => resolve())
    socket.addEventListener('open', () => {
      opened = performance.now()
      clearTimeout(late)
      onHint(null)
      timer = setInterval(() => {
        // A network that went away says nothing.
        if (!isAlive) return resolve()
        isAlive = false
        socket.send('ping')
      }, PING)
    })
    socket.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
      isAlive = true
      const event = readEvent(data)
      if (event !== null) onHint(event)
    })
  })
  try {
    await abortable(closed, signal)
  } finally {
    clearInterval(timer)
    clearTimeout(late)
    socket.close()
  }
  return opened === 0 ? 0 : performance.now() - opened
}

/** Milliseconds of one call: half of it is for one attempt, which waits for up to {@link MAX_WAIT} seconds. */
const DEADLINE = 100_000

/** Waits by calls for some minutes, or until one fails. Returns the milliseconds for which it worked. */
async function waitAt(relay: string, options: ListenOptions): Promise<number> {
  const { onHint, signal } = options
  const transport = createTransport({
    ...options,
    relays: [relay],
    warn: () => {},
    deadline: DEADLINE,
  })
  const began = performance.now()
  const lasted = (): number => performance.now() - began
  let after = ''
  let isFirst = true
  let notBefore = 0
  try {
    while (lasted() < WAITING) {
      // A relay that answers at once without end is not asked without end.
      await sleep(Math.max(0, notBefore - lasted()), signal)
      // The first answer only gives a position; a relay may go on giving none.
      if (!isFirst) notBefore = lasted() + FIRST_PAUSE
      isFirst = false
      const call = { after, call: 'wait', seconds: MAX_WAIT } as const
      const answer = await transport.attempt(
        (post) => post(call, MAX_NEWS, undefined, JSON_TYPE),
        signal,
      )
      if (answer === null) continue
      const news = newsSchema(parseJson(answer, MAX_NEWS), '')
      after = news.next
      if (news.events.length === 0) onHint(null)
      for (const type of news.events) onHint(type === 'head' ? { type, hash: news.head } : { type })
    }
  } catch {
    signal.throwIfAborted()
  }
  return lasted()
}

/** Listens until the signal is aborted, at one relay after the other. Never rejects: who misses a hint finds out by polling. */
export async function listen(options: ListenOptions): Promise<void> {
  let pause = FIRST_PAUSE
  for (let i = 0; !options.signal.aborted; i++) {
    try {
      const relay = options.relays[i % options.relays.length]!
      const Socket = options.WebSocket
      // A URL or a ticket that no socket takes is one more way in which none opens.
      let open = Socket === undefined ? 0 : await listenOnce(relay, Socket, options).catch(() => 0)
      if (open === 0) open = await waitAt(relay, options)
      pause = open > 2 * PING ? FIRST_PAUSE : Math.min(2 * pause, LONGEST_PAUSE)
      await sleep(pause * (0.5 + Math.random() / 2), options.signal)
    } catch {
      // Closed by the client.
    }
  }
}
