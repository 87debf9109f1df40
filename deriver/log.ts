/**
 * The audit log: an RFC 6962 log of canonical JSON leaves, written in the transaction of the effect that they record. Its size and root
 * stand in every head.
 */
import { concat, fromBase64url, type Bytes } from '../shared/bytes.ts'
import { decodeEnvelope, type Envelope } from '../shared/envelope.ts'
import { decodeJson } from '../shared/json.ts'
import { MAX_ENVELOPE } from '../shared/limits.ts'
import { encodeEntry, type Details, type LogEvent } from '../shared/log.ts'
import { leafHash, treeRoot } from '../shared/tree.ts'
import { sha256 } from '../shared/hash.ts'
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

/** Size of the log under the newest signed head; 0 if there is none. */
export function shownLogSize(store: Store): number {
  const row = store.get<{ envelope: Bytes }>(
    'SELECT envelope FROM heads WHERE envelope IS NOT NULL ORDER BY version DESC LIMIT 1',
  )
  return row === undefined ? 0 : logOf(decodeEnvelope(new Uint8Array(row.envelope))).size
}

/** What a head says of the log, unverified. */
export function logOf({ payload }: Envelope): { root: Bytes; size: number } {
  const { log } = decodeJson(payload, MAX_ENVELOPE) as { log: { root: string; size: number } }
  return { root: fromBase64url(log.root), size: log.size }
}

/** Size and root of the log, kept up with the table from one call to the next. */
export interface LogState {
  size: number
  /** Roots of the perfect subtrees of the log so far, largest first, with their sizes. */
  subtrees: { size: number; root: Bytes }[]
}

export function emptyLog(): LogState {
  return { size: 0, subtrees: [] }
}

function join(left: Bytes, right: Bytes): Bytes {
  return sha256(concat(Uint8Array.of(1), left, right))
}

/** Takes up the leaves written since the last call. */
export function readLog(store: Store, state: LogState): { size: number; root: Bytes } {
  const rows = store.all<{ leaf: Bytes }>(
    'SELECT leaf FROM log WHERE seq > ? ORDER BY seq',
    state.size,
  )
  for (const { leaf } of rows) {
    let added = { size: 1, root: leafHash(new Uint8Array(leaf)) }
    for (
      let last = state.subtrees.at(-1);
      last?.size === added.size;
      last = state.subtrees.at(-1)
    ) {
      added = { size: 2 * added.size, root: join(last.root, added.root) }
      state.subtrees.pop()
    }
    state.subtrees.push(added)
    state.size++
  }
  if (state.size === 0) return { size: 0, root: treeRoot([]) }
  const roots = state.subtrees.map((one) => one.root)
  return { size: state.size, root: roots.reduceRight((right, left) => join(left, right)) }
}
