/** Which process it was that wrote something, and whether it has ended: a number alone says neither, since each container counts from 1, and numbers come again. */
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

function readOr(read: () => string): string {
  try {
    return read().trim()
  } catch {
    return ''
  }
}

/** When a process began, by its kernel; empty where that is not told. */
function startOf(pid: number): string {
  // Field 22; the name before it may hold anything but ends with the last bracket.
  const stat = readOr(() => readFileSync(`/proc/${pid}/stat`, 'utf8'))
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}

/** Where process ids mean the same: this start of this machine, and its namespace of processes. */
const machine = (): string =>
  [
    hostname(),
    readOr(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')),
    readOr(() => readlinkSync('/proc/self/ns/pid')),
  ].join(' ')

/** Where a process runs, as text that another one can ask about. */
export function placeOf(pid: number): string {
  return JSON.stringify([machine(), pid, startOf(pid)])
}

/** Whether the process that wrote a place has certainly ended: only where it would be seen from here. */
export function hasEnded(place: string): boolean {
  const [where, pid, start] = JSON.parse(place) as [string, number, string]
  if (where !== machine()) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
  return start !== '' && startOf(pid) !== start
}
