// Key packages and key requests.
import { beforeAll, describe, expect, it } from 'vitest'
import {
  requireRisingPackage,
  verifyKeyPackage,
  verifyKeyRequest,
  type KeyPackage,
} from '../../shared/key-package.ts'
import { type VerifyContext } from '../../shared/verify-context.ts'
import { verifyGenesis } from '../../shared/trust.ts'
import { tenantId } from '../../shared/document-hash.ts'
import { signWithAuthority } from '../../shared/envelope.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeRecipient, seeded } from '../lib/fixtures-keys.ts'
import {
  contextOf,
  DAY,
  makeDevice,
  makeIdentity,
  makeTenant,
  NOW,
  packageBody,
  requestBody,
  signAs,
  type Device,
  type Tenant,
} from '../lib/fixtures.ts'

let tenant: Tenant
let alice: Device
let context: VerifyContext
let known: KeyPackage

beforeAll(async () => {
  tenant = await makeTenant('acme')
  alice = await makeDevice(tenant, 'alice')
  context = await contextOf(tenant)
  known = await verifyKeyPackage(alice.keyPackage, context)
})

const signPackage = (edit: object = {}, as = alice) =>
  signAs(as, 'package', { ...packageBody(tenant, as, as.recipient), ...edit })
const verify = async (edit: object = {}, as = alice) =>
  verifyKeyPackage(await signPackage(edit, as), context)

describe('key package', () => {
  it('is verified in every suite', async () => {
    for (const suite of ['MLKEM768-X25519', 'X25519', 'P-256'] as const) {
      const { publicKey: key } = await makeRecipient(suite, 'x')
      expect((await verify({ suite, key })).body.suite).toBe(suite)
    }
  })

  it('[package-1] a deriver cannot sign one', async () => {
    const deriver = await makeIdentity(tenant.derivers, 'deriver', 'one')
    const as = { ...alice, ...deriver }
    await expectCode(verify({}, as), 'ERR_PATH_INVALID')
  })

  it('[package-1] of another tenant it is ERR_TENANT, with another signer ERR_SIGNER', async () => {
    await expectCode(verify({ tenant: 'a'.repeat(52) }), 'ERR_TENANT')
    await expectCode(verify({ signer: seeded('x') }), 'ERR_SIGNER')
  })

  it("[package-1] with another's key in it, the signature no longer fits", async () => {
    const bob = await makeDevice(tenant, 'bob')
    const changed = { ...alice.keyPackage, payload: bob.keyPackage.payload }
    await expectCode(verifyKeyPackage(changed, context), 'ERR_SIGNATURE')
  })

  it('[package-2] a suite that the trust document does not allow is ERR_SUITE', async () => {
    const body = { ...tenant.trust.body, suites: ['MLKEM768-X25519'] }
    const envelope = await signWithAuthority('trust', body, tenant.authority.slice(0, 2))
    const trust = await verifyGenesis(envelope, tenantId(envelope))
    const keyPackage = await signPackage({ tenant: trust.tenant })
    await expectCode(verifyKeyPackage(keyPackage, { ...context, trust }), 'ERR_SUITE')
  })

  it('[package-2] a suite that does not exist is ERR_SCHEMA', async () => {
    await expectCode(verify({ suite: 'X448' }), 'ERR_SCHEMA')
  })

  it('[package-2] a key of another length is ERR_KEY_PACKAGE', async () => {
    await expectCode(verify({ key: seeded('k', 33) }), 'ERR_KEY_PACKAGE')
    await expectCode(verify({ suite: 'P-256' }), 'ERR_KEY_PACKAGE')
    await expectCode(
      verify({ suite: 'MLKEM768-X25519', key: seeded('k', 1_215) }),
      'ERR_KEY_PACKAGE',
    )
  })

  it('[package-3] issued after now + skew it is ERR_FUTURE', async () => {
    await verify({ issuedAt: NOW + 60 })
    await expectCode(verify({ issuedAt: NOW + 61 }), 'ERR_FUTURE')
  })

  it('[package-3] after its expiry it is ERR_KEY_PACKAGE_STALE', async () => {
    await verify({ expiresAt: NOW })
    await expectCode(verify({ expiresAt: NOW - 1 }), 'ERR_KEY_PACKAGE_STALE')
  })

  it('[package-3] a life of 0 or of more than 30 days is ERR_LIFETIME', async () => {
    await verify({ issuedAt: NOW, expiresAt: NOW + 30 * DAY })
    await expectCode(verify({ issuedAt: NOW, expiresAt: NOW + 30 * DAY + 1 }), 'ERR_LIFETIME')
    await expectCode(verify({ issuedAt: NOW, expiresAt: NOW }), 'ERR_LIFETIME')
  })

  it('[package-4] a lower version is ERR_KEY_PACKAGE_STALE', async () => {
    const second = await verify({ version: 2 })
    requireRisingPackage(second, { version: 1, hash: known.hash })
    await expectCode(
      () => requireRisingPackage(known, { version: 2, hash: second.hash }),
      'ERR_KEY_PACKAGE_STALE',
    )
  })

  it('[package-4] another package of the same version is ERR_KEY_PACKAGE_STALE', async () => {
    requireRisingPackage(known, { version: 1, hash: known.hash })
    const other = await verify({ expiresAt: NOW + DAY })
    await expectCode(
      () => requireRisingPackage(other, { version: 1, hash: known.hash }),
      'ERR_KEY_PACKAGE_STALE',
    )
  })

  it('[package-4] a version that rises by more than 1,000 is ERR_KEY_PACKAGE', async () => {
    requireRisingPackage(await verify({ version: 1_000 }), null)
    const far = await verify({ version: 1_001 })
    await expectCode(() => requireRisingPackage(far, null), 'ERR_KEY_PACKAGE')
    requireRisingPackage(far, { version: 1, hash: known.hash })
  })
})

describe('key request', () => {
  const request = async (edit: object = {}, as = alice, keyPackage = known) => {
    const body = requestBody(tenant, as, known.hash, [seeded('keyring', 16)])
    const envelope = await signAs(as, 'request', { ...body, ...edit })
    return verifyKeyRequest(envelope, keyPackage, context)
  }

  it('is verified for its package', async () => {
    expect((await request()).body.package).toEqual(known.hash)
  })

  it('[request-1] a deriver cannot sign one', async () => {
    const deriver = await makeIdentity(tenant.derivers, 'deriver', 'one')
    await expectCode(request({}, { ...alice, ...deriver }), 'ERR_PATH_INVALID')
  })

  it('[request-1] for another package it is ERR_KEY_PACKAGE', async () => {
    await expectCode(request({ package: seeded('older package') }), 'ERR_KEY_PACKAGE')
    const second = await verify({ version: 2 })
    await expectCode(request({}, alice, second), 'ERR_KEY_PACKAGE')
  })

  it("[request-1] for another's package it is ERR_KEY_PACKAGE", async () => {
    const bob = await makeDevice(tenant, 'bob')
    await expectCode(request({}, bob), 'ERR_KEY_PACKAGE')
  })

  it('[request-2] issued after now + skew it is ERR_FUTURE', async () => {
    await request({ issuedAt: NOW + 60 })
    await expectCode(request({ issuedAt: NOW + 61, expiresAt: NOW + 300 }), 'ERR_FUTURE')
  })

  it('[request-2] after its expiry it is ERR_REQUEST_EXPIRED', async () => {
    await request({ issuedAt: NOW - 300, expiresAt: NOW - 60 })
    await expectCode(request({ issuedAt: NOW - 300, expiresAt: NOW - 61 }), 'ERR_REQUEST_EXPIRED')
  })

  it('[request-2] a life of more than 600 s is ERR_REQUEST_EXPIRED', async () => {
    await request({ expiresAt: NOW + 600 })
    await expectCode(request({ expiresAt: NOW + 601 }), 'ERR_REQUEST_EXPIRED')
  })

  it('[dec-3] its form is checked', async () => {
    for (const edit of [
      { keyrings: [] },
      { keyrings: Array.from({ length: 65 }, (_, i) => seeded(`k${i}`, 16)) },
      { keyrings: [seeded('k', 15)] },
      { nonce: seeded('n', 15) },
      { more: 1 },
    ]) {
      await expectCode(request(edit), 'ERR_SCHEMA')
    }
  })
})
