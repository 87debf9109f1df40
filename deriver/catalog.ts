/** Catalogs: the authority's signature over all manifests. */
import { equal, type Bytes } from '../shared/bytes.ts'
import { verifyCatalog } from '../shared/catalog.ts'
import { documentHash } from '../shared/document-hash.ts'
import {
  decodeEnvelope,
  encodeEnvelope,
  signWithAuthority,
  type Envelope,
} from '../shared/envelope.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { type AnySigningKey } from '../shared/signature.ts'
import { type TreeHead } from '../shared/tree.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { appendLog } from './log.ts'
import { readTree } from './release.ts'
import { type Store } from './store.ts'
import { isAuthorityAway } from './versions.ts'

/** Seconds: how long a catalog lives, and after which part of that it is signed again. */
const CATALOG_LIFETIME = 7 * 86_400
const CATALOG_RENEWAL = 86_400
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
export function currentCatalog(
  store: Store,
  trust: TrustDocument,
  now: number,
): CatalogRow | undefined {
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

/** A catalog that is to be signed: its number is taken. */
export interface CatalogPlan {
  manifests: TreeHead
  number: number
}

/** A catalog that was signed, and is stored with the head that names it. */
export interface SignedCatalog extends CatalogPlan {
  envelope: Envelope
  expires: number
}

/** Takes a number for a catalog over the manifests as they stand; `null` if there is one. Call it in a transaction. */
export function planCatalog(store: Store, trust: TrustDocument, now: number): CatalogPlan | null {
  if (currentCatalog(store, trust, now) !== undefined) return null
  return { manifests: readTree(store, 'manifest'), number: store.next('catalog') }
}

/** Signs the catalog that was planned, or one that is wanted meanwhile; `null` if there is one. */
export async function signCatalog(
  store: Store,
  authority: readonly AnySigningKey[],
  trust: TrustDocument,
  now: number,
  planned: CatalogPlan | null,
): Promise<SignedCatalog | null> {
  if (planned === null && currentCatalog(store, trust, now) !== undefined) return null
  if (isAuthorityAway(store) && (await adoptCatalog(store, trust))) return null
  const signers = authoritySigners(authority, trust)
  const plan = planned ?? store.transaction(() => planCatalog(store, trust, now))
  if (plan === null) return null
  const expires = now + CATALOG_LIFETIME
  const body = { ...plan, expiresAt: expires, issuedAt: now, tenant: trust.tenant }
  return { ...plan, expires, envelope: await signWithAuthority('catalog', body, signers) }
}

/** Stores a catalog, and that it was signed; not one that was overtaken, since numbers rise in the log. Call it in a transaction. */
export function storeCatalog(
  store: Store,
  { envelope, expires, manifests, number }: SignedCatalog,
  trust: TrustDocument,
  now: number,
): void {
  if ((lastCatalog(store)?.number ?? 0) > number) return
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
}
