/** Vectors of envelopes, and what vectors of other signed documents share. */
import { base64url, hex, utf8 } from '../../shared/bytes.ts'
import {
  encodeEnvelope,
  payloadType,
  preAuthenticationEncoding,
  type Envelope,
} from '../../shared/envelope.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { encodeJson } from '../../shared/json.ts'
import { type TrustDocument } from '../../shared/trust.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { makeDelivery, type World } from './fixtures-delivery.ts'
import { makeP256, seeded, signP256 } from './fixtures-keys.ts'
import { vector, type Vector } from './fixtures-vectors.ts'
import { DAY, makeCrl, makeIdentity, makeTenant, NOW, signAs } from './fixtures.ts'

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
  const { derivers } = tenant.trust.body
  const anchors = [...derivers.anchors, tenant.clients.certificate]
  const both = (await makeTenant('acme', { derivers: { ...derivers, anchors } })).trust
  const sans = ['keyferry://deriver.acme.example/one/*']
  const narrow = (await makeTenant('acme', { derivers: { ...derivers, sans } })).trust
  const under = (trust: TrustDocument) => ({
    trust: toJson(trust.envelope),
    tenant: trust.tenant,
  })
  const item = (comment: string, envelope: Envelope, expect: Vector['expect'], more: object = {}) =>
    vector(comment, { envelope: toJson(envelope), ...more }, expect)
  return {
    comment:
      'Every envelope is verified as a head under `context`; what else an input has replaces what the context has.',
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
        '[env-5] a name that no rule covers',
        await signAs(deriver, 'head', { ...body, tenant: narrow.tenant }),
        'ERR_ROLE',
        under(narrow),
      ),
      item(
        '[env-5] a client, where one CA is an anchor of both roles',
        await signAs(alice, 'head', {
          ...body,
          signer: alice.fingerprint,
          tenant: both.tenant,
        }),
        'ERR_ROLE',
        under(both),
      ),
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
