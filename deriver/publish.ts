/** From rows to a signed head: changed keyrings, the catalog over all manifests, and the head over everything. A heartbeat costs the same whatever there is. */
import { hex, type Bytes } from '../shared/bytes.ts'
import { encodeEnvelope, signWithCertificate, type Envelope } from '../shared/envelope.ts'
import { documentHash } from '../shared/document-hash.ts'
import { KeyferryError } from '../shared/errors.ts'
import { sha256 } from '../shared/hash.ts'
import { type AnySigner } from '../shared/http-signature.ts'
import { type HeadBody } from '../shared/release.ts'
import { keyId, type AnySigningKey } from '../shared/signature.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { parseAnchor } from '../shared/x509.ts'
import {
  currentCatalog,
  planCatalog,
  signCatalog,
  storeCatalog,
  type CatalogPlan,
  type SignedCatalog,
} from './catalog.ts'
import { requireFreshCrls } from './incarnation.ts'
import { readLog, type LogState } from './log.ts'
import { publishKeyring, publishTrees, readTree } from './release.ts'
import { type Root } from './root.ts'
import { type Store } from './store.ts'
import { isNewestTrust } from './trust.ts'
import { isAuthorityAway } from './versions.ts'

/** How often a head is begun anew because another process changed something meanwhile. */
const ATTEMPTS = 16

/** The keys that publishing needs. */
export interface PublishKeys {
  root: Root
  /** Keys of the authority that this process holds. */
  authority: AnySigningKey[]
  /** The deriver's certificate and key. */
  signer: AnySigner
}

/** A head that is signed and stored. */
export interface Published {
  head: Envelope
  hash: Bytes
  version: number
}

/** Throws `ERR_CONFLICT` for a trust document that is not the newest any more: a head under it would go back behind those of other processes. */
function requireNewest(store: Store, trust: TrustDocument): void {
  if (!isNewestTrust(store, trust))
    throw new KeyferryError('ERR_CONFLICT', 'a newer trust document is in force')
}

/** CRLs in force, as a head lists them. */
export function currentCrls(
  store: Store,
): { issuer: Bytes; number: number; hash: Bytes; der: Bytes }[] {
  return store.all('SELECT issuer, number, hash, der FROM crls ORDER BY issuer')
}

/** What a head is to take in. */
interface Changes {
  /** Count of the changes that are published. */
  change: number
  /** The catalog that they ask for; without the authority's keys, none is planned. */
  plan: CatalogPlan | null
}

/** Publishes keyrings that changed. */
function publishKeyrings(
  store: Store,
  keys: PublishKeys,
  trust: TrustDocument,
  now: number,
): Promise<Changes> {
  return keys.root.transaction(store, () => {
    const change = store.counter('change')
    const dirty = store.all<{ id: Bytes }>('SELECT id FROM keyrings WHERE dirty = 1')
    for (const { id } of dirty) publishKeyring(store, keys.root, trust.tenant, id, now)
    if (dirty.length > 0 || store.get('SELECT 1 FROM trees') === undefined) publishTrees(store)
    return { change, plan: isAuthorityAway(store) ? null : planCatalog(store, trust, now) }
  })
}

/** Key ids of the CAs whose lists decide on a deriver's certificate, in hex. */
async function signerIssuers({ signer }: PublishKeys, trust: TrustDocument): Promise<Set<string>> {
  const above = [...trust.body.derivers.anchors, ...signer.certificates.slice(1)]
  return new Set(
    await Promise.all(above.map(async (der) => hex(await keyId(parseAnchor(der).spki)))),
  )
}

/** Keeps the lists by which a head's signer is judged: whoever checks the head in years needs those of its day. */
function keepCrls(store: Store, crls: ReturnType<typeof currentCrls>, issuers: Set<string>): void {
  for (const { issuer, hash, der } of crls) {
    if (issuers.has(hex(issuer)))
      store.run('INSERT OR IGNORE INTO crl_history VALUES (?, ?)', hash, der)
  }
}

/** Stores the catalog and allocates a head over what is published; `null` if another process changed something since. */
function allocateHead(
  store: Store,
  trust: TrustDocument,
  log: LogState,
  { change, signed }: { change: number; signed: SignedCatalog | null },
  now: number,
  lifetime: number,
  issuers: Set<string>,
): HeadBody | null {
  return store.transaction(() => {
    // PROTOCOL [deriver-1]
    requireNewest(store, trust)
    if (signed !== null) storeCatalog(store, signed, trust, now)
    const catalog = currentCatalog(store, trust, now)
    if (catalog === undefined || store.get('SELECT 1 FROM keyrings WHERE dirty = 1') !== undefined)
      return null
    // PROTOCOL [deriver-1]
    const version = store.next('head')
    const incarnation = store.counter('incarnation')
    const expiresAt = now + Math.min(lifetime, trust.body.headLifetime)
    store.run(
      'INSERT INTO heads VALUES (?, ?, NULL, NULL, ?, ?, ?, ?)',
      version,
      incarnation,
      catalog.number,
      change,
      now,
      expiresAt,
    )
    const crls = currentCrls(store)
    keepCrls(store, crls, issuers)
    return {
      catalog: { hash: catalog.hash, number: catalog.number },
      crls: crls.map(({ issuer, number, hash }) => ({ hash, issuer, number })),
      expiresAt,
      incarnation,
      issuedAt: now,
      log: readLog(store, log),
      releases: readTree(store, 'release'),
      signer: new Uint8Array(),
      tenant: trust.tenant,
      trust: { hash: trust.hash, number: trust.body.number },
      version,
    }
  })
}

/**
 * Publishes everything that changed: allocates numbers in the store, signs, and stores the head before it returns.
 * `lifetime` is the head's, in seconds, at most the trust document's. Throws `ERR_CONFLICT` if other processes change faster than this signs, or took a
 * newer trust document into force.
 */
export async function publish(
  store: Store,
  keys: PublishKeys,
  trust: TrustDocument,
  log: LogState,
  now: number,
  lifetime: number,
): Promise<Published> {
  for (let i = 0; i < ATTEMPTS; i++) {
    requireFreshCrls(store, trust)
    const { change, plan } = await publishKeyrings(store, keys, trust, now)
    const signed = await signCatalog(store, keys.authority, trust, now, plan)
    const issuers = await signerIssuers(keys, trust)
    // Of a transaction that fails, nothing was written.
    const seen = structuredClone(log)
    const body = allocateHead(store, trust, seen, { change, signed }, now, lifetime, issuers)
    Object.assign(log, seen)
    if (body === null) continue
    const { key, certificates } = keys.signer
    const signer = sha256(certificates[0]!)
    const head = await signWithCertificate('head', { ...body, signer }, key, certificates)
    const hash = documentHash(head)
    store.run(
      'UPDATE heads SET hash = ?, envelope = ? WHERE version = ?',
      hash,
      encodeEnvelope(head),
      body.version,
    )
    return { head, hash, version: body.version }
  }
  throw new KeyferryError(
    'ERR_CONFLICT',
    'other processes change the store faster than heads are signed',
  )
}
