/** Enrolment and the tenant's chain of trust documents. */
import { JSON_TYPE } from '../../shared/api.ts'
import { enrolmentSchema } from '../../shared/deriver-calls.ts'
import { concat, equal, hex, utf8, type Bytes } from '../../shared/bytes.ts'
import { checkCrl, parseCrl } from '../../shared/crl.ts'
import { encodeEnvelope, envelopeSchema, type Envelope } from '../../shared/envelope.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { verifyByAuthorities, type Authority } from '../../shared/authority.ts'
import { relayError } from '../../shared/relay-codes.ts'
import { isKeyferryError } from '../../shared/errors.ts'
import { sha256 } from '../../shared/hash.ts'
import { canonicalJson, parseJson } from '../../shared/json.ts'
import { MAX_CRL, MAX_ENVELOPE, MAX_PUSH } from '../../shared/limits.ts'
import { keyId } from '../../shared/signature.ts'
import {
  verifyGenesis,
  verifySuccessor,
  type TrustBody,
  type TrustDocument,
} from '../../shared/trust.ts'
import { tenantId } from '../../shared/document-hash.ts'
import { parseAnchor, type Certificate } from '../../shared/x509.ts'
import { registryOf, tenantOf, type Call, type Route } from '../call.ts'
import { empty, json, requireCode } from '../problem.ts'
import { forgetStanding, readStanding } from '../standing.ts'
import { type StoredCrl } from '../store.ts'
// Erased as a whole: see worker/call.ts.
import type { StoredTrust } from '../enrol.ts'

/** Lists of an enrolment that no anchor signed. */
const MAX_UNVERIFIED = 16

/** All invites are compared, by hash: the time says nothing about any of them. */
function isInvited(invite: string, env: Env): boolean {
  const given = sha256(utf8(invite))
  const invites = (env.INVITES ?? '').split(',').map((one) => one.trim())
  let found = false
  for (const one of invites) {
    const isSame = crypto.subtle.timingSafeEqual(given, sha256(utf8(one)))
    found = (isSame && one !== '') || found
  }
  return found
}

function stored({ body, envelope, hash }: TrustDocument): StoredTrust {
  return { number: body.number, hash, envelope: encodeEnvelope(envelope) }
}

/** Anchors of both roles. */
export function anchorsOf({ clients, derivers }: TrustBody): Certificate[] {
  return [...clients.anchors, ...derivers.anchors].map(parseAnchor)
}

/**
 * A CRL that comes with the enrolment, to admit the deriver before its first push. One of an anchor is verified; one of an intermediate CA
 * cannot be yet: path validation checks its signature wherever it is used.
 */
async function identifyCrl(der: Bytes, anchors: readonly Certificate[]): Promise<StoredCrl> {
  const crl = parseCrl(der)
  const named = anchors.filter(({ subject }) => equal(subject, crl.issuer))
  let issuer: Bytes | undefined
  for (const anchor of named) {
    try {
      // Signature and form only: that a list has run out is for path validation to say.
      await checkCrl(crl, anchor, crl.thisUpdate)
      issuer = await keyId(anchor.spki)
    } catch (error) {
      if (!isKeyferryError(error, 'ERR_CRL')) throw error
    }
  }
  if (named.length > 0 && issuer === undefined) {
    throw relayError('ERR_CRL')
  }
  const place = sha256(concat(crl.issuer, issuer ?? new Uint8Array()))
  const { number, nextUpdate } = crl
  const isVerified = issuer !== undefined
  return {
    issuer: place,
    number,
    nextUpdate,
    hash: sha256(der),
    isDelivered: false,
    isVerified,
    der,
  }
}

/** Throws `ERR_QUOTA` where there is more of unverified lists than a deriver's own path can need: each of them is read for every path that is validated. */
function requireFew(lists: readonly StoredCrl[]): void {
  // PROTOCOL [relay-5]
  const unverified = lists.filter(({ isVerified }) => !isVerified)
  const size = unverified.reduce((sum, { der }) => sum + der.length, 0)
  if (unverified.length > MAX_UNVERIFIED || size > MAX_CRL) throw relayError('ERR_QUOTA')
}

async function enrol(call: Call): Promise<Response> {
  const { crls, invite, trust } = enrolmentSchema(parseJson(call.body, MAX_PUSH), '')
  if (!isInvited(invite, call.env)) throw relayError('ERR_UNAUTHORIZED')
  const tenant = tenantId(trust)
  // PROTOCOL [relay-5]
  const genesis = await verifyGenesis(trust, tenant)
  const anchors = anchorsOf(genesis.body)
  const lists: StoredCrl[] = []
  for (const der of crls) lists.push(await identifyCrl(der, anchors))
  requireFew(lists)
  const result = await tenantOf({ env: call.env, tenant }).enrol(stored(genesis), lists)
  forgetStanding(tenant)
  requireCode(result.code)
  // Also of one that was enrolled before: should the entry be missing, here it is again.
  await registryOf(call.env).add(tenant, call.now)
  return json(JSON.stringify({ tenant }), result.isNew ? 201 : 200)
}

function hasSameRules(a: TrustBody, b: TrustBody): boolean {
  const rules = ({ clients, derivers, lowestCrls }: TrustBody): string =>
    canonicalJson({ clients, derivers, lowestCrls })
  return rules(a) === rules(b)
}

/** True when at least one key of the authority signed: only such a caller may learn that the tenant exists. */
async function isKnownTo(envelope: Envelope, { keys }: Authority): Promise<boolean> {
  const ids = new Set<string>()
  for (const spki of keys) ids.add(hex(await keyId(spki)))
  const signatures = envelope.signatures.filter(({ keyid }) => ids.has(hex(keyid)))
  try {
    await verifyByAuthorities({ ...envelope, signatures }, [{ keys, threshold: 1 }])
    return true
  } catch (error) {
    if (isKeyferryError(error)) return false
    throw error
  }
}

/** Number of a trust document that is not verified yet; 0 for none. */
function peekNumber(envelope: Envelope): number {
  try {
    const body = parseJson(envelope.payload, MAX_ENVELOPE) as { number?: unknown } | null
    return typeof body?.number === 'number' ? body.number : 0
  } catch (error) {
    // Answered like everything else that no authority key signed [relay-5].
    if (isKeyferryError(error)) return 0
    throw error
  }
}

async function addTrust(call: Call): Promise<Response> {
  const envelope = envelopeSchema(parseJson(call.body, MAX_ENVELOPE), '')
  const standing = await readStanding(call, true)
  // PROTOCOL [relay-4]
  if (standing === null) throw relayError('ERR_NOT_FOUND')
  const { trust } = standing
  const number = peekNumber(envelope)
  if (number <= trust.body.number) {
    // PROTOCOL [relay-5]: one that is stored changes nothing
    const isStored = await tenantOf(call).hasTrust(number, documentHash(envelope))
    if (isStored) return empty(204)
  }
  if (!(await isKnownTo(envelope, trust.body.authority))) throw relayError('ERR_NOT_FOUND')
  if (number <= trust.body.number) throw relayError('ERR_FORK')
  const next = await verifySuccessor(envelope, trust)
  const changesRules = !hasSameRules(trust.body, next.body)
  requireCode(await tenantOf(call).addTrust(stored(next), changesRules))
  forgetStanding(call.tenant)
  return empty(204)
}

export const enrolmentRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/tenants',
    type: JSON_TYPE,
    limit: MAX_PUSH,
    roles: null,
    handle: enrol,
  },
  {
    method: 'POST',
    path: '/v1/:tenant/trust',
    type: JSON_TYPE,
    limit: MAX_ENVELOPE,
    roles: null,
    handle: addTrust,
  },
]
