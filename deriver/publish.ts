/** From rows to a signed head: changed keyrings, the catalog over all manifests, and the head over everything. A heartbeat costs the same whatever there is. */
import { equal, type Bytes } from '../shared/bytes.ts'
import {
  decodeEnvelope,
  documentHash,
  encodeEnvelope,
  signWithAuthority,
  signWithCertificate,
  type Envelope,
} from '../shared/envelope.ts'
import { sha256 } from '../shared/hash.ts'
import { type Signer } from '../shared/http-signature.ts'
import { type HeadBody } from '../shared/release.ts'
import { type SigningKey } from '../shared/signature.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { appendLog, readLog, type LogState } from './log.ts'
import { publishKeyring, publishTrees, readTree } from './release.ts'
import { type Root } from './root.ts'
import { type Store } from './store.ts'

/** Seconds: how long a catalog lives, and after which part of that it is signed again. */
const CATALOG_LIFETIME = 7 * 86_400
const CATALOG_RENEWAL = 86_400

/** The keys that publishing needs. */
export interface PublishKeys {
  root: Root
  /** Keys of the authority that this process holds. */
  authority: SigningKey[]
  /** The deriver's certificate and key. */
  signer: Signer
}

/** A head that is signed and stored, with what goes to the relay beside it. */
export interface Published {
  head: Envelope
  hash: Bytes
  catalog: Envelope
  version: number
}

interface CatalogRow {
  number: number
  hash: Bytes
  envelope: Bytes
  expires: number
  root: Bytes
  trust: number
}

function lastCatalog(store: Store): CatalogRow | undefined {
  return store.get<CatalogRow>('SELECT * FROM catalogs ORDER BY number DESC LIMIT 1')
}

/** The catalog over all manifests as they stand, signed again if they changed or it is a day old. */
async function publishCatalog(
  store: Store,
  keys: PublishKeys,
  trust: TrustDocument,
  now: number,
): Promise<CatalogRow> {
  const { manifests, number } = store.transaction(() => {
    const tree = readTree(store, 'manifest')
    const last = lastCatalog(store)
    const same =
      last !== undefined &&
      last.expires - CATALOG_LIFETIME + CATALOG_RENEWAL > now &&
      last.trust === trust.body.number &&
      equal(last.root, tree.root)
    return { manifests: tree, number: same ? 0 : store.next('catalog') }
  })
  if (number === 0) return lastCatalog(store)!
  const body = {
    expiresAt: now + CATALOG_LIFETIME,
    issuedAt: now,
    manifests,
    number,
    tenant: trust.tenant,
  }
  const envelope = await signWithAuthority('catalog', body, keys.authority)
  const row = {
    number,
    hash: documentHash(envelope),
    envelope: encodeEnvelope(envelope),
    expires: body.expiresAt,
    root: manifests.root,
    trust: trust.body.number,
  }
  store.transaction(() => {
    store.run(
      'INSERT INTO catalogs VALUES (?, ?, ?, ?, ?, ?)',
      row.number,
      row.hash,
      row.envelope,
      row.expires,
      row.root,
      row.trust,
    )
    appendLog(store, 'catalog-signed', now, { number, root: manifests.root })
  })
  return row
}

/** CRLs in force, as a head lists them. */
export function currentCrls(
  store: Store,
): { issuer: Bytes; number: number; hash: Bytes; der: Bytes }[] {
  return store.all('SELECT issuer, number, hash, der FROM crls ORDER BY issuer')
}

/**
 * Publishes everything that changed: allocates numbers in the store, signs, and stores the head before it returns.
 * `lifetime` is the head's, in seconds, at most the trust document's.
 */
export async function publish(
  store: Store,
  keys: PublishKeys,
  trust: TrustDocument,
  log: LogState,
  now: number,
  lifetime: number,
): Promise<Published> {
  store.transaction(() => {
    const dirty = store.all<{ id: Bytes }>('SELECT id FROM keyrings WHERE dirty = 1')
    for (const { id } of dirty) publishKeyring(store, keys.root, trust.tenant, id, now)
    if (dirty.length > 0 || store.get('SELECT 1 FROM trees') === undefined) publishTrees(store)
  })
  const catalog = await publishCatalog(store, keys, trust, now)
  const body = store.transaction(() => {
    // PROTOCOL [deriver-1]
    const version = store.next('head')
    const incarnation = store.counter('incarnation')
    const changed = store.counter('change')
    const head: HeadBody = {
      catalog: { hash: new Uint8Array(catalog.hash), number: catalog.number },
      crls: currentCrls(store).map(({ issuer, number, hash }) => ({ hash, issuer, number })),
      expiresAt: now + Math.min(lifetime, trust.body.headLifetime),
      incarnation,
      issuedAt: now,
      log: readLog(store, log),
      releases: readTree(store, 'release'),
      signer: new Uint8Array(),
      tenant: trust.tenant,
      trust: { hash: trust.hash, number: trust.body.number },
      version,
    }
    store.run(
      'INSERT INTO heads VALUES (?, ?, NULL, NULL, ?, ?)',
      version,
      incarnation,
      changed,
      now,
    )
    return head
  })
  const { key, certificates } = keys.signer
  const head = await signWithCertificate(
    'head',
    { ...body, signer: sha256(certificates[0]!) },
    key,
    certificates,
  )
  const hash = documentHash(head)
  store.run(
    'UPDATE heads SET hash = ?, envelope = ? WHERE version = ?',
    hash,
    encodeEnvelope(head),
    body.version,
  )
  return {
    head,
    hash,
    catalog: decodeEnvelope(new Uint8Array(catalog.envelope)),
    version: body.version,
  }
}
