/** Garbage collection: what has expired, and objects that no head reaches, now or a short while ago. */
import { gte, lt } from 'drizzle-orm'
import { HashSet } from './bounded.ts'
import { type Mailbox } from './mailbox.ts'
import { type Objects } from './objects.ts'
import { type Refusals } from './refusals.ts'
import { past } from './schema.ts'
import { type Database } from './database.ts'
import { dropStaleCrls, readCurrent, rootsOf } from './store.ts'
import { type Tickets } from './tickets.ts'
import { walkHead, walkPast } from './walk.ts'

/** An object may be uploaded this long before the head that names it, and stays this long after the last one that did. Seconds. */
export const KEEP = 24 * 3_600

/** Runs inside a transaction; returns how many objects went. */
export function collect(
  parts: {
    db: Database
    objects: Objects
    mailbox: Mailbox
    refusals: Refusals
    tickets: Tickets
  },
  now: number,
): number {
  const { db, objects } = parts
  parts.mailbox.collect(now)
  parts.refusals.collect(now)
  parts.tickets.collect(now)
  const row = readCurrent(db)
  dropStaleCrls(db, now, row?.head)
  // A walk that fails throws, and then nothing is deleted.
  const live = row === undefined ? new HashSet() : walkHead(objects, rootsOf(row), new HashSet())
  db.delete(past)
    .where(lt(past.replaced, now - KEEP))
    .run()
  const lately = db
    .select()
    .from(past)
    .where(gte(past.replaced, now - KEEP))
    .all()
  for (const one of lately) walkPast(objects, rootsOf(one), live)
  return objects.sweep(live, now - KEEP)
}
