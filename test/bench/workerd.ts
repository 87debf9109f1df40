/** A relay to measure, in a process of its own, with the CPU that its workerd has used. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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

/** Runs `work` with a relay that has one more route, `/bare`, which does nothing. */
export async function withRelay<T>(work: (relay: Measured) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'keyferry-bench-'))
  const entry = fileURLToPath(new URL('worker.ts', import.meta.url))
  const server = await startRelay({ directory, invites: [INVITE], entry })
  try {
    return await work({
      url: new URL(server.url),
      fetch: (url: URL, init: RequestInit) => fetch(url, init),
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
