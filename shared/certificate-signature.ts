/**
 * Signatures of CAs under certificates and CRLs (docs/PROTOCOL.md, "Paths", `[path-1]`, `[path-9]`), on WebCrypto. Documents are signed with
 * Ed25519 or P-256 only (signature.ts); a customer's CA may also use P-384 and RSA PKCS #1 v1.5 of 2048 to 8192 bits, with SHA-256 or
 * longer (RFC 5480, RFC 5758, RFC 4055). SHA-1, RSA-PSS, DSA and curves without a name are refused.
 */
import { type Bytes, equal, fromHex, hex, isAt, latin1 } from './bytes.ts'
import { KeyferryError } from './errors.ts'
import { digestOnce } from './digest.ts'
import { lazily } from './lazy.ts'
import { once } from './once.ts'
import type { PathInput, VerifiedPath } from './path.ts'
import {
  algorithmIdentifier,
  ecdsaFromDer,
  isStrongEd25519,
  type SignedDer,
  spkiPrefix,
  verifyKeyOf,
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

/** Kinds of keys that CAs have: those of signature.ts, and those of ca-signature.ts. */
export type KeyKind = 'Ed25519' | 'ES256' | 'ES384' | 'RSA'

/** Loaded with the first key that documents are not signed with. */
const loadOthers = () => lazily(() => import('./ca-signature.ts'))

/**
 * Kind of a public key in a certificate, CA or not. Throws `ERR_CERT_PROFILE` for a key that no path may have, `ERR_WEAK_KEY` for an
 * Ed25519 key of small order, `ERR_MALFORMED`; `ERR_IO` when what reads keys of other kinds does not load. Points of other curves are looked at where a signature is verified.
 */
export async function readKeyKind(spki: Bytes, leastRsaBits?: number): Promise<KeyKind> {
  for (const kind of ['Ed25519', 'ES256'] as const) {
    const { prefix, length } = spkiPrefix(kind)
    if (spki.length !== length || !isAt(spki, 0, prefix)) continue
    // PROTOCOL [path-9]
    if (kind === 'Ed25519' && !isStrongEd25519(spki)) throw new KeyferryError('ERR_WEAK_KEY')
    return kind
  }
  return (await loadOthers()).readOtherKind(spki, leastRsaBits)
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
  if (alg === undefined) throw new KeyferryError('ERR_CERT_PROFILE', 'unknown signature algorithm')
  return { alg, signature }
}

/** `r || s` of an ECDSA-Sig-Value, if it is one. */
export function readEcdsa(signature: Bytes, octets?: number): Bytes | undefined {
  try {
    return ecdsaFromDer(signature, octets)
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
  if (kind !== alg || kind === 'ES384')
    return (await loadOthers()).verifyOther(kind, spki, { alg, signature }, data)
  const raw = kind === 'Ed25519' ? signature : readEcdsa(signature)
  return raw !== undefined && verifySignature(await verifyKeyOf(spki), raw, data)
}

/** Verifies signatures of CAs: {@link verifyCertificateSignature}, or one that remembers, and that remembers what was read, too. */
export interface CaVerifier {
  (...signed: Parameters<typeof verifyCertificateSignature>): Promise<boolean>
  /** Reads what `parse` reads, which must depend on nothing but the bytes. */
  read?: <T>(parse: ReadDer<T>) => ReadDer<T>
  /** Validates paths in place of `validatePath`: with a memory of its own. */
  path?: (input: Omit<PathInput, 'maxIntermediates'>) => Promise<VerifiedPath>
}

/** Reads DER, as what is to be verified. */
type ReadDer<T> = (der: Bytes) => T

/** `parse`, or what remembers for it. */
export function readerOf<T>(verify: CaVerifier | undefined, parse: ReadDer<T>): ReadDer<T> {
  return verify?.read?.(parse) ?? parse
}

/** Bytes of certificates, anchors or lists that are remembered, each, were they all as long as the next: what is read of a list is many times as long. */
const MOST_READ = 1e6

/** Remembers what was read of which bytes: a client is given the same certificates and lists with every head. */
function rememberRead<T>(parse: ReadDer<T>): ReadDer<T> {
  const known = new Map<string, T>()
  return (der) => {
    const name = latin1(der)
    const made = known.get(name) ?? parse(der)
    if (known.size * der.length > MOST_READ) known.clear()
    known.set(name, made)
    return made
  }
}

/**
 * A verifier that remembers which signatures were good, by all that they depend on: who checks the same certificates and lists again and again, such as
 * a client at every head, checks each once.
 */
export function rememberSignatures(most = 256): CaVerifier {
  const good = new Set<string>()
  const verify: CaVerifier = async (spki, signed, data, leastRsaBits) => {
    const hash = await digestOnce(data)
    const named = [spki, signed.signature, hash].map(hex)
    const name = [signed.alg, leastRsaBits, ...named].join(' ')
    if (good.has(name)) return true
    if (!(await verifyCertificateSignature(spki, signed, data, leastRsaBits))) return false
    if (good.size >= most) good.clear()
    good.add(name)
    return true
  }
  verify.read = once(rememberRead)
  return verify
}
