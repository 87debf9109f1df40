/** What is done with keys. */
import { concat } from '../../shared/bytes.ts'
import { aeskw, gcm } from '@noble/ciphers/aes.js'
import { equalBytes } from '@noble/ciphers/utils.js'
import { hkdf } from '@noble/hashes/hkdf.js'
import { hmac } from '@noble/hashes/hmac.js'
import { type Bytes } from '../../shared/bytes.ts'
import { CURVES } from './curves.ts'
import { hashOf } from './hashes.ts'
import { materialFor, refuse } from './key.ts'
import { bytesOf, curveOf, hashName, type Parameters } from './parameters.ts'
import { verifyRsa } from './rsa.ts'

function macOf(key: CryptoKey, usage: 'sign' | 'verify', data: Bytes): Uint8Array {
  const { bytes } = materialFor(key, 'HMAC', usage)
  return hmac(hashOf(hashName(key.algorithm)), bytes, data)
}

/** `sign`. Throws `InvalidAccessError`. */
export function signWith(parameters: Parameters, key: CryptoKey, data: Bytes): Uint8Array {
  const { name } = parameters
  if (name === 'HMAC') return macOf(key, 'sign', data)
  const { bytes } = materialFor(key, name, 'sign')
  return CURVES[curveOf(key)].sign!(data, bytes, name === 'ECDSA' ? hashName(parameters) : '')
}

/** `verify`. Throws `InvalidAccessError`. */
export function verifyWith(
  parameters: Parameters,
  key: CryptoKey,
  signature: Bytes,
  data: Bytes,
): boolean {
  const { name } = parameters
  if (name === 'HMAC') return equalBytes(macOf(key, 'verify', data), signature)
  const { bytes, rsa } = materialFor(key, name, 'verify')
  if (rsa !== undefined) return verifyRsa(rsa, hashName(key.algorithm), signature, data)
  const curve = CURVES[curveOf(key)]
  const hash = name === 'ECDSA' ? hashName(parameters) : ''
  try {
    return curve.verify!(signature, data, bytes, hash)
  } catch {
    // A signature of another length or a point that is none.
    return false
  }
}

/** `deriveBits` and `deriveKey`. Throws `InvalidAccessError`, `OperationError`. */
export function derive(
  parameters: Parameters,
  key: CryptoKey,
  bits: number,
  usage: KeyUsage,
): Uint8Array {
  const { name } = parameters
  const { bytes } = materialFor(key, name, usage)
  if (name === 'HKDF') {
    const hash = hashOf(hashName(parameters))
    if (bits > 255 * 8 * hash.outputLen) refuse('OperationError', 'more than HKDF gives')
    return hkdf(hash, bytes, bytesOf(parameters.salt), bytesOf(parameters.info), bits / 8)
  }
  const curve = curveOf(key)
  const peer = parameters.public!
  if (curveOf(peer) !== curve) refuse('InvalidAccessError', 'keys of two curves')
  const point = materialFor(peer, name, null).bytes
  try {
    return CURVES[curve].agree!(bytes, point).subarray(0, bits / 8)
  } catch (cause) {
    return refuse('OperationError', String(cause))
  }
}

/** `encrypt` and `decrypt`. Throws `InvalidAccessError`, `NotSupportedError`, `OperationError`. */
export function crypt(
  way: 'encrypt' | 'decrypt',
  { name, iv, additionalData }: Parameters,
  key: CryptoKey,
  data: Bytes,
  usage: KeyUsage = way,
): Uint8Array {
  if (name !== 'AES-GCM') refuse('NotSupportedError', `no ${name}`)
  const { bytes } = materialFor(key, name, usage)
  const cipher = gcm(bytes, bytesOf(iv), bytesOf(additionalData))
  try {
    return cipher[way](data)
  } catch (cause) {
    return refuse('OperationError', String(cause))
  }
}

/** RFC 3394, or AES-GCM. Throws `InvalidAccessError`, `NotSupportedError`, `OperationError`. */
export function unwrap(algorithm: Parameters, wrapped: Bytes, key: CryptoKey): Bytes {
  if (algorithm.name !== 'AES-KW')
    return concat(crypt('decrypt', algorithm, key, wrapped, 'unwrapKey'))
  const { bytes } = materialFor(key, 'AES-KW', 'unwrapKey')
  try {
    return aeskw(bytes).decrypt(wrapped)
  } catch (cause) {
    return refuse('OperationError', String(cause))
  }
}

/** RFC 3394. Throws `InvalidAccessError`. */
export function wrap(bytes: Uint8Array, key: CryptoKey): Uint8Array {
  return aeskw(materialFor(key, 'AES-KW', 'wrapKey').bytes).encrypt(bytes)
}
