// Opening a delivery, head and catalog: each test changes one thing of a delivery that is otherwise good.
import { beforeAll, describe, expect, it } from 'vitest'
import { type Delivery } from '../../shared/delivery.ts'
import { equal, type Bytes, hex } from '../../shared/bytes.ts'
import { type ErrorCode } from '../../shared/errors.ts'
import { openDelivery, type Accepted, type OpenContext } from '../../shared/open.ts'
import { type HeadBody } from '../../shared/release.ts'
import { keyId } from '../../shared/signature.ts'
import { verifyGenesis, verifySuccessor } from '../../shared/trust.ts'
import { tenantId } from '../../shared/document-hash.ts'
import { signWithAuthority } from '../../shared/envelope.ts'
import { parseCertificate } from '../../shared/x509.ts'
import {
  lastContext,
  makeDelivery,
  makeWorld,
  openContext,
  withItem,
  type Edits,
  type World,
} from '../lib/fixtures-delivery.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeEd25519 } from '../lib/fixtures-keys.ts'
import { DAY, makeCrl, makeTenant, NOW, signSuccessor } from '../lib/fixtures.ts'

let world: World
let good: Delivery
let accepted: Accepted

beforeAll(async () => {
  world = await makeWorld()
  good = await makeDelivery(world)
  accepted = (await openDelivery(good, openContext(world))).accepted
})

const open = (delivery: Delivery, edit: Partial<OpenContext> = {}) =>
  openDelivery(delivery, openContext(world, edit))

async function refuses(edits: Edits, code: ErrorCode, edit: Partial<OpenContext> = {}) {
  await expectCode(open(await makeDelivery(world, edits), edit), code)
}

const head = (change: Partial<HeadBody>): Edits => ({ head: (body) => ({ ...body, ...change }) })

/** The world under trust document 2. */
async function successor(edit: object = {}): Promise<World> {
  const envelope = await signSuccessor(world.tenant, edit)
  const trust = await verifySuccessor(envelope, world.tenant.trust)
  return { ...world, tenant: { ...world.tenant, trust } }
}

it('opens a good delivery and returns the next state', async () => {
  const opened = await open(good)
  expect(opened.keyrings.map((view) => [view.slot, view.release.generation])).toEqual([
    [1, 3],
    [1, 3],
  ])
  const { trust, head: last, catalog, crls, manifests } = opened.accepted
  expect(trust).toBe(world.tenant.trust)
  expect(last).toEqual({
    incarnation: 1,
    version: 58,
    hash: opened.head.hash,
    issuedAt: NOW - 10,
    expiresAt: NOW + 1_800,
  })
  expect(catalog.body.number).toBe(7)
  expect(crls).toEqual({ [hex(await keyId(world.tenant.derivers.key.spki))]: 1 })
  expect(Object.values(manifests).map((one) => one.number)).toEqual([5, 5])
})

it('opens the same delivery again, and one without what is kept', async () => {
  await openDelivery(good, lastContext(world, accepted))
  const { catalog, keyrings } = good
  const kept = new Map<string, Bytes>()
  const opened = await open(good)
  for (const { objects, release } of opened.keyrings) {
    kept.set(hex(release.manifest), objects.manifest)
    kept.set(hex(release.bundle), objects.bundle)
  }
  const empty = new Uint8Array()
  const short = keyrings.map((item) => ({ ...item, manifest: empty, bundle: empty }))
  const context = lastContext(world, accepted)
  const again = await openDelivery(
    { ...good, catalog: null, keyrings: short },
    { ...context, kept: (hash) => kept.get(hex(hash)) },
  )
  expect(again.accepted).toEqual(opened.accepted)
  expect(catalog).not.toBeNull()
})

it('a keyring that is left out proves nothing', async () => {
  expect((await open({ ...good, keyrings: [] })).keyrings).toEqual([])
})

describe('[open-14] a leaf that is not delivered', () => {
  const leave = (delivery: Delivery): Delivery => withItem(delivery, { member: null })

  it('is the one that is held of the same members', async () => {
    const [first] = (await open(good)).keyrings
    const { member, slot, release } = first!
    const held = { member, slot, members: release.members }
    const again = await openDelivery(
      leave(good),
      openContext(world, { held: (id) => (equal(id, first!.id) ? held : null) }),
    )
    // What is read of manifest and bundle is in their bytes.
    const { manifest: _, bundle: __, ...shown } = first!
    expect(again.keyrings[0]).toMatchObject(shown)
    for (const edit of [
      { members: { ...held.members, size: held.members.size + 1 } },
      { members: { ...held.members, root: new Uint8Array(32) } },
      { members: undefined },
    ])
      await expectCode(
        openDelivery(leave(good), openContext(world, { held: () => ({ ...held, ...edit }) })),
        'ERR_HASH',
      )
    const other = { ...member, packageHash: new Uint8Array(32) }
    await expectCode(
      openDelivery(leave(good), openContext(world, { held: () => ({ ...held, member: other }) })),
      'ERR_NOT_RECIPIENT',
    )
  })

  it('of a keyring that is not held is none', () => expectCode(open(leave(good)), 'ERR_HASH'))
})

describe('trust', () => {
  it('[open-1] follows a new trust document that is delivered', async () => {
    const next = await successor()
    const delivery = await makeDelivery(next)
    const trust = [next.tenant.trust.envelope]
    expect((await open({ ...delivery, trust })).accepted.trust.body.number).toBe(2)
    const both = [world.tenant.trust.envelope, ...trust]
    expect((await open({ ...delivery, trust: both }, { trust: null })).head.body.version).toBe(58)
  })

  it('[open-1] a trust document that the authority did not sign is ERR_SIGNATURE', async () => {
    const stranger = [await makeEd25519('stranger'), await makeEd25519('another')]
    const trust = [await signSuccessor(world.tenant, {}, stranger)]
    await expectCode(open({ ...good, trust }), 'ERR_SIGNATURE')
  })

  it('[open-1] without any trust document it is ERR_TRUST_DOCUMENT', async () => {
    await expectCode(open(good, { trust: null }), 'ERR_TRUST_DOCUMENT')
  })

  it('[open-1] the genesis document of another tenant is ERR_TENANT', async () => {
    const other = await makeTenant('other')
    const trust = [other.trust.envelope]
    await expectCode(open({ ...good, trust }, { trust: null }), 'ERR_TENANT')
  })
})

describe('the signer of the head', () => {
  it('[open-2] a head of another tenant with the same CAs is ERR_TENANT', async () => {
    const other = await makeTenant('other')
    const theirs = await makeDelivery({ ...world, tenant: other })
    await expectCode(open({ ...good, head: theirs.head }), 'ERR_TENANT')
    await expectCode(open(theirs), 'ERR_TENANT')
  })

  it('[open-2] a head signed by a client is ERR_PATH_INVALID', async () => {
    await refuses({ signer: world.alice }, 'ERR_PATH_INVALID')
  })

  it('[open-2] a head signed by a client is ERR_ROLE where both roles have one CA', async () => {
    const { authority, trust } = world.tenant
    const { derivers, clients } = trust.body
    const anchors = [...derivers.anchors, ...clients.anchors]
    const body = { ...trust.body, derivers: { ...derivers, anchors } }
    const envelope = await signWithAuthority('trust', body, authority.slice(0, 2))
    const tenant = {
      ...world.tenant,
      trust: await verifyGenesis(envelope, tenantId(envelope)),
    }
    const one = { ...world, tenant }
    const delivery = await makeDelivery(one, { signer: world.alice })
    await expectCode(openDelivery(delivery, openContext(one)), 'ERR_ROLE')
  })

  it('[open-2] a changed signature is ERR_SIGNATURE', async () => {
    const [signature] = good.head.signatures
    const sig = signature!.sig.with(5, signature!.sig[5]! ^ 1)
    const changed = { ...good.head, signatures: [{ ...signature!, sig }] }
    await expectCode(open({ ...good, head: changed }), 'ERR_SIGNATURE')
  })

  it('[open-2] a revoked deriver is ERR_CERT_REVOKED', async () => {
    const { serial } = parseCertificate(world.deriver.certificates[0]!)
    const crls = [await makeCrl(world.tenant.derivers, 2, [serial]), world.crls[1]!]
    await refuses({ crls }, 'ERR_CERT_REVOKED')
    // The list that is not yet revoking does not help the relay, once the newer one is there.
    await expectCode(open({ ...good, crls: [...good.crls, ...crls] }), 'ERR_CERT_REVOKED')
  })

  it('[open-2] without the CRLs it is ERR_CRL', async () => {
    await expectCode(open({ ...good, crls: [] }), 'ERR_CRL')
  })

  it('[open-2] after the end of its certificate it is ERR_CERT_EXPIRED', async () => {
    await expectCode(open(good, { now: NOW + 61 * DAY }), 'ERR_CERT_EXPIRED')
  })

  it('[open-2] a head with an empty catalog field, or with CRLs that do not rise, is ERR_SCHEMA', async () => {
    await refuses({ head: (h) => ({ ...h, catalog: {} }) as HeadBody }, 'ERR_SCHEMA')
    await refuses({ head: (h) => ({ ...h, crls: h.crls.toReversed() }) }, 'ERR_SCHEMA')
  })
})

describe('time', () => {
  it.each([0, -1, 3_601])('[open-3] a head of %i seconds is ERR_LIFETIME', async (lifetime) => {
    await refuses(head({ expiresAt: NOW - 10 + lifetime }), 'ERR_LIFETIME')
  })

  it.each([1, 3_600])('a head of %i seconds is good', async (lifetime) => {
    await open(await makeDelivery(world, head({ expiresAt: NOW - 10 + lifetime })))
  })

  it('[open-4] a head issued after now + skew is ERR_FUTURE', async () => {
    await open(await makeDelivery(world, head({ issuedAt: NOW + 60 })))
    await refuses(head({ issuedAt: NOW + 61 }), 'ERR_FUTURE')
  })

  it('[open-4] a clock set back behind the last head is ERR_CLOCK', async () => {
    const context = { ...lastContext(world, accepted), now: NOW - 70 }
    await openDelivery(good, context)
    await expectCode(openDelivery(good, { ...context, now: NOW - 71 }), 'ERR_FUTURE')
    const last = { ...accepted, head: { ...accepted.head, version: 57, issuedAt: NOW + 61 } }
    await expectCode(open(good, { last }), 'ERR_CLOCK')
    await open(good, { last: { ...last, head: { ...last.head, issuedAt: NOW + 60 } } })
  })
})
