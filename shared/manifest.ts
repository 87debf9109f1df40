/** Manifests: the versions of a keyring, committed to (docs/PROTOCOL.md, "Manifest and catalog"). */
import {
  concat,
  fromUtf8,
  isAt,
  latin1,
  Reader,
  u16,
  u32,
  u64,
  u64At,
  utf8,
  viewOf,
  Writer,
  type Bytes,
} from './bytes.ts'
import { KeyferryError } from './errors.ts'
import { lengthPrefixed, type VersionContext } from './kdf.ts'
import { MAX_MANIFEST } from './limits.ts'
import { rowsOf, type Rows } from './rows.ts'

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

/** The versions of a manifest, made when they are asked for. */
export interface VersionRows extends Rows<VersionEntry> {
  /** The one of a key id. */
  findKey(keyId: Bytes): VersionEntry | undefined
}

/** A manifest whose versions are read where they stand. */
export interface ManifestView extends Omit<Manifest, 'versions'> {
  versions: VersionRows
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
/** Where its parts begin. */
const TIMES = 12
const KEY_ID = 52

function schemaError(what: string): KeyferryError {
  return new KeyferryError('ERR_SCHEMA', what)
}

/** Throws unless no key id is among the versions twice. */
function requireKeyIds(bytes: Bytes, view: DataView, starts: readonly number[]): void {
  // By the first bits of each, which are seldom the same, at a tenth of what all of them cost.
  const heads = new Set(starts.map((at) => view.getInt32(at + KEY_ID) >> 2))
  if (heads.size === starts.length) return
  const all = starts.map((at) => latin1(bytes.subarray(at + KEY_ID, at + KEY_ID + 32)))
  if (new Set(all).size < all.length) throw schemaError('a key id twice')
}

/** The one encoding of a manifest. Throws what {@link readManifest} throws of what it must not say. */
export function encodeManifest(m: Manifest): Bytes {
  const isImported = m.kind === 'imported'
  if (m.versions.some((v) => (v.importHash !== undefined) !== isImported))
    throw schemaError('imports do not fit the kind of the keyring')
  const writer = new Writer(m.versions.length * (isImported ? IMPORTED_ENTRY : ENTRY))
  for (const v of m.versions) {
    writer.u32(v.incarnation).u32(v.version).u32(v.algorithm)
    writer.u64(v.encryptFrom).u64(v.encryptUntil).u64(v.decryptUntil)
    writer.put(v.nonce).put(v.keyId)
    if (v.importHash !== undefined) writer.put(v.importHash)
  }
  const encoded = concat(
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
  readManifest(encoded)
  return encoded
}

/** Reads a manifest, whose versions are then read where they stand. Throws `ERR_TOO_LARGE`, `ERR_MALFORMED`, `ERR_SCHEMA`, `ERR_UNSUPPORTED`. */
export function readManifest(bytes: Bytes): ManifestView {
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
  const length = isImported ? IMPORTED_ENTRY : ENTRY
  // Before there is room for as many: engines make it at once.
  if (reader.left !== count * length)
    throw new KeyferryError('ERR_MALFORMED', 'manifest of another length')
  const view = viewOf(bytes)
  const starts: number[] = []
  for (let i = 0; i < count; i++) {
    const at = reader.pass(length)
    const from = u64At(view, at + TIMES)
    const until = u64At(view, at + TIMES + 8)
    // PROTOCOL [manifest-1]
    if (
      u64At(view, at + TIMES + 16) < until ||
      until < from ||
      view.getUint32(at) < 1 ||
      view.getUint32(at + 4) < 1
    ) {
      throw schemaError('no number, or windows that do not nest')
    }
    const algorithm = view.getUint32(at + 8)
    // PROTOCOL [manifest-2]
    if (algorithm !== ALGORITHM)
      throw new KeyferryError('ERR_UNSUPPORTED', `algorithm ${algorithm}`)
    starts.push(at)
  }
  requireKeyIds(bytes, view, starts)
  // PROTOCOL [manifest-1]
  if (rules.some((rule) => !/^[\x21-\x7e]+$/.test(rule)))
    throw schemaError('a rule is not printable ASCII')
  // As texts: of ASCII that is the order of the bytes.
  requireRising(rules, (a, b) => (a < b ? -1 : 0), 'rules')
  const { search, ...rows } = rowsOf(bytes, starts, (entry) => readVersion(entry, isImported))
  const findKey: VersionRows['findKey'] = (keyId) =>
    search((at) => keyId.length === 32 && isAt(bytes, at + KEY_ID, keyId))
  const versions = { ...rows, findKey }
  return { tenant, keyring, number, kind, offline, generationMaxAge, rules, versions }
}

function readVersion(reader: Reader, isImported: boolean): VersionEntry {
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
}

/** Decodes a manifest with all of its versions. Throws as {@link readManifest}. */
export function decodeManifest(bytes: Bytes): Manifest {
  const { versions, ...fields } = readManifest(bytes)
  return { ...fields, versions: versions.all() }
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
