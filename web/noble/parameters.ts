/** What the calls of WebCrypto are given, read. */
import { type Bytes } from '../../shared/bytes.ts'
import { CURVES } from './curves.ts'
import { type CurveName } from './encodings.ts'
import { hashOf } from './hashes.ts'
import { refuse } from './key.ts'

/** All that an algorithm may say. */
export interface Parameters {
  name: string
  namedCurve?: string
  hash?: string | { name: string }
  length?: number
  iv?: BufferSource
  additionalData?: BufferSource
  salt?: BufferSource
  info?: BufferSource
  public?: CryptoKey
}

/** Parameters of an algorithm, also of one that is only named. */
export const read = (algorithm: string | Parameters): Parameters =>
  typeof algorithm === 'string' ? { name: algorithm } : algorithm

/** A copy: callers may change theirs. */
export function bytesOf(data: BufferSource | undefined): Bytes {
  if (data === undefined) return new Uint8Array()
  const view = ArrayBuffer.isView(data) ? data : new Uint8Array(data)
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice()
}

/** The hash that an algorithm or a key names. Throws `NotSupportedError`. */
export function hashName({ hash }: Parameters): string {
  const name = typeof hash === 'object' ? hash.name : hash
  hashOf(name ?? '')
  return name!
}

/** Algorithms of curves. */
export const CURVE_ALGORITHMS: readonly string[] = ['Ed25519', 'X25519', 'ECDSA', 'ECDH']

/** The curve that an algorithm or a key names. Throws `NotSupportedError`. */
export function curveName({ name, namedCurve }: Parameters): CurveName {
  const curve = namedCurve ?? name
  return curve in CURVES ? (curve as CurveName) : refuse('NotSupportedError', `no ${name} ${curve}`)
}

/** The curve of a key. */
export const curveOf = (key: CryptoKey): CurveName => curveName(key.algorithm)
