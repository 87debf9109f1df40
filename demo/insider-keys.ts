/**
 * What an insider at the relay can make without anybody's help: a CA that bears the name of Acme's, a customer of its own, a device of its own. All of
 * it is really signed; nothing of it is Acme's.
 */
import { OID_CLIENT_AUTH } from '../deriver/ca.ts'
import { encodeMember, MEMBER_LEAF } from '../shared/bundle.ts'
import { type Bytes } from '../shared/bytes.ts'
import { signWithAuthority, signWithCertificate, type Envelope } from '../shared/envelope.ts'
import { sha256 } from '../shared/hash.ts'
import { type Signer } from '../shared/http-signature.ts'
import { issueLeaf, makeIssuingCa } from '../shared/issue.ts'
import { KEYRING_LEAF } from '../shared/manifest.ts'
import { type HeadBody } from '../shared/release.ts'
import { generateSigningKey } from '../shared/signature.ts'
import { buildTree } from '../shared/tree.ts'
import { SUITES, type TrustBody } from '../shared/trust.ts'
import { tenantId } from '../shared/document-hash.ts'

/** Seconds. */
const DAY = 86_400

/** The insider's own things. */
export interface OwnKeys {
  /** Signs as a deriver whose CA looks like Acme's. */
  signer: Signer
  /** A device of the insider's as a leaf of a members tree. */
  member: Bytes
  /** Another customer of the relay: its first trust document and a head, both in order. */
  other: { trust: Envelope; head: Envelope }
}

function random(length: number): Bytes {
  return crypto.getRandomValues(new Uint8Array(length))
}

/** A CA of this name, and a deriver's certificate by it. `now` in seconds. */
async function makeDeriver(
  organization: string,
  domain: string,
  now: number,
): Promise<{ anchor: Bytes; signer: Signer }> {
  const [caKey, key] = [
    await generateSigningKey('ES256', true),
    await generateSigningKey('ES256', true),
  ]
  const host = `deriver.${domain}`
  const common = { eku: [OID_CLIENT_AUTH], notBefore: now - 3_600, random }
  const anchor = await makeIssuingCa({
    ...common,
    key: caKey,
    commonName: `${organization} derivers`,
    organization,
    host,
    notAfter: now + 365 * DAY,
  })
  const certificate = await issueLeaf({
    ...common,
    issuer: { key: caKey, certificate: anchor },
    spki: key.spki,
    commonName: 'deriver',
    uri: `keyferry://${host}/deriver-1`,
    notAfter: now + 30 * DAY,
  })
  return { anchor, signer: { key, certificates: [certificate] } }
}

/** Signs a head's body as it is, but for the name of its signer. */
export function signHead(body: object, { key, certificates }: Signer): Promise<Envelope> {
  return signWithCertificate(
    'head',
    { ...body, signer: sha256(certificates[0]!) },
    key,
    certificates,
  )
}

/** A customer that the relay enrolled for itself. */
async function makeOther(now: number): Promise<OwnKeys['other']> {
  const authority = await generateSigningKey('Ed25519', true)
  const { anchor, signer } = await makeDeriver('Globex', 'globex.example', now)
  const rules = (role: string): TrustBody['clients'] => ({
    anchors: [anchor],
    ekus: [OID_CLIENT_AUTH],
    sans: [`keyferry://${role}.globex.example/*`],
  })
  const body: TrustBody = {
    authority: { keys: [authority.spki], threshold: 1 },
    clients: rules('client'),
    derivers: rules('deriver'),
    expiresAt: now + 365 * DAY,
    headLifetime: 3_600,
    incarnation: 1,
    issuedAt: now,
    lowestCrls: [],
    number: 1,
    origins: [],
    previous: new Uint8Array(),
    relays: [],
    skew: 60,
    suites: [...SUITES],
    tenant: '',
  }
  const trust = await signWithAuthority('trust', body, [authority])
  const head: Omit<HeadBody, 'signer'> = {
    catalog: { hash: random(32), number: 1 },
    crls: [],
    expiresAt: now + 3_600,
    incarnation: 1,
    issuedAt: now,
    log: { root: random(32), size: 1 },
    releases: buildTree([random(KEYRING_LEAF)], KEYRING_LEAF).head,
    tenant: tenantId(trust),
    trust: { hash: random(32), number: 1 },
    version: 1,
  }
  return { trust, head: await signHead(head, signer) }
}

/** Makes the insider's own things; `organization` and `domain` are those of the customer that it wants to pass for. `now` in seconds. */
export async function makeOwnKeys(
  organization: string,
  domain: string,
  now: number,
): Promise<OwnKeys> {
  const { signer } = await makeDeriver(organization, domain, now)
  const member = encodeMember({
    packageHash: random(32),
    channelId: random(32),
    welcomeHash: random(32),
    cell: random(MEMBER_LEAF - 96),
  })
  return { signer, member, other: await makeOther(now) }
}
