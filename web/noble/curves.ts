/** Ed25519, X25519, P-256 and P-384 on @noble/curves, by the names of WebCrypto. */
import { ed25519, x25519 } from '@noble/curves/ed25519.js'
import { p256, p384 } from '@noble/curves/nist.js'
import { bytesToNumberLE } from '@noble/curves/utils.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { concat, equal, type Bytes } from '../../shared/bytes.ts'
import { type CurveName } from './encodings.ts'
import { hashOf } from './hashes.ts'
import { refuse } from './key.ts'

/** A curve. Public keys are raw: a point as RFC 8032 or RFC 7748 writes it, or an uncompressed one. */
interface Curve {
  /** Bytes of a private key. */
  length: number
  generate(): Bytes
  /** Throws for no private key. */
  publicKey(secret: Bytes): Bytes
  /** Throws `DataError` for what is no public key. */
  checkPublic(point: Bytes): void
  sign?(data: Bytes, secret: Bytes, hash: string): Bytes
  verify?(signature: Bytes, data: Bytes, point: Bytes, hash: string): boolean
  agree?(secret: Bytes, point: Bytes): Bytes
}

/** noble's answers stand in memory of their own. */
const own = (bytes: Uint8Array): Bytes => bytes as Bytes

function checkLength(point: Bytes): void {
  if (point.length !== 32) refuse('DataError', 'not 32 bytes')
}

function weierstrass(curve: typeof p256, length: number): Curve {
  // The hash is the algorithm's, not the curve's; what is malleable is the caller's matter, as with WebCrypto.
  const options = { prehash: false, lowS: false }
  return {
    length,
    generate: () => own(curve.utils.randomSecretKey()),
    publicKey: (secret) => own(curve.getPublicKey(secret, false)),
    checkPublic(point) {
      if (point[0] !== 4 || !curve.utils.isValidPublicKey(point, false))
        refuse('DataError', 'not a point of the curve')
    },
    sign: (data, secret, hash) => own(curve.sign(hashOf(hash)(data), secret, options)),
    verify: (signature, data, point, hash) =>
      curve.verify(signature, hashOf(hash)(data), point, options),
    agree: (secret, point) => own(curve.getSharedSecret(secret, point, true).slice(1)),
  }
}

/**
 * The equation without a cofactor (RFC 8032 §5.1.7, "sufficient, but not required"), as every WebCrypto has it: noble's own multiplies by 8, and so accepts
 * signatures with a part of small order that others refuse.
 */
function verifyEd25519(signature: Bytes, data: Bytes, point: Bytes): boolean {
  const { Point } = ed25519
  const [r, s] = [signature.subarray(0, 32), bytesToNumberLE(signature.subarray(32))]
  // PROTOCOL [path-9]
  if (signature.length !== 64 || s >= Point.Fn.ORDER) return false
  const challenge = Point.Fn.create(bytesToNumberLE(sha512(concat(r, point, data))))
  const key = Point.fromBytes(point)
  const expected = Point.BASE.multiplyUnsafe(s).subtract(key.multiplyUnsafe(challenge))
  return equal(expected.toBytes(), r)
}

/** The curves that a client meets. */
export const CURVES: Record<CurveName, Curve> = {
  Ed25519: {
    length: 32,
    generate: () => own(ed25519.utils.randomSecretKey()),
    publicKey: (secret) => own(ed25519.getPublicKey(secret)),
    checkPublic: checkLength,
    sign: (data, secret) => own(ed25519.sign(data, secret)),
    verify: verifyEd25519,
  },
  X25519: {
    length: 32,
    generate: () => own(x25519.utils.randomSecretKey()),
    publicKey: (secret) => own(x25519.getPublicKey(secret)),
    checkPublic: checkLength,
    agree: (secret, point) => own(x25519.getSharedSecret(secret, point)),
  },
  'P-256': weierstrass(p256, 32),
  'P-384': weierstrass(p384, 48),
}
