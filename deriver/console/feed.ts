/** Server-sent events: what is new, by name, whenever something is. Each is only a reason to look. */
import { type IncomingMessage, type ServerResponse } from 'node:http'
import { KeyferryError } from '../../shared/errors.ts'
import { type Store } from '../store.ts'

/** Milliseconds between two looks at the database. */
const LOOK = 400
/** Looks between two signs of life, and looks at whether the listener may still listen: ten seconds. */
const BEAT = 25
const MAX_LISTENERS = 32

/** The listeners of a console. */
export interface Feed {
  /** Adds one; `check` throws when it may listen no more. Throws `ERR_QUOTA`. */
  add(request: IncomingMessage, response: ServerResponse, check: () => unknown): void
  stop(): void
}

/** Whatever is shown changes with one of these. */
const STATE = `SELECT (SELECT max(seq) FROM log) AS log, (SELECT value FROM meta WHERE name = 'change') AS change,
  (SELECT max(version) FROM heads WHERE envelope IS NOT NULL) AS head, (SELECT sum(head_version) FROM relays) AS relays,
  (SELECT group_concat(what || code) FROM conditions) AS conditions, (SELECT fence || ' ' || (until = 0) FROM lease) AS lease,
  (SELECT group_concat(name || coalesce(rotate_at, '')) FROM keyrings) AS plans`

export function createFeed(store: Store): Feed {
  const listeners = new Map<ServerResponse, () => unknown>()
  let timer: NodeJS.Timeout | undefined
  let seen = ''
  let looks = 0

  const state = (): string => JSON.stringify(store.get(STATE))

  function drop(response: ServerResponse): void {
    listeners.delete(response)
    response.end()
    if (listeners.size > 0) return
    clearInterval(timer)
    timer = undefined
  }

  function look(): void {
    const present = state()
    const isNew = present !== seen
    seen = present
    looks++
    const isBeat = looks % BEAT === 0
    for (const [response, check] of listeners) {
      try {
        if (isBeat) check()
      } catch {
        response.write('event: end\ndata: session\n\n')
        drop(response)
        continue
      }
      if (isNew) response.write('event: change\ndata: state\n\n')
      else if (isBeat) response.write(': still here\n\n')
    }
  }

  return {
    add(request, response, check) {
      if (listeners.size >= MAX_LISTENERS)
        throw new KeyferryError('ERR_QUOTA', `at most ${MAX_LISTENERS} pages listen`)
      response.writeHead(200, { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' })
      response.write('event: change\ndata: state\n\n')
      listeners.set(response, check)
      if (timer === undefined) {
        seen = state()
        timer = setInterval(look, LOOK)
      }
      request.on('close', () => drop(response))
    },
    stop() {
      for (const response of listeners.keys()) drop(response)
    },
  }
}
