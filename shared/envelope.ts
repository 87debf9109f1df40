/**
 * Signed documents: DSSE envelopes (docs/PROTOCOL.md, "Envelope"; secure-systems-lab/dsse). The signature is over the exact payload bytes;
 * they are decoded after it was verified, but for the tenant's name, which is looked at first to give the right error.
 */
import { concat, equal, utf8, type Bytes } from './bytes.ts'
import { type Crl } from './crl.ts'
import { type CaVerifier } from './certificate-signature.ts'
import { KeyferryError } from './errors.ts'
import { digest } from './digest.ts'
import { canonicalJson, decodeJson, encodeJson } from './json.ts'
import { MAX_CERTIFICATES, MAX_ENVELOPE } from './limits.ts'
import { matchesSanRule, validatePath, type VerifiedPath } from './path.ts'
import { bytes, list, object, oneOf, type Schema } from './schema.ts'
import { keyId, signBytes, verifySignature, type AnySigningKey } from './signature.ts'

const TYPES = [
  'trust',
  'catalog',
  'head',
  'refusal',
  'package',
  'request',
  'signature',
  'export',
  'destruction',
] as const

/** Kinds of signed documents. */
export type DocumentType = (typeof TYPES)[number]

/** The payload type of a kind of document, or of the sender's statement inside a message, which is never in an envelope. */
export function payloadType(type: DocumentType | 'message'): string {
  return `application/vnd.keyferry.${type}.v1+json`
}

/** A signed document. `payload` is canonical JSON. */
export interface Envelope {
  certificates: Bytes[]
  payload: Bytes
  payloadType: string
  signatures: { keyid: Bytes; sig: Bytes }[]
}

// PROTOCOL [env-1]
const decodeEnvelopeBody: Schema<Envelope> = object({
  certificates: list(bytes(1, 16_384), 0, MAX_CERTIFICATES),
  payload: bytes(2, MAX_ENVELOPE),
  payloadType: oneOf(...TYPES.map(payloadType)),
  signatures: list(object({ keyid: bytes(32), sig: bytes(64) }), 1, 32),
})

/** All names in an envelope, as canonical JSON has them. */
const NAMES = ['certificates', 'keyid', 'payload', 'payloadType', 'sig', 'signatures']

/** Canonical forms of envelopes that came in another document: what is kept of them. */
const texts = new WeakMap<Envelope, string>()

/** Schema of an envelope inside the body of an HTTP call. */
export const envelopeSchema: Schema<Envelope> = (value, path) => {
  const envelope = decodeEnvelopeBody(value, path)
  // Nothing in it has another spelling: in this order it is canonical.
  const text = JSON.stringify(value, NAMES)
  if (text.length > MAX_ENVELOPE) throw new KeyferryError('ERR_TOO_LARGE')
  texts.set(envelope, text)
  return envelope
}

/** Decodes an envelope that stands alone. Throws `ERR_TOO_LARGE`, `ERR_MALFORMED`, `ERR_NOT_CANONICAL`, `ERR_SCHEMA`. */
export function decodeEnvelope(data: Bytes): Envelope {
  return decodeEnvelopeBody(decodeJson(data, MAX_ENVELOPE), '')
}

/** The one encoding of an envelope that stands alone. */
export function encodeEnvelope(envelope: Envelope): Bytes {
  return utf8(texts.get(envelope) ?? canonicalJson(envelope))
}

/** DSSE pre-authentication encoding. */
export function preAuthenticationEncoding(type: string, payload: Bytes): Bytes {
  const typeLength = utf8(type).length
  return concat(utf8(`DSSEv1 ${typeLength} ${type} ${payload.length} `), payload)
}

/** The document hash: 32 bytes that name a signed document, whoever signed it and how often. Where nobody can wait, it is in document-hash.ts. */
export function documentDigest(
  envelope: Pick<Envelope, 'payload' | 'payloadType'>,
): Promise<Bytes> {
  return digest(preAuthenticationEncoding(envelope.payloadType, envelope.payload))
}

/** Signs a body with a certificate's key; `certificates` are DER, end-entity first. */
export async function signWithCertificate(
  type: DocumentType,
  body: object,
  key: AnySigningKey,
  certificates: Bytes[],
): Promise<Envelope> {
  const payload = encodeJson(body)
  const sig = await signBytes(key, preAuthenticationEncoding(payloadType(type), payload))
  return {
    certificates,
    payload,
    payloadType: payloadType(type),
    signatures: [{ keyid: await digest(certificates[0]!), sig }],
  }
}

/** Signs a body with authority keys. */
export async function signWithAuthority(
  type: DocumentType,
  body: object,
  keys: readonly AnySigningKey[],
): Promise<Envelope> {
  const payload = encodeJson(body)
  const pae = preAuthenticationEncoding(payloadType(type), payload)
  const signatures = await Promise.all(
    keys.map(async (key) => ({ keyid: await keyId(key.spki), sig: await signBytes(key, pae) })),
  )
  return { certificates: [], payload, payloadType: payloadType(type), signatures }
}

/** A role that certificates can have. */
export type Role = 'deriver' | 'client'

/** What a trust document says about the certificates of a role. */
export interface RoleRules {
  anchors: Bytes[]
  ekus: string[]
  sans: string[]
}

/** A body whose envelope was verified, with its document hash. Only verifiers make one. */
export interface Verified<T> {
  body: T
  envelope: Envelope
  hash: Bytes
}

/** The same for a document signed by a certificate. */
export interface VerifiedByCertificate<T> extends Verified<T> {
  path: VerifiedPath
}

/** Whom and when to verify against. */
export interface CertificateContext {
  /** Tenant id, as text. */
  tenant: string
  trust: { clients: RoleRules; derivers: RoleRules }
  role: Role
  /** Seconds. */
  now: number
  /** CRLs of any issuers, as DER or parsed: a verifier of many documents parses a long list once. */
  crls: readonly (Bytes | Crl)[] | 'unsafe-without-revocation'
  /** Checks signatures of CAs, in place of the one that remembers nothing. */
  verify?: CaVerifier | undefined
}

/** Checks that a signed payload is of this type and tenant, and returns it parsed but not yet trusted. */
export function peekPayload(envelope: Envelope, type: DocumentType, tenant: string): unknown {
  // PROTOCOL [env-2]
  if (envelope.payloadType !== payloadType(type)) throw new KeyferryError('ERR_PAYLOAD_TYPE')
  const body = decodeJson(envelope.payload, MAX_ENVELOPE)
  // PROTOCOL [env-3]
  if (typeof body !== 'object' || body === null || !('tenant' in body))
    throw new KeyferryError('ERR_SCHEMA', 'no tenant')
  if (body.tenant !== tenant) throw new KeyferryError('ERR_TENANT')
  return body
}

/**
 * The path of a certificate that has the role. Throws the codes of `validatePath`, and `ERR_ROLE`.
 * `certificates` are DER, end-entity first.
 */
export async function verifyRole(
  certificates: readonly Bytes[],
  context: Omit<CertificateContext, 'tenant'>,
): Promise<VerifiedPath> {
  const own = context.role === 'deriver' ? context.trust.derivers : context.trust.clients
  const other = context.role === 'deriver' ? context.trust.clients : context.trust.derivers
  // PROTOCOL [env-4]
  const { crls, now, verify } = context
  const path = await (verify?.path ?? validatePath)({
    certificates,
    anchors: own.anchors,
    now,
    eku: own.ekus,
    crls,
    verify,
  })
  // PROTOCOL [env-5]
  const matches = (rules: RoleRules): boolean =>
    rules.sans.some((rule) => matchesSanRule(path.uri, rule))
  if (!matches(own) || matches(other)) throw new KeyferryError('ERR_ROLE')
  return path
}

/** Verifies an envelope signed by a certificate, in the order of docs/PROTOCOL.md [env-1] to [env-7]. */
export function verifyByCertificate<T extends { signer: Bytes }>(
  envelope: Envelope,
  type: DocumentType,
  schema: Schema<T>,
  context: CertificateContext,
): Promise<VerifiedByCertificate<T>> {
  return verifyWithPath(envelope, type, schema, context.tenant, () =>
    verifyRole(envelope.certificates, context),
  )
}

/** The same where `findPath` says what [env-4] and [env-5] are, for a body that is not verified yet. */
export async function verifyWithPath<T extends { signer: Bytes }>(
  envelope: Envelope,
  type: DocumentType,
  schema: Schema<T>,
  tenant: string,
  findPath: (unverified: unknown) => Promise<VerifiedPath>,
): Promise<VerifiedByCertificate<T>> {
  // PROTOCOL [env-1]
  const [signature, ...more] = envelope.signatures
  if (signature === undefined || more.length > 0)
    throw new KeyferryError('ERR_SCHEMA', 'not one signature')
  const unverified = peekPayload(envelope, type, tenant)
  const path = await findPath(unverified)
  // PROTOCOL [env-6]
  if (!equal(signature.keyid, path.fingerprint)) throw new KeyferryError('ERR_SIGNER')
  const pae = preAuthenticationEncoding(envelope.payloadType, envelope.payload)
  if (!(await verifySignature(path.key, signature.sig, pae)))
    throw new KeyferryError('ERR_SIGNATURE')
  // PROTOCOL [env-7]
  const body = schema(unverified, '')
  if (!equal(body.signer, path.fingerprint)) throw new KeyferryError('ERR_SIGNER')
  return { body, envelope, hash: await digest(pae), path }
}
