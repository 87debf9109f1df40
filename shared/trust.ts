/** The trust document: a tenant's root of trust (docs/PROTOCOL.md, "Trust document"; after TUF's root role). */
import { base32, equal, hex, type Bytes } from './bytes.ts'
import { documentDigest, payloadType, type Envelope, type Verified } from './envelope.ts'
import { verifyByAuthorities } from './authority.ts'
import { KeyferryError } from './errors.ts'
import { decodeJson } from './json.ts'
import { MAX_AUTHORITY_LIFETIME, MAX_ENVELOPE } from './limits.ts'
import { matchesSanRule } from './path.ts'
import { importVerifyKey } from './signature.ts'
import { bytes, bytesOrEmpty, int, list, object, oneOf, text, type Infer } from './schema.ts'

/** Names of the HPKE suites, in order of preference. */
export const SUITES = ['MLKEM768-X25519', 'X25519', 'P-256'] as const
/** An HPKE suite of the protocol. */
export type Suite = (typeof SUITES)[number]

const ORIGIN = /^https?:\/\/[a-z0-9.:[\]-]{1,255}$/
export const SAN_RULE = /^[a-z][a-z0-9+.-]*:\/\/[A-Za-z0-9._~:/%@!$&'()+,;=-]+\*?$/

const roleRules = object({
  anchors: list(bytes(1, 16_384), 1, 8),
  ekus: list(text(100, /^\d+(\.\d+)+$/), 1, 8),
  sans: list(text(512, SAN_RULE), 1, 32),
})

const trustSchema = object({
  authority: object({ keys: list(bytes(32, 128), 1, 16), threshold: int(1, 16) }),
  clients: roleRules,
  derivers: roleRules,
  expiresAt: int(),
  headLifetime: int(60, 604_800),
  incarnation: int(1, 0xffffffff),
  issuedAt: int(),
  lowestCrls: list(object({ issuer: bytes(32), number: int() }), 0, 32),
  number: int(1),
  origins: list(text(300, ORIGIN), 0, 32),
  previous: bytesOrEmpty(32),
  relays: list(text(300, ORIGIN), 0, 16),
  skew: int(0, 300),
  suites: list(oneOf(...SUITES), 1, SUITES.length),
  tenant: text(52),
})

/** Body of a trust document. */
export type TrustBody = Infer<typeof trustSchema>
/** A verified trust document, with the tenant it belongs to. */
export interface TrustDocument extends Verified<TrustBody> {
  tenant: string
}

/** Whether some URI matches both SAN rules. */
export function overlaps(a: string, b: string): boolean {
  if (!a.endsWith('/*')) return matchesSanRule(a, b)
  if (!b.endsWith('/*')) return matchesSanRule(b, a)
  const [one, other] = [a.slice(0, -1), b.slice(0, -1)]
  return one.startsWith(other) || other.startsWith(one)
}

/** Decodes a trust document that is not verified: its form and what one document alone can have wrong. Throws the codes of [trust-1], [trust-5], [trust-6]. */
export function decodeTrust(envelope: Pick<Envelope, 'payload' | 'payloadType'>): TrustBody {
  if (envelope.payloadType !== payloadType('trust')) throw new KeyferryError('ERR_PAYLOAD_TYPE')
  const body = trustSchema(decodeJson(envelope.payload, MAX_ENVELOPE), '')
  // PROTOCOL [trust-5]
  if (body.expiresAt <= body.issuedAt || body.expiresAt - body.issuedAt > MAX_AUTHORITY_LIFETIME) {
    throw new KeyferryError('ERR_LIFETIME', 'a trust document lives at most 400 days')
  }
  // PROTOCOL [trust-6]
  if (body.clients.sans.some((a) => body.derivers.sans.some((b) => overlaps(a, b)))) {
    throw new KeyferryError(
      'ERR_TRUST_DOCUMENT',
      'a SAN rule of one role covers names of the other',
    )
  }
  const keys = new Set(body.authority.keys.map(hex))
  if (keys.size !== body.authority.keys.length || body.authority.threshold > keys.size) {
    throw new KeyferryError(
      'ERR_TRUST_DOCUMENT',
      'authority keys repeat or are fewer than the threshold',
    )
  }
  return body
}

/** Throws `ERR_CERT_PROFILE`, `ERR_WEAK_KEY` for an authority key that could never sign, or that anybody could sign for. */
async function requireStrongKeys({ authority }: TrustBody): Promise<void> {
  // PROTOCOL [trust-8]
  for (const key of authority.keys) await importVerifyKey(key)
}

/** Verifies number 1 against the pinned tenant id. Throws `ERR_TENANT` and the codes of decoding and signatures. */
export async function verifyGenesis(envelope: Envelope, tenant: string): Promise<TrustDocument> {
  const body = decodeTrust(envelope)
  const hash = await documentDigest(envelope)
  // PROTOCOL [trust-1]
  if (base32(hash) !== tenant)
    throw new KeyferryError('ERR_TENANT', 'not the genesis trust document of this tenant')
  if (body.number !== 1 || body.tenant !== '' || body.previous.length !== 0)
    throw new KeyferryError('ERR_TRUST_DOCUMENT', 'not the first trust document')
  await requireStrongKeys(body)
  await verifyByAuthorities(envelope, [body.authority])
  return { body, envelope, hash, tenant }
}

/** Throws `ERR_TENANT`, `ERR_TRUST_DOCUMENT` where a body is not the next one after a trust document, whoever signs it. */
export function requireNext(body: TrustBody, current: TrustDocument): void {
  // PROTOCOL [trust-2]
  if (body.tenant !== current.tenant) throw new KeyferryError('ERR_TENANT')
  if (body.number !== current.body.number + 1 || !equal(body.previous, current.hash)) {
    throw new KeyferryError(
      'ERR_TRUST_DOCUMENT',
      `not the successor of trust document ${current.body.number}`,
    )
  }
  // PROTOCOL [trust-4]
  const lowest = (issuer: Bytes): number =>
    body.lowestCrls.find((one) => equal(one.issuer, issuer))?.number ?? 0
  if (
    body.incarnation < current.body.incarnation ||
    current.body.lowestCrls.some(({ issuer, number }) => lowest(issuer) < number)
  ) {
    throw new KeyferryError('ERR_TRUST_DOCUMENT', 'incarnation or lowest CRL number falls')
  }
}

/** Verifies the successor of a trust document. Throws `ERR_TRUST_DOCUMENT`, `ERR_SIGNATURE`, `ERR_LIFETIME`. */
export async function verifySuccessor(
  envelope: Envelope,
  current: TrustDocument,
): Promise<TrustDocument> {
  const body = decodeTrust(envelope)
  requireNext(body, current)
  await requireStrongKeys(body)
  // PROTOCOL [trust-3]
  const hash = await verifyByAuthorities(envelope, [current.body.authority, body.authority])
  return { body, envelope, hash, tenant: current.tenant }
}

/** Verifies what comes after a trust document, or the genesis where none is known. Throws as {@link verifyGenesis} and {@link verifySuccessor}. */
export function verifyTrust(
  envelope: Envelope,
  known: TrustDocument | null,
  tenant: string,
): Promise<TrustDocument> {
  return known === null ? verifyGenesis(envelope, tenant) : verifySuccessor(envelope, known)
}
