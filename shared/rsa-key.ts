/** RSA keys of CAs (RFC 8017 §A.1.1, RFC 4055 §1.2) for docs/PROTOCOL.md, "Paths", `[path-1]`: loaded with the first certificate that has one. */
import { equal, fromHex, type Bytes } from './bytes.ts'
import { readDer, SEQUENCE } from './der.ts'
import { KeyferryError } from './errors.ts'

/** RSA moduli: fewer bits are weak, more only cost time. */
const LEAST_RSA_BITS = 2048
const MOST_RSA_BITS = 8192
/** Content of the AlgorithmIdentifier. */
const RSA_IDENTIFIER = fromHex('06092a864886f70d0101010500')

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
export function requireRsa(spki: Bytes, leastBits: number = LEAST_RSA_BITS): void {
  const bits = rsaBits(spki)
  if (bits < leastBits || bits > MOST_RSA_BITS || bits % 8 !== 0)
    throw profile(`an RSA key of ${bits} bits`)
}
