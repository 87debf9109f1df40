/**
 * HTTP message signatures (RFC 9421) and content digests (RFC 9530) in the one profile of docs/PROTOCOL.md, "Admission". Since the profile is
 * fixed, nothing is negotiated or parsed but one exact form.
 */
import { base64url, equal, fromBase64url, latin1, utf8, type Bytes } from './bytes.ts'
import { KeyferryError } from './errors.ts'
import { digest } from './digest.ts'
import { MAX_CERTIFICATES, MAX_CREDENTIALS, MAX_SIGNATURE_LIFETIME } from './limits.ts'
import {
  importVerifyKey,
  signBytes,
  verifySignature,
  type AnySigningKey,
  type SigningKey,
  type VerifyKey,
} from './signature.ts'

/** What is signed of a call. */
export const CALL = '("@method" "@authority" "@path" "@query" "content-digest")'
const PARAMETERS =
  /^keyferry=(\([^)]*\));created=(\d{1,15});expires=(\d{1,15});keyid="([A-Za-z0-9_-]{43})"(?:;nonce="([A-Za-z0-9_-]{22})")?;tag="([a-z-]+)"$/

/** Who signs: a certificate's key and its path, end-entity first. */
export interface Signer<K extends AnySigningKey = SigningKey> {
  key: K
  certificates: Bytes[]
}

/** A signer whose key may be elsewhere. */
export type AnySigner = Signer<AnySigningKey>

/** What is signed of an HTTP call. `url` is absolute. */
export interface Call {
  method: string
  url: URL
  body: Bytes
}

/** A signature as it stands in a call, not yet verified. */
export interface CallSignature {
  certificates: Bytes[]
  /** Fingerprint that the signature names. */
  keyid: Bytes
  created: number
  expires: number
  signature: Bytes
  base: Bytes
  /** `Content-Digest` that was signed; that it is the body's, {@link requireDigest} says. */
  digest: string
}

const DIGEST = /^sha-256=:[A-Za-z0-9+/]{43}=:$/

function toBase64(data: Bytes): string {
  return btoa(latin1(data))
}

/** A structured byte sequence (RFC 8941 §3.3.5), in the one spelling of its bytes: padded, with zero unused bits. */
function fromSfBytes(item: string): Bytes {
  const base64 = /^:([A-Za-z0-9+/]*)={0,2}:$/.exec(item)?.[1] ?? ''
  const out = fromBase64url(base64.replaceAll('+', '-').replaceAll('/', '_'))
  // PROTOCOL [relay-2]
  if (item !== `:${toBase64(out)}:`) throw unauthorized()
  return out
}

/** Whatever is wrong with a signature is `ERR_UNAUTHORIZED`, and nobody is told more. */
export function unauthorized(cause?: unknown): KeyferryError {
  return new KeyferryError('ERR_UNAUTHORIZED', 'no signature that is admitted here', { cause })
}

/** What `read` brings. Throws `ERR_UNAUTHORIZED` in place of what it throws. */
export function readOrRefuse<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw unauthorized(cause)
  }
}

/** `Content-Digest` of a body: `sha-256=:…:`. */
export async function contentDigest(body: Bytes): Promise<string> {
  return `sha-256=:${toBase64(await digest(body))}:`
}

/** Throws `ERR_UNAUTHORIZED` unless the body of this SHA-256 is the one that was signed. */
export function requireDigest(
  { digest: signed }: Pick<CallSignature, 'digest'>,
  hash: Bytes,
): void {
  // PROTOCOL [relay-2]
  if (signed !== `sha-256=:${toBase64(hash)}:`) throw unauthorized()
}

/** The signature base (RFC 9421 §2.5) of these components. */
export function signatureBase(
  components: string,
  parameters: string,
  { method, url }: Pick<Call, 'method' | 'url'>,
  content: string,
): Bytes {
  const lines = [`"@method": ${method}`, `"@authority": ${url.host}`, `"@path": ${url.pathname}`]
  if (components === CALL)
    lines.push(`"@query": ${url.search || '?'}`, `"content-digest": ${content}`)
  return utf8([...lines, `"@signature-params": ${parameters}`].join('\n'))
}

/** By the certificates of a signer, for as long as the list is the same. */
const keyids = new WeakMap<readonly Bytes[], string>()

async function keyidOf(certificates: readonly Bytes[]): Promise<string> {
  const known = keyids.get(certificates)
  if (known !== undefined) return known
  const keyid = base64url(await digest(certificates[0]!))
  keyids.set(certificates, keyid)
  return keyid
}

/** The signature's parameters, from `now` (seconds) on; `once` is one more of them, by which no two are the same. */
export async function makeInput(
  components: string,
  tag: string,
  certificates: readonly Bytes[],
  now: number,
  once = '',
): Promise<string> {
  const keyid = await keyidOf(certificates)
  return `${components};created=${now};expires=${now + MAX_SIGNATURE_LIFETIME};keyid="${keyid}"${once};tag="${tag}"`
}

/** Headers that admit a deriver's call. `now` in seconds. */
export async function signCall(
  call: Call,
  signer: AnySigner,
  now: number,
): Promise<Record<string, string>> {
  // Of one moment: a renewal changes them.
  const { key, certificates } = signer
  const parameters = await makeInput(CALL, 'keyferry', certificates, now)
  const content = await contentDigest(call.body)
  const signature = await signBytes(key, signatureBase(CALL, parameters, call, content))
  return {
    'content-digest': content,
    'signature-input': `keyferry=${parameters}`,
    signature: `keyferry=:${toBase64(signature)}:`,
    'keyferry-certificates': certificates.map(base64url).join(','),
  }
}

/** Reads `Signature-Input` of exactly these components and tag. Throws `ERR_UNAUTHORIZED`. */
export function readInput(
  input: string,
  components: string,
  tag: string,
  call: Pick<Call, 'method' | 'url'>,
  content: string,
): Omit<CallSignature, 'certificates' | 'signature'> {
  // PROTOCOL [relay-2]
  const match = PARAMETERS.exec(input)
  const hasNonce = match?.[5] !== undefined
  if (
    match === null ||
    match[1] !== components ||
    match[6] !== tag ||
    hasNonce !== (components !== CALL)
  ) {
    throw unauthorized()
  }
  const base = signatureBase(components, input.slice('keyferry='.length), call, content)
  return {
    base,
    digest: content,
    created: Number(match[2]),
    expires: Number(match[3]),
    keyid: readOrRefuse(() => fromBase64url(match[4]!)),
  }
}

/**
 * Reads the signature of a call whose body was not read yet: it is over the digest that the call claims, and that this is the body's, {@link requireDigest}
 * says. Throws `ERR_UNAUTHORIZED` if there is none of the right form.
 */
export function readCallHead(
  call: Pick<Call, 'method' | 'url'>,
  header: (name: string) => string | null | undefined,
): CallSignature {
  const field = (name: string): string => {
    const value = header(name)
    if (value == null || value.length > MAX_CREDENTIALS) throw unauthorized()
    return value
  }
  const content = field('content-digest')
  if (!DIGEST.test(content)) throw unauthorized()
  const input = readInput(field('signature-input'), CALL, 'keyferry', call, content)
  const certificates = field('keyferry-certificates').split(',')
  if (certificates.length > MAX_CERTIFICATES) throw unauthorized()
  const signature = field('signature')
  if (!signature.startsWith('keyferry=')) throw unauthorized()
  return {
    ...input,
    certificates: readOrRefuse(() => certificates.map(fromBase64url)),
    signature: readOrRefuse(() => fromSfBytes(signature.slice('keyferry='.length))),
  }
}

/** Throws `ERR_UNAUTHORIZED` unless now is within the time of a signature, give or take `skew`. Times in seconds. */
export function requireTime(
  { created, expires }: Pick<CallSignature, 'created' | 'expires'>,
  now: number,
  skew: number,
): void {
  // PROTOCOL [relay-2]
  if (
    created > now + skew ||
    now > expires + skew ||
    expires < created ||
    expires - created > MAX_SIGNATURE_LIFETIME
  ) {
    throw unauthorized()
  }
}

/** Throws `ERR_UNAUTHORIZED` unless the key of the certificate that `keyid` names signed. */
export async function requireSignature(
  call: CallSignature,
  { fingerprint, key }: { fingerprint: Bytes; key: VerifyKey },
): Promise<void> {
  // PROTOCOL [relay-3]
  if (!equal(call.keyid, fingerprint)) throw unauthorized()
  if (!(await verifySignature(key, call.signature, call.base))) throw unauthorized()
}

/**
 * Verifies time and signature with the key of the certificate that `keyid` names; the caller has validated its path.
 * Throws `ERR_UNAUTHORIZED`. Times in seconds.
 */
export async function verifyCall(
  call: CallSignature,
  { fingerprint, spki }: { fingerprint: Bytes; spki: Bytes },
  now: number,
  skew: number,
): Promise<void> {
  requireTime(call, now, skew)
  await requireSignature(call, { fingerprint, key: await importVerifyKey(spki) })
}
