// Envelopes: what is signed, by whom, in which role, for which tenant.
import { beforeAll, describe, expect, it } from 'vitest'
import { base64url, hex, utf8 } from '../../shared/bytes.ts'
import {
  decodeEnvelope,
  encodeEnvelope,
  envelopeSchema,
  payloadType,
  peekPayload,
  preAuthenticationEncoding,
  verifyByCertificate,
  verifyRole,
  type CertificateContext,
  type Envelope,
} from '../../shared/envelope.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { type ErrorCode } from '../../shared/errors.ts'
import { sha256 } from '../../shared/hash.ts'
import { encodeJson } from '../../shared/json.ts'
import { bytes, object, text, type Schema } from '../../shared/schema.ts'
import { ecdsaToDer, signBytes } from '../../shared/signature.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeEd25519, makeP256, seeded } from '../lib/fixtures-keys.ts'
import {
  contextOf,
  DAY,
  makeIdentity,
  makeTenant,
  NOW,
  signAs,
  type Identity,
  type Tenant,
} from '../lib/fixtures.ts'

type Body = { signer: Uint8Array<ArrayBuffer>; tenant: string; word: string }
const schema: Schema<Body> = object({ signer: bytes(32), tenant: text(52), word: text(10) })

let tenant: Tenant
let deriver: Identity
let client: Identity
let context: CertificateContext
let good: Envelope
let body: Body

beforeAll(async () => {
  tenant = await makeTenant('acme')
  deriver = await makeIdentity(tenant.derivers, 'deriver', 'one')
  client = await makeIdentity(tenant.clients, 'client', 'alice')
  const { trust, now, crls } = await contextOf(tenant)
  context = { tenant: trust.tenant, trust: trust.body, role: 'deriver', now, crls }
  body = { signer: deriver.fingerprint, tenant: trust.tenant, word: 'hello' }
  good = await signAs(deriver, 'head', body)
})

const verify = (envelope: Envelope, edit: Partial<CertificateContext> = {}) =>
  verifyByCertificate(envelope, 'head', schema, { ...context, ...edit })

const refuses = (envelope: Envelope, code: ErrorCode, edit: Partial<CertificateContext> = {}) =>
  expectCode(verify(envelope, edit), code)

describe('encoding', () => {
  it('is DSSE', () => {
    const pae = preAuthenticationEncoding('http://example.com/HelloWorld', utf8('hello world'))
    expect(pae).toEqual(utf8('DSSEv1 29 http://example.com/HelloWorld 11 hello world'))
    expect(documentHash(good)).toEqual(
      sha256(preAuthenticationEncoding(payloadType('head'), good.payload)),
    )
  })

  it('the document hash is of type and payload, not of signatures and certificates', async () => {
    const other = await signAs(client, 'head', body)
    expect(documentHash(other)).toEqual(documentHash(good))
    expect(documentHash(await signAs(deriver, 'refusal', body))).not.toEqual(documentHash(good))
  })

  it('round-trips', () => {
    expect(decodeEnvelope(encodeEnvelope(good))).toEqual(good)
    expect(envelopeSchema(JSON.parse(new TextDecoder().decode(encodeEnvelope(good))), '')).toEqual(
      good,
    )
  })
})

it('what came in another document is kept in its one encoding, in whatever order its names were', () => {
  const [{ keyid, sig }] = good.signatures as [(typeof good.signatures)[number]]
  const { certificates, payload } = good
  const plain = (value: object): unknown => JSON.parse(new TextDecoder().decode(encodeJson(value)))
  const signatures = [
    Object.fromEntries(Object.entries(plain({ keyid, sig }) as object).toReversed()),
  ]
  const other = {
    signatures,
    ...(plain({ payloadType: good.payloadType, payload, certificates }) as object),
  }
  const turned = Object.fromEntries(Object.entries(other).toReversed())
  for (const one of [other, turned])
    expect(encodeEnvelope(envelopeSchema(one, ''))).toEqual(encodeJson(good))
})

describe('decoding', () => {
  const decode = (edit: object) => () => decodeEnvelope(encodeJson({ ...good, ...edit }))

  it('[env-1] no signature, or more than 32, is ERR_SCHEMA', async () => {
    await expectCode(decode({ signatures: [] }), 'ERR_SCHEMA')
    const signatures = Array.from({ length: 33 }, () => good.signatures[0]!)
    await expectCode(decode({ signatures }), 'ERR_SCHEMA')
  })

  it('[env-1] two signatures of a certificate are ERR_SCHEMA', async () => {
    const signatures = [good.signatures[0]!, good.signatures[0]!]
    await refuses({ ...good, signatures }, 'ERR_SCHEMA')
    await refuses({ ...good, signatures: [] }, 'ERR_SCHEMA')
  })

  it('[env-1] that is seen before anything is verified: a path, a tenant and a type that are wrong too do not matter', async () => {
    const signatures = [good.signatures[0]!, good.signatures[0]!]
    await refuses({ ...good, signatures, certificates: [] }, 'ERR_SCHEMA')
    await refuses({ ...good, signatures }, 'ERR_SCHEMA', { crls: [] })
    await refuses({ ...good, signatures }, 'ERR_SCHEMA', { tenant: 'a'.repeat(52) })
    await refuses({ ...good, signatures, payloadType: payloadType('trust') }, 'ERR_SCHEMA')
  })

  it('[env-1] more than 4 certificates, or an empty one, are ERR_SCHEMA', async () => {
    const [certificate] = good.certificates
    decode({ certificates: Array.from({ length: 4 }, () => certificate) })()
    await expectCode(
      decode({ certificates: Array.from({ length: 5 }, () => certificate) }),
      'ERR_SCHEMA',
    )
    await expectCode(decode({ certificates: [''] }), 'ERR_SCHEMA')
  })

  it('[env-1] key ids and signatures of other lengths are ERR_SCHEMA', async () => {
    const { keyid, sig } = good.signatures[0]!
    for (const one of [
      { keyid: keyid.slice(1), sig },
      { keyid, sig: sig.slice(1) },
      { keyid, sig, extra: '' },
      { keyid },
    ]) {
      await expectCode(decode({ signatures: [one] }), 'ERR_SCHEMA')
    }
  })

  it('[env-1] an unknown or missing field is ERR_SCHEMA', async () => {
    await expectCode(decode({ extra: 1 }), 'ERR_SCHEMA')
    const { payload: _, ...rest } = good
    await expectCode(() => decodeEnvelope(encodeJson(rest)), 'ERR_SCHEMA')
    await expectCode(() => decodeEnvelope(utf8('[]')), 'ERR_SCHEMA')
  })

  it('[env-2] an unknown payload type is ERR_SCHEMA', async () => {
    for (const type of ['application/json', '', payloadType('head').toUpperCase()]) {
      await expectCode(decode({ payloadType: type }), 'ERR_SCHEMA')
    }
  })

  it('[dec-1] an envelope above 65,536 bytes is ERR_TOO_LARGE, alone or inside a body', async () => {
    const payload = new Uint8Array(60_000)
    await expectCode(decode({ payload }), 'ERR_TOO_LARGE')
    const value: unknown = JSON.parse(new TextDecoder().decode(encodeJson({ ...good, payload })))
    await expectCode(() => envelopeSchema(value, ''), 'ERR_TOO_LARGE')
  })

  it('[dec-2] another spelling of the same envelope is ERR_NOT_CANONICAL', async () => {
    const spelled = new TextDecoder().decode(encodeEnvelope(good)).replace('{', '{ ')
    await expectCode(() => decodeEnvelope(utf8(spelled)), 'ERR_NOT_CANONICAL')
  })
})

describe('signed by a certificate', () => {
  it('returns the body, its hash and the path', async () => {
    const verified = await verify(good)
    expect(verified.body).toEqual(body)
    expect(verified.hash).toEqual(documentHash(good))
    expect(verified.path.uri).toBe('keyferry://deriver.acme.example/one')
  })

  it('also with a P-256 key', async () => {
    const key = await makeP256('deriver two')
    const two = await makeIdentity(tenant.derivers, 'deriver', 'two', key)
    await verify(await signAs(two, 'head', { ...body, signer: two.fingerprint }))
    // A signature in DER is of another length, or not a signature.
    const pae = preAuthenticationEncoding(payloadType('head'), good.payload)
    const sig = ecdsaToDer(await signBytes(key, pae)).slice(0, 64)
    const envelope = await signAs(two, 'head', { ...body, signer: two.fingerprint })
    const changed = { ...envelope, signatures: [{ ...envelope.signatures[0]!, sig }] }
    await refuses(changed, 'ERR_SIGNATURE')
  })

  it('[env-2] a document of another type is ERR_PAYLOAD_TYPE', async () => {
    await refuses(await signAs(deriver, 'refusal', body), 'ERR_PAYLOAD_TYPE')
  })

  it('[env-2] the same bytes under another type are ERR_SIGNATURE', async () => {
    const refusal = await signAs(deriver, 'refusal', body)
    await refuses({ ...refusal, payloadType: payloadType('head') }, 'ERR_SIGNATURE')
  })

  it('[env-3] a document of another tenant is ERR_TENANT', async () => {
    await refuses(await signAs(deriver, 'head', { ...body, tenant: 'a'.repeat(52) }), 'ERR_TENANT')
    await refuses(good, 'ERR_TENANT', { tenant: 'a'.repeat(52) })
  })

  it('[env-3] a payload without a tenant is ERR_SCHEMA', async () => {
    for (const json of ['{}', '[]', '"x"', '1']) {
      const envelope = { ...good, payload: utf8(json) }
      await expectCode(() => peekPayload(envelope, 'head', context.tenant), 'ERR_SCHEMA')
    }
  })

  it('[env-3] a payload that is not canonical is refused before anything else of it is read', async () => {
    const payload = utf8(`{"tenant":"${context.tenant}", "word":1}`)
    await refuses({ ...good, payload }, 'ERR_NOT_CANONICAL')
    await refuses({ ...good, payload: utf8('{') }, 'ERR_MALFORMED')
  })

  it('[env-4] a path to no anchor of the role is ERR_PATH_INVALID', async () => {
    await refuses(
      await signAs(client, 'head', { ...body, signer: client.fingerprint }),
      'ERR_PATH_INVALID',
    )
    await refuses({ ...good, certificates: [] }, 'ERR_PATH_INVALID')
  })

  it('[env-4] is validated at the time given, with the CRLs given', async () => {
    await refuses(good, 'ERR_CERT_EXPIRED', { now: NOW + 61 * DAY })
    await refuses(good, 'ERR_CERT_EXPIRED', { now: NOW - 2 * DAY })
    await refuses(good, 'ERR_CRL', { crls: [] })
  })

  it('[env-4] asks for the EKU of the trust document', async () => {
    const derivers = { ...tenant.trust.body.derivers, ekus: ['1.3.6.1.5.5.7.3.4'] }
    await refuses(good, 'ERR_PATH_INVALID', { trust: { ...tenant.trust.body, derivers } })
  })

  it('[env-5] a URI that no rule of the role matches is ERR_ROLE', async () => {
    for (const sans of [
      ['keyferry://deriver.acme.example/two'],
      ['keyferry://deriver.acme.example/one/*'],
    ]) {
      const derivers = { ...tenant.trust.body.derivers, sans }
      await refuses(good, 'ERR_ROLE', { trust: { ...tenant.trust.body, derivers } })
    }
  })

  it('[env-5] a URI that a rule of the other role matches is ERR_ROLE', async () => {
    const clients = { ...tenant.trust.body.clients, sans: ['keyferry://deriver.acme.example/*'] }
    await refuses(good, 'ERR_ROLE', { trust: { ...tenant.trust.body, clients } })
  })

  it('[env-5] the role decides which rules count', async () => {
    const path = { ...context, role: 'client' as const }
    expect((await verifyRole(client.certificates, path)).uri).toBe(client.uri)
    await expectCode(verifyRole(deriver.certificates, path), 'ERR_PATH_INVALID')
  })

  it('[env-6] another keyid is ERR_SIGNER', async () => {
    const { sig } = good.signatures[0]!
    await refuses({ ...good, signatures: [{ keyid: client.fingerprint, sig }] }, 'ERR_SIGNER')
  })

  it('[env-6] a changed payload, signature or certificate is ERR_SIGNATURE', async () => {
    const payload = encodeJson({ ...body, word: 'hullo' })
    await refuses({ ...good, payload }, 'ERR_SIGNATURE')
    const { keyid, sig } = good.signatures[0]!
    await refuses(
      { ...good, signatures: [{ keyid, sig: sig.with(0, sig[0]! ^ 1) }] },
      'ERR_SIGNATURE',
    )
    const key = await makeEd25519('deriver three')
    const three = await makeIdentity(tenant.derivers, 'deriver', 'one', key)
    const signatures = [{ keyid: three.fingerprint, sig }]
    await refuses({ ...good, certificates: three.certificates, signatures }, 'ERR_SIGNATURE')
  })

  it('[env-7] a body that names another signer is ERR_SIGNER', async () => {
    await refuses(await signAs(deriver, 'head', { ...body, signer: seeded('x') }), 'ERR_SIGNER')
  })

  it('[env-7] a body of another form is ERR_SCHEMA', async () => {
    await refuses(await signAs(deriver, 'head', { ...body, more: 1 }), 'ERR_SCHEMA')
    await refuses(await signAs(deriver, 'head', { tenant: body.tenant }), 'ERR_SCHEMA')
  })
})

it('key ids and fingerprints are SHA-256, as text base64url', () => {
  expect(good.signatures[0]!.keyid).toEqual(sha256(good.certificates[0]!))
  expect(base64url(deriver.fingerprint).length).toBe(43)
  expect(hex(deriver.fingerprint).length).toBe(64)
})
