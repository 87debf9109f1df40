/**
 * The attacker as a closure: whatever follows from everything that a relay was ever sent and from what leaked to it. It opens welcomes with private
 * keys of key packages, unwraps whatever is wrapped with whatever it has, derives where it has the master secret, and goes on until nothing new comes.
 */
import { createDecipheriv } from 'node:crypto'
import { publicHmac } from '../../deriver/hmac.ts'
import { createRoot } from '../../deriver/root.ts'
import {
  decodeBundle,
  decodeMember,
  decodeWelcome,
  MEMBER_LEAF,
  welcomeInfo,
  type Bundle,
  type MemberLeaf,
  type Welcome,
} from '../../shared/bundle.ts'
import { concat, fromBase32, fromUtf8, hex, type Bytes } from '../../shared/bytes.ts'
import { isKeyferryError } from '../../shared/errors.ts'
import { createHpke } from '../../shared/hpke.ts'
import { KEM_ID } from '../../shared/suites.ts'
import { channelInput, commitInput, kekInput, versionInput } from '../../shared/kdf.ts'
import { decodeManifest, versionContext, type Manifest } from '../../shared/manifest.ts'
import { parsePage } from '../../shared/tree.ts'
import { type StoredPackage } from '../../web/store.ts'

/** What leaked. */
export interface Leaked {
  /** Key packages with their private keys, of any number of devices. */
  packages?: readonly StoredPackage[]
  /** The deriver's master secret, 32 bytes, and all salts that its database still holds: of versions, generations and channels. */
  master?: Bytes
  salts?: readonly Bytes[]
}

/** What follows: secrets of any kind in hex, and ids (hex) of the key versions among them. */
export interface Reach {
  secrets: ReadonlySet<string>
  keyIds: ReadonlySet<string>
}

/** What stands in the relay's objects. */
interface Read {
  welcomes: Welcome[]
  leaves: MemberLeaf[]
  bundles: Bundle[]
  manifests: Manifest[]
}

const parsed = new WeakMap<Bytes, Partial<Read>>()

function readOne(object: Bytes): Partial<Read> {
  try {
    switch (fromUtf8(object.slice(0, 7))) {
      case 'KFWELCM':
        return { welcomes: [decodeWelcome(object)] }
      case 'KFBUNDL':
        return { bundles: [decodeBundle(object)] }
      case 'KFMANIF':
        return { manifests: [decodeManifest(object)] }
      case 'KFTPAGE':
        return {
          leaves: parsePage(object, MEMBER_LEAF).leaves.map((one) => decodeMember(one.slice())),
        }
      default:
        return {}
    }
  } catch (error) {
    // A page of another tree, or what a test forged.
    if (!isKeyferryError(error)) throw error
    return {}
  }
}

function readAll(objects: Iterable<Bytes>): Read {
  const all: Read = { welcomes: [], leaves: [], bundles: [], manifests: [] }
  for (const object of objects) {
    const one = parsed.get(object) ?? readOne(object)
    parsed.set(object, one)
    all.welcomes.push(...(one.welcomes ?? []))
    all.leaves.push(...(one.leaves ?? []))
    all.bundles.push(...(one.bundles ?? []))
    all.manifests.push(...(one.manifests ?? []))
  }
  return all
}

/** What was tried before: it comes out the same. */
const opened = new WeakMap<Welcome, Map<string, Bytes | null>>()
const unwrapped = new WeakMap<Bytes, Map<string, Bytes | null>>()

function remember<K extends WeakKey>(
  memory: WeakMap<K, Map<string, Bytes | null>>,
  what: K,
): Map<string, Bytes | null> {
  const known = memory.get(what) ?? new Map<string, Bytes | null>()
  memory.set(what, known)
  return known
}

async function open(
  tenant: Bytes,
  { key, hash, fingerprint }: StoredPackage,
  welcome: Welcome,
): Promise<Bytes | null> {
  if (welcome.kem !== KEM_ID[key.suite]) return null
  const tried = remember(opened, welcome)
  const before = tried.get(hex(hash))
  if (before !== undefined) return before
  const info = welcomeInfo(tenant, fingerprint, hash, key.suite)
  const channel = await createHpke(key.suite)
    .open(key, welcome.encapsulated, welcome.ciphertext, info)
    .catch(() => null)
  tried.set(hex(hash), channel)
  return channel
}

const DEFAULT_IV = Buffer.from('a6a6a6a6a6a6a6a6', 'hex')

function unwrap(name: string, key: Bytes, wrapped: Bytes): Bytes | null {
  const tried = remember(unwrapped, wrapped)
  const before = tried.get(name)
  if (before !== undefined) return before
  let secret: Bytes | null = null
  try {
    const cipher = createDecipheriv('id-aes256-wrap', key, DEFAULT_IV)
    secret = concat(cipher.update(wrapped), cipher.final())
  } catch {
    // Under another key.
  }
  tried.set(name, secret)
  return secret
}

/** All that the master secret gives with these salts: every label, with every number and hash that the relay knows. */
function derive(
  { leaves, bundles, manifests }: Read,
  master: Bytes,
  salts: readonly Bytes[],
): Bytes[] {
  const root = createRoot(master)
  const secretSalts = salts.filter((salt) => salt.length === 32)
  const out: Bytes[] = []
  const tenant = manifests[0]?.tenant
  if (tenant === undefined) return out
  const packages = new Map(leaves.map(({ packageHash }) => [hex(packageHash), packageHash]))
  for (const salt of secretSalts) {
    for (const one of packages.values()) out.push(root.mac(channelInput(tenant, one, salt)))
    for (const { keyring, incarnation, generation } of bundles)
      out.push(root.mac(kekInput(tenant, keyring, incarnation, generation, salt)))
  }
  for (const manifest of manifests) {
    for (const version of manifest.versions) {
      const context = versionContext(manifest, version)
      for (const salt of [new Uint8Array(), ...secretSalts])
        out.push(root.mac(versionInput(context, version.nonce, salt)))
    }
  }
  return out
}

function keyIdsOf(manifests: readonly Manifest[], secrets: readonly Bytes[]): Set<string> {
  const versions = new Map(
    manifests.flatMap((manifest) =>
      manifest.versions.map((one) => [hex(one.keyId), versionContext(manifest, one)] as const),
    ),
  )
  const found = new Set<string>()
  for (const [keyId, context] of versions)
    if (secrets.some((secret) => hex(publicHmac(secret, commitInput(context))) === keyId))
      found.add(keyId)
  return found
}

/** Everything that follows from the objects that a relay of this tenant (its id, as text) was ever sent and from what leaked. */
export async function closure(
  tenant: string,
  objects: Iterable<Bytes>,
  { packages = [], master, salts = [] }: Leaked,
): Promise<Reach> {
  const read = readAll(objects)
  const secrets = new Map<string, Bytes>()
  const add = (secret: Bytes | null): void => {
    if (secret === null || secrets.has(hex(secret))) return
    secrets.set(hex(secret), secret)
    queue.push([hex(secret), secret])
  }
  const queue: [string, Bytes][] = []
  if (master !== undefined) for (const one of derive(read, master, salts)) add(one)
  for (const one of packages)
    for (const welcome of read.welcomes) add(await open(fromBase32(tenant), one, welcome))
  const wrapped = new Map<string, Bytes>()
  for (const { cell } of read.leaves) if (!wrapped.has(hex(cell))) wrapped.set(hex(cell), cell)
  for (const { entries } of read.bundles)
    for (const entry of entries) wrapped.set(hex(entry.wrapped), entry.wrapped)
  // What comes out of one is tried on all.
  for (const [name, key] of queue) for (const one of wrapped.values()) add(unwrap(name, key, one))
  return {
    secrets: new Set(secrets.keys()),
    keyIds: keyIdsOf(read.manifests, [...secrets.values()]),
  }
}
