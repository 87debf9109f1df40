/** The page of first-byte.ts: from nothing, or from an open client, to the first decrypted byte, with a watch on what the time goes to. */
import { type AppConfigJson } from '../../shared/config.ts'
import { loadIdentity, openIndexedDbStore, connect, type Keyferry } from '../../web/index.ts'
import { createIdentity } from '../../web/enroll.ts'
import type { Phases, Taken } from './phases.ts'

const loaded = performance.now()

/** Time in which at least one of some work is on its way. */
function makeMeter() {
  let [inside, since, total] = [0, 0, 0]
  return {
    isIn: () => inside > 0,
    reset: () => void (total = 0),
    total: () => total,
    begin(): void {
      if (inside++ === 0) since = performance.now()
    },
    end(): void {
      if (--inside === 0) total += performance.now() - since
    },
  }
}

const network = makeMeter()
const unwrapping = makeMeter()
const resting = makeMeter()

const UNWRAPPING = ['unwrapKey', 'decapsulateBits', 'decapsulateKey', 'deriveBits', 'deriveKey']

function watchCrypto(): void {
  const { subtle } = crypto
  const methods = subtle as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>
  for (const name of UNWRAPPING) {
    const method = methods[name]
    if (method === undefined) continue
    methods[name] = async (...args) => {
      const counts = !network.isIn()
      if (counts) unwrapping.begin()
      try {
        return await method.apply(subtle, args)
      } finally {
        if (counts) unwrapping.end()
      }
    }
  }
}

function watchTimers(): void {
  const rests = new Set<number>()
  const [set, clear] = [globalThis.setTimeout, globalThis.clearTimeout]
  const finish = (timer: number): void => {
    if (rests.delete(timer)) resting.end()
  }
  const later = (work: () => void, milliseconds: number): number => {
    const timer = set.call(globalThis, () => (finish(timer as never), work()), milliseconds)
    // Longer ones are deadlines.
    if (milliseconds < 10_000) {
      resting.begin()
      rests.add(timer as never)
    }
    return timer as never
  }
  const cancel = (timer: number): void => {
    finish(timer)
    clear.call(globalThis, timer)
  }
  Object.assign(globalThis, { setTimeout: later, clearTimeout: cancel })
}

watchCrypto()
watchTimers()

const call: typeof fetch = async (input, init) => {
  network.begin()
  try {
    return await fetch(input, init)
  } finally {
    network.end()
  }
}

let open: Keyferry | undefined

/** The message is read twice: the second time its key is there, so that what it takes is the message's own part of the first time. */
async function timed(
  before: Pick<Phases, 'load' | 'store' | 'connect'>,
  client: Keyferry,
  message: readonly number[],
  isNew: boolean,
): Promise<Taken> {
  for (const meter of [network, unwrapping, resting]) meter.reset()
  const began = performance.now()
  if (isNew) await client.refresh()
  const notes = await client.keyring('notes')
  const bytes = Uint8Array.from(message)
  if ((await notes.decrypt(bytes, { as: 'text' })) !== 'Hello') throw new Error('another text')
  const done = performance.now()
  const [fetched, wait, unwrap] = [network, resting, unwrapping].map((one) => one.total())
  await notes.decrypt(bytes)
  const decrypt = performance.now() - done
  const asked = done - began
  const verify = Math.max(0, asked - fetched! - wait! - unwrap! - decrypt)
  const phases = {
    ...before,
    fetch: fetched!,
    wait: wait!,
    verify,
    unwrap: unwrap!,
    decrypt,
    asked,
  }
  return { phases, at: performance.timeOrigin + done }
}

/** A page that was just loaded, by a device that has a certificate. The client stays open. */
export async function cold(config: AppConfigJson, message: readonly number[]): Promise<Taken> {
  const began = performance.now()
  const store = await openIndexedDbStore('bench')
  const identity = (await loadIdentity({ store }))!
  const stored = performance.now()
  open = await connect({ config, identity, store, fetch: call, WebSocket: null })
  const connected = performance.now()
  const before = { load: loaded, store: stored - began, connect: connected - stored }
  return timed(before, open, message, false)
}

/** The page that is open asks for what is new. */
export function warm(message: readonly number[]): Promise<Taken> {
  return timed({ load: 0, store: 0, connect: 0 }, open!, message, true)
}

export function close(): void {
  open?.close()
}

/** A key pair in IndexedDB and a certificate for it, with nothing else. */
export async function enroll(): Promise<void> {
  const store = await openIndexedDbStore('bench')
  const certify = async (csr: string): Promise<string> =>
    (await fetch('/certify', { method: 'POST', body: csr })).text()
  await createIdentity({ name: 'kim', store, enroll: certify })
}

/** Milliseconds of a call of a route that does nothing, of which a browser asks nothing before: the middle one of five, when a connection is there. */
export async function bare(address: string): Promise<number> {
  const times: number[] = []
  for (let i = 0; i < 6; i++) {
    const began = performance.now()
    const response = await fetch(address, { method: 'POST', body: 'x' })
    await response.arrayBuffer()
    times.push(performance.now() - began)
  }
  return times.slice(1).toSorted((a, b) => a - b)[2]!
}
