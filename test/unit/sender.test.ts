// Sender signatures: what is signed, whom a verifier takes, what the claimed time is worth. docs/PROTOCOL.md, "Sender signatures".
import { beforeAll, describe, expect, it } from 'vitest'
import { hex, type Bytes } from '../../shared/bytes.ts'
import { parseCrl, type Crl } from '../../shared/crl.ts'
import { decodeEnvelope, encodeEnvelope, signWithCertificate } from '../../shared/envelope.ts'
import { KeyferryError, type ErrorCode } from '../../shared/errors.ts'
import { sha256 } from '../../shared/hash.ts'
import { issueCrl, issueLeaf, makeIssuingCa, makeRootCa } from '../../shared/issue.ts'
import {
  openClaim,
  signMessage,
  verifyData,
  type MessageStatement,
  type SenderContext,
  type Statement,
} from '../../shared/sender.ts'
import { keyId } from '../../shared/signature.ts'
import { type TrustDocument } from '../../shared/trust.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeEd25519, makeP256, seeded, seededRandom } from '../lib/fixtures-keys.ts'
import {
  claimOf,
  makeSignature,
  messageStatement,
  senderContext,
  statementOf,
} from '../lib/fixtures-senders.ts'
import {
  DAY,
  EKU,
  makeCa,
  makeCrl,
  makeIdentity,
  makeTenant,
  NOW,
  signAs,
  type Identity,
  type Tenant,
} from '../lib/fixtures.ts'

let tenant: Tenant
let alice: Identity
let deriver: Identity
let context: SenderContext
let good: Bytes

beforeAll(async () => {
  tenant = await makeTenant('acme')
  alice = await makeIdentity(tenant.clients, 'client', 'alice')
  deriver = await makeIdentity(tenant.derivers, 'deriver', 'one')
  context = await senderContext(tenant)
  good = encodeEnvelope(await makeSignature(tenant, alice))
})

const verify = (
  edit: Partial<SenderContext> = {},
  signature = good,
  statement: Partial<Statement> = {},
) => verifyData(signature, statementOf(tenant, statement), { ...context, ...edit })

const refuses = (
  code: ErrorCode,
  edit: Partial<SenderContext> = {},
  signature = good,
  statement: Partial<Statement> = {},
) => expectCode(verify(edit, signature, statement), code)

/** A context in which the trust document says something else. */
const under = (body: Partial<TrustDocument['body']>): Partial<SenderContext> => ({
  trust: { ...tenant.trust, body: { ...tenant.trust.body, ...body } },
})
const listed = (crls: Bytes[]): Partial<SenderContext> => ({
  lists: () => Promise.resolve(crls.map((der) => parseCrl(der))),
})
const serialOf = ({ certificates }: Identity): Bytes =>
  parseCertificate(certificates[0]!).serial.slice()
const signedAt = async (time: number, identity = alice) =>
  encodeEnvelope(await makeSignature(tenant, identity, {}, time))

describe('a signature beside data', () => {
  it('says who, by which device, and when, by the word of the signer', async () => {
    expect(await verify()).toEqual({
      uri: 'keyferry://client.acme.example/alice',
      device: hex(await keyId(alice.key.spki)),
      signedAt: NOW,
      status: 'current',
    })
  })

  it('is by Ed25519 or P-256', async () => {
    const key = await makeP256('client p256')
    const bob = await makeIdentity(tenant.clients, 'client', 'bob', key)
    expect(await verify({}, await signedAt(NOW - 5, bob))).toMatchObject({
      uri: bob.uri,
      signedAt: NOW - 5,
    })
  })

  it('[sign-1] is decoded as an envelope: too large, no envelope, two signatures', async () => {
    await refuses('ERR_TOO_LARGE', {}, new Uint8Array(65_537))
    await refuses('ERR_MALFORMED', {}, new Uint8Array())
    const { signatures, ...rest } = decodeEnvelope(good)
    const twice = encodeEnvelope({ ...rest, signatures: [...signatures, ...signatures] })
    await refuses('ERR_SCHEMA', {}, twice)
  })

  it('[sign-1] of another type, tenant or form of body is refused', async () => {
    const body = { ...statementOf(tenant), signedAt: NOW, signer: alice.fingerprint }
    const made = async (type: 'request' | 'signature', edit: object) =>
      encodeEnvelope(await signAs(alice, type, { ...body, ...edit }))
    await refuses('ERR_PAYLOAD_TYPE', {}, await made('request', {}))
    await refuses('ERR_TENANT', {}, await made('signature', { tenant: 'a'.repeat(52) }))
    await refuses('ERR_SCHEMA', {}, await made('signature', { extra: 1 }))
    await refuses('ERR_SCHEMA', {}, await made('signature', { content: new Uint8Array(31) }))
    await refuses('ERR_SCHEMA', {}, await made('signature', { signedAt: 'now' }))
  })

  it('[sign-1] that does not verify, or names another signer, is refused', async () => {
    const { signatures, ...rest } = decodeEnvelope(good)
    const [one] = signatures
    const sig = one!.sig.with(40, one!.sig[40]! ^ 1)
    const broken = encodeEnvelope({ ...rest, signatures: [{ ...one!, sig }] })
    await refuses('ERR_SIGNATURE', {}, broken)
    const body = { ...statementOf(tenant), signedAt: NOW, signer: deriver.fingerprint }
    await refuses('ERR_SIGNER', {}, encodeEnvelope(await signAs(alice, 'signature', body)))
  })

  it('[sign-1] whoever puts another path or key id to it is refused', async () => {
    const bob = await makeIdentity(tenant.clients, 'client', 'bob')
    const envelope = decodeEnvelope(good)
    await refuses('ERR_SIGNER', {}, encodeEnvelope({ ...envelope, certificates: bob.certificates }))
    const signatures = [{ ...envelope.signatures[0]!, keyid: bob.fingerprint }]
    const moved = { ...envelope, certificates: bob.certificates, signatures }
    await refuses('ERR_SIGNATURE', {}, encodeEnvelope(moved))
  })

  it('[sign-2] of another keyring, of other data, in another context is refused', async () => {
    await refuses('ERR_KEYRING', {}, good, { keyring: seeded('another', 16) })
    await refuses('ERR_HASH', {}, good, { content: sha256(seeded('other data')) })
    await refuses('ERR_HASH', {}, good, { context: sha256(seeded('another context')) })
  })
})

describe('whom a verifier takes', () => {
  it('[sign-3] a time beyond now and skew is ERR_FUTURE', async () => {
    expect(await verify({}, await signedAt(NOW + 60))).toMatchObject({ signedAt: NOW + 60 })
    await refuses('ERR_FUTURE', {}, await signedAt(NOW + 61))
  })

  it('[sign-4] a certificate of the deriver, or of a CA, does not sign data', async () => {
    await refuses('ERR_PATH_INVALID', {}, await signedAt(NOW, deriver))
    // Also where both roles share a CA.
    const both = under({
      derivers: { ...tenant.trust.body.derivers, anchors: [tenant.clients.certificate] },
      clients: {
        ...tenant.trust.body.clients,
        anchors: [tenant.derivers.certificate, tenant.clients.certificate],
      },
    })
    await refuses('ERR_ROLE', both, await signedAt(NOW, deriver))
    const { key, certificate } = tenant.clients
    const body = { ...statementOf(tenant), signedAt: NOW, signer: sha256(certificate) }
    const byCa = encodeEnvelope(await signWithCertificate('signature', body, key, [certificate]))
    await refuses('ERR_PATH_INVALID', {}, byCa)
  })

  it('[sign-4] a CA that the trust document lists no more, or a URI that it no longer covers, is refused', async () => {
    const other = await makeCa('other')
    const clients = { ...tenant.trust.body.clients }
    await refuses(
      'ERR_PATH_INVALID',
      under({ clients: { ...clients, anchors: [other.certificate] } }),
    )
    await refuses(
      'ERR_ROLE',
      under({ clients: { ...clients, sans: ['keyferry://client.acme.example/bob'] } }),
    )
  })

  it('[sign-4] a time at which the certificate was not valid is refused, whatever it is now', async () => {
    await refuses('ERR_CERT_EXPIRED', {}, await signedAt(NOW - DAY - 1))
    await refuses('ERR_CERT_EXPIRED', { now: NOW + 90 * DAY }, await signedAt(NOW + 60 * DAY + 1))
  })

  it('[sign-4] CAs are checked by the verifier that is given', async () => {
    await refuses('ERR_PATH_INVALID', { verify: () => Promise.resolve(false) })
    let asked = 0
    const verifyCa: SenderContext['verify'] = () => (asked++, Promise.resolve(true))
    await verify({ verify: verifyCa })
    // The certificate, and the list of its CA.
    expect(asked).toBe(2)
  })

  it('[sign-5] a signer whom no rule of the keyring covers is ERR_SENDER', async () => {
    await refuses('ERR_SENDER', { manifest: { rules: [] } })
    await refuses('ERR_SENDER', { manifest: { rules: ['keyferry://client.acme.example/bob'] } })
    expect(
      await verify({ manifest: { rules: ['keyferry://x.example/*', alice.uri] } }),
    ).toBeTruthy()
  })

  it('[sign-5] another signer than the one asked for is ERR_SENDER', async () => {
    expect(await verify({ from: alice.uri })).toBeTruthy()
    expect(await verify({ from: 'keyferry://client.acme.example/*' })).toBeTruthy()
    await refuses('ERR_SENDER', { from: `${alice.uri}/x` })
    await refuses('ERR_SENDER', { from: 'keyferry://client.acme.example/al' })
    await refuses('ERR_SENDER', { from: 'keyferry://client.acme.example/alice/*' })
  })
})

describe('what lists say', () => {
  it('[sign-6] they are asked for by the issuers of the path', async () => {
    const asked: string[] = []
    const { lists } = context
    await verify({
      lists: (issuers) => {
        asked.push(...issuers.map(hex))
        return lists(issuers)
      },
    })
    expect(asked).toEqual([hex(await keyId(tenant.clients.key.spki))])
  })

  it('[sign-6] what fetching them fails with is not swallowed', async () => {
    await refuses('ERR_TIMEOUT', { lists: () => Promise.reject(new KeyferryError('ERR_TIMEOUT')) })
  })

  it('[sign-6] a revoked signer is refused, or reported to who wants it, whatever time it claims', async () => {
    const revoked = listed([await makeCrl(tenant.clients, 2, [serialOf(alice)])])
    await refuses('ERR_CERT_REVOKED', revoked)
    await refuses(
      'ERR_CERT_REVOKED',
      { ...revoked, allowRevoked: false },
      await signedAt(NOW - 1_000),
    )
    expect(await verify({ ...revoked, allowRevoked: true })).toMatchObject({ status: 'revoked' })
    expect(await verify({ allowRevoked: true })).toMatchObject({ status: 'current' })
  })

  it('[sign-6] without a list that is usable now nothing is known', async () => {
    await refuses('ERR_CRL', listed([]))
    await refuses('ERR_CRL', listed([await makeCrl(tenant.derivers)]))
    const old = await signedAt(NOW)
    await refuses('ERR_CRL', { now: NOW + 7 * DAY + 1 }, old)
    expect(await verify({ now: NOW + 7 * DAY }, old)).toMatchObject({ status: 'current' })
  })

  it('[sign-6] more lists than a path may cost end it', async () => {
    const crl = await makeCrl(tenant.clients)
    expect(await verify(listed(Array.from({ length: 64 }, () => crl)))).toBeTruthy()
    await refuses('ERR_PATH_INVALID', listed(Array.from({ length: 65 }, () => crl)))
  })

  it('[sign-6] a list below lowestCrls is none; what it lists is revoked all the same', async () => {
    const issuer = await keyId(tenant.clients.key.spki)
    const lowest = (number: number) => under({ lowestCrls: [{ issuer, number }] })
    await refuses('ERR_CRL', lowest(2))
    expect(await verify(lowest(1))).toMatchObject({ status: 'current' })
    const others = under({ lowestCrls: [{ issuer: seeded('another'), number: 9 }] })
    expect(await verify(others)).toMatchObject({ status: 'current' })
    const revoked = listed([await makeCrl(tenant.clients, 1, [serialOf(alice)])])
    await refuses('ERR_CERT_REVOKED', { ...lowest(2), ...revoked })
  })

  it('[sign-6] after the end of the certificate the status is expired, with lists or without', async () => {
    const end = NOW + 60 * DAY
    const late: Crl[] = [
      parseCrl(
        await issueCrl({
          issuer: tenant.clients,
          number: 9,
          thisUpdate: NOW,
          nextUpdate: end + DAY,
          revoked: [],
        }),
      ),
    ]
    const lists = () => Promise.resolve(late)
    expect(await verify({ now: end, lists })).toMatchObject({ status: 'current' })
    expect(await verify({ now: end + 1, lists })).toMatchObject({
      status: 'expired',
      signedAt: NOW,
    })
    expect(await verify({ now: end + 1, ...listed([]) })).toMatchObject({ status: 'expired' })
  })

  it('[sign-6] one that is listed after its end is revoked, not expired', async () => {
    const end = NOW + 60 * DAY
    const revoked = [{ serial: serialOf(alice), date: NOW }]
    const crl = await issueCrl({
      issuer: tenant.clients,
      number: 9,
      thisUpdate: NOW,
      nextUpdate: end + DAY,
      revoked,
    })
    await refuses('ERR_CERT_REVOKED', { now: end + 1, ...listed([crl]) })
    const told = { now: end + 1, ...listed([crl]), allowRevoked: true }
    expect(await verify(told)).toMatchObject({ status: 'revoked' })
  })

  it('[sign-6] the end of a CA or anchor is an end too', async () => {
    // The CA ends before this certificate does.
    const certificate = await issueLeaf({
      issuer: tenant.clients,
      spki: alice.key.spki,
      commonName: 'long',
      uri: alice.uri,
      eku: [EKU],
      notBefore: NOW - DAY,
      notAfter: NOW + 900 * DAY,
      random: seededRandom('long'),
    })
    const long = { ...alice, certificates: [certificate], fingerprint: sha256(certificate) }
    const signature = await signedAt(NOW, long)
    const now = NOW + 365 * DAY + 1
    expect(await verify({ now, ...listed([]) }, signature)).toMatchObject({ status: 'expired' })
  })
})

describe('a path of two CAs', () => {
  const anchor = async () => {
    const key = await makeEd25519('root')
    const validity = { notBefore: NOW - 30 * DAY, notAfter: NOW + 365 * DAY }
    const root = {
      key,
      certificate: await makeRootCa({
        key,
        commonName: 'root',
        organization: 'Acme',
        hosts: ['client.acme.example'],
        ...validity,
        random: seededRandom('root'),
      }),
    }
    const issuing = { key: await makeEd25519('issuing'), certificate: new Uint8Array() }
    issuing.certificate = await makeIssuingCa({
      key: issuing.key,
      issuer: root,
      commonName: 'issuing',
      organization: 'Acme',
      host: 'client.acme.example',
      eku: [EKU],
      notBefore: NOW - 30 * DAY,
      notAfter: NOW + 30 * DAY,
      random: seededRandom('issuing'),
    })
    const bob = await makeIdentity(issuing, 'client', 'bob')
    const { clients } = tenant.trust.body
    return {
      root,
      issuing,
      bob: { ...bob, certificates: [...bob.certificates, issuing.certificate] },
      trust: under({ clients: { ...clients, anchors: [root.certificate] } }),
    }
  }

  it('[sign-6] has a list of each, or nothing is known', async () => {
    const { root, issuing, bob, trust } = await anchor()
    const signature = await signedAt(NOW, bob)
    const [above, below] = [await makeCrl(root), await makeCrl(issuing)]
    const asked: string[] = []
    const lists: SenderContext['lists'] = (issuers) => {
      asked.push(...issuers.map(hex))
      return Promise.resolve([above, below].map((der) => parseCrl(der)))
    }
    expect(await verify({ ...trust, lists }, signature)).toMatchObject({ status: 'current' })
    expect(asked).toEqual([hex(await keyId(issuing.key.spki)), hex(await keyId(root.key.spki))])
    for (const only of [above, below])
      await refuses('ERR_CRL', { ...trust, ...listed([only]) }, signature)
  })

  it('[sign-6] is revoked where one of its certificates is, also where a list of another is missing', async () => {
    const { root, issuing, bob, trust } = await anchor()
    const signature = await signedAt(NOW, bob)
    const ca = parseCertificate(issuing.certificate).serial.slice()
    const above = await makeCrl(root, 2, [ca])
    const below = await makeCrl(issuing, 2, [serialOf(bob)])
    for (const lists of [
      [above],
      [below],
      [await makeCrl(root), below],
      [above, await makeCrl(issuing)],
    ])
      await refuses('ERR_CERT_REVOKED', { ...trust, ...listed(lists) }, signature)
  })

  it('[sign-6] is over when its CA is', async () => {
    const { bob, trust } = await anchor()
    const late = { ...trust, ...listed([]), now: NOW + 30 * DAY + 1 }
    expect(await verify(late, await signedAt(NOW, bob))).toMatchObject({ status: 'expired' })
    await refuses('ERR_CRL', { ...late, now: NOW + 30 * DAY }, await signedAt(NOW, bob))
  })
})

describe('inside a message', () => {
  const statement = (edit: Partial<MessageStatement> = {}): MessageStatement => ({
    ...messageStatement(tenant),
    ...edit,
  })
  const open = async (
    edit: Partial<MessageStatement> = {},
    changes: Partial<SenderContext> = {},
    identity = alice,
  ) => {
    const claim = claimOf(identity)
    const signature = await signMessage(statement(), claim, identity.key)
    const { content, ...rest } = statement(edit)
    const claimed = await openClaim(claim, rest, { ...context, ...changes })
    return claimed.confirm(content, signature)
  }

  it('says who', async () => {
    expect(await open()).toEqual(await verify())
  })

  it('[sign-8] is good in one message only: no field of it may be another', async () => {
    const { length } = Object.keys(statement())
    expect(length).toBe(6)
    const others: MessageStatement = {
      tenant: 'a'.repeat(52),
      keyring: seeded('another', 16),
      content: seeded('another'),
      context: seeded('another'),
      key: seeded('another'),
      salt: seeded('another', 24),
    }
    for (const [name, value] of Object.entries(others))
      await expectCode(open({ [name]: value }), 'ERR_SIGNATURE')
  })

  it('[sign-8] nor signer or time', async () => {
    const claim = claimOf(alice)
    const signature = await signMessage(statement(), claim, alice.key)
    const bob = await makeIdentity(tenant.clients, 'client', 'bob', alice.key)
    const { content, ...rest } = statement()
    for (const other of [claimOf(bob), claimOf(alice, NOW - 1)]) {
      const claimed = await openClaim(other, rest, context)
      await expectCode(claimed.confirm(content, signature), 'ERR_SIGNATURE')
    }
  })

  it('[sign-8] a signature beside the data is none in a message, nor the other way round', async () => {
    const claim = claimOf(alice)
    const beside = decodeEnvelope(good).signatures[0]!.sig
    const { content, ...rest } = statement()
    const claimed = await openClaim(claim, rest, context)
    await expectCode(claimed.confirm(content, beside), 'ERR_SIGNATURE')
    const inside = await signMessage(statement(), claim, alice.key)
    const envelope = decodeEnvelope(good)
    const signatures = [{ ...envelope.signatures[0]!, sig: inside }]
    await refuses('ERR_SIGNATURE', {}, encodeEnvelope({ ...envelope, signatures }))
  })

  it.each<[string, ErrorCode, (edit: { revoked: Bytes }) => Partial<SenderContext>, Identity?]>([
    ['[sign-3] from the future', 'ERR_FUTURE', () => ({ now: NOW - 61 })],
    ['[sign-5] whom no rule covers', 'ERR_SENDER', () => ({ manifest: { rules: [] } })],
    [
      '[sign-5] who was not asked for',
      'ERR_SENDER',
      () => ({ from: 'keyferry://client.acme.example/bob' }),
    ],
    ['[sign-6] of whom nothing is known', 'ERR_CRL', () => listed([])],
    ['[sign-6] who is revoked', 'ERR_CERT_REVOKED', ({ revoked }) => listed([revoked])],
  ])('a sender %s is refused before any data', async (_, code, changes) => {
    const revoked = await makeCrl(tenant.clients, 2, [serialOf(alice)])
    const { content: _content, ...rest } = statement()
    await expectCode(openClaim(claimOf(alice), rest, { ...context, ...changes({ revoked }) }), code)
  })

  it('[sign-4] a deriver is no sender', async () => {
    await expectCode(open({}, {}, deriver), 'ERR_PATH_INVALID')
  })
})
