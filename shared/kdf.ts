/**
 * Derivation labels (docs/PROTOCOL.md, "Derivation"; HKDF-Expand is RFC 5869 §2.3 with one block). Functions return the *info*: whoever
 * holds the key computes HMAC-SHA-256 over it, be it WebCrypto with a key that JavaScript never sees, a file or an HSM.
 */
import { concat, u16, u32, u64, utf8, type Bytes } from './bytes.ts'

/** `LP(x)` of docs/PROTOCOL.md. */
export function lengthPrefixed(bytes: Uint8Array): Bytes {
  return concat(u16(bytes.length), bytes)
}

/** Beginnings and lengths, once encoded: a deriver needs the same few for every key. */
const LABELS: Record<string, Bytes> = {}
const LENGTHS: Bytes[] = []

function parts(label: string, fields: readonly Uint8Array[]): Uint8Array[] {
  const all: Uint8Array[] = [(LABELS[label] ??= utf8(`keyferry/v1/${label}\0`))]
  for (const field of fields) all.push((LENGTHS[field.length] ??= u16(field.length)), field)
  return all
}

/** `"keyferry/v1/" || label || 0x00 || LP(field) …` */
export function labelInfo(label: string, ...fields: readonly Uint8Array[]): Bytes {
  return concat(...parts(label, fields))
}

function expand(label: string, ...fields: readonly Uint8Array[]): Bytes {
  return concat(...parts(label, fields), Uint8Array.of(1))
}

/** A key version, as labels name it. */
export interface VersionContext {
  /** 32 bytes. */
  tenant: Bytes
  /** 16 bytes. */
  keyring: Bytes
  incarnation: number
  version: number
  algorithm: number
}

function versionFields(v: VersionContext): Bytes[] {
  return [v.tenant, v.keyring, u64(v.incarnation), u64(v.version), u32(v.algorithm)]
}

/** HMAC input for the channel key of a key package, under the master secret. `salt` is 32 bytes and secret. */
export function channelInput(tenant: Bytes, packageHash: Bytes, salt: Bytes): Bytes {
  return expand('channel', tenant, packageHash, salt)
}

/** HMAC input for the key-encryption key of a generation, under the master secret. `salt` is 32 bytes and secret. */
export function kekInput(
  tenant: Bytes,
  keyring: Bytes,
  incarnation: number,
  generation: number,
  salt: Bytes,
): Bytes {
  return expand('kek', tenant, keyring, u64(incarnation), u64(generation), salt)
}

/** HMAC input for a version secret, under the master secret. `nonce` is 16 bytes and public; `salt` is empty, or 32 secret bytes. */
export function versionInput(v: VersionContext, nonce: Bytes, salt: Bytes): Bytes {
  return expand('version', ...versionFields(v), nonce, salt)
}

/** HMAC input for the mark by which a deriver knows a master secret again. */
export function rootInput(tenant: Bytes): Bytes {
  return expand('root', tenant)
}

/** HMAC input for the mark of an import that waits for a second person: `digest` is of the bytes and of what goes with them. */
export function pendingInput(tenant: Bytes, digest: Bytes): Bytes {
  return expand('pending', tenant, digest)
}

/** HMAC input for a key id, under the version secret: the commitment. */
export function commitInput(v: VersionContext): Bytes {
  return expand('commit', ...versionFields(v))
}

/** HMAC input for a channel id, under the channel key. */
export function channelIdInput(): Bytes {
  return expand('id')
}

/** Info of the HKDF-SHA-512 that makes, of a version secret, the key that imported bytes are sealed with. */
export function importInfo(tenant: Bytes, keyring: Bytes, keyId: Bytes): Bytes {
  return labelInfo('import', tenant, keyring, keyId)
}

/** Info of the HKDF-SHA-512 that makes a message key of a version secret. */
export function messageInfo(tenant: Bytes, keyring: Bytes, keyId: Bytes): Bytes {
  return labelInfo('message', tenant, keyring, keyId)
}
