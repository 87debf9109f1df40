/**
 * Revocations of which a crash or a full disk left one half. Two files do not commit as one, the deriver's first: the log, which later heads show, then has what the CA's tables
 * have not. What the log says was done is done here; what is there already stays as it is.
 */
import { isKeyferryError } from '../shared/errors.ts'
import { decodeEntry, type LogEntry } from '../shared/log.ts'
import { logSize } from './log.ts'
import { type Store } from './store.ts'

/** Counter of the entries of the log whose revocations are known to be whole: a long log is not looked through again. */
const WHOLE = 'revocations-whole'
/** Entries after which it is written again. */
const MANY = 1_000
/** Seconds: no certificate lives longer. */
const LONGEST = 400 * 86_400

type Revocation = Extract<LogEntry, { event: 'device-denied' | 'certificate-revoked' }>

const inJson = (event: Revocation['event']): Uint8Array<ArrayBuffer> =>
  new TextEncoder().encode(`"event":"${event}"`)

/** The revocation that a leaf records; none where it is another entry, or cannot be read, which is for `audit verify` to tell. */
function revocationOf(leaf: Uint8Array): Revocation[] {
  try {
    const entry = decodeEntry(new Uint8Array(leaf))
    const { event } = entry
    return event === 'device-denied' || event === 'certificate-revoked' ? [entry] : []
  } catch (error) {
    if (!isKeyferryError(error)) throw error
    return []
  }
}

function isWhole(store: Store, one: Revocation): boolean {
  const row =
    one.event === 'device-denied'
      ? store.get('SELECT 1 FROM denied WHERE key_id = ?', one.device)
      : store.get('SELECT 1 FROM issued WHERE serial = ? AND revoked IS NOT NULL', one.serial)
  return row !== undefined
}

function finish(store: Store, one: Revocation): void {
  const { time, uri } = one
  if (one.event === 'device-denied') {
    store.run('INSERT OR IGNORE INTO denied VALUES (?, ?)', one.device, time)
    return
  }
  store.run('UPDATE issued SET revoked = ? WHERE serial = ? AND revoked IS NULL', time, one.serial)
  // A client's that came to be known with its revocation: all that is left of it is its number. On lists for as long as any certificate may live.
  store.run(
    "INSERT OR IGNORE INTO issued VALUES (?, 'client', ?, X'', ?, ?, ?, X'')",
    one.serial,
    uri,
    time + LONGEST,
    time,
    time,
  )
}

/** Completes what is missing. Returns how many entries the log had. */
export function finishRevocations(store: Store): number {
  const size = logSize(store)
  const rows = store.all<{ leaf: Uint8Array }>(
    'SELECT leaf FROM log WHERE seq > ? AND seq <= ? AND (instr(leaf, ?) > 0 OR instr(leaf, ?) > 0) ORDER BY seq',
    store.counter(WHOLE),
    size,
    inJson('device-denied'),
    inJson('certificate-revoked'),
  )
  const missing = rows
    .flatMap(({ leaf }) => revocationOf(leaf))
    .filter((one) => !isWhole(store, one))
  // Another process may be between its two halves: its transaction is waited for, and leaves nothing to be done.
  if (missing.length > 0) store.transaction(() => missing.forEach((one) => finish(store, one)))
  return size
}

/** The same for a service, whatever another process left meanwhile; it also remembers how far it looked. */
export function keepRevocationsWhole(store: Store): void {
  const size = finishRevocations(store)
  if (size >= store.counter(WHOLE) + MANY) store.set(WHOLE, size)
}
