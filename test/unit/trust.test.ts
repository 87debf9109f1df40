// Trust documents: genesis, succession, and what an authority may not write.
import { beforeAll, describe, expect, it } from 'vitest'
import { signWithAuthority, type Envelope } from '../../shared/envelope.ts'
import { type ErrorCode } from '../../shared/errors.ts'
import { keyId } from '../../shared/signature.ts'
import { verifyGenesis, verifySuccessor, type TrustBody } from '../../shared/trust.ts'
import { tenantId } from '../../shared/document-hash.ts'
import { TENANT_ID } from '../../shared/trust-following.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeEd25519, seeded } from '../lib/fixtures-keys.ts'
import { DAY, makeTenant, NOW, signSuccessor, trustBody, type Tenant } from '../lib/fixtures.ts'

let tenant: Tenant
let second: Envelope

beforeAll(async () => {
  tenant = await makeTenant('acme')
  second = await signSuccessor(tenant)
})

const two = () => tenant.authority.slice(0, 2)

/** A genesis document that is its own tenant, with changes. */
async function genesis(edit: object, keys = two()) {
  const body = { ...(await trustBody(tenant.authority, tenant.derivers, tenant.clients)), ...edit }
  const envelope = await signWithAuthority('trust', body, keys)
  return verifyGenesis(envelope, tenantId(envelope))
}

const refusesSuccessor = async (edit: Partial<TrustBody>, code: ErrorCode) =>
  expectCode(verifySuccessor(await signSuccessor(tenant, edit), tenant.trust), code)

describe('genesis', () => {
  it('makes the tenant id: 52 characters of base32', () => {
    expect(tenant.trust.tenant).toMatch(TENANT_ID)
    expect(tenant.trust.tenant.length).toBe(52)
  })

  it('[trust-1] a document that is not the one of the tenant id is ERR_TENANT', async () => {
    const other = await makeTenant('other')
    const { envelope } = other.trust
    await expectCode(verifyGenesis(envelope, tenant.trust.tenant), 'ERR_TENANT')
  })

  it('[trust-1] another number, tenant or previous hash is ERR_TRUST_DOCUMENT', async () => {
    await expectCode(genesis({ number: 2 }), 'ERR_TRUST_DOCUMENT')
    await expectCode(genesis({ tenant: tenant.trust.tenant }), 'ERR_TRUST_DOCUMENT')
    await expectCode(genesis({ previous: seeded('x') }), 'ERR_TRUST_DOCUMENT')
  })

  it('[trust-1] without the threshold of its own keys it is ERR_SIGNATURE', async () => {
    await expectCode(genesis({}, tenant.authority.slice(0, 1)), 'ERR_SIGNATURE')
    const strangers = [await makeEd25519('x'), await makeEd25519('y')]
    await expectCode(genesis({}, strangers), 'ERR_SIGNATURE')
  })

  it('[env-2] a catalog in its place is ERR_PAYLOAD_TYPE', async () => {
    const envelope = await signWithAuthority('catalog', tenant.trust.body, two())
    await expectCode(verifyGenesis(envelope, tenantId(envelope)), 'ERR_PAYLOAD_TYPE')
  })
})

describe('form', () => {
  it.each([
    ['no field', { skew: undefined }],
    ['a skew above 300', { skew: 301 }],
    ['a head lifetime below 60', { headLifetime: 59 }],
    ['a head lifetime above 604,800', { headLifetime: 604_801 }],
    ['incarnation 0', { incarnation: 0 }],
    ['an unknown suite', { suites: ['X448'] }],
    ['no suite', { suites: [] }],
    ['an origin with a path', { origins: ['https://app.acme.example/x'] }],
    ['an origin with a wildcard', { origins: ['*'] }],
    ['a relay without a scheme', { relays: ['relay.example'] }],
    ['a threshold of 0', { authority: { keys: [seeded('k')], threshold: 0 } }],
    ['no keys', { authority: { keys: [], threshold: 1 } }],
  ])('[dec-3] %s is refused', async (_, edit) => {
    const body = {
      ...(await trustBody(tenant.authority, tenant.derivers, tenant.clients)),
      ...edit,
    }
    const plain = Object.fromEntries(
      Object.entries(body).filter(([, value]) => value !== undefined),
    )
    const envelope = await signWithAuthority('trust', plain, two())
    await expectCode(verifyGenesis(envelope, tenantId(envelope)), 'ERR_SCHEMA')
  })

  it.each([
    ['no anchor', { anchors: [] }],
    ['no EKU', { ekus: [] }],
    ['an EKU that is no OID', { ekus: ['clientAuth'] }],
    ['no SAN rule', { sans: [] }],
    ['a SAN rule without a scheme', { sans: ['client.acme.example/*'] }],
    ['a SAN rule with a star inside', { sans: ['keyferry://*.acme.example/x'] }],
  ])('[dec-3] a role with %s is ERR_SCHEMA', async (_, edit) => {
    const { clients } = tenant.trust.body
    await expectCode(genesis({ clients: { ...clients, ...edit } }), 'ERR_SCHEMA')
  })

  it('[trust-5] a life of 0 or of more than 400 days is ERR_LIFETIME', async () => {
    await genesis({ issuedAt: NOW, expiresAt: NOW + 400 * DAY })
    await expectCode(genesis({ issuedAt: NOW, expiresAt: NOW + 400 * DAY + 1 }), 'ERR_LIFETIME')
    await expectCode(genesis({ issuedAt: NOW, expiresAt: NOW }), 'ERR_LIFETIME')
    await expectCode(genesis({ issuedAt: NOW, expiresAt: NOW - 1 }), 'ERR_LIFETIME')
    await refusesSuccessor({ expiresAt: NOW + 401 * DAY }, 'ERR_LIFETIME')
  })

  it.each([
    ['keyferry://deriver.acme.example/*'],
    ['keyferry://deriver.acme.example/one'],
    ['keyferry://deriver.acme.example/pool/*'],
    ['keyferry://deriver.acme.example/pool/a'],
  ])('[trust-6] a client rule %s beside that of derivers is ERR_TRUST_DOCUMENT', async (rule) => {
    const { clients, derivers } = tenant.trust.body
    const sans = ['keyferry://client.acme.example/*', rule]
    await expectCode(genesis({ clients: { ...clients, sans } }), 'ERR_TRUST_DOCUMENT')
    // And the other way round.
    const swapped = {
      clients: { ...clients, sans: derivers.sans },
      derivers: { ...derivers, sans },
    }
    await expectCode(genesis(swapped), 'ERR_TRUST_DOCUMENT')
  })

  it('[trust-6] the same exact URI for both roles is ERR_TRUST_DOCUMENT', async () => {
    const { clients, derivers } = tenant.trust.body
    const sans = ['keyferry://one.acme.example/x']
    const both = { clients: { ...clients, sans }, derivers: { ...derivers, sans } }
    await expectCode(genesis(both), 'ERR_TRUST_DOCUMENT')
  })

  it('[trust-6] rules that only look alike are good', async () => {
    const { clients } = tenant.trust.body
    const sans = ['keyferry://deriver.acme.example2/*', 'keyferry://deriver.acme.example/']
    await genesis({ clients: { ...clients, sans } })
    // And in both roles.
    const one = ['keyferry://deriver.acme.example/a']
    const other = ['keyferry://deriver.acme.example/ab/*']
    for (const [ours, theirs] of [
      [one, other],
      [other, one],
    ] as const) {
      const { derivers } = tenant.trust.body
      await genesis({
        clients: { ...clients, sans: [...ours] },
        derivers: { ...derivers, sans: [...theirs] },
      })
    }
  })

  it('[trust-8] an authority key of small order or of another kind is refused, also where it signs nothing', async () => {
    const [a, b] = tenant.authority.map((key) => key.spki)
    const weak = new Uint8Array([...a!.slice(0, 12), 1, ...new Uint8Array(31)])
    const other = a!.slice(0, 43)
    for (const [key, code] of [
      [weak, 'ERR_WEAK_KEY'],
      [other, 'ERR_CERT_PROFILE'],
    ] as const) {
      const authority = { keys: [a!, b!, key], threshold: 2 }
      await expectCode(genesis({ authority }), code)
      await refusesSuccessor({ authority }, code)
    }
  })

  it('[trust-1] keys that repeat, or fewer than the threshold, are ERR_TRUST_DOCUMENT', async () => {
    const [a, b] = tenant.authority.map((key) => key.spki)
    const keys = [a!, a!, b!]
    await expectCode(genesis({ authority: { keys, threshold: 2 } }), 'ERR_TRUST_DOCUMENT')
    const few = { authority: { keys: [a!, b!], threshold: 3 } }
    await expectCode(genesis(few), 'ERR_TRUST_DOCUMENT')
  })
})

describe('succession', () => {
  it('keeps the tenant', async () => {
    const next = await verifySuccessor(second, tenant.trust)
    expect([next.body.number, next.tenant]).toEqual([2, tenant.trust.tenant])
  })

  it('[trust-2] the successor of another tenant is ERR_TENANT', async () => {
    await refusesSuccessor({ tenant: 'a'.repeat(52) }, 'ERR_TENANT')
    await refusesSuccessor({ tenant: '' }, 'ERR_TENANT')
  })

  it('[trust-2] another previous hash, or a number left out, is ERR_TRUST_DOCUMENT', async () => {
    await refusesSuccessor({ previous: seeded('x') }, 'ERR_TRUST_DOCUMENT')
    await refusesSuccessor({ previous: new Uint8Array() }, 'ERR_TRUST_DOCUMENT')
    for (const number of [1, 3]) await refusesSuccessor({ number }, 'ERR_TRUST_DOCUMENT')
  })

  it('[trust-3] without the threshold of the old keys it is ERR_SIGNATURE', async () => {
    const fresh = await Promise.all([1, 2].map((i) => makeEd25519(`fresh ${i}`)))
    const authority = { keys: fresh.map((key) => key.spki), threshold: 2 }
    const by = (keys: typeof fresh) =>
      signSuccessor(tenant, { authority }, keys).then((e) => verifySuccessor(e, tenant.trust))
    await by([...two(), ...fresh])
    await expectCode(by(fresh), 'ERR_SIGNATURE')
    await expectCode(by([tenant.authority[0]!, ...fresh]), 'ERR_SIGNATURE')
  })

  it('[trust-3] without the threshold of the new keys it is ERR_SIGNATURE', async () => {
    const fresh = await Promise.all([1, 2].map((i) => makeEd25519(`fresh ${i}`)))
    const authority = { keys: fresh.map((key) => key.spki), threshold: 2 }
    for (const keys of [two(), [...two(), fresh[0]!]]) {
      const envelope = await signSuccessor(tenant, { authority }, keys)
      await expectCode(verifySuccessor(envelope, tenant.trust), 'ERR_SIGNATURE')
    }
  })

  it('[trust-4] an incarnation that falls is ERR_TRUST_DOCUMENT', async () => {
    const risen = await verifySuccessor(
      await signSuccessor(tenant, { incarnation: 3 }),
      tenant.trust,
    )
    const at = async (incarnation: number) =>
      verifySuccessor(await signSuccessor({ ...tenant, trust: risen }, { incarnation }), risen)
    expect((await at(3)).body.number).toBe(3)
    await expectCode(at(2), 'ERR_TRUST_DOCUMENT')
  })

  it('[trust-4] a lowest CRL number that falls or goes away is ERR_TRUST_DOCUMENT', async () => {
    const issuer = await keyId(tenant.derivers.key.spki)
    const lowestCrls = [{ issuer, number: 5 }]
    const risen = await verifySuccessor(await signSuccessor(tenant, { lowestCrls }), tenant.trust)
    const next = async (list: TrustBody['lowestCrls']) =>
      verifySuccessor(await signSuccessor({ ...tenant, trust: risen }, { lowestCrls: list }), risen)
    await next([
      { issuer: seeded('x'), number: 1 },
      { issuer, number: 5 },
    ])
    await expectCode(next([{ issuer, number: 4 }]), 'ERR_TRUST_DOCUMENT')
    await expectCode(next([]), 'ERR_TRUST_DOCUMENT')
    await expectCode(next([{ issuer: seeded('x'), number: 9 }]), 'ERR_TRUST_DOCUMENT')
  })

  it('[env-2] a catalog in its place is ERR_PAYLOAD_TYPE', async () => {
    const body = { ...tenant.trust.body, number: 2, previous: tenant.trust.hash }
    const envelope = await signWithAuthority('catalog', body, two())
    await expectCode(verifySuccessor(envelope, tenant.trust), 'ERR_PAYLOAD_TYPE')
  })
})
