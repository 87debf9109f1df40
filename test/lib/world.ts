/**
 * A whole tenant for tests, with real keys: two CAs, their CRLs, an authority, a deriver and clients. It runs in Node and in workerd. Whatever a
 * test wants otherwise, it overrides: every document is made from a plain body.
 */
import { type Bytes } from '../../shared/bytes.ts'
import {
  signWithAuthority,
  signWithCertificate,
  type Envelope,
  type Role,
} from '../../shared/envelope.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { sha256 } from '../../shared/hash.ts'
import { createHpke, type RecipientKey } from '../../shared/hpke.ts'
import { type Signer } from '../../shared/http-signature.ts'
import { type KeyPackageBody } from '../../shared/key-package.ts'
import { generateSigningKey, keyId, type SigningKey } from '../../shared/signature.ts'
import { type Suite, type TrustBody } from '../../shared/trust.ts'
import { tenantId } from '../../shared/document-hash.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { issueCrl, issueLeaf, makeIssuingCa, type Issuer } from '../../shared/issue.ts'

export const DAY = 86_400
export const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const HOST = { deriver: 'deriver.acme.example', client: 'client.acme.example' }

export function random(length: number): Bytes {
  return crypto.getRandomValues(new Uint8Array(length))
}

export function seconds(): number {
  return Math.floor(Date.now() / 1000)
}

/** A CA with the CRL that it last issued. */
export interface Ca extends Issuer {
  keyId: Bytes
  number: number
  crl: Bytes
  revoked: Bytes[]
}

/** A client with its key package. */
export interface Client {
  name: string
  signer: Signer
  /** Of the certificate. */
  fingerprint: Bytes
  key: RecipientKey
  package: Envelope
  packageHash: Bytes
  /** The channel key that its welcomes carry. */
  channel: Bytes
}

export interface World {
  /** Seconds, when it was made. */
  now: number
  tenant: string
  authority: SigningKey[]
  cas: Record<Role, Ca>
  /** All trust documents, rising. */
  trusts: Envelope[]
  trust: TrustBody
  deriver: Signer
  /** Leaves of the deriver's log. */
  log: Bytes[]
}

export interface WorldOptions {
  now?: number
  alg?: SigningKey['alg']
  trust?: Partial<TrustBody>
}

/** A CA for one role. `now` is when it begins. */
export async function makeCa(
  role: Role,
  now: number,
  alg: SigningKey['alg'] = 'Ed25519',
  commonName = `Acme ${role}s`,
): Promise<Ca> {
  const key = await generateSigningKey(alg, true)
  const certificate = await makeIssuingCa({
    key,
    commonName,
    organization: 'Acme',
    host: HOST[role],
    eku: [CLIENT_AUTH],
    notBefore: now - 400 * DAY,
    notAfter: now + 3_650 * DAY,
    random,
  })
  const ca = {
    key,
    certificate,
    keyId: await keyId(key.spki),
    number: 0,
    crl: new Uint8Array(),
    revoked: [],
  }
  await renewCrl(ca, now)
  return ca
}

/** Issues the next CRL of a CA. */
export async function renewCrl(
  ca: Ca,
  now: number,
  times: { thisUpdate?: number; nextUpdate?: number } = {},
): Promise<Bytes> {
  ca.number++
  ca.crl = await issueCrl({
    issuer: ca,
    number: ca.number,
    thisUpdate: times.thisUpdate ?? now - 60,
    nextUpdate: times.nextUpdate ?? now + 7 * DAY,
    revoked: ca.revoked.map((serial) => ({ serial, date: now - 60 })),
  })
  return ca.crl
}

/** Puts a signer's certificate on the next CRL of its CA. */
export function revoke(ca: Ca, signer: Signer, now: number): Promise<Bytes> {
  ca.revoked.push(parseCertificate(signer.certificates[0]!).serial.slice())
  return renewCrl(ca, now)
}

/** A new key with a certificate of the CA. */
export async function issueSigner(
  ca: Ca,
  uri: string,
  now: number,
  times: { notBefore?: number; notAfter?: number } = {},
): Promise<Signer> {
  const key = await generateSigningKey(ca.key.alg, true)
  const certificate = await issueLeaf({
    issuer: ca,
    spki: key.spki,
    commonName: 'device',
    uri,
    eku: [CLIENT_AUTH],
    notBefore: times.notBefore ?? now - 3_600,
    notAfter: times.notAfter ?? now + 30 * DAY,
    random,
  })
  return { key, certificates: [certificate] }
}

/** URI of a certificate of the role. */
export function uriOf(role: Role, name: string): string {
  return `keyferry://${HOST[role]}/${name}`
}

/** A tenant with an authority of one key, a deriver, and no keyrings yet. */
export async function makeWorld(options: WorldOptions = {}): Promise<World> {
  const now = options.now ?? seconds()
  const alg = options.alg ?? 'Ed25519'
  const authority = [await generateSigningKey(alg, true)]
  const cas = {
    deriver: await makeCa('deriver', now, alg),
    client: await makeCa('client', now, alg),
  }
  const rules = (role: Role): TrustBody['clients'] => ({
    anchors: [cas[role].certificate],
    ekus: [CLIENT_AUTH],
    sans: [uriOf(role, '*')],
  })
  const trust: TrustBody = {
    authority: { keys: authority.map(({ spki }) => spki), threshold: 1 },
    clients: rules('client'),
    derivers: rules('deriver'),
    expiresAt: now + 300 * DAY,
    headLifetime: 3_600,
    incarnation: 1,
    issuedAt: now - 60,
    lowestCrls: [],
    number: 1,
    origins: ['https://app.acme.example'],
    previous: new Uint8Array(),
    relays: ['https://relay.example'],
    skew: 60,
    suites: ['MLKEM768-X25519', 'X25519', 'P-256'],
    tenant: '',
    ...options.trust,
  }
  const genesis = await signWithAuthority('trust', trust, authority)
  const deriver = await issueSigner(cas.deriver, uriOf('deriver', 'one'), now)
  const tenant = tenantId(genesis)
  return { now, tenant, authority, cas, trusts: [genesis], trust, deriver, log: [] }
}

/** All CRLs in force. */
export function crlsOf(world: World): Bytes[] {
  return [world.cas.deriver.crl, world.cas.client.crl]
}

/** Signs the next trust document, without taking it as the newest. */
export async function makeTrust(
  world: World,
  changes: Partial<TrustBody> = {},
  keys: SigningKey[] = world.authority,
): Promise<{ body: TrustBody; envelope: Envelope }> {
  const body: TrustBody = {
    ...world.trust,
    number: world.trust.number + 1,
    previous: documentHash(world.trusts.at(-1)!),
    tenant: world.tenant,
    ...changes,
  }
  return { body, envelope: await signWithAuthority('trust', body, keys) }
}

/** Signs the next trust document and takes it as the newest. */
export async function renewTrust(
  world: World,
  changes: Partial<TrustBody> = {},
  keys?: SigningKey[],
): Promise<Envelope> {
  const { body, envelope } = await makeTrust(world, changes, keys)
  world.trust = body
  world.trusts.push(envelope)
  return envelope
}

/** Signs a key package of a client certificate. */
export function makePackage(
  world: World,
  signer: Signer,
  key: RecipientKey,
  changes: Partial<KeyPackageBody> = {},
): Promise<Envelope> {
  const body: KeyPackageBody = {
    expiresAt: world.now + 29 * DAY,
    issuedAt: world.now,
    key: key.publicKey,
    signer: sha256(signer.certificates[0]!),
    suite: key.suite,
    tenant: world.tenant,
    version: 1,
    ...changes,
  }
  return signWithCertificate('package', body, signer.key, signer.certificates)
}

/** A client with a certificate and a key package. */
export async function makeClient(
  world: World,
  name: string,
  options: { suite?: Suite; signer?: Signer } = {},
): Promise<Client> {
  const signer =
    options.signer ?? (await issueSigner(world.cas.client, uriOf('client', name), world.now))
  const key = await createHpke(options.suite ?? 'X25519').generate(true)
  const envelope = await makePackage(world, signer, key)
  return {
    name,
    signer,
    fingerprint: sha256(signer.certificates[0]!),
    key,
    package: envelope,
    packageHash: documentHash(envelope),
    channel: random(32),
  }
}
