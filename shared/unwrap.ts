/**
 * From a channel to keys that encrypt, on WebCrypto keys that cannot be exported; the welcome is before it, in welcome.ts
 * (docs/PROTOCOL.md [open-16] to [open-20], "Messages"; AES-KW is RFC 3394).
 */
import { decodeName, type Bundle, type BundleEntry } from './bundle.ts'
import { equal, type Bytes } from './bytes.ts'
import { KeyferryError } from './errors.ts'
import { digest } from './digest.ts'
import { commitInput, importInfo, messageInfo } from './kdf.ts'
import {
  versionContext,
  type Manifest,
  type ManifestView,
  type VersionEntry,
  type VersionId,
} from './manifest.ts'
import { subtle } from './platform.ts'

/** Keys that compute HMAC-SHA-256. */
export const HMAC_256 = { name: 'HMAC', hash: 'SHA-256', length: 256 }

/** A channel key that only unwraps, and its id. */
export interface Channel {
  key: CryptoKey
  /** 32 bytes. */
  id: Bytes
  /** Hash of the welcome it came from. */
  welcomeHash: Bytes
}

async function unwrap<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw new KeyferryError('ERR_OPEN', undefined, { cause })
  }
}

/** HMAC-SHA-256. */
export async function mac(key: CryptoKey, input: Bytes): Promise<Bytes> {
  return new Uint8Array(await subtle().sign('HMAC', key, input))
}

/** Throws `ERR_HASH` unless the channel is the one in the member leaf. */
export function requireChannel(id: Bytes, leafId: Bytes): void {
  // PROTOCOL [open-16]
  if (!equal(id, leafId))
    throw new KeyferryError('ERR_HASH', 'the member leaf names another channel')
}

/** Unwraps a cell: the key-encryption key of a generation. Throws `ERR_OPEN`. */
export async function unwrapCell(channel: CryptoKey, cell: Bytes): Promise<CryptoKey> {
  // PROTOCOL [open-17]
  return unwrap(() =>
    subtle().unwrapKey('raw', cell, channel, 'AES-KW', { name: 'AES-KW', length: 256 }, false, [
      'unwrapKey',
    ]),
  )
}

/** Unwraps the keyring's human name. Throws `ERR_OPEN`, `ERR_MALFORMED`. */
export async function unwrapName(kek: CryptoKey, bundle: Pick<Bundle, 'name'>): Promise<string> {
  const block = await unwrap(async () => {
    const algorithm = { name: 'HMAC', hash: 'SHA-256', length: 512 }
    const key = await subtle().unwrapKey('raw', bundle.name, kek, 'AES-KW', algorithm, true, [
      'sign',
    ])
    return new Uint8Array(await subtle().exportKey('raw', key))
  })
  return decodeName(block)
}

/** A key version ready for messages. */
export interface MessageKey {
  entry: VersionEntry
  /** HMAC-SHA-512 key for chunked-encryption; not extractable. */
  key: CryptoKey
}

/** The manifest's entry of a bundled version. Throws `ERR_KEY_VERSION`. */
export function requireVersion(manifest: ManifestView, entry: VersionId): VersionEntry {
  // PROTOCOL [open-19]
  const found = manifest.versions.find(entry)
  if (found === undefined) throw new KeyferryError('ERR_KEY_VERSION', 'not in the manifest')
  return found
}

/** Checks one version of a bundle against its commitment. Throws `ERR_OPEN`, `ERR_KEY_VERSION`, `ERR_COMMITMENT`. */
export async function checkVersion(
  kek: CryptoKey,
  { wrapped, sealed, ...id }: BundleEntry,
  manifest: ManifestView,
): Promise<VersionEntry> {
  const version = requireVersion(manifest, id)
  const committed = await unwrap(() =>
    subtle().unwrapKey('raw', wrapped, kek, 'AES-KW', HMAC_256, false, ['sign']),
  )
  const keyId = await mac(committed, commitInput(versionContext(manifest, version)))
  // PROTOCOL [open-20]
  if (!equal(keyId, version.keyId)) throw new KeyferryError('ERR_COMMITMENT')
  // PROTOCOL [import-1]
  const isCommitted =
    sealed === undefined || version.importHash === undefined
      ? sealed === version.importHash
      : equal(await digest(sealed), version.importHash)
  if (!isCommitted) throw new KeyferryError('ERR_COMMITMENT', 'another sealed import')
  return version
}

/** Opens imported bytes, with the random ones before them, as a key that only derives: a page never sees them. Throws `ERR_OPEN`. */
async function unwrapImport(
  secret: CryptoKey,
  sealed: Bytes,
  { tenant, keyring }: Pick<Manifest, 'tenant' | 'keyring'>,
  keyId: Bytes,
): Promise<CryptoKey> {
  const info = importInfo(tenant, keyring, keyId)
  const key = await subtle().deriveKey(
    { name: 'HKDF', hash: 'SHA-512', salt: new Uint8Array(), info },
    secret,
    { name: 'AES-GCM', length: 256 },
    false,
    ['unwrapKey'],
  )
  const algorithm = { name: 'AES-GCM', iv: sealed.slice(0, 12) }
  // PROTOCOL [import-2]
  return unwrap(() =>
    subtle().unwrapKey('raw', sealed.slice(12), key, algorithm, 'HKDF', false, ['deriveKey']),
  )
}

/** Unwraps one version of a bundle, checked against its commitment, now or by `check` before. Throws as {@link checkVersion}. */
export async function unwrapVersion(
  kek: CryptoKey,
  entry: BundleEntry,
  manifest: ManifestView,
  check: (entry: BundleEntry) => Promise<VersionEntry> = (one) => checkVersion(kek, one, manifest),
): Promise<MessageKey> {
  const version = await check(entry)
  const secret = await unwrap(() =>
    subtle().unwrapKey('raw', entry.wrapped, kek, 'AES-KW', 'HKDF', false, ['deriveKey']),
  )
  const { keyId } = version
  const source =
    entry.sealed === undefined ? secret : await unwrapImport(secret, entry.sealed, manifest, keyId)
  return { entry: version, key: await deriveMessageKey(source, manifest, keyId) }
}

/** HKDF-SHA-512 of a version secret, or of what is imported under it, to the input key of chunked-encryption. */
export async function deriveMessageKey(
  secret: CryptoKey,
  { tenant, keyring }: Pick<Manifest, 'tenant' | 'keyring'>,
  keyId: Bytes,
): Promise<CryptoKey> {
  const info = messageInfo(tenant, keyring, keyId)
  const algorithm = { name: 'HKDF', hash: 'SHA-512', salt: new Uint8Array(), info }
  return subtle().deriveKey(
    algorithm,
    secret,
    { name: 'HMAC', hash: 'SHA-512', length: 256 },
    false,
    ['sign'],
  )
}
