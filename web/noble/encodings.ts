/** SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) and PKCS#8 (RFC 5958) of the keys that a client has: RFC 8410, RFC 5480, RFC 5915, RFC 8017. */
import { concat, equal, fromHex, type Bytes } from '../../shared/bytes.ts'
import { derBits, derSequence, INTEGER, OCTET_STRING, readDer, SEQUENCE } from '../../shared/der.ts'
import { refuse } from './key.ts'

/** A curve as WebCrypto names it: `namedCurve` where there is one, else the algorithm. */
export type CurveName = 'Ed25519' | 'X25519' | 'P-256' | 'P-384'

/** Contents of the AlgorithmIdentifiers. */
const IDENTIFIERS: Record<CurveName | 'RSA', Bytes> = {
  Ed25519: fromHex('06032b6570'),
  X25519: fromHex('06032b656e'),
  'P-256': fromHex('06072a8648ce3d020106082a8648ce3d030107'),
  'P-384': fromHex('06072a8648ce3d020106052b81040022'),
  RSA: fromHex('06092a864886f70d0101010500'),
}
const isEdwards = (curve: CurveName): boolean => curve === 'Ed25519' || curve === 'X25519'

function malformed<T>(work: () => T): T {
  try {
    return work()
  } catch (cause) {
    return refuse('DataError', `not such a key: ${String(cause)}`)
  }
}

function bitsOf(spki: Bytes, kind: CurveName | 'RSA'): Bytes {
  return readDer(spki, (outer) =>
    outer.inside(SEQUENCE, (reader) => {
      if (!equal(reader.read(SEQUENCE), IDENTIFIERS[kind])) throw new TypeError(`not ${kind}`)
      return reader.bits()
    }),
  )
}

/** The point of a SubjectPublicKeyInfo. Throws `DataError`. */
export function readSpki(spki: Bytes, curve: CurveName): Bytes {
  return malformed(() => bitsOf(spki, curve)).slice()
}

/** SubjectPublicKeyInfo of a point. */
export function writeSpki(point: Bytes, curve: CurveName): Bytes {
  return derSequence(derSequence(IDENTIFIERS[curve]), derBits(point))
}

function toBigInt(bytes: Bytes): bigint {
  let value = 0n
  for (const byte of bytes) value = (value << 8n) | BigInt(byte)
  return value
}

/** Modulus and exponent of an RSA SubjectPublicKeyInfo. Throws `DataError`. */
export function readRsaSpki(spki: Bytes): { modulus: bigint; exponent: bigint } {
  return malformed(() =>
    readDer(bitsOf(spki, 'RSA'), (outer) =>
      outer.inside(SEQUENCE, (reader) => ({
        modulus: toBigInt(reader.integer()),
        exponent: toBigInt(reader.integer()),
      })),
    ),
  )
}

/** The seed or scalar of a PKCS#8 structure. Throws `DataError`. Attributes and a public key beside it are not looked at. */
export function readPkcs8(pkcs8: Bytes, curve: CurveName): Bytes {
  return malformed(() =>
    readDer(pkcs8, (outer) =>
      outer.inside(SEQUENCE, (reader) => {
        reader.read(INTEGER)
        if (!equal(reader.read(SEQUENCE), IDENTIFIERS[curve])) throw new TypeError(`not ${curve}`)
        const content = reader.read(OCTET_STRING)
        while (!reader.done) reader.element()
        if (isEdwards(curve)) return readDer(content, (inner) => inner.read(OCTET_STRING)).slice()
        return readDer(content, (inner) =>
          inner.inside(SEQUENCE, (key) => {
            key.read(INTEGER)
            const scalar = key.read(OCTET_STRING).slice()
            while (!key.done) key.element()
            return scalar
          }),
        )
      }),
    ),
  )
}

/** PKCS#8 of an Ed25519 or X25519 seed, or of a P-256 scalar with its point. */
export function writePkcs8(secret: Bytes, point: Bytes, curve: CurveName): Bytes {
  if (isEdwards(curve))
    return concat(
      fromHex('302e020100300506032b65'),
      IDENTIFIERS[curve].subarray(4),
      fromHex('04220420'),
      secret,
    )
  if (curve !== 'P-256') return refuse('NotSupportedError', `private keys of ${curve}`)
  const prefix = fromHex('308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420')
  return concat(prefix, secret, fromHex('a144034200'), point)
}
