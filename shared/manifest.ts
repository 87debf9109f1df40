/** Manifests: the versions of a keyring, committed to (docs/PROTOCOL.md, "Manifest and catalog"). */
import {
  compare,
  concat,
  fromUtf8,
  latin1,
  Reader,
  u16,
  u32,
  u64,
  utf8,
  Writer,
  type Bytes,
} from './bytes.ts'
import { KeyferryError } from './errors.ts'
import { lengthPrefixed, type VersionContext } from './kdf.ts'
import { MAX_MANIFEST } from './limits.ts'

const MAGIC = utf8('KFMANIF\x01')

/** Algorithm 1: the message format of docs/PROTOCOL.md. */
export const ALGORITHM = 1

const KINDS = ['recoverable', 'erasable', 'imported'] as const
/** Whether the versions of a keyring can be derived again, destroyed, or were brought in. */
export type KeyringKind = (typeof KINDS)[number]

/** Names a version of a keyring. */
export interface VersionId {
  incarnation: number
  version: number
}

/** What a manifest says of one version. Times are seconds. */
export interface VersionEntry extends VersionId {
  algorithm: number
  encryptFrom: number
  encryptUntil: number
  decryptUntil: number
  /** 16 bytes. */
  nonce: Bytes
  /** The commitment: 32 bytes. */
  keyId: Bytes
  /** Hash of the sealed import: 32 bytes, of the versions of an imported keyring only. */
  importHash?: Bytes
}

/** A decoded manifest. */
export interface Manifest {
  /** 32 bytes. */
  tenant: Bytes
  /** 16 bytes. */
  keyring: Bytes
  number: number
  kind: KeyringKind
  /** Seconds that decryption goes on after the head's expiry. */
  offline: number
  /** Seconds after which a generation is replaced. */
  generationMaxAge: number
  rules: string[]
  versions: VersionEntry[]
}

/** Order of version ids: negative, 0 or positive. */
export function compareVersions(a: VersionId, b: VersionId): number {
  return a.incarnation - b.incarnation || a.version - b.version
}

/** Throws the error unless the items rise strictly. */
export function requireRising<T>(
  items: readonly T[],
  order: (a: T, b: T) => number,
  what: string,
): void {
  for (let i = 1; i < items.length; i++) {
    if (order(items[i - 1]!, items[i]!) >= 0)
      throw new KeyferryError('ERR_SCHEMA', `${what} do not rise`)
  }
}

/** Length of a version's entry, and of one in an imported keyring. */
const ENTRY = 84
const IMPORTED_ENTRY = 116

/** Checks the rules of [manifest-1] and [manifest-2] on a manifest, decoded or to be encoded. */
function checkManifest(m: Manifest): void {
  // PROTOCOL [manifest-1]
  if (m.rules.some((rule) => !/^[\x21-\x7e]+$/.test(rule)))
    throw new KeyferryError('ERR_SCHEMA', 'a rule is not printable ASCII')
  requireRising(m.rules, (a, b) => compare(utf8(a), utf8(b)), 'rules')
  requireRising(m.versions, compareVersions, 'versions')
  const keyIds = new Set(m.versions.map((v) => latin1(v.keyId)))
  if (keyIds.size < m.versions.length) throw new KeyferryError('ERR_SCHEMA', 'a key id twice')
  for (const v of m.versions) {
    if (
      v.incarnation < 1 ||
      v.version < 1 ||
      v.encryptFrom > v.encryptUntil ||
      v.encryptUntil > v.decryptUntil
    ) {
      throw new KeyferryError('ERR_SCHEMA', 'a version has no number, or windows that do not nest')
    }
    if ((v.importHash !== undefined) !== (m.kind === 'imported'))
      throw new KeyferryError('ERR_SCHEMA', 'imports and the kind of the keyring do not agree')
    // PROTOCOL [manifest-2]
    if (v.algorithm !== ALGORITHM)
      throw new KeyferryError('ERR_UNSUPPORTED', `algorithm ${v.algorithm}`)
  }
}

/** The one encoding of a manifest. */
export function encodeManifest(m: Manifest): Bytes {
  checkManifest(m)
  const writer = new Writer(m.versions.length * (m.kind === 'imported' ? IMPORTED_ENTRY : ENTRY))
  for (const v of m.versions) {
    writer.u32(v.incarnation).u32(v.version).u32(v.algorithm)
    writer.u64(v.encryptFrom).u64(v.encryptUntil).u64(v.decryptUntil)
    writer.put(v.nonce).put(v.keyId)
    if (v.importHash !== undefined) writer.put(v.importHash)
  }
  return concat(
    MAGIC,
    m.tenant,
    m.keyring,
    u64(m.number),
    Uint8Array.of(KINDS.indexOf(m.kind) + 1),
    u32(m.offline),
    u32(m.generationMaxAge),
    u16(m.rules.length),
    ...m.rules.map((rule) => lengthPrefixed(utf8(rule))),
    u32(m.versions.length),
    writer.end(),
  )
}

/** Decodes a manifest. Throws `ERR_TOO_LARGE`, `ERR_MALFORMED`, `ERR_SCHEMA`, `ERR_UNSUPPORTED`. */
export function decodeManifest(bytes: Bytes): Manifest {
  if (bytes.length > MAX_MANIFEST) throw new KeyferryError('ERR_TOO_LARGE')
  const reader = new Reader(bytes)
  reader.expect(MAGIC, 'manifest')
  const tenant = reader.take(32)
  const keyring = reader.take(16)
  const number = reader.u64()
  const kindNumber = reader.take(1)[0]!
  const kind = KINDS[kindNumber - 1]
  // PROTOCOL [manifest-2]
  if (kind === undefined) throw new KeyferryError('ERR_UNSUPPORTED', `kind ${kindNumber}`)
  const offline = reader.u32()
  const generationMaxAge = reader.u32()
  const rules = Array.from({ length: reader.u16() }, () => fromUtf8(reader.take(reader.u16())))
  const count = reader.u32()
  const isImported = kind === 'imported'
  // Before there is room for as many: engines make it at once.
  if (reader.left !== count * (isImported ? IMPORTED_ENTRY : ENTRY))
    throw new KeyferryError('ERR_MALFORMED', 'manifest of another length')
  const versions = Array.from({ length: count }, () => {
    const entry: VersionEntry = {
      incarnation: reader.u32(),
      version: reader.u32(),
      algorithm: reader.u32(),
      encryptFrom: reader.u64(),
      encryptUntil: reader.u64(),
      decryptUntil: reader.u64(),
      nonce: reader.take(16),
      keyId: reader.take(32),
    }
    if (isImported) entry.importHash = reader.take(32)
    return entry
  })
  reader.end()
  const manifest = { tenant, keyring, number, kind, offline, generationMaxAge, rules, versions }
  checkManifest(manifest)
  return manifest
}

/** The context of a version's labels. */
export function versionContext(
  m: Pick<Manifest, 'tenant' | 'keyring'>,
  v: VersionId & { algorithm: number },
): VersionContext {
  const { incarnation, version, algorithm } = v
  return { tenant: m.tenant, keyring: m.keyring, incarnation, version, algorithm }
}

/** Leaf of the manifests and releases trees: keyring id and the hash of the object. */
export function keyringLeaf(keyring: Bytes, hash: Bytes): Bytes {
  return concat(keyring, hash)
}

/** Length of a {@link keyringLeaf}. */
export const KEYRING_LEAF = 48
