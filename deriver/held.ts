/**
 * What a relay holds of the tenant, verified as far as it can be: the one witness of what happened since a backup. Signed by the authority, CAs and derivers, so
 * nothing of it can be made up; but a relay may show less than it was given.
 */
import { decodeBundle, decodeMember, MEMBER_LEAF, type Bundle } from '../shared/bundle.ts'
import { equal, hex, type Bytes } from '../shared/bytes.ts'
import { verifyCatalog } from '../shared/catalog.ts'
import { documentHash } from '../shared/document-hash.ts'
import { KeyferryError } from '../shared/errors.ts'
import { decodeManifest, KEYRING_LEAF, type Manifest } from '../shared/manifest.ts'
import {
  decodeRelease,
  peekHead,
  requireTrust,
  verifyHeadSignature,
  type HeadBody,
  type Release,
} from '../shared/release.ts'
import { type TreeHead } from '../shared/tree.ts'
import { verifyGenesis, verifySuccessor, type TrustDocument } from '../shared/trust.ts'
import { parseCrl } from '../shared/crl.ts'
import { MANIFEST_AND_BUNDLE, readObjects, Stored } from './fsck.ts'
import { fetchDocuments, type RelayAccess } from './relay.ts'

/** A keyring as a relay holds it. */
export interface HeldRing {
  release: Release
  manifest: Manifest
  bundle: Bundle
  /** Package hashes of its members, in hex. */
  members: Set<string>
}

/** What a relay holds. */
export interface Held {
  url: string
  trusts: TrustDocument[]
  crls: Bytes[]
  /** `null` where it has none. */
  head: HeadBody | null
  rings: HeldRing[]
}

function readRings(stored: Stored, head: HeadBody, manifests: TreeHead): HeldRing[] {
  const signed = stored
    .tree(manifests, KEYRING_LEAF, 'manifests')
    .map((leaf) => hex(leaf.subarray(16)))
  return stored.tree(head.releases, KEYRING_LEAF, 'releases').map((leaf) => {
    const release = decodeRelease(stored.require(leaf.slice(16), 'a release'))
    if (!equal(release.keyring, leaf.subarray(0, 16))) throw new KeyferryError('ERR_KEYRING')
    if (!signed.includes(hex(release.manifest)))
      throw new KeyferryError('ERR_HASH', 'a manifest that the catalog does not name')
    const members = stored.tree(release.members, MEMBER_LEAF, 'members')
    return {
      release,
      manifest: decodeManifest(stored.require(release.manifest, 'a manifest')),
      bundle: decodeBundle(stored.require(release.bundle, 'a bundle')),
      members: new Set(members.map((one) => hex(decodeMember(one).packageHash))),
    }
  })
}

/** Reads and verifies what a relay holds; `progress` is told how many objects were read. Throws what calls throw, and the codes of what does not verify. */
export async function readHeld(
  access: RelayAccess,
  progress: (objects: number) => void = () => {},
): Promise<Held> {
  const { url, tenant } = access
  const documents = await fetchDocuments(access)
  const trusts: TrustDocument[] = []
  for (const envelope of documents.trust) {
    const last = trusts.at(-1)
    trusts.push(
      last === undefined
        ? await verifyGenesis(envelope, tenant)
        : await verifySuccessor(envelope, last),
    )
  }
  const trust = trusts.at(-1)
  if (trust === undefined) throw new KeyferryError('ERR_TRUST_DOCUMENT', 'none at all')
  const { crls, catalog } = documents
  if (documents.head === null || catalog === null)
    return { url, trusts, crls, head: null, rings: [] }
  // Its signer was good when it was signed: with the machine its certificate may have ended since.
  const now = peekHead(documents.head, tenant).issuedAt
  const context = { trust, now, crls: crls.map((der) => parseCrl(der)) }
  const { body } = await verifyHeadSignature(documents.head, context)
  requireTrust(body, trust)
  if (!equal(documentHash(catalog), body.catalog.hash)) throw new KeyferryError('ERR_HASH')
  const { manifests } = (await verifyCatalog(catalog, trust)).body
  const stored = await readObjects(access, [], progress, new Stored(MANIFEST_AND_BUNDLE))
  return { url, trusts, crls, head: body, rings: readRings(stored, body, manifests) }
}
