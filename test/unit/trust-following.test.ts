// From the trust document that is known to the newest one: floors, forks, lengths and dates.
import { beforeAll, describe, expect, it } from 'vitest'
import { type Envelope } from '../../shared/envelope.ts'
import { verifySuccessor } from '../../shared/trust.ts'
import { followTrust } from '../../shared/trust-following.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { seeded } from '../lib/fixtures-keys.ts'
import { DAY, makeTenant, NOW, signSuccessor, type Tenant } from '../lib/fixtures.ts'

let tenant: Tenant
let second: Envelope

beforeAll(async () => {
  tenant = await makeTenant('acme')
  second = await signSuccessor(tenant)
})

describe('following', () => {
  const follow = (
    envelopes: Envelope[],
    floor: Parameters<typeof followTrust>[3] = null,
    known = false,
    now: number | null = NOW,
  ) => followTrust(tenant.trust.tenant, known ? tenant.trust : null, envelopes, floor, now)

  it('from genesis, and from what is known', async () => {
    expect((await follow([tenant.trust.envelope, second])).body.number).toBe(2)
    expect((await follow([second], null, true)).body.number).toBe(2)
    expect(await follow([], null, true)).toBe(tenant.trust)
    await expectCode(follow([]), 'ERR_TRUST_DOCUMENT')
  })

  it('[trust-7] more than 1,024 documents are ERR_TRUST_CHAIN_TOO_LONG', async () => {
    const many = Array.from({ length: 1_025 }, () => tenant.trust.envelope)
    await expectCode(follow(many), 'ERR_TRUST_CHAIN_TOO_LONG')
    await expectCode(follow(many.slice(1)), 'ERR_TENANT')
  })

  it('[trust-7] a document at or below the known one is not followed', async () => {
    await expectCode(follow([tenant.trust.envelope], null, true), 'ERR_TENANT')
    const { tenant: id, body } = await verifySuccessor(second, tenant.trust)
    const known = { ...tenant, trust: await verifySuccessor(second, tenant.trust) }
    expect([id, body.number]).toEqual([tenant.trust.tenant, 2])
    await expectCode(
      followTrust(tenant.trust.tenant, known.trust, [second], null, NOW),
      'ERR_TRUST_DOCUMENT',
    )
  })

  it('[trust-7] a chain that ends below the floor is ERR_ROLLBACK', async () => {
    const { hash } = await verifySuccessor(second, tenant.trust)
    const floor = { number: 2, hash }
    await expectCode(follow([tenant.trust.envelope], floor), 'ERR_ROLLBACK')
    await expectCode(follow([], floor, true), 'ERR_ROLLBACK')
    expect((await follow([second], floor, true)).body.number).toBe(2)
  })

  it('[trust-7] another document than the floor is ERR_FORK, delivered or known', async () => {
    const floor = { number: 2, hash: seeded('other') }
    await expectCode(follow([second], floor, true), 'ERR_FORK')
    await expectCode(follow([], { ...floor, number: 1 }, true), 'ERR_FORK')
    await expectCode(follow([tenant.trust.envelope], { ...floor, number: 1 }), 'ERR_FORK')
  })

  it('[trust-9] a newest document from beyond now and its skew is ERR_FUTURE, until it is not', async () => {
    const dated = await signSuccessor(tenant, { issuedAt: NOW + 120, skew: 90 })
    await expectCode(follow([dated], null, true, NOW + 29), 'ERR_FUTURE')
    await expectCode(follow([tenant.trust.envelope, dated], null, false, NOW + 29), 'ERR_FUTURE')
    const taken = await follow([dated], null, true, NOW + 30)
    expect(taken.body.number).toBe(2)
    // What was accepted stays accepted: a clock that was set back has a code of its own.
    const again = followTrust(tenant.trust.tenant, taken, [], null, NOW)
    expect(await again).toBe(taken)
    // A relay leaves the time to others.
    expect((await follow([dated], null, true, null)).body.number).toBe(2)
  })

  it('[trust-9] a document from the future in between is mended by the next one', async () => {
    const dated = await signSuccessor(tenant, { issuedAt: NOW + DAY })
    const trust = await verifySuccessor(dated, tenant.trust)
    const { hash } = trust
    const mended = await signSuccessor({ ...tenant, trust }, { issuedAt: NOW })
    const newest = await follow([dated, mended], { number: 2, hash }, true)
    expect(newest.body.number).toBe(3)
  })
})
