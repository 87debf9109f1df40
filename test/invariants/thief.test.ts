// What the deriver's stolen signing key is good for: heads, releases, welcomes, cells and bundles of the thief's own, over whatever the authority once signed.
import * as fc from 'fast-check'
import { expect, it, onTestFinished } from 'vitest'
import { issueDeriver } from '../../deriver/ca.ts'
import { revokeDerivers } from '../../deriver/deriver-certificates.ts'
import { currentCrls } from '../../deriver/publish.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { parseCrl } from '../../shared/crl.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { Campaign, type Device } from '../lib/campaign.ts'
import { check, LIMIT } from '../lib/commands.ts'
import { Victim } from '../lib/forger.ts'
import { keysInUse } from '../lib/made-keys.ts'
import { signHead } from '../lib/thief.ts'
import { DAY, DERIVER, NAMES, withoutHead } from '../lib/whole-path.ts'

import { bodyOf, OWN, PLAIN, plans, thieve, type Plan } from '../lib/thief-plans.ts'

/** A tenant with a history, and a member of it. */
async function stage(): Promise<{ campaign: Campaign; device: Device; own: Bytes }> {
  const campaign = await Campaign.start()
  onTestFinished(() => campaign.end())
  const device = await campaign.join()
  await campaign.join()
  for (let i = 0; i < 3; i++) {
    await campaign.run({ do: 'rotate', keyring: i % 2 })
    await campaign.run({ do: 'step', seconds: DAY + 700 })
  }
  await campaign.run({ do: 'remove', who: 1 })
  await campaign.settle()
  return { campaign, device, own: (await device.store.read())!.package }
}

it(
  '7 thief of the deriver’s key: whatever it signs, no client takes a key that is not the one committed to in a manifest of the authority',
  { timeout: LIMIT },
  async () => {
    const { campaign, device, own } = await stage()
    const victim = await Victim.of(campaign, device, 'notes')
    // One that lost what it had accepted is shown any catalog of the past.
    const lost = await withoutHead(device.store)
    const stateless = await Victim.of(campaign, device, 'notes', undefined, lost)
    const send = (plan: Plan, to = victim) => to.given(thieve(campaign, device, own, plan), OWN)
    await check(
      fc.asyncProperty(plans, async (plan) => {
        expect((await send(plan)).isInjected).toBe(false)
        expect((await send(plan, stateless)).isInjected).toBe(false)
      }),
      40,
    )
    const earlier = { ...PLAIN, catalog: 2 }
    expect((await send(earlier, stateless)).code).toBe('none')
    expect((await send(earlier)).code).toBe('ERR_ROLLBACK')
    const oldLists = { ...PLAIN, crls: 'earlier' } as const
    expect((await send(oldLists, stateless)).code).toBe('none')
    expect((await send(oldLists)).code).toBe('ERR_ROLLBACK')
    // What is taken is taken, also with channel, key-encryption key and release of the thief's own; what is not fails for this reason alone.
    expect(await send(PLAIN)).toEqual({ code: 'none', isInjected: false })
    expect(await send({ ...PLAIN, isOwnChannel: false })).toEqual({
      code: 'none',
      isInjected: false,
    })
    for (const secret of ['own', 'version', 'keyring'] as const) {
      const plan = { ...PLAIN, entries: [{ at: 0, secret }] }
      expect(await send(plan)).toEqual({ code: 'ERR_COMMITMENT', isInjected: false })
    }
  },
)

it.each(['list', 'certificate'] as const)(
  '7 thief of the deriver’s key: nothing that it signs is taken after the end of its %s',
  { timeout: LIMIT },
  async (first) => {
    const { campaign, device } = await stage()
    const { path } = campaign
    const { tenant } = path
    if (first === 'list') {
      // Stolen as soon as it was issued: the list in force ends before it.
      campaign.pass(DAY / 2)
      tenant.keys.signer = await issueDeriver(tenant.store, tenant.derivers, DERIVER, campaign.now)
    }
    // From now on no CA is at hand: lists and certificate stay what they are.
    await path.startWithoutCas()
    await path.stepToHead()
    const push = path.relay.pushes.at(-1)!
    const { signer } = tenant.keys
    const list = Math.min(...push.crls.map((der) => parseCrl(der).nextUpdate))
    const certificate = parseCertificate(signer.certificates[0]!).notAfter
    expect(list < certificate).toBe(first === 'list')
    const end = Math.min(list, certificate)
    const victim = await Victim.of(campaign, device, 'notes')
    const { headLifetime } = tenant.trust.body
    await check(
      fc.asyncProperty(
        fc.oneof(fc.integer({ min: -2, max: 2 }), fc.integer({ min: -2 * DAY, max: 9 * DAY })),
        async (late) => {
          const at = end + late
          tenant.clock.now = at
          const times = { issuedAt: at, expiresAt: at + headLifetime, version: 2 ** 40 }
          const head = await signHead({ ...bodyOf(push), ...times }, signer)
          const { code } = await victim.given((delivery) => ({ ...delivery, head }), OWN)
          expect(code).toBeOneOf(late > 0 ? ['ERR_CRL', 'ERR_CERT_EXPIRED'] : ['none'])
        },
      ),
      15,
    )
  },
)

it(
  '7 thief of the deriver’s key: clients find back by trust document, incarnation and lowest list, and the thief does not',
  { timeout: LIMIT },
  async () => {
    const versions = fc.integer({ min: 1_000, max: Number.MAX_SAFE_INTEGER })
    await check(
      fc.asyncProperty(versions, async (version) => {
        const { campaign, device } = await stage()
        const { path } = campaign
        const { relay, tenant } = path
        const { signer } = tenant.keys
        const old = relay.pushes.at(-1)!
        const far = await signHead({ ...bodyOf(old), version }, signer)
        relay.twist = (delivery) => ({ ...delivery, head: far })
        expect(await device.client.round()).toBe('none')
        relay.twist = (delivery) => delivery
        await path.stepToHead()
        expect(await device.client.round()).toBe('ERR_ROLLBACK')

        revokeDerivers(campaign.store, null, campaign.now)
        await campaign.step()
        await campaign.raise(
          currentCrls(campaign.store).map(({ issuer, number }) => ({
            issuer: new Uint8Array(issuer),
            number,
          })),
        )
        await campaign.settle()
        for (const { id, name } of campaign.keyrings())
          expect(await device.client.encryptsUnder(name)).toBe(keysInUse(tenant, id).keyId)

        // Under the new trust document, with the list that names it, or with the one before.
        const push = relay.pushes.at(-1)!
        const next = { ...bodyOf(push), version: 2 ** 52 }
        const head = await signHead(next, signer)
        const victim = await Victim.of(campaign, device, NAMES[0]!)
        const asNow = await victim.given((delivery) => ({ ...delivery, head }), OWN)
        expect(asNow).toEqual({ code: 'ERR_CERT_REVOKED', isInjected: false })
        const stale = { ...next, crls: bodyOf(old).crls }
        const staleHead = await signHead(stale, signer)
        const asThen = await victim.given(
          (delivery) => ({ ...delivery, head: staleHead, crls: old.crls }),
          OWN,
        )
        expect(asThen).toEqual({ code: 'ERR_ROLLBACK', isInjected: false })
      }),
      2,
    )
  },
)
