// Catalogs: the authority's signature over all manifests.
import { beforeAll, expect, it } from 'vitest'
import { verifyCatalog, type CatalogBody } from '../../shared/catalog.ts'
import { requireNotBelow } from '../../shared/numbered.ts'
import { payloadType, signWithAuthority } from '../../shared/envelope.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeEd25519, seeded } from '../lib/fixtures-keys.ts'
import { DAY, makeIdentity, makeTenant, NOW, signAs, type Tenant } from '../lib/fixtures.ts'

let tenant: Tenant
let body: CatalogBody

beforeAll(async () => {
  tenant = await makeTenant('acme')
  body = {
    expiresAt: NOW + DAY,
    issuedAt: NOW,
    manifests: { index: seeded('index'), root: seeded('root'), size: 2 },
    number: 7,
    tenant: tenant.trust.tenant,
  }
})

const sign = (edit: object = {}, keys = tenant.authority.slice(0, 2)) =>
  signWithAuthority('catalog', { ...body, ...edit }, keys)
const verify = async (edit: object = {}, keys = tenant.authority.slice(0, 2)) =>
  verifyCatalog(await sign(edit, keys), tenant.trust)

it('is verified under the trust document', async () => {
  expect((await verify()).body).toEqual(body)
})

it('[catalog-1] without the threshold of the authority it is ERR_SIGNATURE', async () => {
  await expectCode(verify({}, tenant.authority.slice(0, 1)), 'ERR_SIGNATURE')
  const strangers = [await makeEd25519('x'), await makeEd25519('y')]
  await expectCode(verify({}, strangers), 'ERR_SIGNATURE')
})

it('[catalog-1] a deriver cannot sign one', async () => {
  const deriver = await makeIdentity(tenant.derivers, 'deriver', 'one')
  await expectCode(
    verifyCatalog(await signAs(deriver, 'catalog', body), tenant.trust),
    'ERR_SCHEMA',
  )
  const bare = { ...(await signAs(deriver, 'catalog', body)), certificates: [] }
  await expectCode(verifyCatalog(bare, tenant.trust), 'ERR_SIGNATURE')
})

it('[catalog-1] a life of 0 or of more than 400 days is ERR_LIFETIME', async () => {
  await verify({ expiresAt: NOW + 400 * DAY })
  await expectCode(verify({ expiresAt: NOW + 400 * DAY + 1 }), 'ERR_LIFETIME')
  await expectCode(verify({ expiresAt: NOW }), 'ERR_LIFETIME')
})

it('[env-2] another type is ERR_PAYLOAD_TYPE, also relabelled', async () => {
  const envelope = await signWithAuthority('trust', body, tenant.authority)
  await expectCode(verifyCatalog(envelope, tenant.trust), 'ERR_PAYLOAD_TYPE')
  const relabelled = { ...envelope, payloadType: payloadType('catalog') }
  await expectCode(verifyCatalog(relabelled, tenant.trust), 'ERR_SIGNATURE')
})

it('[env-3] another tenant is ERR_TENANT', async () => {
  await expectCode(verify({ tenant: 'a'.repeat(52) }), 'ERR_TENANT')
})

it.each([
  ['number 0', { number: 0 }],
  ['an unknown field', { more: 1 }],
  [
    'a root of another length',
    { manifests: { index: seeded('i'), root: seeded('r', 31), size: 2 } },
  ],
  ['a size of 2^32', { manifests: { index: seeded('i'), root: seeded('r'), size: 2 ** 32 } }],
])('[dec-3] %s is ERR_SCHEMA', async (_, edit) => {
  await expectCode(verify(edit), 'ERR_SCHEMA')
})

it('[catalog-2] a number never falls, and an equal one has equal bytes', async () => {
  const at = (number: number, hash = seeded('hash')) => ({ number, hash })
  requireNotBelow(at(1), null, 'catalog')
  requireNotBelow(at(8, seeded('other')), at(7), 'catalog')
  requireNotBelow(at(7), at(7), 'catalog')
  await expectCode(() => requireNotBelow(at(6), at(7), 'catalog'), 'ERR_ROLLBACK')
  await expectCode(() => requireNotBelow(at(7, seeded('other')), at(7), 'catalog'), 'ERR_FORK')
})
