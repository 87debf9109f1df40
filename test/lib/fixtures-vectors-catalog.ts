/** Vectors of a catalog in a delivery: who signs it, and which numbers bind whom. */
import { type Delivery } from '../../shared/delivery.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { type SigningKey } from '../../shared/signature.ts'
import { verifySuccessor } from '../../shared/trust.ts'
import { KEYRINGS, makeDelivery, type World } from './fixtures-delivery.ts'
import { makeEd25519 } from './fixtures-keys.ts'
import { type Vector } from './fixtures-vectors.ts'
import { signSuccessor } from './fixtures.ts'

/** What a client kept, as the cases write it. */
export interface Kept {
  catalog: { number: number; hash: string }
  manifests: { keyring: string; number: number; hash: string }[]
}

/** Makes a case of a delivery. */
export type Item = (
  comment: string,
  delivery: Delivery,
  expect: Vector['expect'],
  more?: object,
) => Vector

/** A delivery of the first keyring under the next trust document, with other authority keys. */
async function underNext(world: World, authority: SigningKey[]): Promise<Delivery> {
  const { tenant } = world
  const signers = [...new Set([...tenant.authority.slice(0, 2), ...authority])]
  const keys: Bytes[] = authority.map(({ spki }) => spki)
  const successor = await signSuccessor(tenant, { authority: { keys, threshold: 2 } }, signers)
  const trust = await verifySuccessor(successor, tenant.trust)
  const made = await makeDelivery(
    { ...world, tenant: { ...tenant, trust } },
    { authority: authority.slice(0, 2), head: (head) => ({ ...head, version: 59 }) },
  )
  const keyrings = made.keyrings.filter(({ keyring }) => keyring === KEYRINGS[0])
  return { ...made, keyrings, trust: [successor] }
}

export async function catalogCases(
  world: World,
  good: Delivery,
  state: Kept,
  item: Item,
): Promise<Vector[]> {
  const [one, two, three] = world.tenant.authority as [SigningKey, SigningKey, SigningKey]
  const fresh = [await makeEd25519('fresh 1'), await makeEd25519('fresh 2')]
  const oneOfTwo = await makeDelivery(world, { authority: [one] })
  const catalog = { ...state.catalog, number: 8 }
  const manifests = state.manifests.map((manifest) => ({ ...manifest, number: 6 }))
  const [far, farManifests] = [
    { ...state, catalog },
    { ...state, manifests },
  ]
  const [none, few, enough] = [
    await underNext(world, fresh),
    await underNext(world, [...fresh, one]),
    await underNext(world, [one, two, fresh[0]!]),
  ]
  return [
    item(
      '[catalog-1] signed by one of two',
      { ...oneOfTwo, keyrings: good.keyrings },
      'ERR_SIGNATURE',
    ),
    item('[catalog-2] a lower catalog', good, 'ERR_ROLLBACK', { state: far }),
    item('[catalog-3] a lower catalog of other authority keys', none, 'ok', { state: far }),
    item('[catalog-3] a lower manifest under other authority keys', none, 'ok', {
      state: farManifests,
    }),
    item('[catalog-3] a lower catalog where one key of a threshold of two is kept', few, 'ok', {
      state: far,
    }),
    item('[catalog-3] a lower catalog where the threshold is kept', enough, 'ERR_ROLLBACK', {
      state: far,
    }),
    item('[catalog-3] a lower manifest where the threshold is kept', enough, 'ERR_ROLLBACK', {
      state: farManifests,
    }),
    item(
      '[catalog-3] a lower catalog where every key is kept',
      await underNext(world, [one, two, three]),
      'ERR_ROLLBACK',
      { state: far },
    ),
  ]
}
