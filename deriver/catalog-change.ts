/**
 * A catalog on its way to an authority whose keys are elsewhere: proposed as a file with every manifest in it, signed key by key, published. No file is
 * believed: who signs compares a fingerprint that was carried by hand, and the deriver publishes only what it would propose itself.
 */
import { base64url, equal, fromBase32, type Bytes } from '../shared/bytes.ts'
import { verifyCatalog, type CatalogBody } from '../shared/catalog.ts'
import { requireNotBelow } from '../shared/numbered.ts'
import {
  encodeEnvelope,
  payloadType,
  signWithAuthority,
  type Envelope,
} from '../shared/envelope.ts'
import { documentHash } from '../shared/document-hash.ts'
import { KeyferryError } from '../shared/errors.ts'
import { sha256 } from '../shared/hash.ts'
import { decodeJson, encodeJson, parseJson } from '../shared/json.ts'
import { MAX_AUTHORITY_LIFETIME, MAX_ENVELOPE, MAX_MANIFEST } from '../shared/limits.ts'
import {
  compareVersions,
  decodeManifest,
  KEYRING_LEAF,
  keyringLeaf,
  type Manifest,
} from '../shared/manifest.ts'
import { bytes, int, list, object, oneOf, text, treeHeadSchema } from '../shared/schema.ts'
import { keyId, type AnySigningKey } from '../shared/signature.ts'
import { buildTree } from '../shared/tree.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { appendLog } from './log.ts'
import { putObject } from './objects.ts'
import { draftManifest, publishTrees } from './release.ts'
import { requireUnfenced } from './restored.ts'
import { type Root } from './root.ts'
import { type KeyringRow } from './rows.ts'
import { commitAhead } from './schedule.ts'
import { markChanged, type Store } from './store.ts'

/** Bytes of a file with a catalog and its manifests at most. */
export const MAX_PROPOSAL = 268_435_456

const proposalSchema = object({
  catalog: object({
    certificates: list(bytes(1), 0, 0),
    payload: bytes(2, MAX_ENVELOPE),
    payloadType: oneOf(payloadType('catalog')),
    signatures: list(object({ keyid: bytes(32), sig: bytes(64) }), 0, 32),
  }),
  /** In the order of the tree. */
  manifests: list(
    object({ manifest: bytes(1, MAX_MANIFEST), name: text(63), previous: bytes(0, MAX_MANIFEST) }),
    0,
    100_000,
  ),
})

/** A proposed catalog: an envelope with any number of signatures, and manifests with names for people and what was signed before. */
export interface Proposal {
  catalog: Envelope
  manifests: { manifest: Bytes; name: string; previous: Bytes }[]
}

const bodySchema = object({
  expiresAt: int(),
  issuedAt: int(),
  manifests: treeHeadSchema,
  number: int(1),
  tenant: text(52),
})

/** Reads a proposal. White space around it is nothing. Throws the codes of decoding, `ERR_HASH` where the catalog is not over these manifests. */
export function decodeProposal(data: Bytes): Proposal {
  if (data.length > MAX_PROPOSAL) throw new KeyferryError('ERR_TOO_LARGE')
  const proposal = proposalSchema(parseJson(data, MAX_PROPOSAL), '')
  const { manifests, tenant } = bodyOf(proposal)
  const decoded = proposal.manifests.map(({ manifest }) => decodeManifest(manifest))
  if (decoded.some((one) => !equal(one.tenant, fromBase32(tenant))))
    throw new KeyferryError('ERR_TENANT')
  const leaves = proposal.manifests.map(({ manifest }, i) =>
    keyringLeaf(decoded[i]!.keyring, sha256(manifest)),
  )
  const { head } = buildTree(leaves, KEYRING_LEAF)
  if (!equal(head.root, manifests.root) || head.size !== manifests.size)
    throw new KeyferryError('ERR_HASH', 'the catalog is over other manifests')
  return proposal
}

export function encodeProposal({ catalog, manifests }: Proposal): Bytes {
  return encodeJson({ catalog, manifests })
}

/** What a proposed catalog says. */
export function bodyOf({ catalog }: Proposal): CatalogBody {
  return bodySchema(decodeJson(catalog.payload, MAX_ENVELOPE), '')
}

/** What is carried by hand beside the file: the catalog's document hash. */
export function fingerprintOf({ catalog }: Proposal): string {
  return base64url(documentHash(catalog))
}

/** One difference between two manifests; `widens` where more clients are covered than before. */
export interface ManifestChange {
  what: string
  widens: boolean
}

const day = (seconds: number): string => new Date(seconds * 1000).toISOString().slice(0, 10)

/** What a manifest changes of the one that was signed before, if there was one. */
export function manifestChanges(
  name: string,
  next: Manifest,
  last: Manifest | null,
): ManifestChange[] {
  const versions = next.versions.filter(
    (one) => last?.versions.some((old) => compareVersions(old, one) === 0) !== true,
  )
  const until = Math.max(0, ...versions.map((one) => one.encryptUntil))
  const changed = next.versions.filter((one) => {
    const old = last?.versions.find((two) => compareVersions(two, one) === 0)
    return old !== undefined && !equal(encodeJson(old), encodeJson(one))
  })
  return [
    ...(last === null ? [{ what: `${name}: a new ${next.kind} keyring`, widens: true }] : []),
    ...next.rules
      .filter((one) => last?.rules.includes(one) !== true)
      .map((one) => ({ what: `${name}: + rule ${one}`, widens: true })),
    ...(last?.rules ?? [])
      .filter((one) => !next.rules.includes(one))
      .map((one) => ({ what: `${name}: - rule ${one}`, widens: false })),
    ...(versions.length > 0
      ? [
          {
            what: `${name}: + ${versions.length} versions, the last until ${day(until)}`,
            widens: false,
          },
        ]
      : []),
    ...changed.map((one) => ({
      what: `${name}: version ${one.version} is ANOTHER ONE than before`,
      widens: true,
    })),
  ]
}

/** What a proposal changes. */
export function proposalChanges({ manifests }: Proposal): ManifestChange[] {
  return manifests.flatMap(({ manifest, name, previous }) =>
    manifestChanges(
      name,
      decodeManifest(manifest),
      previous.length === 0 ? null : decodeManifest(previous),
    ),
  )
}

function drafts(store: Store, root: Root, tenant: string): { row: KeyringRow; manifest: Bytes }[] {
  return store
    .all<KeyringRow>('SELECT * FROM keyrings ORDER BY id')
    .map((row) => ({ row, manifest: draftManifest(store, root, tenant, row.id) }))
}

function signedBefore(store: Store, { manifest }: KeyringRow): Bytes {
  if (manifest === null) return new Uint8Array()
  const signed = store.get<{ body: Bytes }>('SELECT body FROM objects WHERE hash = ?', manifest)
  return new Uint8Array(signed?.body ?? [])
}

/**
 * Proposes a catalog over all keyrings, each with `ahead` unused versions: their numbers, nonces and, in erasable keyrings, salts are made here, and the salts
 * never leave the database. `lifetime` in seconds. Throws `ERR_LIFETIME`, `ERR_ROLLBACK` under the fence of a restore.
 */
export async function proposeCatalog(
  store: Store,
  root: Root,
  tenant: string,
  options: { ahead: number; lifetime: number },
  now: number,
): Promise<Proposal> {
  if (options.lifetime < 1 || options.lifetime > MAX_AUTHORITY_LIFETIME)
    throw new KeyferryError('ERR_LIFETIME', 'a catalog lives at most 400 days')
  return root.transaction(store, () => {
    // PROTOCOL [restore-1] Nor a catalog: its number may be one that was signed since the backup.
    requireUnfenced(store)
    for (const row of store.all<KeyringRow>('SELECT * FROM keyrings'))
      commitAhead(store, row, now, options.ahead)
    const all = drafts(store, root, tenant)
    const leaves = all.map(({ row, manifest }) => keyringLeaf(row.id, sha256(manifest)))
    const manifests = buildTree(leaves, KEYRING_LEAF).head
    const number = store.next('catalog')
    const expiresAt = now + options.lifetime
    const body = { expiresAt, issuedAt: now, manifests, number, tenant }
    appendLog(store, 'catalog-proposed', now, { number, root: manifests.root })
    const catalog = {
      certificates: [],
      payload: encodeJson(body),
      payloadType: payloadType('catalog'),
      signatures: [],
    }
    return {
      catalog,
      manifests: all.map(({ row, manifest }) => ({
        manifest,
        name: row.name,
        previous: signedBefore(store, row),
      })),
    }
  })
}

/**
 * Adds a key's signature to a proposal whose fingerprint the signer confirmed by another way than the file's. Throws `ERR_HASH` for another fingerprint,
 * `ERR_USAGE` for a key that is none of the authority, `ERR_EXISTS`.
 */
export async function signProposal(
  proposal: Proposal,
  confirmed: string,
  key: AnySigningKey,
  trust: TrustDocument,
): Promise<Proposal> {
  if (confirmed !== fingerprintOf(proposal))
    throw new KeyferryError(
      'ERR_HASH',
      `the fingerprint of this file is ${fingerprintOf(proposal)}`,
    )
  const body = bodyOf(proposal)
  if (body.tenant !== trust.tenant) throw new KeyferryError('ERR_TENANT')
  if (!trust.body.authority.keys.some((one) => equal(one, key.spki)))
    throw new KeyferryError('ERR_USAGE', 'this key is none of the authority')
  const id = await keyId(key.spki)
  const { signatures } = proposal.catalog
  if (signatures.some(({ keyid }) => equal(keyid, id)))
    throw new KeyferryError('ERR_EXISTS', 'this key has signed already')
  const [signature] = (await signWithAuthority('catalog', body, [key])).signatures
  return { ...proposal, catalog: { ...proposal.catalog, signatures: [...signatures, signature!] } }
}

/**
 * Takes a signed catalog into force: its versions may be used from now on, and its rules count. Throws the codes of `verifyCatalog`, `ERR_STALE`, `ERR_ROLLBACK`,
 * and `ERR_CONFLICT` where keyrings have changed since it was proposed, or somebody changed the file; nothing is changed then. It may be given again.
 */
export async function publishProposal(
  store: Store,
  root: Root,
  proposal: Proposal,
  trust: TrustDocument,
  now: number,
): Promise<CatalogBody> {
  const { body, hash, envelope } = await verifyCatalog(proposal.catalog, trust)
  if (body.expiresAt <= now) throw new KeyferryError('ERR_STALE', 'it is expired already')
  await root.transaction(store, () => {
    const last = store.get<{ number: number; hash: Bytes }>(
      'SELECT number, hash FROM catalogs ORDER BY number DESC LIMIT 1',
    )
    requireNotBelow({ number: body.number, hash }, last ?? null, 'catalog')
    const own = drafts(store, root, trust.tenant)
    const isSame =
      own.length === proposal.manifests.length &&
      own.every(({ manifest }, i) => equal(manifest, proposal.manifests[i]!.manifest))
    if (!isSame)
      throw new KeyferryError(
        'ERR_CONFLICT',
        'keyrings are not as in this file any more: propose the catalog again',
      )
    // The newest one given again, perhaps with more signatures, is signed already: numbers rise in the log.
    if (last?.number !== body.number)
      appendLog(store, 'catalog-signed', now, { number: body.number, root: body.manifests.root })
    for (const { row, manifest } of own) {
      store.run('UPDATE keyrings SET manifest = ? WHERE id = ?', putObject(store, manifest), row.id)
      store.run('UPDATE versions SET committed = 1 WHERE keyring = ?', row.id)
      markChanged(store, row.id)
    }
    publishTrees(store)
    store.run(
      'INSERT OR REPLACE INTO catalogs VALUES (?, ?, ?, ?, ?, ?)',
      body.number,
      hash,
      encodeEnvelope(envelope),
      body.expiresAt,
      body.manifests.root,
      trust.body.number,
    )
    markChanged(store)
  })
  return body
}
