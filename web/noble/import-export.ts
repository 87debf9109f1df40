/** Keys in and out: `importKey`, `exportKey`, `generateKey`. */
import { type Bytes } from '../../shared/bytes.ts'
import { CURVES } from './curves.ts'
import { readPkcs8, readRsaSpki, readSpki, writePkcs8, writeSpki } from './encodings.ts'
import { hashOf } from './hashes.ts'
import { makeKey, readMaterial, refuse } from './key.ts'
import { CURVE_ALGORITHMS, curveName, curveOf, hashName, type Parameters } from './parameters.ts'

function secretAlgorithm(parameters: Parameters, bytes: Bytes): KeyAlgorithm {
  const { name } = parameters
  const length = 8 * bytes.length
  if (name === 'HKDF') return { name }
  if (parameters.length !== undefined && parameters.length !== length)
    refuse('DataError', `not ${parameters.length} bits`)
  if (name === 'HMAC') {
    if (length === 0) refuse('DataError', 'an empty key')
    return { name, hash: { name: hashName(parameters) }, length } as KeyAlgorithm
  }
  if (name !== 'AES-GCM' && name !== 'AES-KW') refuse('NotSupportedError', `no ${name}`)
  if (length !== 256) refuse('DataError', 'not an AES key of 256 bits')
  return { name, length } as KeyAlgorithm
}

/** A secret key. Throws `DataError`, `NotSupportedError`, `SyntaxError`. */
export function importSecret(
  bytes: Bytes,
  parameters: Parameters,
  extractable: boolean,
  usages: KeyUsage[],
): CryptoKey {
  const algorithm = secretAlgorithm(parameters, bytes)
  if (usages.length === 0) refuse('SyntaxError', 'a key without a use')
  return makeKey('secret', algorithm, extractable, usages, { bytes })
}

function curveAlgorithm({ name, namedCurve }: Parameters): KeyAlgorithm {
  return (namedCurve === undefined ? { name } : { name, namedCurve }) as KeyAlgorithm
}

function importPrivate(
  pkcs8: Bytes,
  parameters: Parameters,
  extractable: boolean,
  usages: KeyUsage[],
): CryptoKey {
  const curve = curveName(parameters)
  const bytes = readPkcs8(pkcs8, curve)
  try {
    CURVES[curve].publicKey(bytes)
  } catch (cause) {
    refuse('DataError', `no private key of ${curve}: ${String(cause)}`)
  }
  return makeKey('private', curveAlgorithm(parameters), extractable, usages, { bytes })
}

function importPublic(point: Bytes, parameters: Parameters, usages: KeyUsage[]): CryptoKey {
  CURVES[curveName(parameters)].checkPublic(point)
  return makeKey('public', curveAlgorithm(parameters), true, usages, { bytes: point })
}

function importRsa(spki: Bytes, parameters: Parameters, usages: KeyUsage[]): CryptoKey {
  const algorithm = { name: parameters.name, hash: { name: hashName(parameters) } }
  const rsa = readRsaSpki(spki)
  return makeKey('public', algorithm, true, usages, { bytes: spki, rsa })
}

/** `importKey`. Throws `DataError`, `NotSupportedError`, `SyntaxError`. */
export function importBytes(
  format: string,
  data: Bytes,
  parameters: Parameters,
  extractable: boolean,
  usages: KeyUsage[],
): CryptoKey {
  const { name } = parameters
  const isCurve = CURVE_ALGORITHMS.includes(name)
  if (format === 'raw' && !isCurve) return importSecret(data, parameters, extractable, usages)
  if (format === 'raw') return importPublic(data, parameters, usages)
  if (format === 'spki' && name === 'RSASSA-PKCS1-v1_5') return importRsa(data, parameters, usages)
  if (format === 'spki' && isCurve)
    return importPublic(readSpki(data, curveName(parameters)), parameters, usages)
  if (format === 'pkcs8' && isCurve) return importPrivate(data, parameters, extractable, usages)
  return refuse('NotSupportedError', `no ${format} of ${name}`)
}

/** `exportKey`. Throws `InvalidAccessError`, `NotSupportedError`. */
export function exportBytes(format: string, key: CryptoKey): Uint8Array {
  const { bytes } = readMaterial(key)
  if (format === 'raw' && key.type !== 'private') return bytes
  if (format === 'spki' && key.type === 'public') return writeSpki(bytes, curveOf(key))
  if (format !== 'pkcs8' || key.type !== 'private')
    return refuse('NotSupportedError', `no ${format} of a ${key.type} key`)
  const curve = curveOf(key)
  return writePkcs8(bytes, CURVES[curve].publicKey(bytes), curve)
}

/** `generateKey`. Throws `NotSupportedError`, `SyntaxError`. */
export function generate(
  parameters: Parameters,
  extractable: boolean,
  usages: KeyUsage[],
): CryptoKey | CryptoKeyPair {
  const { name } = parameters
  if (!CURVE_ALGORITHMS.includes(name)) {
    const length =
      parameters.length ?? 8 * (name === 'HMAC' ? hashOf(hashName(parameters)).blockLen : 32)
    const bytes = crypto.getRandomValues(new Uint8Array(length / 8))
    return importSecret(bytes, { ...parameters, length }, extractable, usages)
  }
  const curve = CURVES[curveName(parameters)]
  const bytes = curve.generate()
  const algorithm = curveAlgorithm(parameters)
  const publicUses = usages.filter((usage) => usage === 'verify')
  const privateUses = usages.filter((usage) => usage !== 'verify')
  const point = { bytes: curve.publicKey(bytes) }
  return {
    publicKey: makeKey('public', algorithm, true, publicUses, point),
    privateKey: makeKey('private', algorithm, extractable, privateUses, { bytes }),
  }
}
