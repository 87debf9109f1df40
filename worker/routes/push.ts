/** What the deriver publishes: objects, then a head that names them (docs/PROTOCOL.md, [relay-6] to [relay-10]). */
import { JSON_TYPE, OCTETS_TYPE } from '../../shared/api.ts'
import { decodeBatch, pushSchema } from '../../shared/deriver-calls.ts'
import { equal, fromBase64url, hex, type Bytes } from '../../shared/bytes.ts'
import { verifyCatalog } from '../../shared/catalog.ts'
import { checkCrl, parseCrl } from '../../shared/crl.ts'
import { decodeEnvelope, encodeEnvelope } from '../../shared/envelope.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { relayError } from '../../shared/relay-codes.ts'
import { parseJson } from '../../shared/json.ts'
import { MAX_BATCH, MAX_LISTS, MAX_PUSH } from '../../shared/limits.ts'
import { requireTrust, verifyHead, type Head, type HeadBody } from '../../shared/release.ts'
import { keyId } from '../../shared/signature.ts'
import { type TrustDocument } from '../../shared/trust.ts'
import { parseCertificate, type Certificate } from '../../shared/x509.ts'
import { tenantOf, type Route, type SignedCall } from '../call.ts'
import { type NamedObject } from '../objects.ts'
import { empty, RelayError, requireCode } from '../problem.ts'
import { type PreparedPush } from '../push.ts'
import { crlsOf, forgetStanding, readStanding, type Standing } from '../standing.ts'
import { type StoredCrl } from '../store.ts'
import { anchorsOf } from './enrolment.ts'

const IF_MATCH = /^"(?:none|([A-Za-z0-9_-]{43}))"$/

/** By the platform: objects and lists may be megabytes. No object is above the limit of a row: `decodeBatch` sees to that. */
async function hashObject(body: Bytes): Promise<NamedObject> {
  return { hash: new Uint8Array(await crypto.subtle.digest('SHA-256', body)), body }
}

async function addObjects(call: SignedCall): Promise<Response> {
  const objects = await Promise.all(decodeBatch(call.body).map(hashObject))
  requireCode(await tenantOf(call).addObjects(objects, call.now))
  return empty(204)
}

/** CRLs of a push that nobody has verified yet. */
export function readPushedCrls(body: Bytes): Bytes[] {
  return pushSchema(parseJson(body, MAX_PUSH), '').crls
}

function readIfMatch(call: SignedCall): Bytes | null {
  const match = IF_MATCH.exec(call.request.headers.get('if-match') ?? '')
  if (match === null) throw relayError('ERR_SCHEMA')
  return match[1] === undefined ? null : fromBase64url(match[1])
}

/** The lists that the head names, from the push or from before. Throws `ERR_INCOMPLETE` unless there are just these, `ERR_QUOTA` for too many bytes of them. */
async function findCrls(
  head: HeadBody,
  pushed: readonly Bytes[],
  standing: Standing,
): Promise<{ hash: Bytes; der: Bytes }[]> {
  const hashed = await Promise.all(pushed.map(hashObject))
  const brought = hashed.map(({ hash, body: der }) => ({ hash, der }))
  // PROTOCOL [relay-8]
  if (brought.some(({ hash }) => !head.crls.some((named) => equal(named.hash, hash)))) {
    throw relayError('ERR_INCOMPLETE')
  }
  let size = 0
  return head.crls.map(({ hash }) => {
    const stored = standing.crls.map((one) => ({ hash: one.hash, der: one.crl.der }))
    const found = [...brought, ...stored].find((one) => equal(one.hash, hash))
    if (found === undefined) throw relayError('ERR_INCOMPLETE')
    // Before any is parsed: a head may name one list for many issuers.
    size += found.der.length
    if (size > MAX_LISTS) throw relayError('ERR_QUOTA')
    return { hash, der: found.der }
  })
}

async function verifyCrls(
  head: Head,
  lists: { hash: Bytes; der: Bytes }[],
  trust: TrustDocument,
): Promise<StoredCrl[]> {
  const issuers = new Map<string, Certificate>()
  const chain = head.envelope.certificates.slice(1).map(parseCertificate)
  for (const issuer of [...anchorsOf(trust.body), ...chain])
    issuers.set(hex(await keyId(issuer.spki)), issuer)
  // What a client needs to check a deriver: lists of the issuers of derivers.
  const delivered = new Set(head.path.issuers.map((issuer) => hex(issuer.keyId)))
  for (const anchor of trust.body.derivers.anchors)
    delivered.add(hex(await keyId(parseCertificate(anchor).spki)))
  const out: StoredCrl[] = []
  for (const [i, { issuer, number, hash }] of head.body.crls.entries()) {
    const { der } = lists[i]!
    const crl = parseCrl(der)
    // PROTOCOL [relay-8]
    if (crl.number !== number) throw relayError('ERR_INCOMPLETE')
    const id = hex(issuer)
    const certificate = issuers.get(id)
    // The list of a CA that only clients' paths know stands on the deriver's word until it is used. That a list has run out is
    // for path validation to say.
    if (certificate !== undefined) await checkCrl(crl, certificate, crl.thisUpdate)
    const lowest = trust.body.lowestCrls.find((one) => equal(one.issuer, issuer))?.number ?? 0
    if (number < lowest) throw relayError('ERR_ROLLBACK')
    const { nextUpdate } = crl
    const isDelivered = delivered.has(id)
    out.push({ issuer, number, hash, nextUpdate, isDelivered, isVerified: true, der })
  }
  return out
}

async function preparePush(call: SignedCall, ifMatch: Bytes | null): Promise<PreparedPush | null> {
  const brought = pushSchema(parseJson(call.body, MAX_PUSH), '')
  const stored = await tenantOf(call).current()
  if (stored !== null && equal(stored.hash, documentHash(brought.head))) return null
  // Another isolate may have taken a trust document in since this one looked.
  const standing = await readStanding(call, true)
  if (standing === null) throw relayError('ERR_NOT_FOUND')
  const { trust } = standing
  const pushed = [...brought.crls, ...crlsOf(standing)]
  // PROTOCOL [relay-6]
  const head = await verifyHead(brought.head, { trust, now: call.now, crls: pushed })
  requireTrust(head.body, trust)
  // PROTOCOL [relay-8]: a client checks the deriver by the lists in the head alone
  const listed = new Set(head.body.crls.map(({ issuer }) => hex(issuer)))
  if (head.path.issuers.some(({ keyId: id }) => !listed.has(hex(id)))) {
    throw relayError('ERR_INCOMPLETE')
  }
  if (call.now > head.body.expiresAt) throw relayError('ERR_STALE')
  const crls = await verifyCrls(head, await findCrls(head.body, brought.crls, standing), trust)
  // PROTOCOL [relay-8]
  const envelope = brought.catalog ?? (stored === null ? null : decodeEnvelope(stored.catalog))
  if (envelope === null) throw relayError('ERR_INCOMPLETE')
  const named = head.body.catalog
  if (!equal(documentHash(envelope), named.hash)) throw relayError('ERR_INCOMPLETE')
  const catalog = await verifyCatalog(envelope, trust)
  if (catalog.body.number !== named.number) throw relayError('ERR_INCOMPLETE')
  const { incarnation, version, releases, log } = head.body
  return {
    trust: trust.hash,
    ifMatch,
    head: {
      hash: head.hash,
      incarnation,
      version,
      releases,
      log,
      envelope: encodeEnvelope(brought.head),
    },
    catalog: {
      hash: catalog.hash,
      number: catalog.body.number,
      manifests: catalog.body.manifests,
      envelope: encodeEnvelope(envelope),
    },
    crls,
  }
}

async function pushHead(call: SignedCall): Promise<Response> {
  const prepared = await preparePush(call, readIfMatch(call))
  // The head that is stored already: nothing changes.
  if (prepared === null) return empty(204)
  const result = await tenantOf(call).push(prepared, call.now)
  if (result.code === 'ERR_CONFLICT') throw new RelayError('ERR_CONFLICT', { head: result.head })
  requireCode(result.code)
  if (prepared.crls.length > 0) forgetStanding(call.tenant)
  return empty(204)
}

export const pushRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/:tenant/objects',
    type: OCTETS_TYPE,
    limit: MAX_BATCH,
    roles: ['deriver'],
    handle: addObjects,
  },
  {
    method: 'POST',
    path: '/v1/:tenant/push',
    type: JSON_TYPE,
    limit: MAX_PUSH,
    roles: ['deriver'],
    handle: pushHead,
  },
]
