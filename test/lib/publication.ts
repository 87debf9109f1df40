/** Keyrings of a test world, and everything that a deriver makes of them: objects, catalog and head, with keys that really open. */
import {
  encodeBundle,
  encodeMember,
  encodeName,
  encodeWelcome,
  MEMBER_LEAF,
  welcomeInfo,
  type BundleEntry,
} from '../../shared/bundle.ts'
import { compare, equal, fromBase32, type Bytes } from '../../shared/bytes.ts'
import { type CatalogBody } from '../../shared/catalog.ts'
import { signWithAuthority, signWithCertificate, type Envelope } from '../../shared/envelope.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { sha256 } from '../../shared/hash.ts'
import { createHpke } from '../../shared/hpke.ts'
import { KEM_ID } from '../../shared/suites.ts'
import { type Signer } from '../../shared/http-signature.ts'
import { encodeJson } from '../../shared/json.ts'
import { channelIdInput, commitInput } from '../../shared/kdf.ts'
import { releaseLeaf } from '../../shared/log.ts'
import {
  ALGORITHM,
  encodeManifest,
  KEYRING_LEAF,
  keyringLeaf,
  type Manifest,
} from '../../shared/manifest.ts'
import { subtle } from '../../shared/platform.ts'
import { type HeadBody, type Release } from '../../shared/release.ts'
import { buildTree, treeRoot, type PagedTree } from '../../shared/tree.ts'
import { crlsOf, DAY, random, uriOf, type Client, type World } from './world.ts'

/** A keyring as the deriver knows it. `crowd` are leaves of members that nobody plays. */
export interface Keyring {
  id: Bytes
  name: string
  /** Key-encryption key of the generation. */
  kek: Bytes
  generation: number
  /** Of incarnation 1, unless said otherwise. */
  versions: { version: number; nonce: Bytes; secret: Bytes; incarnation?: number }[]
  members: Client[]
  crowd: Bytes[]
  number: number
}

/** Everything that belongs to one head. */
export interface Publication {
  objects: Bytes[]
  catalog: Envelope
  head: Envelope
  headHash: Bytes
  body: HeadBody
  crls: Bytes[]
  releases: Map<Keyring, { bytes: Bytes; body: Release }>
}

async function mac(key: Bytes, input: Bytes): Promise<Bytes> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  const imported = await subtle().importKey('raw', key, algorithm, false, ['sign'])
  return new Uint8Array(await subtle().sign('HMAC', imported, input))
}

/** AES-KW of RFC 3394. */
export async function wrap(kek: Bytes, secret: Bytes): Promise<Bytes> {
  const wrapping = await subtle().importKey('raw', kek, 'AES-KW', false, ['wrapKey'])
  const algorithm = { name: 'HMAC', hash: 'SHA-256', length: secret.length * 8 }
  const key = await subtle().importKey('raw', secret, algorithm, true, ['sign'])
  return new Uint8Array(await subtle().wrapKey('raw', key, wrapping, 'AES-KW'))
}

/** A keyring with two versions; `crowd` says how many more members it has. */
export function makeKeyring(name: string, members: Client[] = [], crowd = 0): Keyring {
  return {
    id: random(16),
    name,
    kek: random(32),
    generation: 1,
    versions: [1, 2].map((version) => ({ version, nonce: random(16), secret: random(32) })),
    members,
    crowd: Array.from({ length: crowd }, () => random(MEMBER_LEAF)),
    number: 1,
  }
}

/** The welcome of a client: the same bytes for the same client. */
const welcomes = new WeakMap<Client, Promise<Bytes>>()

export function welcomeOf(world: World, client: Client): Promise<Bytes> {
  const made =
    welcomes.get(client) ??
    (async () => {
      const { suite, publicKey } = client.key
      const info = welcomeInfo(
        fromBase32(world.tenant),
        client.fingerprint,
        client.packageHash,
        suite,
      )
      const sealed = await createHpke(suite).seal(publicKey, client.channel, info)
      return encodeWelcome({ kem: KEM_ID[suite], ...sealed })
    })()
  welcomes.set(client, made)
  return made
}

/** Manifest, with its tenant's and keyring's names. */
export async function manifestOf(world: World, keyring: Keyring): Promise<Bytes> {
  const names = { tenant: fromBase32(world.tenant), keyring: keyring.id }
  const versions: Manifest['versions'] = []
  for (const { version, nonce, secret, incarnation = 1 } of keyring.versions) {
    const context = { ...names, incarnation, version, algorithm: ALGORITHM }
    versions.push({
      incarnation,
      version,
      algorithm: ALGORITHM,
      encryptFrom: world.now - DAY,
      encryptUntil: world.now + 30 * DAY,
      decryptUntil: world.now + 60 * DAY,
      nonce,
      keyId: await mac(secret, commitInput(context)),
    })
  }
  return encodeManifest({
    ...names,
    number: keyring.number,
    kind: 'recoverable',
    offline: DAY,
    generationMaxAge: 90 * DAY,
    rules: [uriOf('client', '*')],
    versions,
  })
}

async function bundleOf(world: World, keyring: Keyring, pad: number): Promise<Bytes> {
  const entries: BundleEntry[] = []
  for (const { version, secret, incarnation = 1 } of keyring.versions) {
    entries.push({ incarnation, version, wrapped: await wrap(keyring.kek, secret) })
  }
  // Entries that open to nothing, of versions above those that there are.
  for (let i = 0; i < pad; i++)
    entries.push({ incarnation: 1, version: 1_000 + i, wrapped: random(40) })
  const name = await wrap(keyring.kek, encodeName(keyring.name))
  const { id, generation } = keyring
  const { incarnation } = world.trust
  return encodeBundle({ keyring: id, incarnation, generation, name, entries })
}

async function membersOf(
  world: World,
  keyring: Keyring,
  given?: Bytes,
): Promise<{ tree: PagedTree; welcomes: Bytes[] }> {
  const own: Bytes[] = []
  const sealed: Bytes[] = []
  for (const client of keyring.members) {
    const welcome = given ?? (await welcomeOf(world, client))
    sealed.push(welcome)
    own.push(
      encodeMember({
        packageHash: client.packageHash,
        channelId: await mac(client.channel, channelIdInput()),
        welcomeHash: sha256(welcome),
        cell: await wrap(client.channel, keyring.kek),
      }),
    )
  }
  // The crowd shares one welcome that exists.
  const shared = new Uint8Array(100)
  if (keyring.crowd.length > 0) sealed.push(shared)
  for (const leaf of keyring.crowd) leaf.set(sha256(shared), 64)
  return { tree: buildTree([...keyring.crowd, ...own], MEMBER_LEAF), welcomes: sealed }
}

/** Signs a head. */
export function makeHead(
  world: World,
  body: HeadBody,
  signer: Signer = world.deriver,
): Promise<Envelope> {
  return signWithCertificate('head', body, signer.key, signer.certificates)
}

/** What may differ from the ordinary in {@link publish}. */
export interface PublishOptions {
  version?: number
  catalogNumber?: number
  catalog?: Partial<CatalogBody>
  head?: Partial<HeadBody>
  signer?: Signer
  now?: number
  /** How many more entries each bundle has. */
  pad?: number
  /** In place of every client's. */
  welcome?: Bytes
}

function sorted(leaves: Bytes[]): PagedTree {
  return buildTree(leaves.toSorted(compare), KEYRING_LEAF)
}

/** Index of a leaf in the world's log, to which it is added if it is new. */
function logged({ log }: World, leaf: Bytes): number {
  const known = log.findIndex((one) => equal(one, leaf))
  return known < 0 ? log.push(leaf) - 1 : known
}

/** Makes every object, the catalog and the head of these keyrings. */
export async function publish(
  world: World,
  keyrings: readonly Keyring[],
  options: PublishOptions = {},
): Promise<Publication> {
  const now = options.now ?? world.now
  const objects: Bytes[] = []
  const manifestLeaves: Bytes[] = []
  const releaseLeaves: Bytes[] = []
  const releases: Publication['releases'] = new Map()
  for (const keyring of keyrings) {
    const manifest = await manifestOf(world, keyring)
    const bundle = await bundleOf(world, keyring, options.pad ?? 0)
    const members = await membersOf(world, keyring, options.welcome)
    const last = keyring.versions.at(-1)!
    const contents: Omit<Release, 'log'> = {
      bundle: sha256(bundle),
      compromised: [],
      deactivated: [],
      encrypt: { incarnation: last.incarnation ?? 1, version: last.version },
      generation: keyring.generation,
      incarnation: world.trust.incarnation,
      keyring: keyring.id,
      manifest: sha256(manifest),
      members: members.tree.head,
      skipped: [],
      tenant: world.tenant,
    }
    const body = { ...contents, log: logged(world, releaseLeaf(contents)) }
    const bytes = encodeJson(body)
    releases.set(keyring, { bytes, body })
    objects.push(
      manifest,
      bundle,
      bytes,
      members.tree.index,
      ...members.tree.pages,
      ...members.welcomes,
    )
    manifestLeaves.push(keyringLeaf(keyring.id, body.manifest))
    releaseLeaves.push(keyringLeaf(keyring.id, sha256(bytes)))
  }
  const manifests = sorted(manifestLeaves)
  const releaseTree = sorted(releaseLeaves)
  objects.push(manifests.index, ...manifests.pages, releaseTree.index, ...releaseTree.pages)
  const catalogBody: CatalogBody = {
    expiresAt: now + 7 * DAY,
    issuedAt: now,
    manifests: manifests.head,
    number: options.catalogNumber ?? 1,
    tenant: world.tenant,
    ...options.catalog,
  }
  const catalog = await signWithAuthority('catalog', catalogBody, world.authority)
  const signer = options.signer ?? world.deriver
  const lists = [world.cas.deriver, world.cas.client].toSorted((a, b) => compare(a.keyId, b.keyId))
  const body: HeadBody = {
    catalog: { hash: documentHash(catalog), number: catalogBody.number },
    crls: lists.map((ca) => ({ hash: sha256(ca.crl), issuer: ca.keyId, number: ca.number })),
    expiresAt: now + 3_600,
    incarnation: world.trust.incarnation,
    issuedAt: now,
    log: { root: treeRoot(world.log), size: world.log.length },
    releases: releaseTree.head,
    signer: sha256(signer.certificates[0]!),
    tenant: world.tenant,
    trust: { hash: documentHash(world.trusts.at(-1)!), number: world.trust.number },
    version: options.version ?? 1,
    ...options.head,
  }
  const head = await makeHead(world, body, signer)
  return {
    objects,
    catalog,
    head,
    headHash: documentHash(head),
    body,
    crls: crlsOf(world),
    releases,
  }
}
