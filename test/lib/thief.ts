/** What a thief of the deriver's signing key can make of an honest delivery, with whatever else a colluder brings. */
import { type DeliveredKeyring, type Delivery } from '../../shared/delivery.ts'
import { decodeMember, encodeMember, MEMBER_LEAF, type MemberLeaf } from '../../shared/bundle.ts'
import { fromUtf8, utf8, type Bytes } from '../../shared/bytes.ts'
import {
  preAuthenticationEncoding,
  signWithCertificate,
  type Envelope,
} from '../../shared/envelope.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { sha256 } from '../../shared/hash.ts'
import { type Signer } from '../../shared/http-signature.ts'
import { encodeJson } from '../../shared/json.ts'
import { KEYRING_LEAF, keyringLeaf } from '../../shared/manifest.ts'
import { decodeRelease, type HeadBody, type Release } from '../../shared/release.ts'
import { signBytes } from '../../shared/signature.ts'
import { buildTree, proveLeaf } from '../../shared/tree.ts'
import { type Proof } from '../../shared/tree-proof.ts'

/** What is forged; everything else stays honest. Objects take the place of the true ones, with their hashes where those belong. */
export interface Forgery {
  head?: (body: HeadBody) => object
  release?: (release: Release) => object
  leaf?: (leaf: MemberLeaf) => MemberLeaf
  bundle?: Bytes
  welcome?: Bytes
  manifest?: Bytes
  /** With the proof of the manifest under it. */
  catalog?: { envelope: Envelope; proof: Proof }
}

/** What the thief goes by: the key that it stole, and what was honestly published last. */
export interface Loot {
  world: { deriver: Signer }
  publication: { catalog: Envelope; body: HeadBody } | null | undefined
}

/** Signs a head's body as it is given. */
export function signHead(body: object, { key, certificates }: Signer): Promise<Envelope> {
  const named = { signer: sha256(certificates[0]!), ...body }
  return signWithCertificate('head', named, key, certificates)
}

/** Signs an envelope again with any text as its payload. */
export async function signText(
  envelope: Envelope,
  text: string,
  { key, certificates }: Signer,
): Promise<Envelope> {
  const payload = utf8(text)
  const sig = await signBytes(key, preAuthenticationEncoding(envelope.payloadType, payload))
  return {
    ...envelope,
    payload,
    certificates,
    signatures: [{ keyid: sha256(certificates[0]!), sig }],
  }
}

function numberOf({ payload }: Envelope): number {
  return (JSON.parse(fromUtf8(payload)) as { number: number }).number
}

/** Forges a delivery of one keyring, from its true and whole part. */
export async function forge(
  { world, publication }: Loot,
  delivery: Delivery,
  item: DeliveredKeyring,
  forgery: Forgery,
): Promise<Delivery> {
  const { bundle = item.bundle, welcome = item.welcome, manifest = item.manifest } = forgery
  const member = { ...decodeMember(item.member!.leaf), welcomeHash: sha256(welcome) }
  const leaf = encodeMember(forgery.leaf?.(member) ?? member)
  const named: Release = {
    ...decodeRelease(item.release),
    bundle: sha256(bundle),
    members: buildTree([leaf], MEMBER_LEAF).head,
    manifest: sha256(manifest),
  }
  const release = encodeJson(forgery.release?.(named) ?? named)
  const releaseLeaf = keyringLeaf(item.keyring, sha256(release))
  const catalog = forgery.catalog?.envelope ?? publication!.catalog
  const body: HeadBody = {
    ...publication!.body,
    catalog: { hash: documentHash(catalog), number: numberOf(catalog) },
    releases: buildTree([releaseLeaf], KEYRING_LEAF).head,
    version: publication!.body.version + 1,
  }
  return {
    ...delivery,
    catalog,
    head: await signHead(forgery.head?.(body) ?? body, world.deriver),
    keyrings: [
      {
        ...item,
        bundle,
        welcome,
        manifest,
        manifestProof: forgery.catalog?.proof ?? item.manifestProof,
        release,
        releaseProof: proveLeaf([releaseLeaf], 0),
        member: { leaf, proof: proveLeaf([leaf], 0) },
      },
    ],
  }
}
