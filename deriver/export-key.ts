/**
 * Taking a key out: a version's key, wrapped for key services and HSMs. Before any of it leaves, the log says so, and the authority signs one record of all
 * places that it goes to in this step: evidence, by key id, of what is where.
 */
import { equal, fromBase32, type Bytes } from '../shared/bytes.ts'
import { encodeEnvelope, signWithAuthority, type Envelope } from '../shared/envelope.ts'
import { documentHash } from '../shared/document-hash.ts'
import { verifyByAuthorities } from '../shared/authority.ts'
import { KeyferryError } from '../shared/errors.ts'
import { versionContext } from '../shared/manifest.ts'
import { type AnySigningKey } from '../shared/signature.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { openImport } from './imported.ts'
import { findKeyring, type VersionRow } from './keyrings.ts'
import { appendLog } from './log.ts'
import { authoritySigners } from './catalog.ts'
import { commit, type Root } from './root.ts'
import { versionSecret } from './version-secrets.ts'
import { type Store } from './store.ts'
import { wrapFor, type Wrapped, type WrapRequest } from './wrap-for.ts'

/** What is needed to export. */
export interface Exporting {
  store: Store
  root: Root
  authority: readonly AnySigningKey[]
  trust: TrustDocument
}

/** What was made: nothing of it was written yet. */
export interface Exported {
  keyId: Bytes
  record: Envelope
  wrapped: (Wrapped & Pick<WrapRequest, 'target' | 'method'>)[]
}

/** Names the newest version of a number. Throws `ERR_KEY_VERSION`. */
function findVersion(store: Store, keyring: Bytes, version: number): VersionRow {
  const row = store.get<VersionRow>(
    'SELECT * FROM versions WHERE keyring = ? AND version = ? ORDER BY incarnation DESC LIMIT 1',
    keyring,
    version,
  )
  if (row === undefined)
    throw new KeyferryError('ERR_KEY_VERSION', `no version ${version}`, {
      hint: 'keyferry keyring list shows the present version',
    })
  return row
}

/** Derives the key of a version: its secret, or the bytes that were imported. */
async function keyOf(
  { store, root, trust }: Exporting,
  row: VersionRow,
): Promise<{ key: Bytes; keyId: Bytes }> {
  const names = { tenant: fromBase32(trust.tenant), keyring: new Uint8Array(row.keyring) }
  const secret = await root.transaction(store, () => versionSecret(root, names, row))
  const keyId = commit(secret, versionContext(names, row))
  if (row.key_id !== null && !equal(keyId, new Uint8Array(row.key_id)))
    throw new KeyferryError('ERR_COMMITMENT', 'another key than the one that was published')
  if (row.sealed === null) return { key: secret, keyId }
  const key = openImport(secret, new Uint8Array(row.sealed), names, keyId)
  secret.fill(0)
  return { key, keyId }
}

/**
 * Wraps the key of a version for each request, signs the record and writes the log. What is returned is for the caller to write. Throws
 * `ERR_NOT_FOUND`, `ERR_KEY_VERSION`, `ERR_UNSUPPORTED` for an erasable keyring, `ERR_SIGNATURE` where the authority is elsewhere, `ERR_USAGE`.
 */
export async function exportVersion(
  exporting: Exporting,
  { name, version }: { name: string; version: number },
  requests: readonly WrapRequest[],
  now: number,
): Promise<Exported> {
  const { store, authority, trust } = exporting
  const ring = findKeyring(store, name)
  if (ring.kind === 'erasable')
    throw new KeyferryError(
      'ERR_UNSUPPORTED',
      `keyring ${name} is erasable: a copy elsewhere could not be destroyed`,
    )
  const row = findVersion(store, ring.id, version)
  const signers = authoritySigners(authority, trust)
  const { key, keyId } = await keyOf(exporting, row)
  try {
    const wrapped = requests.map((request) => {
      const { target, method } = request
      return { ...wrapFor(request, key), target, method }
    })
    const body = {
      exportedAt: now,
      incarnation: row.incarnation,
      keyId,
      keyring: new Uint8Array(ring.id),
      targets: wrapped.map(({ target, method, fingerprint }) => ({
        method,
        target,
        wrappingKey: fingerprint,
      })),
      tenant: trust.tenant,
      version: row.version,
    }
    const record = await signWithAuthority('export', body, signers)
    await verifyByAuthorities(record, [trust.body.authority])
    const hash = documentHash(record)
    store.transaction(() => {
      appendLog(store, 'version-exported', now, {
        keyring: ring.id,
        incarnation: row.incarnation,
        version: row.version,
        keyId,
        record: hash,
        targets: wrapped
          .map(({ target, method, fingerprint }) => `${target} ${method} ${fingerprint}`)
          .join(', '),
      })
      store.run('INSERT INTO exports VALUES (?, ?, ?)', hash, ring.id, encodeEnvelope(record))
    })
    return { keyId, record, wrapped }
  } finally {
    key.fill(0)
  }
}
