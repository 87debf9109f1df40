/** The audit log for people: entries decoded, with keyrings by their name. */
import { base64url, hex, type Bytes } from '../../shared/bytes.ts'
import { isKeyferryError } from '../../shared/errors.ts'
import { decodeEntry, type LogEntry } from '../../shared/log.ts'
import { logSize } from '../log.ts'
import { type Store } from '../store.ts'
import { type EntryView } from './types.ts'

/** Entries in one answer. */
export const MAX_ENTRIES = 200
/** Characters of a field: rules of a keyring may be long. */
const MAX_FIELD = 600

function nameOf(store: Store, id: Bytes): string {
  const row = store.get<{ name: string }>('SELECT name FROM keyrings WHERE id = ?', id)
  return row?.name ?? base64url(id)
}

function asText(store: Store, name: string, value: unknown): string {
  if (value instanceof Uint8Array)
    return name === 'keyring' ? nameOf(store, value as Bytes) : hex(value)
  const text = String(value)
  return text.length > MAX_FIELD ? `${text.slice(0, MAX_FIELD)}…` : text
}

/** A release in the log: what it says that a person reads. */
function releaseFields(
  store: Store,
  { release }: Extract<LogEntry, { event: 'released' }>,
): Record<string, string> {
  const { keyring, generation, members, encrypt } = release
  return {
    keyring: nameOf(store, keyring),
    generation: String(generation),
    members: String(members.size),
    encrypt: `${encrypt.incarnation}.${encrypt.version}`,
  }
}

function viewOf(store: Store, index: number, leaf: Bytes): EntryView {
  let entry: LogEntry
  try {
    entry = decodeEntry(leaf)
  } catch (error) {
    if (!isKeyferryError(error)) throw error
    return { index, event: 'unreadable', time: 0, fields: { problem: error.message } }
  }
  if (entry.event === 'released')
    return { index, event: entry.event, time: 0, fields: releaseFields(store, entry) }
  const { event, time, ...fields } = entry
  const texts = Object.entries(fields).map(([name, value]) => [name, asText(store, name, value)])
  return { index, event, time, fields: Object.fromEntries(texts) as Record<string, string> }
}

/** Entries below an index, newest first; `before` is the number of entries for the newest of all. */
export function readEntries(
  store: Store,
  before: number,
  limit: number,
): { entries: EntryView[]; size: number } {
  const size = logSize(store)
  const rows = store.all<{ seq: number; leaf: Bytes }>(
    'SELECT seq, leaf FROM log WHERE seq <= ? ORDER BY seq DESC LIMIT ?',
    Math.min(before, size),
    Math.min(limit, MAX_ENTRIES),
  )
  const entries = rows.map(({ seq, leaf }) => viewOf(store, seq - 1, new Uint8Array(leaf)))
  return { entries, size }
}
