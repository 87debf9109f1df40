/** Garbage collection: what has expired, and objects that the head does not reach. */
import { HashSet } from './bounded.ts'
import { type Mailbox } from './mailbox.ts'
import { type Objects } from './objects.ts'
import { type Refusals } from './refusals.ts'
import { dropStaleCrls, readCurrent, rootsOf, type Database } from './store.ts'
import { walkHead } from './walk.ts'

/** An object may be uploaded this long before the head that names it. Seconds. */
export const KEEP = 24 * 3_600

/** Runs inside a transaction; returns how many objects went. */
export function collect(
  parts: { db: Database; objects: Objects; mailbox: Mailbox; refusals: Refusals },
  now: number,
): number {
  parts.mailbox.collect(now)
  parts.refusals.collect(now)
  dropStaleCrls(parts.db, now)
  const row = readCurrent(parts.db)
  // A walk that fails throws, and then nothing is deleted.
  const live =
    row === undefined ? new HashSet() : walkHead(parts.objects, rootsOf(row), new HashSet())
  return parts.objects.sweep(live, now - KEEP)
}
