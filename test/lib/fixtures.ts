/**
 * A small, complete and deterministic world: two-of-three authority, CAs, deriver and clients with real certificates, keyrings and a legitimate
 * delivery. Each part can be edited before what is above it is signed, so that a test breaks exactly one thing.
 */
import { issueCrl, issueLeaf, makeIssuingCa, type Issuer } from '../../shared/issue.ts'
import { fromBase32, type Bytes } from '../../shared/bytes.ts'
import {
  signWithAuthority,
  signWithCertificate,
  type DocumentType,
  type Envelope,
} from '../../shared/envelope.ts'
import { sha256 } from '../../shared/hash.ts'
import { type RecipientKey } from '../../shared/hpke.ts'
import { type VerifyContext } from '../../shared/verify-context.ts'
import { type SigningKey } from '../../shared/signature.ts'
import {
  verifyGenesis,
  type Suite,
  type TrustBody,
  type TrustDocument,
} from '../../shared/trust.ts'
import { tenantId } from '../../shared/document-hash.ts'
import { makeEd25519, makeRecipient, seededRandom } from './fixtures-keys.ts'

/** The present. */
export const NOW = 1_795_000_000
export const DAY = 86_400
export const EKU = '1.3.6.1.5.5.7.3.2'

/** A certificate with its key, as whoever signs has it. */
export interface Identity {
  key: SigningKey
  certificates: Bytes[]
  fingerprint: Bytes
  uri: string
  issuer: Issuer
}

/** An issuing CA for one role's names. */
export async function makeCa(name: string): Promise<Issuer> {
  const key = await makeEd25519(`ca ${name}`)
  const certificate = await makeIssuingCa({
    key,
    commonName: `${name} CA`,
    organization: 'Acme',
    host: `${name}.acme.example`,
    eku: [EKU],
    notBefore: NOW - 30 * DAY,
    notAfter: NOW + 365 * DAY,
    random: seededRandom(`ca ${name}`),
  })
  return { key, certificate }
}

/** An end entity `keyferry://{ca}.acme.example/{name}`. */
export async function makeIdentity(
  issuer: Issuer,
  ca: string,
  name: string,
  key?: SigningKey,
): Promise<Identity> {
  const own = key ?? (await makeEd25519(`${ca} ${name}`))
  const uri = `keyferry://${ca}.acme.example/${name}`
  const certificate = await issueLeaf({
    issuer,
    spki: own.spki,
    commonName: name,
    uri,
    eku: [EKU],
    notBefore: NOW - DAY,
    notAfter: NOW + 60 * DAY,
    random: seededRandom(`${ca} ${name}`),
  })
  const fingerprint = sha256(certificate)
  return { key: own, certificates: [certificate], fingerprint, uri, issuer }
}

export function makeCrl(issuer: Issuer, number = 1, revoked: Bytes[] = []): Promise<Bytes> {
  return issueCrl({
    issuer,
    number,
    thisUpdate: NOW - 300 + number,
    nextUpdate: NOW + 7 * DAY,
    revoked: revoked.map((serial) => ({ serial, date: NOW - 100 })),
  })
}

/** A tenant with its authority keys and genesis trust document. */
export interface Tenant {
  authority: SigningKey[]
  derivers: Issuer
  clients: Issuer
  trust: TrustDocument
}

export async function trustBody(
  authority: SigningKey[],
  derivers: Issuer,
  clients: Issuer,
): Promise<TrustBody> {
  return {
    authority: { keys: authority.map((key) => key.spki), threshold: 2 },
    clients: {
      anchors: [clients.certificate],
      ekus: [EKU],
      sans: ['keyferry://client.acme.example/*'],
    },
    derivers: {
      anchors: [derivers.certificate],
      ekus: [EKU],
      sans: ['keyferry://deriver.acme.example/*'],
    },
    expiresAt: NOW + 365 * DAY,
    headLifetime: 3_600,
    incarnation: 1,
    issuedAt: NOW - DAY,
    lowestCrls: [],
    number: 1,
    origins: ['https://app.acme.example'],
    previous: new Uint8Array(),
    relays: ['https://relay.example'],
    skew: 60,
    suites: ['MLKEM768-X25519', 'X25519', 'P-256'],
    tenant: '',
  }
}

export async function makeTenant(name: string, edit: Partial<TrustBody> = {}): Promise<Tenant> {
  const authority = await Promise.all([1, 2, 3].map((i) => makeEd25519(`authority ${name} ${i}`)))
  const [derivers, clients] = await Promise.all([makeCa('deriver'), makeCa('client')])
  const body = { ...(await trustBody(authority, derivers, clients)), ...edit }
  const envelope = await signWithAuthority('trust', body, authority.slice(0, 2))
  const trust = await verifyGenesis(envelope, tenantId(envelope))
  return { authority, derivers, clients, trust }
}

/** The successor of a tenant's trust document, signed by two of its keys and by `others`. */
export function signSuccessor(
  tenant: Tenant,
  edit: Partial<TrustBody> = {},
  keys: SigningKey[] = tenant.authority.slice(0, 2),
): Promise<Envelope> {
  const { body, hash } = tenant.trust
  const next = { ...body, number: body.number + 1, previous: hash, tenant: tenant.trust.tenant }
  return signWithAuthority('trust', { ...next, ...edit }, keys)
}

/** A client device: an identity with a key package. */
export interface Device extends Identity {
  recipient: RecipientKey
  keyPackage: Envelope
}

export function packageBody(tenant: Tenant, identity: Identity, recipient: RecipientKey) {
  return {
    expiresAt: NOW + 20 * DAY,
    issuedAt: NOW - DAY,
    key: recipient.publicKey,
    signer: identity.fingerprint,
    suite: recipient.suite,
    tenant: tenant.trust.tenant,
    version: 1,
  }
}

export async function makeDevice(
  tenant: Tenant,
  name: string,
  suite: Suite = 'X25519',
): Promise<Device> {
  const identity = await makeIdentity(tenant.clients, 'client', name)
  const recipient = await makeRecipient(suite, name)
  const body = packageBody(tenant, identity, recipient)
  const keyPackage = await signAs(identity, 'package', body)
  return { ...identity, recipient, keyPackage }
}

/** Signs a body as an identity, whatever it says. */
export function signAs(identity: Identity, type: DocumentType, body: object): Promise<Envelope> {
  return signWithCertificate(type, body, identity.key, identity.certificates)
}

export function requestBody(tenant: Tenant, device: Device, packageHash: Bytes, keyrings: Bytes[]) {
  return {
    expiresAt: NOW + 300,
    issuedAt: NOW,
    keyrings,
    nonce: new Uint8Array(16).fill(7),
    package: packageHash,
    signer: device.fingerprint,
    tenant: tenant.trust.tenant,
  }
}

/** A context to verify in, with the first CRL of both CAs. */
export async function contextOf(tenant: Tenant, now: number = NOW): Promise<VerifyContext> {
  const crls = await Promise.all([makeCrl(tenant.derivers), makeCrl(tenant.clients)])
  return { trust: tenant.trust, now, crls }
}

export function tenantBytes(tenant: Tenant): Bytes {
  return fromBase32(tenant.trust.tenant)
}
