/**
 * Signatures of CAs that no document is signed with (docs/PROTOCOL.md, "Paths", `[path-1]`, `[path-9]`): P-384, RSA PKCS #1 v1.5, and P-256 with a longer hash.
 * Loaded where a CA has such a key.
 */
import { fromHex, hex, isAt, type Bytes } from './bytes.ts'
import {
  readEcdsa,
  type CertificateAlgorithm,
  type CertificateSignature,
  type KeyKind,
} from './certificate-signature.ts'
import { KeyferryError } from './errors.ts'
import { subtle } from './platform.ts'
import { requireRsa } from './rsa-key.ts'

/** SubjectPublicKeyInfo up to the key bits, of P-384 (uncompressed). */
const P384_SPKI = fromHex('3076301006072a8648ce3d020106052b8104002203620004')
/** Orders of P-256 and P-384 (SP 800-186 §3.2.1). */
const N256 = 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'
const N384 =
  'ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973'

/** Curves by kind of key: name, octets of a coordinate, order in hexadecimal. */
const CURVES = {
  ES256: { namedCurve: 'P-256', octets: 32, order: N256 },
  ES384: { namedCurve: 'P-384', octets: 48, order: N384 },
}

/** The kinds of key here that an algorithm is for. An ECDSA digest is not bound to a curve. */
const KINDS: Record<CertificateAlgorithm, readonly KeyKind[]> = {
  Ed25519: [],
  ES256: ['ES256', 'ES384'],
  ES384: ['ES256', 'ES384'],
  RS256: ['RSA'],
  RS384: ['RSA'],
  RS512: ['RSA'],
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

/** True when a key of this kind made the signature over `data`. Throws `ERR_WEAK_KEY` for a point that is not on its curve. */
export async function verifyOther(
  kind: KeyKind,
  spki: Bytes,
  { alg, signature }: CertificateSignature,
  data: Bytes,
): Promise<boolean> {
  if (kind === 'Ed25519' || !KINDS[alg].includes(kind)) return false
  const hash = `SHA-${alg.slice(2)}`
  if (kind === 'RSA') return verify(spki, { name: 'RSASSA-PKCS1-v1_5', hash }, signature, data)
  const { namedCurve, octets, order } = CURVES[kind]
  const raw = readEcdsa(signature, octets)
  if (raw === undefined) return false
  const halves = [raw.subarray(0, octets), raw.subarray(octets)].map(hex)
  // PROTOCOL [path-9]
  if (!halves.every((half) => !/^0+$/.test(half) && half < order)) return false
  return verify(spki, { name: 'ECDSA', namedCurve, hash }, raw, data)
}
