/** The heads that a database signed. */
import { equal, type Bytes } from '../shared/bytes.ts'
import { decodeEnvelope, type Envelope } from '../shared/envelope.ts'
import { type Store } from './store.ts'

/** The newest head in a database, if one was signed. */
export function latestHead(
  store: Store,
): { version: number; hash: Bytes; envelope: Envelope } | undefined {
  const row = store.get<{ version: number; hash: Bytes; envelope: Bytes }>(
    'SELECT version, hash, envelope FROM heads WHERE envelope IS NOT NULL ORDER BY version DESC LIMIT 1',
  )
  return row === undefined
    ? undefined
    : { ...row, envelope: decodeEnvelope(new Uint8Array(row.envelope)) }
}

/** Whether it is a head that this database signed. */
export function isOwnHead(
  store: Store,
  head: { incarnation: number; version: number },
  hash: Bytes,
): boolean {
  const own = store.get<{ hash: Bytes | null }>(
    'SELECT hash FROM heads WHERE version = ? AND incarnation = ?',
    head.version,
    head.incarnation,
  )
  return own?.hash != null && equal(own.hash, hash)
}
