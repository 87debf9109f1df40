// What the deriver's stolen signing key is good for: heads, releases, welcomes, cells and bundles of the thief's own, over whatever the authority once signed.
import * as fc from 'fast-check'
import { expect, it, onTestFinished } from 'vitest'
import { revokeDerivers } from '../../deriver/deriver-certificates.ts'
import { currentKek } from '../../deriver/members.ts'
import { currentCrls } from '../../deriver/publish.ts'
import { macWith, wrapKey } from '../../deriver/root.ts'
import { type DeliveredKeyring } from '../../shared/api.ts'
import {
  decodeBundle,
  encodeBundle,
  encodeName,
  encodeWelcome,
  welcomeInfo,
  type MemberLeaf,
} from '../../shared/bundle.ts'
import { equal, fromBase32, fromHex, hex, type Bytes } from '../../shared/bytes.ts'
import { parseCrl } from '../../shared/crl.ts'
import { sha256 } from '../../shared/hash.ts'
import { createHpke, KEM_ID } from '../../shared/hpke.ts'
import { parseJson } from '../../shared/json.ts'
import { channelIdInput } from '../../shared/kdf.ts'
import { decodeManifest } from '../../shared/manifest.ts'
import { type HeadBody } from '../../shared/release.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { Campaign, check, LIMIT, type Device } from '../lib/campaign.ts'
import { Victim, type Forge } from '../lib/forger.ts'
import { type Pushed } from '../lib/hiding-relay.ts'
import { keysInUse, madeVersions } from '../lib/made-keys.ts'
import { forge, signHead, type Forgery } from '../lib/thief.ts'
import { DAY, NAMES } from '../lib/whole-path.ts'

/** Secrets of the thief: of a version, of a channel, of a generation. */
const [OWN, CHANNEL, KEK] = [1, 2, 3].map((n) => sha256(Uint8Array.of(n))) as [Bytes, Bytes, Bytes]

const mostly = <T>(first: T, ...others: T[]): fc.Arbitrary<T> =>
  fc.oneof(
    { weight: 2, arbitrary: fc.constant(first) },
    { weight: 1, arbitrary: fc.constantFrom(first, ...others) },
  )

/** What the thief makes. Numbers choose among pushes and versions. */
const plans = fc.record({
  catalog: fc.nat({ max: 20 }),
  /** Channel, welcome and key-encryption key of its own, or those that a colluding member has. */
  isOwnChannel: fc.boolean(),
  /** In a bundle of otherwise true secrets, which a colluding member has. */
  entries: fc.array(
    fc.record({
      at: fc.nat({ max: 4 }),
      secret: fc.constantFrom('own' as const, 'version' as const, 'keyring' as const),
    }),
    { maxLength: 3 },
  ),
  encrypt: mostly<'newest' | 'oldest' | 'unknown'>('newest', 'oldest', 'unknown'),
  generation: mostly(0, 1, 5),
  head: mostly<'next' | 'far' | 'earlier' | 'future' | 'long' | 'incarnation'>(
    'next',
    'far',
    'earlier',
    'future',
    'long',
    'incarnation',
  ),
  crls: mostly<'newest' | 'earlier'>('newest', 'earlier'),
})
type Plan = typeof plans extends fc.Arbitrary<infer T> ? T : never

/** Everything its own but the keys; with {@link Plan.entries} also those. */
const PLAIN: Plan = {
  catalog: 1_000,
  isOwnChannel: true,
  entries: [],
  encrypt: 'newest',
  generation: 0,
  head: 'next',
  crls: 'newest',
}

/** Of a head that was pushed; it is signed anew, and then names who signs. */
function bodyOf({ head }: Pick<Pushed, 'head'>): HeadBody {
  const { signer: _, ...body } = parseJson(head.payload, 65_536) as HeadBody
  return body as HeadBody
}

const headChanges: Record<Plan['head'], (body: HeadBody) => Partial<HeadBody>> = {
  next: () => ({}),
  far: () => ({ version: 2 ** 50 }),
  earlier: () => ({ version: 1 }),
  future: ({ issuedAt, expiresAt }) => ({ issuedAt: issuedAt + 600, expiresAt: expiresAt + 600 }),
  long: ({ expiresAt }) => ({ expiresAt: expiresAt + 600 }),
  incarnation: ({ incarnation }) => ({ incarnation: incarnation + 1 }),
}

/** A welcome of the thief's own for a device, and what its member leaf then says. */
async function ownWelcome(
  { path }: Campaign,
  device: Device,
): Promise<{ welcome: Bytes; leaf: Partial<MemberLeaf> }> {
  const { packages } = (await device.store.read())!
  const { hash, fingerprint, key } = packages.at(-1)!
  const info = welcomeInfo(fromBase32(path.tenant.trust.tenant), fingerprint, hash, key.suite)
  const sealed = await createHpke(key.suite).seal(key.publicKey, CHANNEL, info)
  return {
    welcome: encodeWelcome({ kem: KEM_ID[key.suite], ...sealed }),
    leaf: { channelId: macWith(CHANNEL, channelIdInput()), cell: wrapKey(CHANNEL, KEK) },
  }
}

/** A bundle for a manifest: true secrets, and in their places what the plan says. */
function ownBundle({ path, store }: Campaign, plan: Plan, item: DeliveredKeyring): Bytes {
  const { tenant } = path
  const made = madeVersions(tenant)
  const isHere = ({ version }: (typeof made)[number]): boolean =>
    equal(new Uint8Array(version.keyring), item.keyring)
  const secrets = {
    own: OWN,
    version: fromHex(made.find(isHere)!.secret),
    keyring: fromHex(made.find((one) => !isHere(one))!.secret),
  }
  const deriving = { root: tenant.keys.root, tenant: tenant.trust.tenant }
  const kek = plan.isOwnChannel ? KEK : currentKek(store, deriving, item.keyring)
  const bundle = decodeBundle(item.bundle)
  const entries = decodeManifest(item.manifest).versions.map(
    ({ incarnation, version, keyId }, i, all) => {
      const planned = plan.entries.find(({ at }) => at % all.length === all.length - 1 - i)
      const committed = fromHex(made.find((one) => one.keyId === hex(keyId))!.secret)
      return {
        incarnation,
        version,
        wrapped: wrapKey(kek, planned ? secrets[planned.secret] : committed),
      }
    },
  )
  const generation = bundle.generation + plan.generation
  return encodeBundle({ ...bundle, generation, name: wrapKey(kek, encodeName('notes')), entries })
}

/** What the thief sends in the place of what the relay has. */
function thieve(campaign: Campaign, device: Device, own: Bytes, plan: Plan): Forge {
  const { tenant, relay } = campaign.path
  return async (delivery, item) => {
    const { pushes } = relay
    const newest = pushes.at(-1)!
    const old = pushes[Math.min(plan.catalog, pushes.length - 1)]!
    const then = relay.item(old, item.keyring, own) ?? item
    const catalog = {
      envelope: then === item ? newest.catalog : old.catalog,
      proof: then.manifestProof,
    }
    const { versions } = decodeManifest(then.manifest)
    const encrypt = {
      newest: versions.at(-1)!,
      oldest: versions[0]!,
      unknown: { incarnation: 1, version: 1_000 },
    }[plan.encrypt]
    const welcome = plan.isOwnChannel ? await ownWelcome(campaign, device) : null
    const forgery: Forgery = {
      catalog,
      manifest: then.manifest,
      bundle: ownBundle(campaign, plan, then),
      head: (body) => ({ ...body, ...headChanges[plan.head](body) }),
      release: (release) => ({
        ...release,
        encrypt: { incarnation: encrypt.incarnation, version: encrypt.version },
        generation: release.generation + plan.generation,
        skipped: [],
        deactivated: [],
        compromised: [],
      }),
      ...(welcome === null
        ? {}
        : {
            welcome: welcome.welcome,
            leaf: (leaf) => ({ ...leaf, ...welcome.leaf, welcomeHash: sha256(welcome.welcome) }),
          }),
    }
    const loot = {
      world: { deriver: tenant.keys.signer },
      publication: { catalog: newest.catalog, body: bodyOf(newest) },
    }
    const forged = await forge(loot, delivery, item, forgery)
    return plan.crls === 'newest' ? forged : { ...forged, crls: pushes[0]!.crls }
  }
}

/** A tenant with a history, and a member of it. */
async function stage(): Promise<{ campaign: Campaign; device: Device; own: Bytes }> {
  const campaign = await Campaign.start()
  onTestFinished(() => campaign.end())
  const device = await campaign.join()
  await campaign.join()
  for (let i = 0; i < 3; i++) {
    await campaign.run({ do: 'rotate', keyring: i % 2 })
    await campaign.run({ do: 'step', seconds: 700 })
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
    const send = (plan: Plan) => victim.given(thieve(campaign, device, own, plan), OWN)
    await check(
      fc.asyncProperty(plans, async (plan) => {
        expect((await send(plan)).isInjected).toBe(false)
      }),
      60,
    )
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

it(
  '7 thief of the deriver’s key: nothing that it signs is taken after the end of list or certificate',
  { timeout: LIMIT },
  async () => {
    const { campaign, device } = await stage()
    const { path } = campaign
    // The lists and the certificate are those of the first day.
    await path.startWithoutCas()
    campaign.pass(DAY + 3_600)
    await campaign.step()
    const push = path.relay.pushes.at(-1)!
    const { signer } = path.tenant.keys
    const victim = await Victim.of(campaign, device, 'notes')
    const { headLifetime } = path.tenant.trust.body
    const end = Math.min(
      ...push.crls.map((der) => parseCrl(der).nextUpdate),
      parseCertificate(signer.certificates[0]!).notAfter,
    )
    await check(
      fc.asyncProperty(
        fc.oneof(fc.integer({ min: -2, max: 2 }), fc.integer({ min: -3 * DAY, max: 9 * DAY })),
        async (late) => {
          const at = end + late
          path.tenant.clock.now = at
          const times = { issuedAt: at, expiresAt: at + headLifetime, version: 2 ** 40 }
          const head = await signHead({ ...bodyOf(push), ...times }, signer)
          const { code } = await victim.given((delivery) => ({ ...delivery, head }), OWN)
          expect(code).toBeOneOf(late > 0 ? ['ERR_CRL', 'ERR_CERT_EXPIRED'] : ['none'])
        },
      ),
      20,
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
