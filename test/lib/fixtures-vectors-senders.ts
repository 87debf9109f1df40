/** Vectors of sender signatures: beside data, and inside messages. */
import { base64url, concat, hex, u16, u64, utf8, type Bytes } from '../../shared/bytes.ts'
import { encodeEnvelope, type Envelope } from '../../shared/envelope.ts'
import { sha256 } from '../../shared/hash.ts'
import { issueCrl } from '../../shared/issue.ts'
import { encryptMessage } from '../../shared/message.ts'
import { keyId } from '../../shared/signature.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { type World } from './fixtures-delivery.ts'
import { seeded } from './fixtures-keys.ts'
import {
  CONTEXT,
  DATA,
  KEY_ID,
  KEYRING,
  makeFrame,
  makeSignature,
  makeSigned,
  messageKey,
  SALT,
  statementOf,
} from './fixtures-senders.ts'
import { toJson, verifyContext } from './fixtures-vectors-signed.ts'
import { vector, type Vector } from './fixtures-vectors.ts'
import { DAY, makeCrl, makeIdentity, makeTenant, NOW, signAs } from './fixtures.ts'

const SECRET = seeded('secret of senders')
const END = NOW + 60 * DAY

export async function senderVectors(world: World): Promise<object> {
  const { tenant, alice, deriver } = world
  const lists = async (...crls: Promise<Bytes>[]) => ({
    crls: (await Promise.all(crls)).map(base64url),
  })
  const revoked = [parseCertificate(alice.certificates[0]!).serial]
  const revoking = await lists(makeCrl(tenant.clients, 2, revoked))
  const late = await lists(
    issueCrl({
      issuer: tenant.clients,
      number: 3,
      thisUpdate: NOW,
      nextUpdate: END + DAY,
      revoked: [],
    }),
  )
  const issuer = await keyId(tenant.clients.key.spki)
  const { clients } = tenant.trust.body
  /** The same tenant, as far as names go, under a trust document that says something else. */
  const under = async (edit: Parameters<typeof makeTenant>[1]) => {
    const other = await makeTenant('acme', edit)
    return { other, context: { trust: toJson(other.trust.envelope), tenant: other.trust.tenant } }
  }
  const sender = (edit: object = {}) => ({
    uri: alice.uri,
    device: hex(sha256(alice.key.spki)),
    signedAt: NOW,
    status: 'current',
    ...edit,
  })
  const own = { data: hex(DATA), context: hex(CONTEXT) }
  const signature = await makeSignature(tenant, alice)
  const beside = (
    comment: string,
    expect: Vector['expect'],
    more: object = {},
    envelope: Envelope = signature,
    output: object | undefined = expect === 'ok' ? sender() : undefined,
  ) => {
    const input = { signature: base64url(encodeEnvelope(envelope)), ...own, ...more }
    return vector(comment, input, expect, output)
  }
  const body = { ...statementOf(tenant), signedAt: NOW, signer: alice.fingerprint }
  const [{ keyid, sig }] = signature.signatures as [Envelope['signatures'][0]]
  const bob = await makeIdentity(tenant.clients, 'client', 'bob')
  const gone = await under({ clients: { ...clients, anchors: [tenant.derivers.certificate] } })
  const lowest = await under({ lowestCrls: [{ issuer, number: 2 }] })

  const frame = await makeFrame(tenant, alice)
  const message = await makeSigned(tenant, SECRET, frame)
  const inside = (
    comment: string,
    expect: Vector['expect'],
    more: object = {},
    bytes: Bytes = message,
    output: object | undefined = expect === 'ok' ? { ...sender(), data: hex(DATA) } : undefined,
  ) => vector(comment, { message: hex(bytes), context: hex(CONTEXT), ...more }, expect, output)
  const made = async (edit: Parameters<typeof makeFrame>[3]) =>
    makeSigned(tenant, SECRET, await makeFrame(tenant, alice, DATA, edit))
  const key = await messageKey(tenant, SECRET)
  const unsigned = await encryptMessage(key, KEY_ID, CONTEXT, SALT, DATA)
  const stuffed = (claim: Bytes) => makeSigned(tenant, SECRET, concat(claim, DATA, sig))
  const large = Uint8Array.from({ length: 17_000 }, (_, i) => i * 3)

  return {
    comment:
      'Signatures (base64url of the envelope) and messages are verified under `context`, in which `rules` are those of the manifest, `crls` the lists that the head names, and `secret` is that of the key version; what else an input has replaces what the context has. `from` and `allowRevoked` are what the caller asks.',
    context: {
      ...verifyContext(world),
      keyring: hex(KEYRING),
      rules: ['keyferry://client.acme.example/*'],
      secret: hex(SECRET),
    },
    cases: [
      beside('beside data', 'ok'),
      beside('beside data, from the one who is asked for', 'ok', { from: alice.uri }),
      beside(
        '[sign-1] two signatures',
        'ERR_SCHEMA',
        {},
        {
          ...signature,
          signatures: [...signature.signatures, ...signature.signatures],
        },
      ),
      beside(
        '[sign-1] a request with the same body',
        'ERR_PAYLOAD_TYPE',
        {},
        await signAs(alice, 'request', body),
      ),
      beside(
        '[sign-1] of another tenant',
        'ERR_TENANT',
        {},
        await signAs(alice, 'signature', { ...body, tenant: 'a'.repeat(52) }),
      ),
      beside(
        '[sign-1] a changed signature',
        'ERR_SIGNATURE',
        {},
        {
          ...signature,
          signatures: [{ keyid, sig: sig.with(40, sig[40]! ^ 1) }],
        },
      ),
      beside(
        '[sign-1] under the certificate of another client',
        'ERR_SIGNATURE',
        {},
        {
          ...signature,
          certificates: bob.certificates,
          signatures: [{ keyid: bob.fingerprint, sig }],
        },
      ),
      beside(
        '[sign-1] another signer in the body',
        'ERR_SIGNER',
        {},
        await signAs(alice, 'signature', { ...body, signer: bob.fingerprint }),
      ),
      beside('[sign-2] another keyring', 'ERR_KEYRING', { keyring: hex(seeded('another', 16)) }),
      beside('[sign-2] other data', 'ERR_HASH', { data: hex(utf8('other data')) }),
      beside('[sign-2] another context', 'ERR_HASH', { context: '' }),
      beside('[sign-3] at the end of the skew', 'ok', { now: NOW - 60 }),
      beside('[sign-3] from the future', 'ERR_FUTURE', { now: NOW - 61 }),
      beside(
        '[sign-4] a deriver',
        'ERR_PATH_INVALID',
        {},
        await signAs(deriver, 'signature', { ...body, signer: deriver.fingerprint }),
      ),
      beside(
        '[sign-4] a CA that is listed no more',
        'ERR_PATH_INVALID',
        gone.context,
        await makeSignature(gone.other, alice),
      ),
      beside(
        '[sign-4] before the certificate began',
        'ERR_CERT_EXPIRED',
        {},
        await makeSignature(tenant, alice, {}, NOW - DAY - 1),
      ),
      beside('[sign-5] whom no rule of the keyring covers', 'ERR_SENDER', { rules: [bob.uri] }),
      beside('[sign-5] who was not asked for', 'ERR_SENDER', { from: bob.uri }),
      beside('[sign-6] a revoked signer', 'ERR_CERT_REVOKED', revoking),
      beside(
        '[sign-6] a revoked signer, reported',
        'ok',
        { ...revoking, allowRevoked: true },
        signature,
        sender({ status: 'revoked' }),
      ),
      beside('[sign-6] without a list', 'ERR_CRL', { crls: [] }),
      beside('[sign-6] after the next update', 'ERR_CRL', { now: NOW + 8 * DAY }),
      beside(
        '[sign-6] a list below lowestCrls',
        'ERR_CRL',
        lowest.context,
        await makeSignature(lowest.other, alice),
      ),
      beside('[sign-6] in the last second of the certificate', 'ok', { now: END, ...late }),
      beside(
        '[sign-6] after its end',
        'ok',
        { now: END + 1, ...late },
        signature,
        sender({ status: 'expired' }),
      ),
      beside(
        '[sign-6] after its end, without a list',
        'ok',
        { now: END + 1, crls: [] },
        signature,
        sender({ status: 'expired' }),
      ),
      inside('inside a message', 'ok', { from: true }),
      inside('inside a message, where nobody asks', 'ok'),
      inside(
        'inside a message of several chunks',
        'ok',
        {},
        await makeSigned(tenant, SECRET, await makeFrame(tenant, alice, large)),
        { ...sender(), data: hex(large) },
      ),
      inside('[sign-3] a message from the future', 'ERR_FUTURE', { now: NOW - 61 }),
      inside(
        '[sign-4] a message by a deriver',
        'ERR_PATH_INVALID',
        {},
        await makeSigned(tenant, SECRET, await makeFrame(tenant, deriver)),
      ),
      inside('[sign-5] a message by another than asked for', 'ERR_SENDER', { from: bob.uri }),
      inside('[sign-6] a message by a revoked sender', 'ERR_CERT_REVOKED', revoking),
      inside(
        '[sign-7] no certificate',
        'ERR_MALFORMED',
        {},
        await stuffed(concat(u16(8), u64(NOW))),
      ),
      inside(
        '[sign-7] a length beyond the end',
        'ERR_MALFORMED',
        {},
        await stuffed(Uint8Array.of(255, 255)),
      ),
      inside(
        '[sign-7] no room for a signature',
        'ERR_MALFORMED',
        {},
        await makeSigned(tenant, SECRET, frame.slice(0, -DATA.length - 1)),
      ),
      inside(
        '[sign-8] data that were changed',
        'ERR_SIGNATURE',
        {},
        await made({ content: sha256(utf8('other data')) }),
      ),
      inside(
        '[sign-8] out of a message with another salt',
        'ERR_SIGNATURE',
        {},
        await made({ salt: seeded('another', 24) }),
      ),
      inside(
        '[sign-8] out of a message under another key',
        'ERR_SIGNATURE',
        {},
        await made({ key: seeded('another') }),
      ),
      inside(
        '[sign-8] out of a message of another keyring',
        'ERR_SIGNATURE',
        {},
        await made({ keyring: seeded('another', 16) }),
      ),
      inside(
        '[sign-8] out of a message in another context',
        'ERR_SIGNATURE',
        {},
        await made({ context: sha256(new Uint8Array()) }),
      ),
      inside(
        '[sign-8] the signature beside the same data',
        'ERR_SIGNATURE',
        {},
        await makeSigned(tenant, SECRET, concat(frame.subarray(0, -64), sig)),
      ),
      inside('[sign-9] an unsigned message', 'ERR_UNSIGNED', { from: true }, unsigned),
      inside('an unsigned message, where nobody asks', 'ok', {}, unsigned, { data: hex(DATA) }),
      inside('a signature taken off', 'ERR_OPEN', {}, message.with(7, 1)),
      inside('a signature put on', 'ERR_OPEN', {}, unsigned.with(7, 2)),
      inside('a third form', 'ERR_MALFORMED', {}, message.with(7, 3)),
    ],
  }
}
