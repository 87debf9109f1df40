/** Welcome, member leaf and bundle: the fixed-layout carriers of wrapped keys (docs/PROTOCOL.md, "Welcome, cell, bundle"). */
import { concat, fromUtf8, isAt, Reader, u16, u32, u64, utf8, Writer, type Bytes } from './bytes.ts'
import { KeyferryError } from './errors.ts'
import { labelInfo, lengthPrefixed } from './kdf.ts'
import { MAX_BUNDLE, MAX_WELCOME } from './limits.ts'
import { compareVersions, requireRising, type VersionId } from './manifest.ts'
import { rowsOf, type Rows } from './rows.ts'

/** Made where it is needed: a page that has its welcomes does not load it. */
const welcomeMagic = (): Bytes => utf8('KFWELCM\x01')
const BUNDLE_MAGIC = utf8('KFBUNDL\x01')
/** Of a bundle whose entries carry sealed imports. */
const IMPORTS_MAGIC = utf8('KFBUNDI\x01')

/** Bytes that can be imported as one version: from 128 bits to a long key of another system. */
export const MIN_IMPORT = 16
export const MAX_IMPORT = 512
/** What a sealed import adds to them: nonce, random bytes, tag. */
const IMPORT_OVERHEAD = 12 + 32 + 16

/** RFC 3394 wraps 32 bytes into 40. */
const WRAPPED_KEY = 40
/** Length of the wrapped name: 64 bytes and 8. */
const WRAPPED_NAME = 72
/** Length of a bundle's entry without an import. */
const ENTRY = 8 + WRAPPED_KEY
/** Longest name of a keyring, in UTF-8 bytes. */
export const MAX_NAME = 63

/** A decoded welcome: an HPKE seal of a channel key. */
export interface Welcome {
  kem: number
  encapsulated: Bytes
  /** 48 bytes. */
  ciphertext: Bytes
}

export function encodeWelcome(w: Welcome): Bytes {
  return concat(welcomeMagic(), u16(w.kem), lengthPrefixed(w.encapsulated), w.ciphertext)
}

/** Throws `ERR_TOO_LARGE`, `ERR_MALFORMED`. */
export function decodeWelcome(bytes: Bytes): Welcome {
  if (bytes.length > MAX_WELCOME) throw new KeyferryError('ERR_TOO_LARGE')
  const reader = new Reader(bytes)
  reader.expect(welcomeMagic(), 'welcome')
  const kem = reader.u16()
  const encapsulated = reader.take(reader.u16())
  const ciphertext = reader.take(48)
  reader.end()
  return { kem, encapsulated, ciphertext }
}

/** HPKE info of a welcome. `tenant` is 32 bytes; `recipient` the fingerprint of the client's certificate. */
export function welcomeInfo(
  tenant: Bytes,
  recipient: Bytes,
  packageHash: Bytes,
  suite: string,
): Bytes {
  return labelInfo('welcome', tenant, recipient, packageHash, utf8(suite))
}

/** A member of a keyring, as a leaf of its members tree. */
export interface MemberLeaf {
  /** 32 bytes each. */
  packageHash: Bytes
  channelId: Bytes
  welcomeHash: Bytes
  /** 40 bytes. */
  cell: Bytes
}

/** Length of a member leaf. */
export const MEMBER_LEAF = 136

export function encodeMember(m: MemberLeaf): Bytes {
  return concat(m.packageHash, m.channelId, m.welcomeHash, m.cell)
}

/** Throws `ERR_MALFORMED`. */
export function decodeMember(bytes: Bytes): MemberLeaf {
  const reader = new Reader(bytes)
  const packageHash = reader.take(32)
  const channelId = reader.take(32)
  const welcomeHash = reader.take(32)
  const cell = reader.take(WRAPPED_KEY)
  reader.end()
  return { packageHash, channelId, welcomeHash, cell }
}

/** The hash of the welcome in a member leaf of the right length, for whoever looks at thousands of them and at nothing else. */
export function welcomeHashOf(leaf: Bytes): Bytes {
  return leaf.subarray(64, 96)
}

/** A wrapped version secret. */
export interface BundleEntry extends VersionId {
  /** 40 bytes. */
  wrapped: Bytes
  /** Imported bytes, sealed under the version secret; of an imported keyring only. */
  sealed?: Bytes
}

/** A decoded bundle. */
export interface Bundle {
  /** 16 bytes. */
  keyring: Bytes
  incarnation: number
  generation: number
  /** 72 bytes: the wrapped name. */
  name: Bytes
  entries: BundleEntry[]
}

/** A bundle whose entries are read where they stand. */
export interface BundleView extends Omit<Bundle, 'entries'> {
  entries: Rows<BundleEntry>
}

export function encodeBundle(b: Bundle): Bytes {
  requireRising(b.entries, compareVersions, 'entries')
  const isImports = b.entries.some((e) => e.sealed !== undefined)
  let length = b.entries.length * ENTRY
  if (isImports) for (const { sealed } of b.entries) length += 2 + (sealed?.length ?? 0)
  const writer = new Writer(length)
  for (const { incarnation, version, wrapped, sealed = new Uint8Array() } of b.entries) {
    writer.u32(incarnation).u32(version).put(wrapped)
    if (isImports) writer.put(lengthPrefixed(sealed))
  }
  return concat(
    isImports ? IMPORTS_MAGIC : BUNDLE_MAGIC,
    b.keyring,
    u32(b.incarnation),
    u64(b.generation),
    b.name,
    u32(b.entries.length),
    writer.end(),
  )
}

function takeSealed(reader: Reader): Bytes {
  const sealed = reader.take(reader.u16())
  const length = sealed.length - IMPORT_OVERHEAD
  if (length < MIN_IMPORT || length > MAX_IMPORT)
    throw new KeyferryError('ERR_MALFORMED', 'a sealed import of another length')
  return sealed
}

function readEntry(reader: Reader, isImports: boolean): BundleEntry {
  const entry: BundleEntry = {
    incarnation: reader.u32(),
    version: reader.u32(),
    wrapped: reader.take(WRAPPED_KEY),
  }
  if (isImports) entry.sealed = takeSealed(reader)
  return entry
}

/** Reads a bundle, whose entries are then read where they stand. Throws `ERR_TOO_LARGE`, `ERR_MALFORMED`, `ERR_SCHEMA`. */
export function readBundle(bytes: Bytes): BundleView {
  if (bytes.length > MAX_BUNDLE) throw new KeyferryError('ERR_TOO_LARGE')
  const reader = new Reader(bytes)
  const isImports = isAt(bytes, 0, IMPORTS_MAGIC)
  reader.expect(isImports ? IMPORTS_MAGIC : BUNDLE_MAGIC, 'bundle')
  const keyring = reader.take(16)
  const incarnation = reader.u32()
  const generation = reader.u64()
  const name = reader.take(WRAPPED_NAME)
  const count = reader.u32()
  const least = ENTRY + (isImports ? 2 + IMPORT_OVERHEAD + MIN_IMPORT : 0)
  const isFit = isImports
    ? count > 0 && reader.left >= count * least
    : reader.left === count * least
  if (!isFit) throw new KeyferryError('ERR_MALFORMED', 'bundle of another length')
  const starts: number[] = []
  for (let i = 0; i < count; i++) {
    starts.push(reader.pass(ENTRY))
    if (isImports) takeSealed(reader)
  }
  reader.end()
  // PROTOCOL [bundle-1]
  const entries = rowsOf(bytes, starts, (entry) => readEntry(entry, isImports))
  return { keyring, incarnation, generation, name, entries }
}

/** Decodes a bundle with all of its entries. Throws as {@link readBundle}. */
export function decodeBundle(bytes: Bytes): Bundle {
  const { entries, ...fields } = readBundle(bytes)
  return { ...fields, entries: entries.all() }
}

/** The 64 bytes that are wrapped as a keyring's name. Throws `RangeError` above 63 bytes of UTF-8. */
export function encodeName(name: string): Bytes {
  const text = utf8(name)
  const out = new Uint8Array(64)
  out[0] = text.length
  // Throws what this function throws.
  out.set(text, 1)
  return out
}

/** Inverse of {@link encodeName}. Throws `ERR_MALFORMED`. */
export function decodeName(block: Bytes): string {
  const length = block[0] ?? 64
  if (
    block.length !== 64 ||
    length > MAX_NAME ||
    block.subarray(1 + length).some((byte) => byte !== 0)
  ) {
    throw new KeyferryError('ERR_MALFORMED', 'not a keyring name')
  }
  return fromUtf8(block.slice(1, 1 + length))
}
