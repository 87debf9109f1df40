// Opening a delivery, one keyring: releases, manifests, member leaves and bundles that are swapped, forged or mixed.
import { beforeAll, describe, expect, it } from 'vitest'
import { type DeliveredKeyring, type Delivery } from '../../shared/delivery.ts'
import { encodeBundle } from '../../shared/bundle.ts'
import { hex, type Bytes } from '../../shared/bytes.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { type ErrorCode } from '../../shared/errors.ts'
import { sha256 } from '../../shared/hash.ts'
import { encodeManifest } from '../../shared/manifest.ts'
import { openDelivery, type Accepted, type OpenContext } from '../../shared/open.ts'
import { type Release } from '../../shared/release.ts'
import { type Proof } from '../../shared/tree-proof.ts'
import {
  bundleOf,
  KEYRINGS,
  lastContext,
  makeDelivery,
  makeWorld,
  manifestOf,
  openContext,
  withItem,
  type Edits,
  type World,
} from '../lib/fixtures-delivery.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { seeded } from '../lib/fixtures-keys.ts'

let world: World
let good: Delivery
let accepted: Accepted
let first: DeliveredKeyring
let second: DeliveredKeyring

beforeAll(async () => {
  world = await makeWorld()
  good = await makeDelivery(world)
  accepted = (await openDelivery(good, openContext(world))).accepted
  ;[first, second] = good.keyrings as [DeliveredKeyring, DeliveredKeyring]
})

const open = (delivery: Delivery, edit: Partial<OpenContext> = {}) =>
  openDelivery(delivery, openContext(world, edit))

const refusesItem = (edit: Partial<DeliveredKeyring>, code: ErrorCode) =>
  expectCode(open(withItem(good, edit)), code)

/** A change to the first keyring only. */
const only =
  <T>(edit: (value: T) => T) =>
  (value: T, keyring: number): T =>
    keyring === 0 ? edit(value) : value

const refuses = async (edits: Edits, code: ErrorCode) =>
  expectCode(open(await makeDelivery(world, edits)), code)

/** Every way to spoil a proof. */
function spoiled({ index, path }: Proof): Proof[] {
  return [
    { index: index ^ 1, path },
    { index: index + 4, path },
    { index, path: path.slice(1) },
    { index, path: path.slice(0, -1) },
    { index, path: [...path, seeded('more')] },
    { index, path: path.map((node) => node.with(0, node[0]! ^ 1)) },
    { index, path: [] },
  ]
}

describe('release', () => {
  it('[open-10] the release of another keyring is ERR_HASH', async () => {
    const { release, releaseProof } = second
    await refusesItem({ release }, 'ERR_HASH')
    await refusesItem({ release, releaseProof }, 'ERR_HASH')
  })

  it('[open-10] keyrings that change their ids are ERR_HASH', async () => {
    await refusesItem({ keyring: second.keyring }, 'ERR_HASH')
    const swapped = good.keyrings.map((item, i) => ({ ...item, keyring: KEYRINGS[1 - i]! }))
    await expectCode(open({ ...good, keyrings: swapped }), 'ERR_HASH')
  })

  it('[open-10] a spoiled proof is ERR_HASH', async () => {
    for (const releaseProof of spoiled(first.releaseProof)) {
      await refusesItem({ releaseProof }, 'ERR_HASH')
    }
  })

  it('[open-10] the release of another head is ERR_HASH', async () => {
    const other = await makeDelivery(world, { release: (r) => ({ ...r, generation: 4 }) })
    const { release, releaseProof } = other.keyrings[0]!
    await refusesItem({ release, releaseProof }, 'ERR_HASH')
  })

  it('[open-10] a keyring that was not asked for, or twice, is ERR_DOCUMENT_MISMATCH', async () => {
    const asked = { keyrings: [KEYRINGS[0]!] }
    await expectCode(open(good, asked), 'ERR_DOCUMENT_MISMATCH')
    await expectCode(open({ ...good, keyrings: [first, first] }), 'ERR_DOCUMENT_MISMATCH')
  })

  it('[open-11] a release of another tenant is ERR_TENANT', async () => {
    const edit = only<Release>((r) => ({ ...r, tenant: 'a'.repeat(52) }))
    await refuses({ release: edit }, 'ERR_TENANT')
  })

  it('[open-11] a release of another keyring is ERR_KEYRING', async () => {
    const edit = only<Release>((r) => ({ ...r, keyring: KEYRINGS[1]! }))
    await refuses({ release: edit }, 'ERR_KEYRING')
  })

  it('[log-3] a release whose entry the log of its head cannot have is ERR_UNLOGGED', async () => {
    const log = 41
    await refuses({ release: only<Release>((r) => ({ ...r, log })) }, 'ERR_UNLOGGED')
    const last = only<Release>((r) => ({ ...r, log: log - 1 }))
    await open(await makeDelivery(world, { release: last }))
  })

  it('[open-11] a release of another incarnation is ERR_INCARNATION', async () => {
    await refuses({ release: only<Release>((r) => ({ ...r, incarnation: 2 })) }, 'ERR_INCARNATION')
  })

  it('[open-11] a release that is no release is refused', async () => {
    await refuses({ releaseBytes: only<Bytes>((b) => b.slice(0, -1)) }, 'ERR_MALFORMED')
    await refuses({ release: only<Release>((r) => ({ ...r, generation: 0 })) }, 'ERR_SCHEMA')
  })
})

describe('manifest', () => {
  it('[open-12] another manifest than the release names is ERR_HASH', async () => {
    await refusesItem({ manifest: second.manifest }, 'ERR_HASH')
    const { manifest, manifestProof } = second
    await refusesItem({ manifest, manifestProof }, 'ERR_HASH')
  })

  it('[open-12] a manifest that the authority did not sign is ERR_HASH, though deriver and relay agree', async () => {
    const evil = encodeManifest({ ...manifestOf(world.tenant, KEYRINGS[0]!), offline: 1 })
    const edit = only<Release>((r) => ({ ...r, manifest: sha256(evil) }))
    const delivery = await makeDelivery(world, { release: edit })
    await expectCode(open(withItem(delivery, { manifest: evil })), 'ERR_HASH')
  })

  it('[open-12] a spoiled proof is ERR_HASH', async () => {
    for (const manifestProof of spoiled(first.manifestProof)) {
      await refusesItem({ manifestProof }, 'ERR_HASH')
    }
  })

  it('[open-12] a manifest that is neither delivered nor kept is ERR_HASH', async () => {
    const delivery = withItem(good, { manifest: new Uint8Array() })
    await expectCode(open(delivery), 'ERR_HASH')
    await expectCode(open(delivery, { kept: () => second.manifest }), 'ERR_HASH')
    await open(delivery, { kept: () => first.manifest })
  })

  it('[open-13] a manifest of another tenant is ERR_TENANT', async () => {
    await refuses({ manifest: (m) => ({ ...m, tenant: seeded('other') }) }, 'ERR_TENANT')
  })

  it('[open-13] a manifest of another keyring is ERR_KEYRING', async () => {
    await refuses({ manifest: (m) => ({ ...m, keyring: KEYRINGS[1]! }) }, 'ERR_KEYRING')
  })

  it('[open-13] a lower manifest number is ERR_ROLLBACK, other bytes of the same are ERR_FORK', async () => {
    const hash = accepted.manifests[hex(KEYRINGS[0]!)]!.hash
    const at = (number: number, other = hash) => {
      const manifests = { ...accepted.manifests, [hex(KEYRINGS[0]!)]: { number, hash: other } }
      return openDelivery(good, lastContext(world, accepted, { manifests }))
    }
    await at(4)
    await at(5)
    await expectCode(at(6), 'ERR_ROLLBACK')
    await expectCode(at(5, seeded('other')), 'ERR_FORK')
  })
})

describe('member leaf', () => {
  it("[open-14] a fellow member's leaf is ERR_NOT_RECIPIENT", async () => {
    const theirs = await makeDelivery(world, {}, world.members[0])
    const { member, welcome } = theirs.keyrings[0]!
    await refusesItem({ member, welcome }, 'ERR_NOT_RECIPIENT')
  })

  it('[open-14] a leaf for another package of the client is ERR_NOT_RECIPIENT', async () => {
    await expectCode(open(good, { packageHash: seeded('older package') }), 'ERR_NOT_RECIPIENT')
    expect(documentHash(world.alice.keyPackage)).toEqual(openContext(world).packageHash)
  })

  it('[open-14] a changed leaf is ERR_HASH', async () => {
    const { leaf, proof } = first.member!
    for (const at of [0, 32, 64, 96, 135]) {
      const changed = leaf.with(at, leaf[at]! ^ 1)
      await refusesItem({ member: { leaf: changed, proof } }, 'ERR_HASH')
    }
  })

  it('[open-14] the leaf of another keyring is ERR_HASH', async () => {
    await refusesItem({ member: second.member }, 'ERR_HASH')
  })

  it('[open-14] a spoiled proof is ERR_HASH', async () => {
    const { leaf, proof } = first.member!
    for (const one of spoiled(proof))
      await refusesItem({ member: { leaf, proof: one } }, 'ERR_HASH')
  })
})

describe('bundle', () => {
  it('[open-18] another bundle than the release names is ERR_HASH', async () => {
    await refusesItem({ bundle: second.bundle }, 'ERR_HASH')
    await refusesItem({ bundle: new Uint8Array() }, 'ERR_HASH')
  })

  it("[open-18] a fellow member's bundle with swapped slots is ERR_HASH", async () => {
    const own = bundleOf(world.tenant, KEYRINGS[0]!)
    const [one, two] = own.entries
    const entries = [
      { ...one!, wrapped: two!.wrapped },
      { ...two!, wrapped: one!.wrapped },
    ]
    await refusesItem({ bundle: encodeBundle({ ...own, entries }) }, 'ERR_HASH')
  })

  it('[open-18] a bundle of another keyring, incarnation or generation is ERR_KEYRING', async () => {
    await refuses({ bundle: (b) => ({ ...b, keyring: KEYRINGS[1]! }) }, 'ERR_KEYRING')
    await refuses({ bundle: (b) => ({ ...b, incarnation: 2 }) }, 'ERR_KEYRING')
    await refuses({ bundle: (b) => ({ ...b, generation: 2 }) }, 'ERR_KEYRING')
  })
})
