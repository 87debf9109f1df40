/** The event stream (docs/PROTOCOL.md, "HTTP"): hints to fetch, over a WebSocket that is opened again whenever it breaks. */
import { eventSchema, paths, SUBPROTOCOL, type Event } from '../shared/api.ts'
import { utf8 } from '../shared/bytes.ts'
import { type Signer } from '../shared/http-signature.ts'
import { signTicket } from '../shared/ticket.ts'
import { parseJson } from '../shared/json.ts'
import { abortable, sleep } from './bounded.ts'

const MAX_EVENT = 1_024
/** Milliseconds. */
const PING = 30_000
const FIRST_PAUSE = 1_000
const LONGEST_PAUSE = 60_000

/** What listening needs. */
export interface ListenOptions {
  relays: readonly string[]
  tenant: string
  signer: Signer
  /** Seconds. */
  now: () => number
  WebSocket: typeof WebSocket
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
async function listenOnce(relay: string, options: ListenOptions): Promise<number> {
  const { tenant, signer, now, onHint, signal } = options
  const url = new URL(paths.events(tenant), relay)
  const ticket = await signTicket(url, signer, now())
  url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:'
  const socket = new options.WebSocket(url.href, [SUBPROTOCOL, ticket])
  let opened = 0
  let isAlive = true
  let timer: ReturnType<typeof setInterval> | undefined
  const closed = new Promise<void>((resolve) => {
    socket.addEventListener('close', () => resolve())
    socket.addEventListener('error', () => resolve())
    socket.addEventListener('open', () => {
      opened = performance.now()
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
    socket.close()
  }
  return opened === 0 ? 0 : performance.now() - opened
}

/** Listens until the signal is aborted, at one relay after the other. Never rejects: who misses a hint finds out by polling. */
export async function listen(options: ListenOptions): Promise<void> {
  let pause = FIRST_PAUSE
  for (let i = 0; !options.signal.aborted; i++) {
    try {
      const open = await listenOnce(options.relays[i % options.relays.length]!, options)
      pause = open > 2 * PING ? FIRST_PAUSE : Math.min(2 * pause, LONGEST_PAUSE)
      await sleep(pause * (0.5 + Math.random() / 2), options.signal)
    } catch {
      // Closed by the client, or a URL or ticket that no socket takes: then there is only polling.
      if (!options.signal.aborted) return
    }
  }
}
