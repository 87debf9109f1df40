/** A relay to measure, in a process of its own, with the CPU that its workerd has used. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startRelay } from '../../demo/relay.ts'
import { INVITE, type Relay } from '../lib/calls.ts'

export interface Measured extends Relay {
  /** CPU of workerd since its start, user and system, in milliseconds; `null` where there is no /proc. */
  cpu(): number | null
}

/** Milliseconds of a jiffy on Linux. */
export const JIFFY = 10

/** Jiffies of user and system time of a process; `null` where there is no /proc. */
export function jiffies(pid: number): number | null {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
    return Number(fields[11]) + Number(fields[12])
  } catch {
    return null
  }
}

/** What prepares a measurement comes from one address, faster than a relay takes it from a stranger. */
async function patiently(url: URL, init: RequestInit): Promise<Response> {
  for (let left = 15; ; left--) {
    const response = await fetch(url, init)
    if (response.status !== 429 || left === 0) return response
    await response.arrayBuffer()
    await setTimeout(1_000)
  }
}

/** Runs `work` with a relay that has one more route, `/bare`, which does nothing. */
export async function withRelay<T>(work: (relay: Measured) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'keyferry-bench-'))
  const entry = fileURLToPath(new URL('worker.ts', import.meta.url))
  const server = await startRelay({ directory, invites: [INVITE], entry })
  try {
    return await work({
      url: new URL(server.url),
      fetch: patiently,
      cpu() {
        const found = jiffies(server.workerd ?? 0)
        return found === null ? null : found * JIFFY
      },
    })
  } finally {
    await server.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}
