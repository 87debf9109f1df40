/** What a thief of the deriver's signing key sends, by random plans: over the real tenant of a campaign, for one of its members. */
import * as fc from 'fast-check'
import { currentKek } from '../../deriver/members.ts'
import { wrapKey } from '../../deriver/key-wrap.ts'
import { publicHmac } from '../../deriver/hmac.ts'
import { type DeliveredKeyring } from '../../shared/delivery.ts'
import {
  decodeBundle,
  encodeBundle,
  encodeName,
  encodeWelcome,
  welcomeInfo,
  type MemberLeaf,
} from '../../shared/bundle.ts'
import { equal, fromBase32, fromHex, hex, type Bytes } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import { createHpke } from '../../shared/hpke.ts'
import { KEM_ID } from '../../shared/suites.ts'
import { parseJson } from '../../shared/json.ts'
import { channelIdInput } from '../../shared/kdf.ts'
import { decodeManifest } from '../../shared/manifest.ts'
import { type HeadBody } from '../../shared/release.ts'
import { Campaign, type Device } from './campaign.ts'
import { type Forge } from './forger.ts'
import { type Pushed } from './hiding-relay.ts'
import { madeVersions } from './made-keys.ts'
import { forge, type Forgery } from './thief.ts'

/** Secrets of the thief: of a version, of a channel, of a generation. */
export const OWN: Bytes = sha256(Uint8Array.of(1))
const [CHANNEL, KEK] = [sha256(Uint8Array.of(2)), sha256(Uint8Array.of(3))]

const mostly = <T>(first: T, ...others: T[]): fc.Arbitrary<T> =>
  fc.oneof(
    { weight: 2, arbitrary: fc.constant(first) },
    { weight: 1, arbitrary: fc.constantFrom(first, ...others) },
  )

/** What the thief makes. Numbers choose among pushes and versions. */
export const plans = fc.record({
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
export type Plan = typeof plans extends fc.Arbitrary<infer T> ? T : never

/** Everything its own but the keys; with {@link Plan.entries} also those. */
export const PLAIN: Plan = {
  catalog: 1_000,
  isOwnChannel: true,
  entries: [],
  encrypt: 'newest',
  generation: 0,
  head: 'next',
  crls: 'newest',
}

/** Of a head that was pushed; it is signed anew, and then names who signs. */
export function bodyOf({ head }: Pick<Pushed, 'head'>): HeadBody {
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
    leaf: { channelId: publicHmac(CHANNEL, channelIdInput()), cell: wrapKey(CHANNEL, KEK) },
  }
}

/** A bundle for a manifest: true secrets, and in their places what the plan says. */
function ownBundle(
  { path, store }: Campaign,
  plan: Plan,
  item: DeliveredKeyring,
  manifest: Bytes,
): Bytes {
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
  const entries = decodeManifest(manifest).versions.map(
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
export function thieve(campaign: Campaign, device: Device, own: Bytes, plan: Plan): Forge {
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
    // As on the first day.
    const lists = plan.crls === 'earlier' ? { crls: bodyOf(pushes[0]!).crls } : {}
    const welcome = plan.isOwnChannel ? await ownWelcome(campaign, device) : null
    const forgery: Forgery = {
      catalog,
      manifest: then.manifest,
      bundle: ownBundle(campaign, plan, item, then.manifest),
      head: (body) => ({ ...body, ...lists, ...headChanges[plan.head](body) }),
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
