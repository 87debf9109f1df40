/** Vectors of what is sealed and wrapped, and of whole deliveries: a good one, and for each step one that is not. */
import { wrapKey } from '../../deriver/key-wrap.ts'
import { type Delivery } from '../../shared/delivery.ts'
import { encodeBundle, encodeMember } from '../../shared/bundle.ts'
import { hex } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import { canonicalJson } from '../../shared/json.ts'
import { openDelivery } from '../../shared/open.ts'
import { keyId } from '../../shared/signature.ts'
import { verifySuccessor } from '../../shared/trust.ts'
import {
  bundleOf,
  channelOf,
  KEYRINGS,
  makeDelivery,
  openContext,
  secretsOf,
  type Edits,
  type World,
} from './fixtures-delivery.ts'
import { recipientSecret, seeded } from './fixtures-keys.ts'
import { catalogCases } from './fixtures-vectors-catalog.ts'
import { mergePatch, vector, type Json, type Vector } from './fixtures-vectors.ts'
import { toJson } from './fixtures-vectors-signed.ts'
import { DAY, makeCrl, NOW, signSuccessor, type Device } from './fixtures.ts'

export function recipientJson(device: Device, name: string): object {
  const { suite, publicKey } = device.recipient
  return { suite, publicKey: hex(publicKey), privateKey: hex(recipientSecret(suite, name)) }
}

/** A delivery in one JSON, with what a body has behind it. `catalog` and `member` can be null, and are empty text then, since a merge patch cannot say null. */
function deliveryJson(delivery: Delivery): Json {
  const { catalog, trust, head, keyrings, ...rest } = delivery
  const items = keyrings.map((one) => ({ ...one, member: one.member ?? '' }))
  const plain = JSON.parse(canonicalJson({ ...rest, keyrings: items })) as { [name: string]: Json }
  return {
    ...plain,
    catalog: catalog === null ? '' : (toJson(catalog) as Json),
    head: toJson(head) as Json,
    trust: trust.map((one) => toJson(one) as Json),
  }
}

function withoutLeaf(delivery: Delivery): Delivery {
  return { ...delivery, keyrings: delivery.keyrings.map((one) => ({ ...one, member: null })) }
}

export async function deliveryVectors(world: World): Promise<object> {
  const { tenant, alice } = world
  const one = (delivery: Delivery): Delivery => ({
    ...delivery,
    keyrings: delivery.keyrings.slice(0, 1),
  })
  const make = async (edits: Edits = {}) => one(await makeDelivery(world, edits))
  const good = await make()
  const both = await makeDelivery(world)
  const base = deliveryJson(good)
  const { accepted } = await openDelivery(good, openContext(world))
  const issuer = await keyId(tenant.derivers.key.spki)
  const state = {
    head: { incarnation: 1, version: 58, hash: hex(accepted.head.hash), issuedAt: NOW - 10 },
    catalog: { number: 7, hash: hex(accepted.catalog.hash) },
    crls: [{ issuer: hex(issuer), number: 1 }],
    manifests: [
      { keyring: hex(KEYRINGS[0]!), number: 5, hash: hex(sha256(good.keyrings[0]!.manifest)) },
    ],
  }
  const item = (
    comment: string,
    delivery: Delivery,
    expect: Vector['expect'],
    more: object = {},
    output?: boolean,
  ) => vector(comment, { patch: mergePatch(base, deliveryJson(delivery)), ...more }, expect, output)
  const edited = async (
    comment: string,
    edits: Edits,
    expect: Vector['expect'],
    more: object = {},
  ) => item(comment, await make(edits), expect, more)
  const kept = (comment: string, edit: object, expect: Vector['expect']) =>
    item(comment, good, expect, { state: { ...state, ...edit } })
  const swap = (comment: string, edit: object, expect: Vector['expect']) =>
    item(comment, { ...good, keyrings: [{ ...good.keyrings[0]!, ...edit }] }, expect)
  const use = (comment: string, edit: object, expect: Vector['expect'], output?: boolean) =>
    item(comment, good, expect, { use: { now: NOW, ...edit } }, output)
  const second = both.keyrings[1]!
  const successor = await signSuccessor(tenant)
  const next = {
    ...world,
    tenant: { ...tenant, trust: await verifySuccessor(successor, tenant.trust) },
  }
  const bob = (await makeDelivery(world, {}, world.members[0])).keyrings[0]!
  const { kek, versions } = secretsOf(tenant, KEYRINGS[0]!)
  const bundle = bundleOf(tenant, KEYRINGS[0]!)
  const evil = bundle.entries.map((e) => ({ ...e, wrapped: wrapKey(kek, seeded('chosen')) }))
  const leaf = { packageHash: channelOf(tenant, alice).packageHash }
  const keyIds = versions.map((v) => hex(v.keyId))
  return {
    comment:
      'Each case applies `patch` (RFC 7396) to `delivery`; an empty `catalog` or `member` stands for null, and `crls`, `bundle` and `manifest` are base64url here: the JSON of a body has their lengths. The client begins with `context` and `state` (null: nothing accepted yet; where `held` is true, it holds the view that `delivery` shows), opens the delivery, then welcome, cell, name and every bundled version of each keyring, and then asks for what `use` says; the output of `rewrap` is whether a message of that key id needs it.',
    context: {
      tenant: tenant.trust.tenant,
      trust: toJson(tenant.trust.envelope),
      keyrings: KEYRINGS.slice(0, 1).map(hex),
      packageHash: hex(leaf.packageHash),
      fingerprint: hex(alice.fingerprint),
      recipient: recipientJson(alice, 'alice'),
      now: NOW,
    },
    delivery: base,
    cases: [
      item('the first time', good, 'ok'),
      kept('once more', {}, 'ok'),
      item(
        'under a new trust document',
        { ...one(await makeDelivery(next)), trust: [successor] },
        'ok',
      ),
      item('without the keyring', { ...good, keyrings: [] }, 'ok'),
      item(
        '[open-1] a trust document that its authority did not sign',
        { ...good, trust: [await signSuccessor(tenant, {}, tenant.authority.slice(0, 1))] },
        'ERR_SIGNATURE',
      ),
      await edited('[open-2] a head signed by a client', { signer: alice }, 'ERR_PATH_INVALID'),
      await edited(
        '[open-3] a head of 3,601 s',
        { head: (h) => ({ ...h, expiresAt: h.issuedAt + 3_601 }) },
        'ERR_LIFETIME',
      ),
      await edited(
        '[open-4] a head from the future',
        { head: (h) => ({ ...h, issuedAt: NOW + 61 }) },
        'ERR_FUTURE',
      ),
      kept(
        '[open-4] a clock that was set back',
        { head: { ...state.head, version: 57, issuedAt: NOW + 61 } },
        'ERR_CLOCK',
      ),
      item(
        '[open-5] a head under the trust document before',
        { ...good, trust: [successor] },
        'ERR_ROLLBACK',
      ),
      await edited(
        '[open-5] another trust document of that number',
        { head: (h) => ({ ...h, trust: { hash: seeded('x'), number: 1 } }) },
        'ERR_FORK',
      ),
      item(
        '[open-5] a trust document that was not delivered',
        one(await makeDelivery(next)),
        'ERR_HASH',
      ),
      await edited(
        '[open-6] another incarnation',
        { head: (h) => ({ ...h, incarnation: 2 }) },
        'ERR_INCARNATION',
      ),
      await edited(
        '[open-7] a head that names no CRL',
        { head: (h) => ({ ...h, crls: [] }) },
        'ERR_HASH',
      ),
      item(
        '[open-7] a newer CRL than the head names',
        { ...good, crls: [await makeCrl(tenant.derivers, 2)] },
        'ERR_HASH',
      ),
      kept('[open-7] an older CRL', { crls: [{ issuer: hex(issuer), number: 2 }] }, 'ERR_ROLLBACK'),
      kept('[open-8] a lower version', { head: { ...state.head, version: 59 } }, 'ERR_ROLLBACK'),
      kept(
        '[open-8] a lower incarnation',
        { head: { ...state.head, incarnation: 2, version: 1 } },
        'ERR_ROLLBACK',
      ),
      kept(
        '[open-8] another head of that version',
        { head: { ...state.head, hash: hex(seeded('x')) } },
        'ERR_FORK',
      ),
      item(
        '[open-9] another catalog',
        {
          ...good,
          catalog: (await make({ catalog: (c) => ({ ...c, expiresAt: NOW + DAY }) })).catalog,
        },
        'ERR_HASH',
      ),
      item('[open-9] no catalog', { ...good, catalog: null }, 'ERR_HASH'),
      ...(await catalogCases(world, good, state, item)),
      swap(
        '[open-10] the release of another keyring',
        { release: second.release, releaseProof: second.releaseProof },
        'ERR_HASH',
      ),
      item(
        '[open-10] a keyring that was not asked for',
        { ...good, keyrings: [second] },
        'ERR_DOCUMENT_MISMATCH',
      ),
      await edited(
        '[open-11] a release of another tenant',
        { release: (r) => ({ ...r, tenant: 'a'.repeat(52) }) },
        'ERR_TENANT',
      ),
      await edited(
        '[open-11] a release of another keyring',
        { release: (r) => ({ ...r, keyring: KEYRINGS[1]! }) },
        'ERR_KEYRING',
      ),
      await edited(
        '[open-11] a release of another incarnation',
        { release: (r) => ({ ...r, incarnation: 2 }) },
        'ERR_INCARNATION',
      ),
      await edited(
        '[log-3] a release whose entry the log cannot have',
        { release: (r) => ({ ...r, log: 41 }) },
        'ERR_UNLOGGED',
      ),
      swap('[open-12] another manifest', { manifest: second.manifest }, 'ERR_HASH'),
      swap('[open-12] another proof', { manifestProof: second.manifestProof }, 'ERR_HASH'),
      await edited(
        '[open-13] a manifest of another keyring',
        { manifest: (m) => ({ ...m, keyring: KEYRINGS[1]! }) },
        'ERR_KEYRING',
      ),
      kept(
        '[open-13] a lower manifest',
        { manifests: [{ ...state.manifests[0], number: 6 }] },
        'ERR_ROLLBACK',
      ),
      swap(
        '[open-14] the leaf of another member',
        { member: bob.member, welcome: bob.welcome },
        'ERR_NOT_RECIPIENT',
      ),
      swap(
        '[open-14] a leaf that is not in the tree',
        {
          member: {
            leaf: encodeMember({
              packageHash: leaf.packageHash,
              channelId: seeded('a'),
              welcomeHash: seeded('b'),
              cell: seeded('c', 40),
            }),
            proof: good.keyrings[0]!.member!.proof,
          },
        },
        'ERR_HASH',
      ),
      item('a leaf that is held is not delivered again', withoutLeaf(good), 'ok', {
        state: { ...state, held: true },
      }),
      item('[open-14] no leaf, and none that is held', withoutLeaf(good), 'ERR_HASH'),
      item(
        '[open-14] no leaf, and the one that is held is of another tree',
        withoutLeaf(await make({ member: (m) => ({ ...m, cell: seeded('x', 40) }) })),
        'ERR_HASH',
        { state: { ...state, head: { ...state.head, version: 57 }, held: true } },
      ),
      swap('[open-15] the welcome of another member', { welcome: bob.welcome }, 'ERR_HASH'),
      await edited(
        '[open-16] another channel id',
        { member: (m) => ({ ...m, channelId: seeded('x') }) },
        'ERR_HASH',
      ),
      await edited(
        '[open-17] another cell',
        { member: (m) => ({ ...m, cell: seeded('x', 40) }) },
        'ERR_OPEN',
      ),
      swap(
        '[open-18] another bundle, with secrets that a member chose',
        { bundle: encodeBundle({ ...bundle, entries: evil }) },
        'ERR_HASH',
      ),
      await edited(
        '[open-18] the bundle of another generation',
        { bundle: (b) => ({ ...b, generation: 2 }) },
        'ERR_KEYRING',
      ),
      await edited(
        '[open-19] a version that the manifest does not know',
        { bundle: (b) => ({ ...b, entries: [...b.entries, { ...b.entries[0]!, version: 3 }] }) },
        'ERR_KEY_VERSION',
      ),
      await edited(
        '[open-20] secrets that the authority did not commit to',
        { bundle: (b) => ({ ...b, entries: evil }) },
        'ERR_COMMITMENT',
      ),
      use('encrypting', { encrypt: 1 }, 'ok'),
      use('[use-1] encrypting after the head', { encrypt: 1, now: NOW + 1_861 }, 'ERR_STALE'),
      await edited(
        '[use-2] a version that is compromised',
        { release: (r) => ({ ...r, compromised: [r.encrypt] }) },
        'ERR_KEY_VERSION',
        { use: { now: NOW, encrypt: 1 } },
      ),
      use('decrypting with version 1', { keyId: keyIds[0] }, 'ok'),
      use(
        '[use-3] offline for too long',
        { keyId: keyIds[0], now: NOW + 1_860 + DAY + 1 },
        'ERR_STALE',
      ),
      use('[use-4] an unknown key', { keyId: hex(seeded('x')) }, 'ERR_UNKNOWN_KEY'),
      use('[use-4] below minVersion', { keyId: keyIds[0], minVersion: 2 }, 'ERR_KEY_VERSION'),
      use('[use-5] a clock that was set back', { encrypt: 1, now: NOW - 71 }, 'ERR_CLOCK'),
      use('[use-6] a version that is encrypted under', { rewrap: keyIds[1] }, 'ok', false),
      use('[use-6] an older version', { rewrap: keyIds[0] }, 'ok', true),
      use('[use-6] an unknown key', { rewrap: hex(seeded('x')) }, 'ERR_UNKNOWN_KEY'),
    ],
  }
}
