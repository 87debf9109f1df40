// Opening a delivery, what comes after what: trust documents, incarnations, CRLs, heads and catalogs that go back, fork or are mixed.
import { beforeAll, describe, expect, it } from 'vitest'
import { type Delivery } from '../../shared/delivery.ts'
import { hex } from '../../shared/bytes.ts'
import { verifyCertificateSignature } from '../../shared/certificate-signature.ts'
import { type ErrorCode } from '../../shared/errors.ts'
import { openDelivery, type Accepted, type OpenContext } from '../../shared/open.ts'
import { type HeadBody } from '../../shared/release.ts'
import { keyId } from '../../shared/signature.ts'
import { verifySuccessor } from '../../shared/trust.ts'
import {
  lastContext,
  makeDelivery,
  makeWorld,
  openContext,
  type Edits,
  type World,
} from '../lib/fixtures-delivery.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeEd25519, seeded } from '../lib/fixtures-keys.ts'
import { DAY, makeCrl, NOW, signSuccessor } from '../lib/fixtures.ts'

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

describe('trust document and incarnation of the head', () => {
  it('[open-5] a head under a lower trust document is ERR_ROLLBACK', async () => {
    const trust = [(await successor()).tenant.trust.envelope]
    await expectCode(open({ ...good, trust }), 'ERR_ROLLBACK')
  })

  it('[open-5] a head under another trust document of that number is ERR_FORK', async () => {
    await refuses(head({ trust: { hash: seeded('other'), number: 1 } }), 'ERR_FORK')
  })

  it('[open-5] a head under a trust document that was not delivered is ERR_HASH', async () => {
    await expectCode(open(await makeDelivery(await successor())), 'ERR_HASH')
  })

  it('[open-6] a head of another incarnation is ERR_INCARNATION', async () => {
    await refuses(head({ incarnation: 2 }), 'ERR_INCARNATION')
    const next = await successor({ incarnation: 2 })
    const delivery = await makeDelivery(next)
    await expectCode(openDelivery(delivery, openContext(next)), 'ERR_INCARNATION')
  })
})

describe('revocation lists', () => {
  it('[open-7] a head that names another CRL is ERR_HASH', async () => {
    const change =
      (edit: object): NonNullable<Edits['head']> =>
      (h) => ({ ...h, crls: h.crls.map((crl) => ({ ...crl, ...edit })) })
    await refuses({ head: change({ hash: seeded('other') }) }, 'ERR_HASH')
    await refuses({ head: change({ number: 2 }) }, 'ERR_HASH')
    await refuses(head({ crls: [] }), 'ERR_HASH')
  })

  it('[open-7] a CRL delivered beside the one that the head names is ERR_HASH', async () => {
    const newer = await makeCrl(world.tenant.derivers, 2)
    await expectCode(open({ ...good, crls: [...good.crls, newer] }), 'ERR_HASH')
  })

  it('[open-7] an older CRL than the last one seen is ERR_ROLLBACK', async () => {
    const id = hex(await keyId(world.tenant.derivers.key.spki))
    await openDelivery(good, lastContext(world, accepted, { crls: { [id]: 1 } }))
    const context = lastContext(world, accepted, { crls: { [id]: 2 } })
    await expectCode(openDelivery(good, context), 'ERR_ROLLBACK')
    const crls = [await makeCrl(world.tenant.derivers, 3), world.crls[1]!]
    const newer = await makeDelivery(world, { crls, ...head({ version: 59 }) })
    expect((await openDelivery(newer, context)).accepted.crls).toEqual({ [id]: 3 })
  })

  it('[open-7] a CRL below the lowest of the trust document is ERR_ROLLBACK', async () => {
    const issuer = await keyId(world.tenant.derivers.key.spki)
    const at = async (number: number) => {
      const next = await successor({ lowestCrls: [{ issuer, number }] })
      return openDelivery(await makeDelivery(next), openContext(next))
    }
    await at(1)
    await expectCode(at(2), 'ERR_ROLLBACK')
  })
})

describe('revocation lists for what else a deriver signed', () => {
  it('are those delivered that the head names', async () => {
    expect((await open(good)).crls.map(({ der }) => der)).toEqual(good.crls)
    const [derivers] = good.crls
    const older = await makeCrl(world.tenant.clients, 0)
    const newer = await makeCrl(world.tenant.clients, 2)
    // Repeated, it is still one: a relay cannot make a client parse a list again and again.
    const repeated = { ...good, crls: Array.from({ length: 16 }, () => derivers!) }
    expect((await open(repeated)).crls).toHaveLength(1)
    // Also where nothing is remembered of it.
    const verify = verifyCertificateSignature
    expect((await open(repeated, { verify })).crls).toHaveLength(1)
    const delivery = { ...good, crls: [older, newer, derivers!] }
    expect((await open(delivery)).crls.map(({ der }) => der)).toEqual([derivers])
  })

  it('[open-7] are not below what was seen, nor below the lowest of the trust document', async () => {
    const issuer = await keyId(world.tenant.clients.key.spki)
    const seen = { ...accepted.crls, [hex(issuer)]: 2 }
    const context = lastContext(world, accepted, { crls: seen })
    expect((await openDelivery(good, context)).crls.map(({ der }) => der)).toEqual(
      good.crls.slice(0, 1),
    )
    const next = await successor({ lowestCrls: [{ issuer, number: 2 }] })
    const opened = await openDelivery(await makeDelivery(next), openContext(next))
    expect(opened.crls.map(({ der }) => der)).toEqual(good.crls.slice(0, 1))
  })
})

describe('succession', () => {
  it('[open-8] a lower head version is ERR_ROLLBACK', async () => {
    const last = (edit: object) =>
      lastContext(world, accepted, { head: { ...accepted.head, ...edit } })
    await openDelivery(good, last({ version: 57 }))
    await expectCode(openDelivery(good, last({ version: 59 })), 'ERR_ROLLBACK')
    await expectCode(openDelivery(good, last({ incarnation: 2, version: 1 })), 'ERR_ROLLBACK')
  })

  it('[open-8] another head of the same version is ERR_FORK', async () => {
    const other = await makeDelivery(world, head({ log: { root: seeded('x'), size: 41 } }))
    await expectCode(openDelivery(other, lastContext(world, accepted)), 'ERR_FORK')
  })

  it('[open-8] a later incarnation may begin with any version', async () => {
    const next = await successor({ incarnation: 2 })
    const delivery = await makeDelivery(next, {
      head: (h) => ({ ...h, incarnation: 2, version: 1 }),
      release: (r) => ({ ...r, incarnation: 2 }),
      bundle: (b) => ({ ...b, incarnation: 2 }),
    })
    const { last } = lastContext(world, accepted)
    const opened = await openDelivery(delivery, openContext(next, { last }))
    expect(opened.accepted.head).toMatchObject({ incarnation: 2, version: 1 })
  })
})

describe('catalog', () => {
  it('[open-9] another catalog than the head names is ERR_HASH', async () => {
    const other = await makeDelivery(world, { catalog: (c) => ({ ...c, expiresAt: NOW + DAY }) })
    await expectCode(open({ ...good, catalog: other.catalog }), 'ERR_HASH')
    const eighth = await makeDelivery(world, { catalog: (c) => ({ ...c, number: 8 }) })
    await expectCode(open(eighth), 'ERR_HASH')
  })

  it('[open-9] a catalog that is neither delivered nor kept is ERR_HASH', async () => {
    await expectCode(open({ ...good, catalog: null }), 'ERR_HASH')
    const kept = { ...accepted.catalog, hash: seeded('other') }
    const context = lastContext(world, accepted, { catalog: kept })
    await expectCode(openDelivery({ ...good, catalog: null }, context), 'ERR_HASH')
  })

  it('[open-9] a catalog signed by one authority key of two is ERR_SIGNATURE', async () => {
    await refuses({ authority: world.tenant.authority.slice(0, 1) }, 'ERR_SIGNATURE')
  })

  it('[open-9] a head in the place of the catalog is ERR_PAYLOAD_TYPE', async () => {
    await expectCode(open({ ...good, catalog: good.head }), 'ERR_PAYLOAD_TYPE')
    const signatures = good.catalog!.signatures.slice(0, 1)
    const catalog = { ...good.catalog!, signatures }
    await expectCode(open({ ...good, head: catalog }), 'ERR_PAYLOAD_TYPE')
  })

  it('[catalog-1] the one that was kept does not count under a new trust document: ERR_HASH', async () => {
    const next = await successor()
    const trust = [next.tenant.trust.envelope]
    const delivery = { ...(await makeDelivery(next, head({ version: 59 }))), trust }
    const context = lastContext(world, accepted)
    await expectCode(openDelivery({ ...delivery, catalog: null }, context), 'ERR_HASH')
    const second = await openDelivery(delivery, context)
    // It is the same document, and from now on it stands under this one.
    expect(second.accepted.catalog).toEqual(accepted.catalog)
    const kept = { ...delivery, catalog: null, trust: [] }
    await openDelivery(kept, lastContext(world, second.accepted))
  })

  it('[catalog-1] the signature of an authority key that was replaced is ERR_SIGNATURE', async () => {
    const old = world.tenant.authority.slice(0, 2)
    const authority = [await makeEd25519('new 1'), await makeEd25519('new 2')]
    const keys = authority.map(({ spki }) => spki)
    const envelope = await signSuccessor(world.tenant, { authority: { keys, threshold: 2 } }, [
      ...old,
      ...authority,
    ])
    const trust = await verifySuccessor(envelope, world.tenant.trust)
    const next = { ...world, tenant: { ...world.tenant, trust } }
    const signedBy = async (signers: typeof old) =>
      openDelivery(
        {
          ...(await makeDelivery(next, { ...head({ version: 59 }), authority: signers })),
          trust: [envelope],
        },
        lastContext(world, accepted),
      )
    await signedBy(authority)
    await expectCode(signedBy(old), 'ERR_SIGNATURE')
  })

  it('[catalog-2] a lower catalog than the last one is ERR_ROLLBACK', async () => {
    const body = { ...accepted.catalog.body, number: 8 }
    const context = lastContext(world, accepted, { catalog: { ...accepted.catalog, body } })
    await expectCode(openDelivery(good, context), 'ERR_ROLLBACK')
  })

  it('[catalog-3] numbers that a stolen authority drove up bind nobody once too few of its keys are left', async () => {
    const far = Number.MAX_SAFE_INTEGER
    const [one, two, three] = world.tenant.authority
    const fresh = [await makeEd25519('new 1'), await makeEd25519('new 2')]
    const after = async (authority: typeof fresh) => {
      const keys = authority.map(({ spki }) => spki)
      const signers = [...new Set([one!, two!, ...authority])]
      const edit = { authority: { keys, threshold: 2 } }
      const envelope = await signSuccessor(world.tenant, edit, signers)
      const trust = await verifySuccessor(envelope, world.tenant.trust)
      const next = { ...world, tenant: { ...world.tenant, trust } }
      const made = await makeDelivery(next, {
        ...head({ version: 59 }),
        authority: authority.slice(0, 2),
      })
      const manifests = Object.fromEntries(
        Object.keys(accepted.manifests).map((id) => [id, { number: far, hash: seeded('far') }]),
      )
      const catalog = { body: { ...accepted.catalog.body, number: far }, hash: seeded('far') }
      const context = lastContext(world, accepted, { catalog, manifests })
      return openDelivery({ ...made, trust: [envelope] }, context)
    }
    for (const authority of [fresh, [one!, ...fresh]]) {
      const opened = await after(authority)
      expect(opened.accepted.catalog.body.number).toBe(accepted.catalog.body.number)
      expect(opened.accepted.manifests).toEqual(accepted.manifests)
    }
    // Two keys that are left could still have signed an older catalog.
    await expectCode(after([one!, two!, fresh[0]!]), 'ERR_ROLLBACK')
    await expectCode(after([one!, two!, three!]), 'ERR_ROLLBACK')
  })

  it('[catalog-2] another catalog of the same number is ERR_FORK', async () => {
    const catalog = { ...accepted.catalog, hash: seeded('other') }
    const context = lastContext(world, accepted, { catalog })
    await expectCode(openDelivery(good, context), 'ERR_FORK')
  })
})
