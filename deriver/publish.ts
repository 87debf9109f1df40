/** From rows to a signed head: changed keyrings, the catalog over all manifests, and the head over everything. A heartbeat costs the same whatever there is. */
import { equal, hex, type Bytes } from '../shared/bytes.ts'
import { verifyCatalog } from '../shared/catalog.ts'
import {
  decodeEnvelope,
  encodeEnvelope,
  signWithAuthority,
  signWithCertificate,
  type Envelope,
} from '../shared/envelope.ts'
import { documentHash } from '../shared/document-hash.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { sha256 } from '../shared/hash.ts'
import { type AnySigner } from '../shared/http-signature.ts'
import { type HeadBody } from '../shared/release.ts'
import { keyId, type AnySigningKey } from '../shared/signature.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { parseAnchor } from '../shared/x509.ts'
import { requireFreshCrls } from './incarnation.ts'
import { appendLog, readLog, type LogState } from './log.ts'
import { publishKeyring, publishTrees, readTree } from './release.ts'
import { type Root } from './root.ts'
import { type Store } from './store.ts'
import { isNewestTrust } from './trust.ts'
import { isAuthorityAway } from './versions.ts'

/** Seconds: how long a catalog lives, and after which part of that it is signed again. */
const CATALOG_LIFETIME = 7 * 86_400
const CATALOG_RENEWAL = 86_400
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

/**
 * The newest catalog, if it is over the manifests as they stand, under the newest trust document and, where the authority's keys are at hand, not a day old.
 * A ceremony's counts as long as there is no other one: clients know its end themselves.
 */
function currentCatalog(store: Store, trust: TrustDocument, now: number): CatalogRow | undefined {
  const last = lastCatalog(store)
  const isCurrent =
    last !== undefined &&
    (isAuthorityAway(store) || last.expires - CATALOG_LIFETIME + CATALOG_RENEWAL > now) &&
    last.trust === trust.body.number &&
    equal(last.root, readTree(store, 'manifest').root)
  return isCurrent ? last : undefined
}

/** Takes the last catalog over to the newest trust document, if its signatures count under that. Returns whether it did. */
async function adoptCatalog(store: Store, trust: TrustDocument): Promise<boolean> {
  const last = lastCatalog(store)
  if (last === undefined || !equal(last.root, readTree(store, 'manifest').root)) return false
  try {
    await verifyCatalog(decodeEnvelope(new Uint8Array(last.envelope)), trust)
  } catch (error) {
    if (!isKeyferryError(error, 'ERR_SIGNATURE')) throw error
    return false
  }
  store.run('UPDATE catalogs SET trust = ? WHERE number = ?', trust.body.number, last.number)
  return true
}

/** Throws `ERR_CONFLICT` for a trust document that is not the newest any more: a head under it would go back behind those of other processes. */
function requireNewest(store: Store, trust: TrustDocument): void {
  if (!isNewestTrust(store, trust))
    throw new KeyferryError('ERR_CONFLICT', 'a newer trust document is in force')
}

/** The keys among these that the trust document lists. */
function listedKeys(keys: readonly AnySigningKey[], { body }: TrustDocument): AnySigningKey[] {
  return keys.filter(({ spki }) => body.authority.keys.some((one) => equal(one, spki)))
}

/** Notes whether the keys at hand can sign catalogs: without them, the deriver goes by the catalog of the last ceremony. */
export function noteAuthority(
  store: Store,
  keys: readonly AnySigningKey[],
  trust: TrustDocument,
): void {
  const isAway = listedKeys(keys, trust).length < trust.body.authority.threshold
  if (isAway !== isAuthorityAway(store)) store.set('authority-away', isAway ? 1 : 0)
}

/** The keys at hand that the trust document lists. Throws `ERR_SIGNATURE` where they are fewer than its threshold. */
export function authoritySigners(
  keys: readonly AnySigningKey[],
  trust: TrustDocument,
): AnySigningKey[] {
  const { threshold } = trust.body.authority
  const signers = listedKeys(keys, trust)
  if (signers.length < threshold) {
    throw new KeyferryError(
      'ERR_SIGNATURE',
      `a catalog needs ${threshold} of the authority keys, and ${signers.length} are in this directory`,
    )
  }
  return signers
}

/** Signs a catalog over the manifests as they stand, if there is none. */
async function publishCatalog(
  store: Store,
  keys: PublishKeys,
  trust: TrustDocument,
  now: number,
): Promise<void> {
  if (currentCatalog(store, trust, now) !== undefined) return
  if (isAuthorityAway(store) && (await adoptCatalog(store, trust))) return
  const signers = authoritySigners(keys.authority, trust)
  const plan = store.transaction(() =>
    currentCatalog(store, trust, now) === undefined
      ? { manifests: readTree(store, 'manifest'), number: store.next('catalog') }
      : null,
  )
  if (plan === null) return
  const { manifests, number } = plan
  const expires = now + CATALOG_LIFETIME
  const body = { expiresAt: expires, issuedAt: now, manifests, number, tenant: trust.tenant }
  const envelope = await signWithAuthority('catalog', body, signers)
  store.transaction(() => {
    store.run(
      'INSERT INTO catalogs VALUES (?, ?, ?, ?, ?, ?)',
      number,
      documentHash(envelope),
      encodeEnvelope(envelope),
      expires,
      manifests.root,
      trust.body.number,
    )
    appendLog(store, 'catalog-signed', now, { number, root: manifests.root })
  })
}

/** CRLs in force, as a head lists them. */
export function currentCrls(
  store: Store,
): { issuer: Bytes; number: number; hash: Bytes; der: Bytes }[] {
  return store.all('SELECT issuer, number, hash, der FROM crls ORDER BY issuer')
}

/** Publishes keyrings that changed. Returns the count of changes that this takes in. */
function publishKeyrings(
  store: Store,
  keys: PublishKeys,
  tenant: string,
  now: number,
): Promise<number> {
  return keys.root.transaction(store, () => {
    const change = store.counter('change')
    const dirty = store.all<{ id: Bytes }>('SELECT id FROM keyrings WHERE dirty = 1')
    for (const { id } of dirty) publishKeyring(store, keys.root, tenant, id, now)
    if (dirty.length > 0 || store.get('SELECT 1 FROM trees') === undefined) publishTrees(store)
    return change
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

/** Allocates a head over what is published; `null` if another process changed something since. */
function allocateHead(
  store: Store,
  trust: TrustDocument,
  log: LogState,
  change: number,
  now: number,
  lifetime: number,
  issuers: Set<string>,
): HeadBody | null {
  return store.transaction(() => {
    // PROTOCOL [deriver-1]
    requireNewest(store, trust)
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
    const change = await publishKeyrings(store, keys, trust.tenant, now)
    await publishCatalog(store, keys, trust, now)
    const issuers = await signerIssuers(keys, trust)
    const body = allocateHead(store, trust, log, change, now, lifetime, issuers)
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
