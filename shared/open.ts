/**
 * What a client does with a delivery before it touches a key (docs/PROTOCOL.md, "Opening a delivery"). State goes in, a verified view and the
 * next state come out; nothing is stored here and nothing is believed that a signature does not reach.
 */
import { readBundle, type BundleView, type MemberLeaf } from './bundle.ts'
import type { CatalogBody } from './catalog.ts'
import { isReplaced, lowestCrl, requireNotBelow } from './numbered.ts'
import { equal, fromBase32, hex, latin1, type Bytes } from './bytes.ts'
import { parseCrl, type Crl } from './crl.ts'
import { type Envelope } from './envelope.ts'
import { readerOf, rememberSignatures, type CaVerifier } from './certificate-signature.ts'
import { KeyferryError } from './errors.ts'
import { digest, digestOnce } from './digest.ts'
import { lazily } from './lazy.ts'
import { type DeliveredKeyring, type Delivery } from './delivery.ts'
import { readManifest, keyringLeaf, type ManifestView } from './manifest.ts'
import { openMember, type HeldMember } from './membership.ts'
import {
  decodeRelease,
  requireLogged,
  requireSuccession,
  requireTrust,
  verifyHead,
  type Head,
  type LastHead,
  type Release,
} from './release.ts'
import { verifyLeaf } from './tree-proof.ts'
import type { TrustDocument } from './trust.ts'
import { followTrust, type TrustFloor } from './trust-following.ts'

/** What a client keeps of what it accepted. None of it ever goes back. */
export interface Accepted {
  trust: TrustDocument
  head: LastHead & { expiresAt: number }
  catalog: { body: CatalogBody; hash: Bytes }
  /** Highest CRL number seen, by issuer key id in hex. */
  crls: Record<string, number>
  /** Highest manifest number seen and its hash, by keyring id in hex. */
  manifests: Record<string, { number: number; hash: Bytes }>
}

/** A keyring as a verified delivery shows it. Its keys are still wrapped. */
export interface KeyringView {
  /** 16 bytes. */
  id: Bytes
  release: Release
  manifest: ManifestView
  bundle: BundleView
  member: MemberLeaf
  slot: number
  /** Sealed channel key, if it was delivered. */
  welcome: Bytes
  /** The objects as they came, to be kept. */
  objects: { release: Bytes; manifest: Bytes; bundle: Bytes }
}

/** Who opens, when, and what is known. */
export interface OpenContext {
  /** Tenant id, as text. */
  tenant: string
  floor: TrustFloor | null
  /** Document hash of the client's key package. */
  packageHash: Bytes
  /** Keyring ids that were asked for. */
  keyrings: readonly Bytes[]
  /** Seconds, by the client's clock. */
  now: number
  /** `null` the first time. */
  last: Accepted | null
  /** The trust document last accepted, also when no head was yet. */
  trust: TrustDocument | null
  /** An object kept from before, by its hash. */
  kept: (hash: Bytes) => Bytes | undefined
  /** The client's leaf that was accepted last for a keyring, and the tree that it is of. */
  held: (keyring: Bytes) => HeldMember | null
  /** Checks signatures of CAs: one that remembers, for a client that goes on. */
  verify?: CaVerifier | undefined
}

/** A verified delivery: what to store first, and what can then be used. */
export interface Opened {
  accepted: Accepted
  head: Head
  /** The delivered CRLs that the head names: what else a deriver signed is verified with these only. */
  crls: Crl[]
  /** Keyrings that the delivery shows the client a member of. */
  keyrings: KeyringView[]
}

async function object(delivered: Bytes, hash: Bytes, kept: OpenContext['kept']): Promise<Bytes> {
  // Copied before it is looked at: it is kept, and the memory of an answer is that of whoever fetched it.
  const found = delivered.length > 0 ? delivered.slice() : kept(hash)
  if (found === undefined || !equal(await digest(found), hash)) throw new KeyferryError('ERR_HASH')
  return found
}

/** The number below which no CRL of an issuer counts, also by what was seen. */
function lowestSeen(issuer: Bytes, trust: TrustDocument, seen: Accepted['crls']): number {
  return Math.max(lowestCrl(issuer, trust.body), seen[hex(issuer)] ?? 0)
}

/** [open-7]: the CRLs under which the head's signer was accepted. */
function requireCrls(
  head: Head,
  trust: TrustDocument,
  last: Accepted | null,
): Record<string, number> {
  const crls = { ...last?.crls }
  for (const { keyId, crlNumber, crlHash } of head.path.issuers) {
    // PROTOCOL [open-7]
    const listed = head.body.crls.find((one) => equal(one.issuer, keyId))
    if (listed === undefined || listed.number !== crlNumber || !equal(listed.hash, crlHash)) {
      throw new KeyferryError('ERR_HASH', 'the head names another list')
    }
    if (crlNumber < lowestSeen(keyId, trust, crls))
      throw new KeyferryError('ERR_ROLLBACK', 'an older list')
    crls[hex(keyId)] = crlNumber
  }
  return crls
}

const readCrl = (der: Bytes): Crl => parseCrl(der)

/** Delivered CRLs, each parsed once however often it came: what a hostile relay repeats must cost nothing. Throws `ERR_CRL`. */
async function parseCrls(
  delivered: readonly Bytes[],
  verify: CaVerifier,
): Promise<{ crl: Crl; hash: Bytes }[]> {
  const distinct = new Map(delivered.map((der) => [latin1(der), der]))
  const parsed = [...distinct.values()].map(readerOf(verify, readCrl))
  // By the platform: lists may be megabytes.
  return Promise.all(parsed.map(async (crl) => ({ crl, hash: await digestOnce(crl.der) })))
}

/** The delivered CRLs that an accepted head names and that are not too old: a relay can add others, from before a revocation. */
function namedCrls(
  delivered: readonly { crl: Crl; hash: Bytes }[],
  { crls }: Head['body'],
  trust: TrustDocument,
  seen: Accepted['crls'],
): Crl[] {
  return delivered.flatMap(({ crl, hash }) => {
    const named = crls.find((one) => equal(one.hash, hash))
    return named !== undefined && named.number >= lowestSeen(named.issuer, trust, seen) ? [crl] : []
  })
}

/**
 * The catalog of a delivery. The one that was kept counts only under the trust document under which it was accepted: the next one may have
 * replaced the keys that signed it.
 */
async function openCatalog(
  delivered: Envelope | null,
  trust: TrustDocument,
  last: Accepted | null,
): Promise<Accepted['catalog']> {
  if (delivered !== null) {
    const { verifyCatalog } = await lazily(() => import('./catalog.ts'))
    return verifyCatalog(delivered, trust)
  }
  // PROTOCOL [catalog-1]
  if (last === null || !equal(last.trust.hash, trust.hash))
    throw new KeyferryError('ERR_HASH', 'a new catalog is missing')
  return last.catalog
}

async function openKeyring(
  item: DeliveredKeyring,
  head: Head,
  catalog: CatalogBody,
  lastManifests: Accepted['manifests'],
  context: OpenContext,
): Promise<KeyringView> {
  const { keyring } = item
  const { releases, incarnation, tenant } = head.body
  // PROTOCOL [open-10]
  const releaseBytes = item.release
  await verifyLeaf(
    keyringLeaf(keyring, await digest(releaseBytes)),
    item.releaseProof,
    releases.size,
    releases.root,
  )
  const release = decodeRelease(releaseBytes)
  // PROTOCOL [open-11]
  if (release.tenant !== tenant) throw new KeyferryError('ERR_TENANT')
  if (!equal(release.keyring, keyring)) throw new KeyferryError('ERR_KEYRING')
  if (release.incarnation !== incarnation) throw new KeyferryError('ERR_INCARNATION')
  requireLogged(release, head.body)
  // PROTOCOL [open-12]
  const manifestBytes = await object(item.manifest, release.manifest, context.kept)
  await verifyLeaf(
    keyringLeaf(keyring, release.manifest),
    item.manifestProof,
    catalog.manifests.size,
    catalog.manifests.root,
  )
  const manifest = readManifest(manifestBytes)
  // PROTOCOL [open-13]
  if (!equal(manifest.tenant, fromBase32(tenant))) throw new KeyferryError('ERR_TENANT')
  if (!equal(manifest.keyring, keyring)) throw new KeyferryError('ERR_KEYRING')
  requireNotBelow(
    { number: manifest.number, hash: release.manifest },
    lastManifests[hex(keyring)] ?? null,
    'manifest',
  )
  // PROTOCOL [open-14]
  const { member, slot } = await openMember(item, release.members, context.held(keyring))
  if (!equal(member.packageHash, context.packageHash)) throw new KeyferryError('ERR_NOT_RECIPIENT')
  // PROTOCOL [open-18]
  const bundleBytes = await object(item.bundle, release.bundle, context.kept)
  const bundle = readBundle(bundleBytes)
  if (
    !equal(bundle.keyring, keyring) ||
    bundle.incarnation !== release.incarnation ||
    bundle.generation !== release.generation
  ) {
    throw new KeyferryError('ERR_KEYRING', 'another bundle')
  }
  const objects = { release: releaseBytes, manifest: manifestBytes, bundle: bundleBytes }
  const { welcome } = item
  return {
    id: keyring,
    release,
    manifest,
    bundle,
    member,
    slot,
    welcome,
    objects,
  }
}

/**
 * Verifies a delivery: [open-1] to [open-14] and [open-18]. Throws the code of the first step that fails, and nothing of the delivery is then to be
 * used. Keyrings that the delivery leaves out are simply missing: that proves nothing.
 */
export async function openDelivery(delivery: Delivery, context: OpenContext): Promise<Opened> {
  const { tenant, now, last } = context
  // PROTOCOL [open-1]
  const trust = await followTrust(tenant, context.trust, delivery.trust, context.floor, now)
  const { verify = rememberSignatures() } = context
  const lists = await parseCrls(delivery.crls, verify)
  const parsed = lists.map(({ crl }) => crl)
  const head = await verifyHead(delivery.head, { trust, now, crls: parsed, verify })
  requireTrust(head.body, trust)
  const crls = requireCrls(head, trust, last)
  requireSuccession(head, last?.head ?? null, now, trust.body.skew)
  // PROTOCOL [open-9]
  const catalog = await openCatalog(delivery.catalog, trust, last)
  const { number, hash } = head.body.catalog
  if (catalog.body.number !== number || !equal(catalog.hash, hash)) {
    throw new KeyferryError('ERR_HASH', 'the head names another catalog')
  }
  // PROTOCOL [catalog-3]
  const isNewAuthority =
    last !== null && isReplaced(last.trust.body.authority, trust.body.authority)
  // PROTOCOL [catalog-2]
  requireNotBelow(
    { number, hash },
    last === null || isNewAuthority
      ? null
      : { number: last.catalog.body.number, hash: last.catalog.hash },
    'catalog',
  )
  const keyrings: KeyringView[] = []
  const manifests = isNewAuthority ? {} : { ...last?.manifests }
  const seen = new Set<string>()
  for (const item of delivery.keyrings) {
    const id = hex(item.keyring)
    if (seen.has(id) || !context.keyrings.some((asked) => equal(asked, item.keyring))) {
      throw new KeyferryError('ERR_DOCUMENT_MISMATCH', 'not a keyring asked for')
    }
    seen.add(id)
    const view = await openKeyring(item, head, catalog.body, manifests, context)
    keyrings.push(view)
    manifests[id] = { number: view.manifest.number, hash: view.release.manifest }
  }
  const { incarnation, version, issuedAt, expiresAt } = head.body
  const accepted: Accepted = {
    trust,
    head: { incarnation, version, hash: head.hash, issuedAt, expiresAt },
    catalog: { body: catalog.body, hash },
    crls,
    manifests,
  }
  return { accepted, head, crls: namedCrls(lists, head.body, trust, crls), keyrings }
}
