/** The fence of a restored database: what has to be there before it signs a head, and makes a version. */
import { expect, it } from 'vitest'
import { takeCrl } from '../../deriver/crls.ts'
import { takeUpIncarnation } from '../../deriver/incarnation.ts'
import { createKeyring } from '../../deriver/keyrings.ts'
import {
  noteCaughtUp,
  noteListed,
  noteRestored,
  requireTakenUp,
  isFenced,
} from '../../deriver/restored.ts'
import { type Root } from '../../deriver/root.ts'
import { createService } from '../../deriver/service.ts'
import { rotateKeyring, withdrawVersion } from '../../deriver/versions.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { errorOf } from '../../shared/error-codes.ts'
import { type TrustDocument } from '../../shared/trust.ts'
import { codeOf, deriving, ring, tenant, useTenant } from '../lib/deriver.ts'
import { makeCa } from '../lib/world.ts'

useTenant()

const trustOf = (incarnation: number): TrustDocument => ({
  ...tenant.trust,
  body: { ...tenant.trust.body, incarnation },
})
const check = (incarnation: number) =>
  codeOf(Promise.resolve().then(() => requireTakenUp(tenant.store, trustOf(incarnation))))
/** What a person does whose only CAs are the built-in ones. */
function catchUp(incarnation: number): void {
  const { store, clock } = tenant
  noteCaughtUp(store, incarnation)
  for (const { issuer } of store.all<{ issuer: Bytes }>('SELECT issuer FROM crls'))
    noteListed(store, new Uint8Array(issuer), clock.now)
}
const restore = (): void => noteRestored(tenant.store, tenant.clock.now)

it('[restore-1] no head before an incarnation above each that is known to have been in use', async () => {
  expect(await check(1)).toBe('none')
  restore()
  catchUp(3)
  for (const incarnation of [1, 2, 3]) expect(await check(incarnation)).toBe('ERR_ROLLBACK')
  expect(isFenced(tenant.store)).toBe(true)
  expect(await check(4)).toBe('none')
})

it('[restore-1] the fence comes down with the new incarnation, and stays up where the root does not answer', async () => {
  const { store, keys, clock } = tenant
  restore()
  catchUp(1)
  expect(await check(2)).toBe('none')
  const away: Root = { ...keys.root, transaction: () => Promise.reject(errorOf('ERR_ROOT')) }
  const take = (root: Root) =>
    codeOf(takeUpIncarnation(store, { ...deriving(), root }, trustOf(2), clock.now))
  expect(await take(away)).toBe('ERR_ROOT')
  expect(isFenced(store)).toBe(true)
  expect(await codeOf(Promise.resolve().then(() => rotateKeyring(store, 'notes', clock.now)))).toBe(
    'ERR_ROLLBACK',
  )
  expect(await take(keys.root)).toBe('none')
  expect(isFenced(store)).toBe(false)
  expect(store.all('SELECT incarnation, version FROM versions')).toEqual([
    { incarnation: 1, version: 1 },
    { incarnation: 2, version: 2 },
  ])
})

it('[restore-1] no version before that: neither a rotation nor a new keyring, and a removal leaves none to encrypt with', async () => {
  const { store, clock } = tenant
  restore()
  expect(await codeOf(Promise.resolve().then(() => rotateKeyring(store, 'notes', clock.now)))).toBe(
    'ERR_ROLLBACK',
  )
  expect(withdrawVersion(store, 'notes@1', 'deactivated', clock.now)).toBe(0)
  expect([ring().encrypt_version, store.get('SELECT count(*) AS n FROM versions')]).toEqual([
    0,
    { n: 1 },
  ])
  const rules = ['keyferry://client.acme.example/*']
  const create = () => createKeyring(store, { name: 'more', rules }, clock.now)
  expect(await codeOf(Promise.resolve().then(create))).toBe('ERR_ROLLBACK')
  catchUp(1)
  await takeUpIncarnation(store, deriving(), trustOf(2), clock.now)
  expect(rotateKeyring(store, 'notes', clock.now)).toBe(3)
})

it('[restore-2] no head before relays were asked, whatever the trust document says', async () => {
  restore()
  const { store, keys, derivers, clients, clock } = tenant
  expect(await check(2)).toBe('ERR_ROLLBACK')
  const service = await createService({
    store,
    root: keys.root,
    authority: keys.authority,
    signer: { issuer: derivers, uri: 'keyferry://deriver.acme.example/deriver-1' },
    issuers: { deriver: derivers, client: clients },
    now: () => clock.now,
    fetch: () => Promise.reject(new Error('no relay is asked')),
  })
  const before = store.all('SELECT * FROM meta')
  expect(await codeOf(service.step())).toBe('ERR_ROLLBACK')
  expect(store.all('SELECT * FROM meta')).toEqual(before)
  expect(store.get('SELECT count(*) AS n FROM heads')).toEqual({ n: 0 })
})

it('[restore-3] no head before every other CA has given a list again, be it the same one', async () => {
  const { store, clock } = tenant
  const ca = await makeCa('client', clock.now)
  const take = () => takeCrl(store, ca.crl, [ca.certificate], clock.now)
  await take()
  restore()
  catchUp(1)
  // `catchUp` of this file has noted all lists: that of this CA was not seen.
  noteListed(store, ca.keyId, 0)
  expect(await check(2)).toBe('ERR_CRL')
  expect(isFenced(store)).toBe(true)
  expect((await take()).isNew).toBe(false)
  expect(await check(2)).toBe('none')
})
