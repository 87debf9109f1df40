/** What SQLite says of a database that it cannot use, by a code and with what helps: a disk that is full or away, somebody who holds it, a damaged page. */
import { KeyferryError, type ErrorCode } from '../shared/errors.ts'

interface Known {
  code: ErrorCode
  message: string
  hint: string
}

const HELD: Known = {
  code: 'ERR_IO',
  message: 'another process holds the database',
  hint: 'fuser DIR/deriver.db says which; once it is done or ended, the same command again',
}
const CLOSED: Known = {
  code: 'ERR_IO',
  message: 'the database cannot be written',
  hint: 'is the directory there, and may this user write to it?',
}
const DISK: Known = {
  code: 'ERR_IO',
  message: 'the disk is full or does not work',
  hint: 'df says whether it is full; with room again, the same command again',
}
const DAMAGED: Known = {
  code: 'ERR_STATE',
  message: 'the database is damaged',
  hint: 'stop keyferry run and leave the directory as it is; keyferry restore makes another one of the newest backup',
}

/** By the primary result codes of SQLite. */
const KNOWN: Record<number, Known> = {
  5: HELD,
  6: HELD,
  8: CLOSED,
  10: DISK,
  11: DAMAGED,
  13: DISK,
  14: CLOSED,
  26: DAMAGED,
}

/** The named error of what SQLite threw; `undefined` for anything else. */
export function storeError(cause: unknown): KeyferryError | undefined {
  const { errcode, message } = (cause ?? {}) as { errcode?: unknown; message?: string }
  const known = typeof errcode === 'number' ? KNOWN[errcode & 0xff] : undefined
  if (known === undefined) return undefined
  return new KeyferryError(known.code, `${known.message}: ${message}`, { cause, hint: known.hint })
}
