/**
 * Signatures of CAs under certificates and CRLs (docs/PROTOCOL.md, "Paths", `[path-1]`, `[path-9]`), on WebCrypto. Documents are signed with
 * Ed25519 or P-256 only (signature.ts); a customer's CA may also use P-384 and RSA PKCS #1 v1.5 of 2048 to 8192 bits, with SHA-256 or
 * longer (RFC 5480, RFC 5758, RFC 4055). SHA-1, RSA-PSS, DSA and curves without a name are refused.
 */
import { type Bytes, concat, equal, fromHex, hex, utf8 } from './bytes.ts'
import { KeyferryError } from './errors.ts'
import { digest } from './digest.ts'
import { lazily } from './lazy.ts'
import { subtle } from './platform.ts'
import {
  algorithmIdentifier,
  ecdsaFromDer,
  importVerifyKey,
  isStrongEd25519,
  type SignedDer,
  spkiPrefix,
  verifySignature,
} from './signature.ts'

/** What a CA may sign with. */
export type CertificateAlgorithm = 'Ed25519' | 'ES256' | 'ES384' | 'RS256' | 'RS384' | 'RS512'

const IDENTIFIERS: Record<CertificateAlgorithm, Bytes> = {
  Ed25519: algorithmIdentifier('Ed25519'),
  ES256: algorithmIdentifier('ES256'),
  ES384: fromHex('300a06082a8648ce3d040303'),
  RS256: fromHex('300d06092a864886f70d01010b0500'),
  RS384: fromHex('300d06092a864886f70d01010c0500'),
  RS512: fromHex('300d06092a864886f70d01010d0500'),
}
const ALGORITHMS = Object.keys(IDENTIFIERS) as CertificateAlgorithm[]

/** SubjectPublicKeyInfo up to the key bits, of P-384 (uncompressed). */
const P384_SPKI = fromHex('3076301006072a8648ce3d020106052b8104002203620004')
/** Orders of P-256 and P-384 (SP 800-186 §3.2.1). */
const N256 = 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'
const N384 =
  'ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973'

type KeyKind = 'Ed25519' | 'ES256' | 'ES384' | 'RSA'

function profile(what: string): KeyferryError {
  return new KeyferryError('ERR_CERT_PROFILE', what)
}

function startsWith(bytes: Bytes, prefix: Bytes): boolean {
  return equal(bytes.subarray(0, prefix.length), prefix)
}

/**
 * Kind of a public key in a certificate, CA or not. Throws `ERR_CERT_PROFILE` for a key that no path may have, `ERR_WEAK_KEY` for an
 * Ed25519 key of small order, `ERR_MALFORMED`; `ERR_IO` when what reads RSA keys does not load. Points of other curves are looked at where a signature is verified.
 */
export async function readKeyKind(spki: Bytes, leastRsaBits?: number): Promise<KeyKind> {
  for (const kind of ['Ed25519', 'ES256'] as const) {
    const { prefix, length } = spkiPrefix(kind)
    if (spki.length !== length || !startsWith(spki, prefix)) continue
    // PROTOCOL [path-9]
    if (kind === 'Ed25519' && !isStrongEd25519(spki)) throw new KeyferryError('ERR_WEAK_KEY')
    return kind
  }
  if (spki.length === P384_SPKI.length + 96 && startsWith(spki, P384_SPKI)) return 'ES384'
  const { requireRsa } = await lazily(() => import('./rsa-key.ts'))
  requireRsa(spki, leastRsaBits)
  return 'RSA'
}

/** What a signed structure says of its signature: for ECDSA an ECDSA-Sig-Value, whose curve is the key's. */
export type CertificateSignature = {
  readonly alg: CertificateAlgorithm
  readonly signature: Bytes
}

/** Algorithm and signature of a signed structure. Throws `ERR_CERT_PROFILE` for an algorithm that no CA may use. */
export function readCertificateSignature({
  identifier,
  signature,
}: SignedDer): CertificateSignature {
  const alg = ALGORITHMS.find((name) => equal(IDENTIFIERS[name], identifier))
  if (alg === undefined) throw profile('unknown signature algorithm')
  return { alg, signature }
}

/** The kinds of key that an algorithm is for. An ECDSA digest is not bound to a curve. */
const KINDS: Record<CertificateAlgorithm, readonly KeyKind[]> = {
  Ed25519: ['Ed25519'],
  ES256: ['ES256', 'ES384'],
  ES384: ['ES256', 'ES384'],
  RS256: ['RSA'],
  RS384: ['RSA'],
  RS512: ['RSA'],
}

/** Curves by kind of key: name, octets of a coordinate, order in hexadecimal. */
const CURVES = {
  ES256: { namedCurve: 'P-256', octets: 32, order: N256 },
  ES384: { namedCurve: 'P-384', octets: 48, order: N384 },
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

function readEcdsa(signature: Bytes, octets: number, order: string): Bytes | undefined {
  try {
    const raw = ecdsaFromDer(signature, octets)
    const halves = [raw.subarray(0, octets), raw.subarray(octets)].map(hex)
    // PROTOCOL [path-9]
    return halves.every((half) => !/^0+$/.test(half) && half < order) ? raw : undefined
  } catch {
    return undefined
  }
}

/**
 * True when the key of an issuer made the signature over `data`. False also where the key is of another kind than the algorithm, and for a signature
 * of the wrong form. Throws `ERR_CERT_PROFILE`, `ERR_WEAK_KEY` and `ERR_MALFORMED` for a key that may not be used.
 */
export async function verifyCertificateSignature(
  spki: Bytes,
  { alg, signature }: CertificateSignature,
  data: Bytes,
  leastRsaBits?: number,
): Promise<boolean> {
  const kind = await readKeyKind(spki, leastRsaBits)
  if (!KINDS[alg].includes(kind)) return false
  if (kind === 'Ed25519') return verifySignature(await importVerifyKey(spki), signature, data)
  const hash = `SHA-${alg.slice(2)}`
  if (kind === 'RSA') return verify(spki, { name: 'RSASSA-PKCS1-v1_5', hash }, signature, data)
  const { namedCurve, octets, order } = CURVES[kind]
  const raw = readEcdsa(signature, octets, order)
  return raw !== undefined && verify(spki, { name: 'ECDSA', namedCurve, hash }, raw, data)
}

/** Verifies signatures of CAs: {@link verifyCertificateSignature}, or one that remembers. */
export type CaVerifier = typeof verifyCertificateSignature

/**
 * A verifier that remembers which signatures were good, by all that they depend on: who checks the same certificates and lists again and again, such as
 * a client at every head, checks each once.
 */
export function rememberSignatures(most = 256): CaVerifier {
  const good = new Set<string>()
  return async (spki, signed, data, leastRsaBits) => {
    const hash = await digest(data)
    const rules = utf8(`${signed.alg} ${leastRsaBits} ${spki.length} ${signed.signature.length} `)
    const name = hex(concat(rules, spki, signed.signature, hash))
    if (good.has(name)) return true
    if (!(await verifyCertificateSignature(spki, signed, data, leastRsaBits))) return false
    if (good.size >= most) good.clear()
    good.add(name)
    return true
  }
}
