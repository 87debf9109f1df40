/**
 * The part of WebCrypto that a client uses, on noble: for platforms that have none. Same names, same errors by name; keys, though, live in the memory of
 * JavaScript. Nothing of this is loaded where there is WebCrypto.
 */
import { concat } from '../../shared/bytes.ts'
import { hashOf } from './hashes.ts'
import { exportBytes, generate, importBytes, importSecret } from './import-export.ts'
import { crypt, derive, signWith, unwrap, verifyWith, wrap } from './operations.ts'
import { bytesOf, read, type Parameters } from './parameters.ts'

const answer = (bytes: Uint8Array): ArrayBuffer => concat(bytes).buffer

type Algorithm = string | Parameters

const implementation = {
  digest: async (algorithm: Algorithm, data: BufferSource) =>
    answer(hashOf(read(algorithm).name)(bytesOf(data))),
  importKey: async (
    format: string,
    data: BufferSource,
    algorithm: Algorithm,
    extractable: boolean,
    usages: KeyUsage[],
  ) => importBytes(format, bytesOf(data), read(algorithm), extractable, usages),
  exportKey: async (format: string, key: CryptoKey) => answer(exportBytes(format, key)),
  generateKey: async (algorithm: Algorithm, extractable: boolean, usages: KeyUsage[]) =>
    generate(read(algorithm), extractable, usages),
  sign: async (algorithm: Algorithm, key: CryptoKey, data: BufferSource) =>
    answer(signWith(read(algorithm), key, bytesOf(data))),
  verify: async (
    algorithm: Algorithm,
    key: CryptoKey,
    signature: BufferSource,
    data: BufferSource,
  ) => verifyWith(read(algorithm), key, bytesOf(signature), bytesOf(data)),
  deriveBits: async (algorithm: Algorithm, key: CryptoKey, bits: number) =>
    answer(derive(read(algorithm), key, bits, 'deriveBits')),
  deriveKey: async (
    algorithm: Algorithm,
    key: CryptoKey,
    made: Parameters,
    extractable: boolean,
    usages: KeyUsage[],
  ) => {
    const bytes = concat(derive(read(algorithm), key, made.length ?? 256, 'deriveKey'))
    return importSecret(bytes, made, extractable, usages)
  },
  encrypt: async (algorithm: Algorithm, key: CryptoKey, data: BufferSource) =>
    answer(crypt('encrypt', read(algorithm), key, bytesOf(data))),
  decrypt: async (algorithm: Algorithm, key: CryptoKey, data: BufferSource) =>
    answer(crypt('decrypt', read(algorithm), key, bytesOf(data))),
  wrapKey: async (format: string, key: CryptoKey, wrapping: CryptoKey) =>
    answer(wrap(exportBytes(format, key), wrapping)),
  unwrapKey: async (
    format: string,
    wrapped: BufferSource,
    key: CryptoKey,
    algorithm: Algorithm,
    made: Algorithm,
    extractable: boolean,
    usages: KeyUsage[],
  ) =>
    importBytes(
      format,
      unwrap(read(algorithm), bytesOf(wrapped), key),
      read(made),
      extractable,
      usages,
    ),
}

/** WebCrypto's interface, as far as a client goes: SHA-2, HMAC, HKDF, AES-256-GCM, AES-KW, Ed25519, X25519, ECDSA and ECDH, and RSA to verify. */
export const nobleSubtle: SubtleCrypto = implementation as unknown as SubtleCrypto
