/**
 * The audit log: an RFC 6962 log of canonical JSON leaves, written in the transaction of the effect that they record. Its size and root
 * stand in every head.
 */
import { concat, hex, type Bytes } from '../shared/bytes.ts'
import { encodeJson } from '../shared/json.ts'
import { leafHash, treeRoot } from '../shared/tree.ts'
import { sha256 } from '../shared/hash.ts'
import { type Store } from './store.ts'

/** What happened, as a past fact. */
export type LogEvent =
  | 'tenant-created'
  | 'keyring-created'
  | 'version-created'
  | 'generation-created'
  | 'member-added'
  | 'member-removed'
  | 'package-rotated'
  | 'request-refused'
  | 'device-denied'
  | 'certificate-revoked'
  | 'catalog-signed'
  | 'trust-published'
  | 'incarnation-raised'

/** Appends a leaf. `details` holds texts, integers and `Bytes` of public values only, never key bytes. Time in seconds. */
export function appendLog(
  store: Store,
  event: LogEvent,
  time: number,
  details: Record<string, string | number | Bytes>,
): void {
  const seq = (store.get<{ n: number | null }>('SELECT max(seq) AS n FROM log')?.n ?? 0) + 1
  store.run('INSERT INTO log VALUES (?, ?)', seq, encodeJson({ ...details, event, time }))
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

/** A device or keyring in the log, as text. */
export function short(id: Bytes): string {
  return hex(id).slice(0, 16)
}
