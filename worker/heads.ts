/** The relay as a witness of the log: heads whose log is not that of the one before ([relay-11]). Heartbeats are not kept. */
import { asc, desc, gt, lte } from 'drizzle-orm'
import { MAX_HEADS_PAGE } from '../shared/limits.ts'
import { equal, type Bytes } from '../shared/bytes.ts'
import { heads } from './schema.ts'
import { type Database } from './database.ts'

/** Heads that are kept: the newest. A later one commits to whatever an earlier one did. */
export const MAX_HEADS = 10_000

/** What a verified head says of the log, with its envelope. */
export interface LogHead {
  log: { root: Bytes; size: number }
  envelope: Bytes
}

/** Keeps a head if its log is another than that of the last one kept; inside a transaction. */
export function keepHead(db: Database, { log, envelope }: LogHead): void {
  const columns = { seq: heads.seq, size: heads.logSize, root: heads.logRoot }
  const last = db.select(columns).from(heads).orderBy(desc(heads.seq)).limit(1).get()
  // PROTOCOL [relay-11]
  if (last !== undefined && last.size === log.size && equal(last.root, log.root)) return
  const seq = (last?.seq ?? 0) + 1
  db.insert(heads).values({ seq, logSize: log.size, logRoot: log.root, envelope }).run()
  db.delete(heads)
    .where(lte(heads.seq, seq - MAX_HEADS))
    .run()
}

/** A page of those after a number, in the order in which they came. */
export function listHeads(db: Database, after: number): { next: number; envelopes: Bytes[] } {
  const rows = db
    .select({ seq: heads.seq, envelope: heads.envelope })
    .from(heads)
    .where(gt(heads.seq, after))
    .orderBy(asc(heads.seq))
    .limit(MAX_HEADS_PAGE)
    .all()
  return { next: rows.at(-1)?.seq ?? after, envelopes: rows.map((row) => row.envelope) }
}
