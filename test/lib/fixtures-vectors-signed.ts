/** Vectors of signed documents: envelopes, trust documents, key packages and requests, HTTP messages. */
import { base64url, hex, utf8, type Bytes } from '../../shared/bytes.ts'
import {
  documentHash,
  encodeEnvelope,
  payloadType,
  preAuthenticationEncoding,
  signWithAuthority,
  type Envelope,
} from '../../shared/envelope.ts'
import { encodeJson } from '../../shared/json.ts'
import { tenantId, verifySuccessor } from '../../shared/trust.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { makeDelivery, type World } from './fixtures-delivery.ts'
import { makeEd25519, makeP256, seeded, signP256 } from './fixtures-keys.ts'
import { vector, type Vector } from './fixtures-vectors.ts'
import {
  DAY,
  makeCrl,
  makeIdentity,
  makeTenant,
  NOW,
  signAs,
  signSuccessor,
  trustBody,
} from './fixtures.ts'

/** An envelope as JSON: what stands in the body of a call. */
export function toJson(envelope: Envelope): unknown {
  return JSON.parse(new TextDecoder().decode(encodeEnvelope(envelope))) as unknown
}

/** The trust document, time and CRLs that signed documents are verified in. */
export function verifyContext(world: World): object {
  return {
    trust: toJson(world.tenant.trust.envelope),
    tenant: world.tenant.trust.tenant,
    now: NOW,
    crls: world.crls.map(base64url),
  }
}

export async function envelopeVectors(world: World): Promise<object> {
  const { deriver, alice, tenant } = world
  const { head } = await makeDelivery(world)
  const body = JSON.parse(new TextDecoder().decode(head.payload)) as Record<string, unknown>
  const p256 = await makeIdentity(tenant.derivers, 'deriver', 'two', await makeP256('deriver two'))
  const second = await signAs(p256, 'head', { ...body, signer: p256.fingerprint })
  const pae = preAuthenticationEncoding(payloadType('head'), second.payload)
  const es256 = { keyid: p256.fingerprint, sig: signP256('deriver two', pae) }
  const [signature] = head.signatures
  const flipped = { ...signature!, sig: signature!.sig.with(0, signature!.sig[0]! ^ 1) }
  const { serial } = parseCertificate(deriver.certificates[0]!)
  const revoking = await makeCrl(tenant.derivers, 2, [serial])
  const other = await makeTenant('other')
  const item = (comment: string, envelope: Envelope, expect: Vector['expect'], more: object = {}) =>
    vector(comment, { envelope: toJson(envelope), ...more }, expect)
  return {
    comment:
      'Every envelope is verified as a head under `context`; `now` and `crls` of an input replace those of the context.',
    context: verifyContext(world),
    pae: [
      vector(
        'the example of DSSE',
        { type: 'http://example.com/HelloWorld', payload: hex(utf8('hello world')) },
        'ok',
        {
          pae: hex(preAuthenticationEncoding('http://example.com/HelloWorld', utf8('hello world'))),
        },
      ),
      vector('a head', { type: head.payloadType, payload: hex(head.payload) }, 'ok', {
        pae: hex(preAuthenticationEncoding(head.payloadType, head.payload)),
        hash: hex(documentHash(head)),
      }),
    ],
    cases: [
      vector('Ed25519', { envelope: toJson(head) }, 'ok', hex(documentHash(head))),
      vector(
        'ECDSA P-256',
        { envelope: toJson({ ...second, signatures: [es256] }) },
        'ok',
        hex(documentHash(second)),
      ),
      item(
        '[env-1] two signatures',
        { ...head, signatures: [signature!, signature!] },
        'ERR_SCHEMA',
      ),
      item('[env-2] a refusal', await signAs(deriver, 'refusal', body), 'ERR_PAYLOAD_TYPE'),
      item(
        '[env-2] a refusal that says it is a head',
        { ...(await signAs(deriver, 'refusal', body)), payloadType: payloadType('head') },
        'ERR_SIGNATURE',
      ),
      item(
        '[env-3] another tenant with the same CAs',
        await signAs(deriver, 'head', { ...body, tenant: other.trust.tenant }),
        'ERR_TENANT',
      ),
      item(
        '[env-4] a client',
        await signAs(alice, 'head', { ...body, signer: alice.fingerprint }),
        'ERR_PATH_INVALID',
      ),
      item('[env-4] after the end of the certificate', head, 'ERR_CERT_EXPIRED', {
        now: NOW + 61 * DAY,
      }),
      item('[env-4] without a CRL', head, 'ERR_CRL', { crls: [] }),
      item('[env-4] revoked', head, 'ERR_CERT_REVOKED', { crls: [base64url(revoking)] }),
      item(
        '[env-6] another keyid',
        { ...head, signatures: [{ ...signature!, keyid: alice.fingerprint }] },
        'ERR_SIGNER',
      ),
      item('[env-6] a changed signature', { ...head, signatures: [flipped] }, 'ERR_SIGNATURE'),
      item(
        '[env-6] a changed payload',
        { ...head, payload: encodeJson({ ...body, version: 59 }) },
        'ERR_SIGNATURE',
      ),
      item(
        '[env-7] another signer in the body',
        await signAs(deriver, 'head', { ...body, signer: seeded('x') }),
        'ERR_SIGNER',
      ),
      item(
        '[env-7] a field too many',
        await signAs(deriver, 'head', { ...body, more: 1 }),
        'ERR_SCHEMA',
      ),
      item(
        '[open-3] a head that lives too long',
        await signAs(deriver, 'head', { ...body, expiresAt: NOW + 3_600 }),
        'ERR_LIFETIME',
      ),
      item(
        '[open-4] a head from the future',
        await signAs(deriver, 'head', { ...body, issuedAt: NOW + 61 }),
        'ERR_FUTURE',
      ),
    ],
  }
}

export async function trustVectors(world: World): Promise<object> {
  const { tenant } = world
  const genesis = tenant.trust.envelope
  const fresh = await Promise.all([1, 2].map((i) => makeEd25519(`fresh ${i}`)))
  const rotated = { keys: fresh.map((key) => key.spki), threshold: 2 }
  const two = tenant.authority.slice(0, 2)
  const second = await signSuccessor(tenant, { authority: rotated }, [...two, ...fresh])
  const trust = await verifySuccessor(second, tenant.trust)
  const third = await signSuccessor({ ...tenant, trust, authority: fresh }, { incarnation: 2 })
  const fallen = await signSuccessor(
    { ...tenant, trust: await verifySuccessor(third, trust), authority: fresh },
    { incarnation: 1 },
  )
  const next = (edit: object, keys = two) => signSuccessor(tenant, edit, keys)
  const first = async (edit: object, keys = two): Promise<[Envelope, string]> => {
    const body = await trustBody(tenant.authority, tenant.derivers, tenant.clients)
    const envelope = await signWithAuthority('trust', { ...body, ...edit }, keys)
    return [envelope, tenantId(envelope)]
  }
  const item = (
    comment: string,
    documents: Envelope[],
    expect: Vector['expect'],
    more: object = {},
    output?: unknown,
  ) =>
    vector(
      comment,
      { tenant: tenant.trust.tenant, documents: documents.map(toJson), floor: null, ...more },
      expect,
      output,
    )
  const alone = async (comment: string, edit: object, code: Vector['expect'], keys = two) => {
    const [envelope, id] = await first(edit, keys)
    return item(comment, [envelope], code, { tenant: id })
  }
  const floor = (number: number, hash: Bytes) => ({ floor: { number, hash: base64url(hash) } })
  const { clients, derivers } = tenant.trust.body
  const [spki] = tenant.authority.map((key) => key.spki)
  const ok = { number: 3, hash: hex(documentHash(third)) }
  return {
    comment:
      'A client that knows nothing follows `documents` from genesis. Tenant id = base32(document hash of the first).',
    cases: [
      item('genesis', [genesis], 'ok', {}, { number: 1, hash: hex(documentHash(genesis)) }),
      item(
        'three, with new authority keys and a new incarnation',
        [genesis, second, third],
        'ok',
        {},
        ok,
      ),
      item(
        'the same, with a floor',
        [genesis, second, third],
        'ok',
        floor(2, documentHash(second)),
        ok,
      ),
      item(
        '[trust-1] of another tenant',
        [(await makeTenant('other')).trust.envelope],
        'ERR_TENANT',
      ),
      await alone('[trust-1] one signature of two', {}, 'ERR_SIGNATURE', two.slice(1)),
      await alone('[trust-1] number 2', { number: 2 }, 'ERR_TRUST_DOCUMENT'),
      await alone(
        '[trust-1] fewer keys than the threshold',
        { authority: { keys: [spki], threshold: 2 } },
        'ERR_TRUST_DOCUMENT',
      ),
      item('[trust-2] one left out', [genesis, third], 'ERR_TRUST_DOCUMENT'),
      item(
        '[trust-2] another previous hash',
        [genesis, await next({ previous: seeded('x') })],
        'ERR_TRUST_DOCUMENT',
      ),
      item(
        '[trust-3] without the old keys',
        [genesis, await next({ authority: rotated }, fresh)],
        'ERR_SIGNATURE',
      ),
      item(
        '[trust-3] without the new keys',
        [genesis, await next({ authority: rotated }, two)],
        'ERR_SIGNATURE',
      ),
      item('[env-8] a key twice', [genesis, await next({}, [two[0]!, two[0]!])], 'ERR_SIGNATURE'),
      item(
        '[env-8] a stranger beside enough others',
        [genesis, await next({}, [...two, fresh[0]!])],
        'ERR_SIGNATURE',
      ),
      item('[env-9] one key of two', [genesis, await next({}, [two[1]!])], 'ERR_SIGNATURE'),
      item(
        '[trust-4] an incarnation that falls',
        [genesis, second, third, fallen],
        'ERR_TRUST_DOCUMENT',
      ),
      await alone(
        '[trust-5] 401 days',
        { issuedAt: NOW, expiresAt: NOW + 401 * DAY },
        'ERR_LIFETIME',
      ),
      await alone(
        '[trust-6] a rule for both roles',
        { clients: { ...clients, sans: derivers.sans } },
        'ERR_TRUST_DOCUMENT',
      ),
      item('[trust-7] below the floor', [genesis], 'ERR_ROLLBACK', floor(2, documentHash(second))),
      item(
        '[trust-7] another than the floor',
        [genesis, second],
        'ERR_FORK',
        floor(2, seeded('x')),
      ),
    ],
  }
}
