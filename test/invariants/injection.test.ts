// What a member can make its fellow members believe, with the relay on its side: two walls, each of them alone, and neither.
import * as fc from 'fast-check'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { currentKek } from '../../deriver/members.ts'
import { wrapKey } from '../../deriver/key-wrap.ts'
import { commit } from '../../deriver/root.ts'
import { type DeliveredKeyring } from '../../shared/delivery.ts'
import {
  decodeBundle,
  decodeMember,
  encodeBundle,
  encodeMember,
  readBundle,
  type Bundle,
} from '../../shared/bundle.ts'
import { equal, fromHex, hex, type Bytes } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import { encodeJson } from '../../shared/json.ts'
import { commitInput } from '../../shared/kdf.ts'
import {
  compareVersions,
  decodeManifest,
  encodeManifest,
  versionContext,
  type ManifestView,
} from '../../shared/manifest.ts'
import { decodeRelease } from '../../shared/release.ts'
import { Campaign } from '../lib/campaign.ts'
import { check, LIMIT } from '../lib/commands.ts'
import { Victim, type Verdict } from '../lib/forger.ts'
import { madeKeks, madeVersions } from '../lib/made-keys.ts'
import { withVersions } from '../lib/rows.ts'
import type * as Stepped from '../lib/stepped-client.ts'

type Open = typeof import('../../shared/open.ts')
type Unwrap = typeof import('../../shared/unwrap.ts')

/** Every object as it was uploaded. */
let uploaded: ReadonlyMap<string, Bytes>

/** The client with its check of the bundle's hash taken out: the check is shown the true bundle, and what came is used. */
async function withoutBundleHash(original: () => Promise<Open>): Promise<Open> {
  const open = await original()
  return {
    ...open,
    async openDelivery(delivery, context) {
      const keyrings = delivery.keyrings.map((item) => ({
        ...item,
        bundle: uploaded.get(hex(decodeRelease(item.release).bundle)) ?? item.bundle,
      }))
      const opened = await open.openDelivery({ ...delivery, keyrings }, context)
      const views = opened.keyrings.map((view) => {
        const { bundle } = delivery.keyrings.find(({ keyring }) => equal(keyring, view.id))!
        return { ...view, bundle: readBundle(bundle), objects: { ...view.objects, bundle } }
      })
      return { ...opened, keyrings: views }
    },
  }
}

/** The client with its check of the commitment taken out: whatever the key is, the manifest is made to commit to it. */
async function withoutCommitment(original: () => Promise<Unwrap>): Promise<Unwrap> {
  const unwrap = await original()
  const committed: (...args: Parameters<Unwrap['checkVersion']>) => Promise<ManifestView> = async (
    kek,
    entry,
    manifest,
  ) => {
    const version = unwrap.requireVersion(manifest, entry)
    const algorithm = { name: 'HMAC', hash: 'SHA-256', length: 256 }
    const key = await crypto.subtle
      .unwrapKey('raw', entry.wrapped, kek, 'AES-KW', algorithm, false, ['sign'])
      .catch(() => null)
    if (key === null) return manifest
    const input = commitInput(versionContext(manifest, version))
    const keyId = new Uint8Array(await crypto.subtle.sign('HMAC', key, input))
    return withVersions(manifest, (all) =>
      all.map((one) => (compareVersions(one, version) === 0 ? { ...one, keyId } : one)),
    )
  }
  return {
    ...unwrap,
    checkVersion: async (kek, entry, manifest) =>
      unwrap.checkVersion(kek, entry, await committed(kek, entry, manifest)),
    async unwrapVersion(kek, entry, manifest) {
      const made = await unwrap.unwrapVersion(kek, entry, await committed(kek, entry, manifest))
      return { ...made, entry: unwrap.requireVersion(manifest, entry) }
    },
  }
}

/** A client without one of its walls, or without both. */
async function clientWithout(walls: readonly string[]): Promise<typeof Stepped.SteppedClient> {
  vi.resetModules()
  onTestFinished(() => {
    vi.doUnmock('../../shared/open.ts')
    vi.doUnmock('../../shared/unwrap.ts')
  })
  if (walls.includes('bundle hash')) vi.doMock('../../shared/open.ts', withoutBundleHash)
  if (walls.includes('commitment')) vi.doMock('../../shared/unwrap.ts', withoutCommitment)
  return (await import('../lib/stepped-client.ts')).SteppedClient
}

const mostly = <T>(...values: [T, ...T[]]): fc.Arbitrary<T> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant(values[0]) },
    { weight: 1, arbitrary: fc.constantFrom(...values) },
  )

/** What a member can put in the place of what is true. */
const plans = fc.record({
  entries: fc.array(
    fc.record({
      at: fc.nat({ max: 3 }),
      secret: fc.constantFrom<('own' | 'other version' | 'other keyring')[]>(
        'own',
        'other version',
        'other keyring',
      ),
      kek: mostly<'right' | 'earlier' | 'own'>('right', 'earlier', 'own'),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  header: mostly('right', 'generation', 'incarnation', 'keyring'),
  manifest: mostly('right', 'own key', 'earlier'),
  release: mostly('right', 'own bundle', 'other version', 'earlier'),
  cell: mostly('right', 'fellow', 'own'),
})
type Plan = typeof plans extends fc.Arbitrary<infer T> ? T : never

/** The plainest of them: its own secret in the place of the version to encrypt with. */
const PLAIN: Plan = {
  entries: [{ at: 0, secret: 'own', kek: 'right' }],
  header: 'right',
  manifest: 'right',
  release: 'right',
  cell: 'right',
}

const OWN = sha256(new Uint8Array([1]))
const CHANNEL = sha256(new Uint8Array([2]))

/** What the member makes of a true delivery, with the keys that every member has. */
function forgeItem(
  campaign: Campaign,
  plan: Plan,
  item: DeliveredKeyring,
  earlier: DeliveredKeyring,
): DeliveredKeyring {
  const { tenant } = campaign.path
  const deriving = { root: tenant.keys.root, tenant: tenant.trust.tenant }
  const kek = currentKek(campaign.store, deriving, item.keyring)
  const keks = { right: kek, earlier: fromHex(madeKeks(tenant)[0]!.secret), own: OWN }
  const versions = madeVersions(tenant)
  const isHere = ({ version }: (typeof versions)[number]) =>
    equal(new Uint8Array(version.keyring), item.keyring)
  const secrets = {
    own: OWN,
    'other version': fromHex(versions.find(isHere)!.secret),
    'other keyring': fromHex(versions.find((one) => !isHere(one))!.secret),
  }
  const bundle = decodeBundle(item.bundle)
  const entries = [...bundle.entries]
  for (const { at, secret, kek: under } of plan.entries) {
    // Counted from the newest, which is the one to encrypt with.
    const index = entries.length - 1 - (at % entries.length)
    entries[index] = {
      ...entries[index]!,
      wrapped: wrapKey(keks[under], secrets[secret]),
    }
  }
  const headers: Record<string, Partial<Bundle>> = {
    generation: { generation: bundle.generation + 1 },
    incarnation: { incarnation: bundle.incarnation + 1 },
    keyring: { keyring: sha256(item.keyring).slice(0, 16) },
  }
  const forged = encodeBundle({ ...bundle, entries, ...headers[plan.header] })
  const manifest = decodeManifest(item.manifest)
  const manifests: Record<string, () => Bytes> = {
    right: () => item.manifest,
    'own key': () =>
      encodeManifest({
        ...manifest,
        versions: manifest.versions.map((one, i, all) =>
          i === all.length - 1
            ? { ...one, keyId: commit(OWN, versionContext(manifest, one)) }
            : one,
        ),
      }),
    earlier: () => earlier.manifest,
  }
  const release = decodeRelease(item.release)
  const first = bundle.entries[0]!
  const releases: Record<string, () => Bytes> = {
    right: () => item.release,
    'own bundle': () => encodeJson({ ...release, bundle: sha256(forged) }),
    'other version': () =>
      encodeJson({
        ...release,
        encrypt: { incarnation: first.incarnation, version: first.version },
      }),
    earlier: () => earlier.release,
  }
  const leaf = decodeMember(item.member!.leaf)
  const cells: Record<string, Bytes> = {
    right: leaf.cell,
    fellow: decodeMember(earlier.member!.leaf).cell,
    own: wrapKey(CHANNEL, OWN),
  }
  return {
    ...item,
    bundle: forged,
    manifest: manifests[plan.manifest]!(),
    release: releases[plan.release]!(),
    member: { ...item.member!, leaf: encodeMember({ ...leaf, cell: cells[plan.cell]! }) },
  }
}

/** A member whose client is without these walls, and what a fellow member of it sends. */
async function stage(walls: readonly string[]): Promise<(plan: Plan) => Promise<Verdict>> {
  const campaign = await Campaign.start()
  onTestFinished(() => campaign.end())
  const { relay } = campaign.path
  uploaded = relay.objects
  const device = await campaign.join()
  await campaign.join()
  const before = relay.pushes.at(-1)!
  await campaign.run({ do: 'rotate', keyring: 0 })
  await campaign.run({ do: 'remove', who: 1 })
  await campaign.settle()
  const { package: own } = (await device.store.read())!
  const victim = await Victim.of(campaign, device, 'notes', await clientWithout(walls))
  // The client as it should be, so that what fails below fails because of the forgery.
  const untouched = await victim.given((delivery) => delivery, OWN)
  expect(untouched).toEqual({ code: 'none', isInjected: false })
  return (plan) =>
    victim.given((delivery, item) => {
      const forged = forgeItem(campaign, plan, item, relay.item(before, item.keyring, own)!)
      return {
        ...delivery,
        keyrings: delivery.keyrings.map((one) => (one === item ? forged : one)),
      }
    }, OWN)
}

/** Nothing that a fellow member can build makes a client without these walls use another key than the true one. */
async function checkSafe(walls: readonly string[]): Promise<(plan: Plan) => Promise<Verdict>> {
  const send = await stage(walls)
  await check(
    fc.asyncProperty(plans, async (plan) => {
      expect((await send(plan)).isInjected).toBe(false)
    }),
    25,
  )
  return send
}

describe('a fellow member with the relay on its side', () => {
  it(
    '5 injection: nothing that it can build is taken for a key of the keyring',
    { timeout: LIMIT },
    async () => {
      const send = await checkSafe([])
      expect(await send(PLAIN)).toEqual({ code: 'ERR_HASH', isInjected: false })
    },
  )

  it(
    '5 injection: nor by a client without its check of the bundle’s hash: the commitment alone is a wall',
    { timeout: LIMIT },
    async () => {
      const send = await checkSafe(['bundle hash'])
      expect(await send(PLAIN)).toEqual({ code: 'ERR_COMMITMENT', isInjected: false })
    },
  )

  it(
    '5 injection: nor by a client without its check of the commitment: the bundle’s hash alone is a wall',
    { timeout: LIMIT },
    async () => {
      const send = await checkSafe(['commitment'])
      expect(await send(PLAIN)).toEqual({ code: 'ERR_HASH', isInjected: false })
    },
  )

  it(
    '5 injection: without both walls it injects its key, so that the tests above would show it',
    { timeout: LIMIT },
    async () => {
      const send = await stage(['bundle hash', 'commitment'])
      expect(await send(PLAIN)).toEqual({ code: 'none', isInjected: true })
    },
  )
})
