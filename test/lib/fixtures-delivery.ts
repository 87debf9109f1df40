/** A legitimate delivery of two keyrings to one of three members, every part of which a test can edit before it is signed. */
import { wrapKey } from '../../deriver/key-wrap.ts'
import { publicHmac } from '../../deriver/hmac.ts'
import { createRoot } from '../../deriver/root.ts'
import { type DeliveredKeyring, type Delivery } from '../../shared/delivery.ts'
import {
  encodeBundle,
  encodeMember,
  encodeName,
  encodeWelcome,
  MEMBER_LEAF,
  welcomeInfo,
  type Bundle,
  type MemberLeaf,
} from '../../shared/bundle.ts'
import { compare, hex, type Bytes } from '../../shared/bytes.ts'
import { type CatalogBody } from '../../shared/catalog.ts'
import { parseCrl } from '../../shared/crl.ts'
import { signWithAuthority, type Envelope } from '../../shared/envelope.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { sha256 } from '../../shared/hash.ts'
import { KEM_ID } from '../../shared/suites.ts'
import { encodeJson } from '../../shared/json.ts'
import {
  channelIdInput,
  channelInput,
  commitInput,
  kekInput,
  versionInput,
} from '../../shared/kdf.ts'
import {
  encodeManifest,
  KEYRING_LEAF,
  keyringLeaf,
  versionContext,
  type Manifest,
} from '../../shared/manifest.ts'
import { type Accepted, type OpenContext } from '../../shared/open.ts'
import { type HeadBody, type Release } from '../../shared/release.ts'
import { keyId, type SigningKey } from '../../shared/signature.ts'
import { buildTree, proveLeaf } from '../../shared/tree.ts'
import { sealWith } from './fixtures-hpke.ts'
import { seeded } from './fixtures-keys.ts'
import {
  DAY,
  makeCrl,
  makeDevice,
  makeIdentity,
  makeTenant,
  NOW,
  signAs,
  tenantBytes,
  type Device,
  type Identity,
  type Tenant,
} from './fixtures.ts'

const root = createRoot(seeded('master secret'))
/** Keyring ids, rising. */
export const KEYRINGS: readonly Bytes[] = ['notes', 'orders'].map((name, i) =>
  seeded(`keyring ${name}`, 16).with(0, i + 1),
)
const NAMES = ['notes', 'orders']

/** Everything in a scene but the delivery. */
export interface World {
  tenant: Tenant
  deriver: Identity
  alice: Device
  members: Device[]
  crls: Bytes[]
}

export async function makeWorld(name = 'acme'): Promise<World> {
  const tenant = await makeTenant(name)
  const deriver = await makeIdentity(tenant.derivers, 'deriver', 'one')
  const members = [
    await makeDevice(tenant, 'bob', 'P-256'),
    await makeDevice(tenant, 'alice'),
    await makeDevice(tenant, 'carol', 'MLKEM768-X25519'),
  ]
  const crls = [await makeCrl(tenant.derivers), await makeCrl(tenant.clients)]
  return { tenant, deriver, alice: members[1]!, members, crls }
}

/** Changes to what the deriver and the authority make; each is applied before anything above it is hashed or signed. */
export interface Edits {
  manifest?: (manifest: Manifest, keyring: number) => Manifest
  manifestBytes?: (bytes: Bytes, keyring: number) => Bytes
  bundle?: (bundle: Bundle, keyring: number) => Bundle
  bundleBytes?: (bytes: Bytes, keyring: number) => Bytes
  member?: (leaf: MemberLeaf, keyring: number) => MemberLeaf
  release?: (release: Release, keyring: number) => Release
  releaseBytes?: (bytes: Bytes, keyring: number) => Bytes
  catalog?: (catalog: CatalogBody) => CatalogBody
  head?: (head: HeadBody) => HeadBody
  crls?: Bytes[]
  authority?: SigningKey[]
  signer?: Identity
}

/** The keys of a keyring's generation and versions: what a deriver or a fellow member knows. */
export function secretsOf(tenant: Tenant, keyring: Bytes) {
  const id = tenantBytes(tenant)
  const kek = root.mac(kekInput(id, keyring, 1, 3, seeded(`kek ${hex(keyring)}`)))
  const versions = [1, 2].map((version) => {
    const context = versionContext(
      { tenant: id, keyring },
      { incarnation: 1, version, algorithm: 1 },
    )
    const nonce = seeded(`nonce ${hex(keyring)} ${version}`, 16)
    const secret = root.mac(versionInput(context, nonce, new Uint8Array()))
    return { version, nonce, secret, keyId: publicHmac(secret, commitInput(context)) }
  })
  return { kek, versions }
}

/** The channel of a device: key, id and welcome. */
export function channelOf(tenant: Tenant, device: Device) {
  const id = tenantBytes(tenant)
  const packageHash = documentHash(device.keyPackage)
  const { suite, publicKey } = device.recipient
  const key = root.mac(channelInput(id, packageHash, seeded(`channel ${device.uri}`)))
  const info = welcomeInfo(id, device.fingerprint, packageHash, suite)
  const sealed = sealWith(suite, publicKey, key, info, device.uri)
  const welcome = encodeWelcome({ kem: KEM_ID[suite], ...sealed })
  return { packageHash, key, id: publicHmac(key, channelIdInput()), welcome }
}

export function manifestOf(tenant: Tenant, keyring: Bytes): Manifest {
  const { versions } = secretsOf(tenant, keyring)
  return {
    tenant: tenantBytes(tenant),
    keyring,
    number: 5,
    kind: 'recoverable',
    offline: DAY,
    generationMaxAge: 30 * DAY,
    rules: ['keyferry://client.acme.example/*', 'keyferry://client.acme.example/admin/*'],
    versions: versions.map(({ version, nonce, keyId: id }) => ({
      incarnation: 1,
      version,
      algorithm: 1,
      encryptFrom: NOW - 10 * DAY + version,
      encryptUntil: NOW + 80 * DAY,
      decryptUntil: NOW + 900 * DAY,
      nonce,
      keyId: id,
    })),
  }
}

export function bundleOf(tenant: Tenant, keyring: Bytes): Bundle {
  const { kek, versions } = secretsOf(tenant, keyring)
  return {
    keyring,
    incarnation: 1,
    generation: 3,
    name: wrapKey(kek, encodeName(NAMES[KEYRINGS.indexOf(keyring)] ?? 'other')),
    entries: versions.map(({ version, secret }) => ({
      incarnation: 1,
      version,
      wrapped: wrapKey(kek, secret),
    })),
  }
}

/** The key id of a CA in the order of a head, with its list. */
async function listCrls(world: World, crls: Bytes[]): Promise<HeadBody['crls']> {
  const issuers = [world.tenant.derivers, world.tenant.clients]
  const listed = await Promise.all(
    crls.map(async (der, i) => ({
      hash: sha256(der),
      issuer: await keyId(issuers[i % 2]!.key.spki),
      number: parseCrl(der).number,
    })),
  )
  return listed.toSorted((a, b) => compare(a.issuer, b.issuer))
}

function deliverKeyring(world: World, device: Device, n: number, edits: Edits) {
  const keyring = KEYRINGS[n]!
  const { tenant } = world
  const made = manifestOf(tenant, keyring)
  const encoded = encodeManifest(edits.manifest?.(made, n) ?? made)
  const manifest = edits.manifestBytes?.(encoded, n) ?? encoded
  const own = bundleOf(tenant, keyring)
  const encodedBundle = encodeBundle(edits.bundle?.(own, n) ?? own)
  const bundle = edits.bundleBytes?.(encodedBundle, n) ?? encodedBundle
  const { kek } = secretsOf(tenant, keyring)
  const leaves = world.members.map((member) => {
    const { packageHash, key, id, welcome } = channelOf(tenant, member)
    const leaf = {
      packageHash,
      channelId: id,
      welcomeHash: sha256(welcome),
      cell: wrapKey(key, kek),
    }
    return encodeMember(member === device ? (edits.member?.(leaf, n) ?? leaf) : leaf)
  })
  const plain: Release = {
    bundle: sha256(bundle),
    compromised: [],
    deactivated: [{ incarnation: 1, version: 1 }],
    encrypt: { incarnation: 1, version: 2 },
    generation: 3,
    incarnation: 1,
    keyring,
    log: 20 + n,
    manifest: sha256(manifest),
    members: buildTree(leaves, MEMBER_LEAF).head,
    skipped: [],
    tenant: tenant.trust.tenant,
  }
  const bytes = encodeJson(edits.release?.(plain, n) ?? plain)
  const release = edits.releaseBytes?.(bytes, n) ?? bytes
  const slot = world.members.indexOf(device)
  const member = { leaf: leaves[slot]!, proof: proveLeaf(leaves, slot) }
  return { keyring, manifest, bundle, release, member, welcome: channelOf(tenant, device).welcome }
}

/** The delivery of both keyrings to a member. */
export async function makeDelivery(
  world: World,
  edits: Edits = {},
  device: Device = world.alice,
): Promise<Delivery> {
  const { tenant } = world
  const parts = KEYRINGS.map((_, n) => deliverKeyring(world, device, n, edits))
  const manifests = parts.map((one) => keyringLeaf(one.keyring, sha256(one.manifest)))
  const releases = parts.map((one) => keyringLeaf(one.keyring, sha256(one.release)))
  const catalogBody: CatalogBody = {
    expiresAt: NOW + 7 * DAY,
    issuedAt: NOW - 100,
    manifests: buildTree(manifests, KEYRING_LEAF).head,
    number: 7,
    tenant: tenant.trust.tenant,
  }
  const catalog = await signWithAuthority(
    'catalog',
    edits.catalog?.(catalogBody) ?? catalogBody,
    edits.authority ?? tenant.authority.slice(0, 2),
  )
  const signer = edits.signer ?? world.deriver
  const crls = edits.crls ?? world.crls
  const headBody: HeadBody = {
    catalog: { hash: documentHash(catalog), number: 7 },
    crls: await listCrls(world, crls),
    expiresAt: NOW + 1_800,
    incarnation: 1,
    issuedAt: NOW - 10,
    log: { root: seeded('log'), size: 41 },
    releases: buildTree(releases, KEYRING_LEAF).head,
    signer: signer.fingerprint,
    tenant: tenant.trust.tenant,
    trust: { hash: tenant.trust.hash, number: tenant.trust.body.number },
    version: 58,
  }
  const head: Envelope = await signAs(signer, 'head', edits.head?.(headBody) ?? headBody)
  const keyrings: DeliveredKeyring[] = parts.map((part, n) => ({
    ...part,
    manifestProof: proveLeaf(manifests, n),
    releaseProof: proveLeaf(releases, n),
  }))
  return { catalog, crls, head, keyrings, refusals: [], trust: [] }
}

/** What a client knows that has only the genesis trust document. */
export function openContext(world: World, edit: Partial<OpenContext> = {}): OpenContext {
  return {
    tenant: world.tenant.trust.tenant,
    floor: null,
    packageHash: documentHash(world.alice.keyPackage),
    keyrings: KEYRINGS,
    now: NOW,
    last: null,
    trust: world.tenant.trust,
    kept: () => undefined,
    held: () => null,
    ...edit,
  }
}

/** A context of a client that has accepted before, with changes to what it keeps. */
export function lastContext(world: World, accepted: Accepted, edit: Partial<Accepted> = {}) {
  return openContext(world, { trust: accepted.trust, last: { ...accepted, ...edit } })
}

/** A delivery with one keyring's item changed. */
export function withItem(delivery: Delivery, edit: Partial<DeliveredKeyring>, n = 0): Delivery {
  return {
    ...delivery,
    keyrings: delivery.keyrings.map((item, i) => (i === n ? { ...item, ...edit } : item)),
  }
}
