/**
 * Keys and signatures of CAs that no document is signed with (docs/PROTOCOL.md, "Paths", `[path-1]`, `[path-9]`): P-384, RSA PKCS #1 v1.5 (RFC 8017 §A.1.1,
 * RFC 4055 §1.2), and P-256 with a longer hash. Loaded where a CA has such a key.
 */
import { equal, fromHex, isAt, type Bytes } from './bytes.ts'
import { readEcdsa, type CertificateSignature, type KeyKind } from './certificate-signature.ts'
import { readDer, SEQUENCE } from './der.ts'
import { KeyferryError } from './errors.ts'
import { subtle } from './platform.ts'
import { integerOf, N } from './signature.ts'

/** SubjectPublicKeyInfo up to the key bits, of P-384 (uncompressed). */
const P384_SPKI = fromHex('3076301006072a8648ce3d020106052b8104002203620004')
/** Order of P-384 (SP 800-186 §3.2.1). */
const N384 =
  0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n

/** RSA moduli: fewer bits are weak, more only cost time. */
const LEAST_RSA_BITS = 2048
const MOST_RSA_BITS = 8192
/** Content of the AlgorithmIdentifier. */
const RSA_IDENTIFIER = fromHex('06092a864886f70d0101010500')

/** Curves by kind of key: name, octets of a coordinate, order. */
const CURVES = {
  ES256: { namedCurve: 'P-256', octets: 32, order: N },
  ES384: { namedCurve: 'P-384', octets: 48, order: N384 },
}

function profile(what: string): KeyferryError {
  return new KeyferryError('ERR_CERT_PROFILE', what)
}

/** Bits of the modulus of an RSA key, of a `SEQUENCE { AlgorithmIdentifier, BIT STRING }`. Throws `ERR_CERT_PROFILE` for another kind of key. */
function rsaBits(spki: Bytes): number {
  return readDer(spki, (outer) =>
    outer.inside(SEQUENCE, (reader) => {
      if (!equal(reader.read(SEQUENCE), RSA_IDENTIFIER)) {
        throw profile('not an Ed25519, P-256, P-384 or RSA key')
      }
      return readDer(reader.bits(), (key) =>
        key.inside(SEQUENCE, (numbers) => {
          const modulus = numbers.integer()
          const exponent = numbers.count()
          // Small and odd: 3, 17 and 65537 are in use; a long one only makes verification slow.
          if (exponent < 3 || exponent % 2 === 0 || exponent >= 2 ** 32)
            throw profile('RSA exponent')
          if (modulus[0]! >= 0x80) throw profile('RSA modulus')
          const octets = modulus[0] === 0 ? modulus.subarray(1) : modulus
          if (octets.at(-1)! % 2 === 0) throw profile('RSA modulus')
          return 8 * octets.length - Math.clz32(octets[0]!) + 24
        }),
      )
    }),
  )
}

/** Throws `ERR_CERT_PROFILE` unless a SubjectPublicKeyInfo is of an RSA key that a path may have, `ERR_MALFORMED`. */
function requireRsa(spki: Bytes, leastBits: number = LEAST_RSA_BITS): void {
  const bits = rsaBits(spki)
  if (bits < leastBits || bits > MOST_RSA_BITS || bits % 8 !== 0)
    throw profile(`an RSA key of ${bits} bits`)
}

/** Kind of a public key that no document is signed with. Throws `ERR_CERT_PROFILE` for one that no path may have, `ERR_WEAK_KEY`, `ERR_MALFORMED`. */
export function readOtherKind(spki: Bytes, leastRsaBits?: number): 'ES384' | 'RSA' {
  if (spki.length === P384_SPKI.length + 96 && isAt(spki, 0, P384_SPKI)) return 'ES384'
  requireRsa(spki, leastRsaBits)
  return 'RSA'
}

async function verify(
  spki: Bytes,
  algorithm: { name: string; hash: string; namedCurve?: string },
  signature: Bytes,
  data: Bytes,
): Promise<boolean> {
  let key: CryptoKey
  try {
    key = await subtle().importKey('spki', spki, algorithm, false, ['verify'])
  } catch (cause) {
    throw new KeyferryError('ERR_WEAK_KEY', undefined, { cause })
  }
  return subtle().verify(algorithm, key, signature, data)
}

/** True when a key of this kind made the signature over `data`; false where the algorithm is for another kind. Throws `ERR_WEAK_KEY` for a point that is not on its curve. */
export async function verifyOther(
  kind: KeyKind,
  spki: Bytes,
  { alg, signature }: CertificateSignature,
  data: Bytes,
): Promise<boolean> {
  // An ECDSA digest is not bound to a curve.
  const isOther = (kind === 'RSA') !== alg.startsWith('RS')
  if (kind === 'Ed25519' || alg === 'Ed25519' || isOther) return false
  const hash = `SHA-${alg.slice(2)}`
  if (kind === 'RSA') return verify(spki, { name: 'RSASSA-PKCS1-v1_5', hash }, signature, data)
  const { namedCurve, octets, order } = CURVES[kind]
  const raw = readEcdsa(signature, octets)
  if (raw === undefined) return false
  const halves = [raw.subarray(0, octets), raw.subarray(octets)].map(integerOf)
  // PROTOCOL [path-9]
  if (halves.some((half) => half === 0n || half >= order)) return false
  return verify(spki, { name: 'ECDSA', namedCurve, hash }, raw, data)
}
