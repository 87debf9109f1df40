/**
 * From a welcome to keys that encrypt: everything after the welcome happens on WebCrypto keys that cannot be exported
 * (docs/PROTOCOL.md [open-15] to [open-20], "Messages"; AES-KW is RFC 3394).
 */
import { decodeName, decodeWelcome, welcomeInfo, type Bundle, type BundleEntry } from './bundle.ts'
import { equal, fromBase32, type Bytes } from './bytes.ts'
import { KeyferryError } from './errors.ts'
import { sha256 } from './hash.ts'
import { createHpke, KEM_ID, type RecipientKey } from './hpke.ts'
import { channelIdInput, commitInput, importInfo, messageInfo } from './kdf.ts'
import {
  compareVersions,
  versionContext,
  type Manifest,
  type VersionEntry,
  type VersionId,
} from './manifest.ts'
import { type MlKem } from './x-wing.ts'

const HMAC_256 = { name: 'HMAC', hash: 'SHA-256', length: 256 }

/** A channel key that only unwraps, and its id. */
export interface Channel {
  key: CryptoKey
  /** 32 bytes. */
  id: Bytes
  /** Hash of the welcome it came from. */
  welcomeHash: Bytes
}

/** Who a welcome is for. */
export interface WelcomeRecipient {
  /** Tenant id, as text. */
  tenant: string
  /** Fingerprint of the client's certificate. */
  fingerprint: Bytes
  packageHash: Bytes
  key: RecipientKey
  mlKem?: MlKem
}

async function unwrap<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw new KeyferryError('ERR_OPEN', undefined, { cause })
  }
}

async function mac(key: CryptoKey, input: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.sign('HMAC', key, input))
}

/**
 * Opens a welcome whose hash stands in the member leaf. Throws `ERR_HASH`, `ERR_OPEN`, `ERR_SUITE` and decoding codes.
 * The channel key exists as bytes for the length of this call only.
 */
export async function openWelcome(
  bytes: Bytes,
  leaf: { welcomeHash: Bytes; channelId: Bytes },
  recipient: WelcomeRecipient,
): Promise<Channel> {
  // PROTOCOL [open-15]
  if (!equal(sha256(bytes), leaf.welcomeHash))
    throw new KeyferryError('ERR_HASH', 'not the welcome that was signed')
  const welcome = decodeWelcome(bytes)
  const { suite } = recipient.key
  if (welcome.kem !== KEM_ID[suite])
    throw new KeyferryError('ERR_SUITE', 'a welcome in another suite')
  const info = welcomeInfo(
    fromBase32(recipient.tenant),
    recipient.fingerprint,
    recipient.packageHash,
    suite,
  )
  const raw = await createHpke(suite, recipient.mlKem).open(
    recipient.key,
    welcome.encapsulated,
    welcome.ciphertext,
    info,
  )
  try {
    const key = await crypto.subtle.importKey('raw', raw, 'AES-KW', false, ['unwrapKey'])
    const id = await mac(
      await crypto.subtle.importKey('raw', raw, HMAC_256, false, ['sign']),
      channelIdInput(),
    )
    requireChannel(id, leaf.channelId)
    return { key, id, welcomeHash: leaf.welcomeHash }
  } finally {
    raw.fill(0)
  }
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
    crypto.subtle.unwrapKey(
      'raw',
      cell,
      channel,
      'AES-KW',
      { name: 'AES-KW', length: 256 },
      false,
      ['unwrapKey'],
    ),
  )
}

/** Unwraps the keyring's human name. Throws `ERR_OPEN`, `ERR_MALFORMED`. */
export async function unwrapName(kek: CryptoKey, bundle: Bundle): Promise<string> {
  const block = await unwrap(async () => {
    const algorithm = { name: 'HMAC', hash: 'SHA-256', length: 512 }
    const key = await crypto.subtle.unwrapKey('raw', bundle.name, kek, 'AES-KW', algorithm, true, [
      'sign',
    ])
    return new Uint8Array(await crypto.subtle.exportKey('raw', key))
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
export function requireVersion(manifest: Manifest, entry: VersionId): VersionEntry {
  // PROTOCOL [open-19]
  const found = manifest.versions.find((one) => compareVersions(one, entry) === 0)
  if (found === undefined)
    throw new KeyferryError('ERR_KEY_VERSION', 'a bundled version that the manifest does not know')
  return found
}

/** Checks one version of a bundle against its commitment. Throws `ERR_OPEN`, `ERR_KEY_VERSION`, `ERR_COMMITMENT`. */
export async function checkVersion(
  kek: CryptoKey,
  { wrapped, sealed, ...id }: BundleEntry,
  manifest: Manifest,
): Promise<VersionEntry> {
  const version = requireVersion(manifest, id)
  const committed = await unwrap(() =>
    crypto.subtle.unwrapKey('raw', wrapped, kek, 'AES-KW', HMAC_256, false, ['sign']),
  )
  const keyId = await mac(committed, commitInput(versionContext(manifest, version)))
  // PROTOCOL [open-20]
  if (!equal(keyId, version.keyId)) throw new KeyferryError('ERR_COMMITMENT')
  // PROTOCOL [import-1]
  const isCommitted =
    sealed === undefined || version.importHash === undefined
      ? sealed === version.importHash
      : equal(sha256(sealed), version.importHash)
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
  const key = await crypto.subtle.deriveKey(
    { name: 'HKDF', hash: 'SHA-512', salt: new Uint8Array(), info },
    secret,
    { name: 'AES-GCM', length: 256 },
    false,
    ['unwrapKey'],
  )
  const algorithm = { name: 'AES-GCM', iv: sealed.slice(0, 12) }
  // PROTOCOL [import-2]
  return unwrap(() =>
    crypto.subtle.unwrapKey('raw', sealed.slice(12), key, algorithm, 'HKDF', false, ['deriveKey']),
  )
}

/** Unwraps one version of a bundle, checked against its commitment. Throws as {@link checkVersion}. */
export async function unwrapVersion(
  kek: CryptoKey,
  entry: BundleEntry,
  manifest: Manifest,
): Promise<MessageKey> {
  const version = await checkVersion(kek, entry, manifest)
  const secret = await unwrap(() =>
    crypto.subtle.unwrapKey('raw', entry.wrapped, kek, 'AES-KW', 'HKDF', false, ['deriveKey']),
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
  return crypto.subtle.deriveKey(
    algorithm,
    secret,
    { name: 'HMAC', hash: 'SHA-512', length: 256 },
    false,
    ['sign'],
  )
}
