/** Objects for the relay: kept as long as something current names them, numbered so that a push sends what is new. */
import { hex, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { sha256 } from '../shared/hash.ts'
import { MAX_OBJECT } from '../shared/limits.ts'
import { KEYRING_LEAF } from '../shared/manifest.ts'
import { parseIndex } from '../shared/tree.ts'
import { type Store } from './store.ts'

/** Puts an object where the next push finds it, also if it was there before: a relay may have dropped it meanwhile. Throws `ERR_TOO_LARGE`. */
export function putObject(store: Store, body: Bytes): Bytes {
  if (body.length > MAX_OBJECT)
    throw new KeyferryError('ERR_TOO_LARGE', 'an object above the limit of a relay')
  const hash = sha256(body)
  store.run('DELETE FROM objects WHERE hash = ?', hash)
  store.run('INSERT INTO objects VALUES (?, ?, ?)', store.next('object'), hash, body)
  return hash
}

/** Hashes of the pages of a keyring tree; none if there is no tree yet. */
export function treePages(store: Store, name: 'manifest' | 'release'): Bytes[] {
  const row = store.get<{ body: Bytes }>(
    'SELECT o.body FROM trees t JOIN objects o ON o.hash = t.tree_index WHERE t.name = ?',
    name,
  )
  return row === undefined ? [] : parseIndex(new Uint8Array(row.body), KEYRING_LEAF).pages
}

function namedObjects(store: Store): Set<string> {
  const named = store.all<{ hash: Bytes | null }>(
    `SELECT manifest AS hash FROM keyrings UNION ALL SELECT bundle FROM keyrings UNION ALL SELECT release FROM keyrings
     UNION ALL SELECT members_index FROM keyrings UNION ALL SELECT hash FROM pages UNION ALL SELECT tree_index FROM trees
     UNION ALL SELECT d.welcome_hash FROM devices d`,
  )
  const pages = [...treePages(store, 'manifest'), ...treePages(store, 'release')]
  return new Set([
    ...named.flatMap(({ hash }) => (hash === null ? [] : [hex(hash)])),
    ...pages.map(hex),
  ])
}

/** Drops objects that nothing current names, once they are as many as those that are named. Returns how many went. */
export function pruneObjects(store: Store): number {
  const { n } = store.get<{ n: number }>('SELECT count(*) AS n FROM objects')!
  const last = store.counter('objects-named')
  if (n < 2 * last + 1_000) return 0
  return store.transaction(() => {
    const named = namedObjects(store)
    let gone = 0
    for (const { serial, hash } of store.all<{ serial: number; hash: Bytes }>(
      'SELECT serial, hash FROM objects',
    )) {
      if (named.has(hex(hash))) continue
      store.run('DELETE FROM objects WHERE serial = ?', serial)
      gone++
    }
    store.set('objects-named', named.size)
    return gone
  })
}
