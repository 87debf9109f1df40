/**
 * The audit log: an RFC 6962 log of canonical JSON leaves, written in the transaction of the effect that they record. Its size and root
 * stand in every head.
 */
import { equal, fromBase64url, type Bytes } from '../shared/bytes.ts'
import { decodeEnvelope, type Envelope } from '../shared/envelope.ts'
import { KeyferryError } from '../shared/errors.ts'
import { decodeJson } from '../shared/json.ts'
import { MAX_ENVELOPE } from '../shared/limits.ts'
import { encodeEntry, type Details, type LogEvent } from '../shared/log.ts'
import { addLeaf, emptyFrontier, frontierRoot, type Frontier } from './log-tree.ts'
import { type Store } from './store.ts'

/** Appends a leaf. Call it in the transaction of its effect. Returns its index. */
export function appendLeaf(store: Store, leaf: Bytes): number {
  const index = logSize(store)
  store.run('INSERT INTO log VALUES (?, ?)', index + 1, leaf)
  return index
}

/** Appends an entry: public values only, never key bytes. Time in seconds. */
export function appendLog<E extends LogEvent>(
  store: Store,
  event: E,
  time: number,
  details: Details<E>,
): void {
  // PROTOCOL [log-2]
  appendLeaf(store, encodeEntry(event, time, details))
}

/** How many entries there are. */
export function logSize(store: Store): number {
  return store.get<{ n: number | null }>('SELECT max(seq) AS n FROM log')?.n ?? 0
}

/** Size and root of the log under the newest signed head; `undefined` if there is none. */
export function shownLog(store: Store): { root: Bytes; size: number } | undefined {
  const row = store.get<{ envelope: Bytes }>(
    'SELECT envelope FROM heads WHERE envelope IS NOT NULL ORDER BY version DESC LIMIT 1',
  )
  return row && logOf(decodeEnvelope(new Uint8Array(row.envelope)))
}

/** What a head says of the log, unverified. */
export function logOf({ payload }: Envelope): { root: Bytes; size: number } {
  const { log } = decodeJson(payload, MAX_ENVELOPE) as { log: { root: string; size: number } }
  return { root: fromBase64url(log.root), size: log.size }
}

/** Rows that are in memory at once. */
const ROWS = 1_000

/** The leaves from an index on, a page at a time. Throws `ERR_STATE` where one is missing. */
export function* logLeaves(store: Store, from = 0): Generator<Bytes, void, undefined> {
  for (let next = from; ;) {
    const rows = store.all<{ seq: number; leaf: Bytes }>(
      'SELECT seq, leaf FROM log WHERE seq > ? ORDER BY seq LIMIT ?',
      next,
      ROWS,
    )
    for (const { seq, leaf } of rows) {
      if (seq !== ++next) throw new KeyferryError('ERR_STATE', `the log has no entry ${next - 1}`)
      yield new Uint8Array(leaf)
    }
    if (rows.length < ROWS) return
  }
}

/** The log kept up with the table from one call to the next. */
export type LogState = Frontier

export const emptyLog = emptyFrontier

/** Takes up the leaves written since the last call. Throws `ERR_STATE` where one is missing. */
export function readLog(store: Store, state: LogState): { size: number; root: Bytes } {
  for (const leaf of logLeaves(store, state.size)) addLeaf(state, leaf)
  return { size: state.size, root: frontierRoot(state) }
}

/** Reads the whole log, and holds it against the newest head of this store. Throws `ERR_STATE` where it is not what that head says. */
export function openLog(store: Store): LogState {
  const state = emptyLog()
  const shown = shownLog(store)
  const check = (): void => {
    // PROTOCOL [deriver-7]
    if (shown?.size === state.size && !equal(shown.root, frontierRoot(state)))
      throw new KeyferryError('ERR_STATE', 'an entry of the log is not what the newest head says')
  }
  check()
  for (const leaf of logLeaves(store)) {
    addLeaf(state, leaf)
    check()
  }
  // PROTOCOL [deriver-7]
  if (shown !== undefined && shown.size > state.size)
    throw new KeyferryError(
      'ERR_STATE',
      `the log has ${state.size} entries, and ${shown.size} under the newest head`,
    )
  return state
}
