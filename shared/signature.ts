/**
 * The one strict signature verifier (docs/PROTOCOL.md, "Paths", `[path-9]`): Ed25519 (RFC 8032) and ECDSA P-256 with
 * SHA-256, on WebCrypto.
 *
 * Platforms disagree about Ed25519 points of small order: BoringSSL (Chromium, workerd) takes them, OpenSSL 3.5 does
 * not. They are refused here before the platform is asked, as keys and as R, so that one party never accepts what
 * another refuses. What is left is the same cofactorless equation everywhere. ECDSA signatures remain malleable:
 * signature bytes are never an identity.
 */
import { type Bytes, concat, equal, fromHex, hex } from './bytes.ts'
import { derBits, derInteger, derSequence, readDer, type DerReader, SEQUENCE } from './der.ts'
import { KeyferryError } from './errors.ts'
import { digest } from './digest.ts'
import { once } from './once.ts'
import { nodeCrypto, subtle } from './platform.ts'

export type SignatureAlgorithm = 'Ed25519' | 'ES256'

/** A public key that passed {@link importVerifyKey}. */
export type VerifyKey = {
  readonly alg: SignatureAlgorithm
  readonly key: CryptoKey
  readonly spki: Bytes
}

/** A private key, which may be non-extractable, with its SubjectPublicKeyInfo. */
export type SigningKey = {
  readonly alg: SignatureAlgorithm
  readonly key: CryptoKey
  readonly spki: Bytes
}

/** A private key that is elsewhere, such as in an HSM, and signs as {@link signBytes} does. */
export type RemoteSigningKey = {
  readonly alg: SignatureAlgorithm
  readonly sign: (data: Bytes) => Promise<Bytes>
  readonly spki: Bytes
}

/** Whatever signs. */
export type AnySigningKey = SigningKey | RemoteSigningKey

/** What X.509 writes for each algorithm: SPKI up to the key bits, AlgorithmIdentifier; RFC 8410, RFC 5480, RFC 5758. */
const ENCODINGS: Record<SignatureAlgorithm, { spki: Bytes; length: number; identifier: Bytes }> = {
  Ed25519: {
    spki: fromHex('302a300506032b6570032100'),
    length: 44,
    identifier: fromHex('300506032b6570'),
  },
  ES256: {
    spki: fromHex('3059301306072a8648ce3d020106082a8648ce3d03010703420004'),
    length: 91,
    identifier: fromHex('300a06082a8648ce3d040302'),
  },
}
const ALGORITHMS = ['Ed25519', 'ES256'] as const

/** What WebCrypto is told of each algorithm: of a key it takes the curve, of a signature the hash. */
const ALGORITHM: Record<SignatureAlgorithm, { name: string; namedCurve?: string; hash?: string }> =
  {
    Ed25519: { name: 'Ed25519' },
    ES256: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  }

// p and the order L of edwards25519 (RFC 8032 §5.1), the order n of P-256 (SP 800-186 §3.2.1.3).
const P = 2n ** 255n - 19n
const L = 2n ** 252n + 0x14def9dea2f79cd65812631a5cf5d3edn
export const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
/** The y-coordinate of two points of order 8; of the other two it is p − y. The other points of small order have 0, 1 and p − 1. */
const Y8 = 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n

/** The integer that stands there, big-endian. */
export function integerOf(bytes: Bytes): bigint {
  return BigInt(`0x${hex(bytes)}`)
}

/** True for an Ed25519 SubjectPublicKeyInfo whose point is neither of small order nor in a second encoding. */
export function isStrongEd25519(spki: Bytes): boolean {
  return isStrongPoint(spki.slice(12))
}

/** True for an encoding of an edwards25519 point with y < p that is not of small order. Curve membership is not checked. */
function isStrongPoint(encoded: Bytes): boolean {
  const bytes = encoded.toReversed()
  bytes[0]! &= 0x7f
  const y = integerOf(bytes)
  return y > 1n && y < P - 1n && y !== Y8 && y !== P - Y8
}

/**
 * A verification key of the DER SubjectPublicKeyInfo of Ed25519 or P-256 (uncompressed), in its one encoding. Throws
 * `ERR_CERT_PROFILE` for every other algorithm or encoding and `ERR_WEAK_KEY` for an Ed25519 key of small order or
 * non-canonical encoding and for a point that is not on the curve.
 */
export async function importVerifyKey(spki: Bytes): Promise<VerifyKey> {
  const alg = ALGORITHMS.find((name) => {
    const encoding = ENCODINGS[name]
    const start = spki.subarray(0, encoding.spki.length)
    return spki.length === encoding.length && equal(start, encoding.spki)
  })
  if (alg === undefined) throw new KeyferryError('ERR_CERT_PROFILE', 'not an Ed25519 or P-256 key')
  // PROTOCOL [path-9]
  if (alg === 'Ed25519' && !isStrongEd25519(spki)) throw new KeyferryError('ERR_WEAK_KEY')
  const copy = spki.slice()
  try {
    const key = await subtle().importKey('spki', copy, ALGORITHM[alg], true, ['verify'])
    return { alg, key, spki: copy }
  } catch (cause) {
    throw new KeyferryError('ERR_WEAK_KEY', undefined, { cause })
  }
}

/** The key of an SPKI that nobody changes, such as that of a certificate that was read. Throws as {@link importVerifyKey}. */
export const verifyKeyOf: (spki: Bytes) => Promise<VerifyKey> = once(importVerifyKey)

/** True when `signature` (64 bytes: RFC 8032, or `r || s`) over `data` is valid by the strict rule. Never throws for bad input. */
export async function verifySignature(
  key: VerifyKey,
  signature: Bytes,
  data: Bytes,
): Promise<boolean> {
  if (signature.length !== 64) return false
  const first = signature.slice(0, 32)
  const second = signature.slice(32)
  // PROTOCOL [path-9]
  if (key.alg === 'Ed25519') {
    if (!isStrongPoint(first) || integerOf(second.toReversed()) >= L) return false
  } else if ([first, second].map(integerOf).some((value) => value === 0n || value >= N))
    return false
  const node = nodeCrypto()
  if (!node) return subtle().verify(ALGORITHM[key.alg], key.key, signature, data)
  // By the same library as WebCrypto's there, which hands each signature to another thread and back. Not each knows hashes by the names of WebCrypto.
  const object = { key: node.KeyObject.from(key.key), dsaEncoding: 'ieee-p1363' }
  return node.verify(ALGORITHM[key.alg].hash && 'sha256', data, object, signature)
}

/** Signature of `data`: 64 bytes, as {@link verifySignature} takes it. */
export async function signBytes(key: AnySigningKey, data: Bytes): Promise<Bytes> {
  if ('sign' in key) return key.sign(data)
  return new Uint8Array(await subtle().sign(ALGORITHM[key.alg], key.key, data))
}

/** A new key pair from the platform's random source; `extractable` says whether the private key can leave it. */
export async function generateSigningKey(
  alg: SignatureAlgorithm,
  extractable: boolean,
): Promise<SigningKey> {
  const usages: KeyUsage[] = ['sign', 'verify']
  const generated = await subtle().generateKey(ALGORITHM[alg], extractable, usages)
  const pair = generated as CryptoKeyPair
  const spki = new Uint8Array(await subtle().exportKey('spki', pair.publicKey))
  return { alg, key: pair.privateKey, spki }
}

/** Key id: SHA-256 of the DER SubjectPublicKeyInfo. */
export function keyId(spki: Bytes): Promise<Bytes> {
  return digest(spki)
}

/** `r || s` of a strict DER ECDSA-Sig-Value (RFC 3279 §2.2.3), of P-256 or another curve of this many octets. Throws `ERR_MALFORMED`. */
export function ecdsaFromDer(signature: Bytes, octets = 32): Bytes {
  const half = (reader: DerReader): Bytes => {
    const value = reader.integer()
    const unsigned = value[0] === 0 ? value.subarray(1) : value
    if (value[0]! >= 0x80 || unsigned.length > octets) {
      throw new KeyferryError('ERR_MALFORMED', 'not an ECDSA signature')
    }
    return concat(new Uint8Array(octets - unsigned.length), unsigned)
  }
  return readDer(signature, (outer) =>
    outer.inside(SEQUENCE, (reader) => concat(half(reader), half(reader))),
  )
}

/** DER ECDSA-Sig-Value of `r || s` (64 bytes). */
export function ecdsaToDer(signature: Bytes): Bytes {
  return derSequence(derInteger(signature.subarray(0, 32)), derInteger(signature.subarray(32)))
}

/** A signed X.509 structure taken apart: the signed bytes, AlgorithmIdentifier and signature bits, all unchecked. */
export type SignedDer = {
  readonly tbs: Bytes
  readonly identifier: Bytes
  readonly signature: Bytes
}

/** Takes apart `SEQUENCE { tbs, algorithm, signature }`. Throws `ERR_MALFORMED`. */
export function readSigned(bytes: Bytes): SignedDer {
  return readDer(bytes, (outer) =>
    outer.inside(SEQUENCE, (reader) => ({
      tbs: reader.element(SEQUENCE).raw,
      identifier: reader.element(SEQUENCE).raw,
      signature: reader.bits(),
    })),
  )
}

/**
 * Algorithm and 64-byte signature of a signed structure. Throws `ERR_CERT_PROFILE` for any algorithm but Ed25519 and
 * ECDSA with SHA-256, `ERR_MALFORMED` for a signature of the wrong form.
 */
export function readSignature(signed: SignedDer): { alg: SignatureAlgorithm; signature: Bytes } {
  const alg = ALGORITHMS.find((name) => equal(ENCODINGS[name].identifier, signed.identifier))
  if (alg === undefined) throw new KeyferryError('ERR_CERT_PROFILE', 'unknown signature algorithm')
  const signature = alg === 'ES256' ? ecdsaFromDer(signed.signature) : signed.signature
  if (signature.length !== 64) throw new KeyferryError('ERR_MALFORMED', 'signature length')
  return { alg, signature }
}

/** SubjectPublicKeyInfo up to the key bits, and its whole length. */
export function spkiPrefix(alg: SignatureAlgorithm): { prefix: Bytes; length: number } {
  const { spki, length } = ENCODINGS[alg]
  return { prefix: spki, length }
}

/** DER AlgorithmIdentifier of a signature algorithm. */
export function algorithmIdentifier(alg: SignatureAlgorithm): Bytes {
  return ENCODINGS[alg].identifier
}

/** Signs `tbs` and puts the signed X.509 structure together. */
export async function signDer(key: SigningKey, tbs: Bytes): Promise<Bytes> {
  const signature = await signBytes(key, tbs)
  const bits = key.alg === 'ES256' ? ecdsaToDer(signature) : signature
  return derSequence(tbs, algorithmIdentifier(key.alg), derBits(bits))
}
