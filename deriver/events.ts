/** Waiting: a bell that wakes the service, and the relays' event streams that ring it. Every notice is only a reason to look. */
import { isKeyferryError } from '../shared/errors.ts'
import { openEvents, type RelayAccess } from './relay.ts'

/** Milliseconds between two attempts to open a stream. */
const FIRST_PAUSE = 250
const LONGEST_PAUSE = 15_000

/** Lets a loop sleep until something happens; a ring while nobody waits is not lost. */
export function createBell(): {
  ring: () => void
  wait: (milliseconds: number) => Promise<boolean>
} {
  let rung = false
  let wake: () => void = () => {}
  return {
    ring() {
      rung = true
      wake()
    },
    async wait(milliseconds) {
      if (!rung) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, milliseconds)
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
      const was = rung
      rung = false
      return was
    },
  }
}

/** Sleeps, but not longer than until the signal. */
async function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, milliseconds)
    signal.addEventListener('abort', end)
  })
}

/** One stream, until it breaks or the signal comes. Returns whether it was ever open. */
async function listenOnce(
  access: RelayAccess,
  ring: () => void,
  signal: AbortSignal,
): Promise<boolean> {
  const socket = await openEvents(access)
  let opened = false
  await new Promise<void>((resolve) => {
    const end = (): void => {
      signal.removeEventListener('abort', end)
      socket.close()
      resolve()
    }
    socket.addEventListener('open', () => {
      opened = true
      ring()
    })
    socket.addEventListener('message', ring)
    socket.addEventListener('close', end)
    socket.addEventListener('error', end)
    signal.addEventListener('abort', end)
    // The signal may have come while the ticket was signed; it does not come again.
    if (signal.aborted) end()
  })
  return opened
}

/** Keeps the event stream of a relay open until the signal. `report` is told when a stream cannot be asked for. */
export async function listen(
  access: RelayAccess,
  ring: () => void,
  signal: AbortSignal,
  report: (error: unknown) => void,
): Promise<void> {
  for (let pause = FIRST_PAUSE; !signal.aborted; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
    try {
      if (await listenOnce(access, ring, signal)) pause = FIRST_PAUSE
    } catch (error) {
      if (!isKeyferryError(error)) throw error
      report(error)
    }
    await sleep(pause, signal)
  }
}
