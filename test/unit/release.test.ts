// Releases, heads and refusals as documents. What an opening client does with them is in open.test.ts.
import { beforeAll, describe, expect, it } from 'vitest'
import { type ErrorCode } from '../../shared/errors.ts'
import { encodeJson } from '../../shared/json.ts'
import { type VerifyContext } from '../../shared/verify-context.ts'
import {
  decodeRelease,
  requireSuccession,
  requireTrust,
  verifyHead,
  type Head,
  type HeadBody,
} from '../../shared/release.ts'
import { verifyRefusal, type RefusalBody } from '../../shared/refusal.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { seeded } from '../lib/fixtures-keys.ts'
import {
  contextOf,
  makeIdentity,
  makeTenant,
  NOW,
  signAs,
  type Identity,
  type Tenant,
} from '../lib/fixtures.ts'

let tenant: Tenant
let deriver: Identity
let client: Identity
let context: VerifyContext

beforeAll(async () => {
  tenant = await makeTenant('acme')
  deriver = await makeIdentity(tenant.derivers, 'deriver', 'one')
  client = await makeIdentity(tenant.clients, 'client', 'alice')
  context = await contextOf(tenant)
})

const tree = () => ({ index: seeded('index'), root: seeded('root'), size: 2 })
const id = (incarnation: number, version: number) => ({ incarnation, version })

describe('release', () => {
  const good = () => ({
    bundle: seeded('bundle'),
    compromised: [],
    deactivated: [id(1, 1), id(1, 2), id(2, 1)],
    encrypt: id(1, 2),
    generation: 3,
    incarnation: 1,
    keyring: seeded('keyring', 16),
    log: 40,
    manifest: seeded('manifest'),
    members: tree(),
    skipped: [],
    tenant: 'a'.repeat(52),
  })
  const decode = (edit: object) => () => decodeRelease(encodeJson({ ...good(), ...edit }))

  it('round-trips', () => {
    expect(decode({})()).toEqual(good())
    expect(decode({ encrypt: id(0, 0) })().encrypt).toEqual(id(0, 0))
  })

  it('[dec-1] above 65,536 bytes it is ERR_TOO_LARGE', async () => {
    await expectCode(() => decodeRelease(new Uint8Array(65_537)), 'ERR_TOO_LARGE')
  })

  it.each(['compromised', 'deactivated', 'skipped'])(
    '[dec-3] a list of %s that does not rise strictly is ERR_SCHEMA',
    async (name) => {
      await expectCode(decode({ [name]: [id(1, 2), id(1, 1)] }), 'ERR_SCHEMA')
      await expectCode(decode({ [name]: [id(1, 1), id(1, 1)] }), 'ERR_SCHEMA')
      await expectCode(decode({ [name]: [id(2, 1), id(1, 1)] }), 'ERR_SCHEMA')
    },
  )

  it('[dec-3] fields of another form are ERR_SCHEMA', async () => {
    for (const edit of [
      { generation: 0 },
      { incarnation: 0 },
      { bundle: seeded('x', 31) },
      { manifest: '' },
      { keyring: seeded('x', 17) },
      { members: { ...tree(), size: -1 + 2 ** 33 } },
      { encrypt: { incarnation: 1 } },
      { tenant: 'a'.repeat(53) },
      { more: 1 },
    ]) {
      await expectCode(decode(edit), 'ERR_SCHEMA')
    }
  })
})

describe('head', () => {
  const body = (edit: Partial<HeadBody> = {}): HeadBody => ({
    catalog: { hash: seeded('catalog'), number: 7 },
    crls: [],
    expiresAt: NOW + 1_800,
    incarnation: 1,
    issuedAt: NOW,
    log: { root: seeded('log'), size: 0 },
    releases: tree(),
    signer: deriver.fingerprint,
    tenant: tenant.trust.tenant,
    trust: { hash: tenant.trust.hash, number: 1 },
    version: 58,
    ...edit,
  })
  const verify = async (edit: object = {}, as = deriver) =>
    verifyHead(await signAs(as, 'head', { ...body(), ...edit }), context)

  it('is verified for the deriver role', async () => {
    expect((await verify()).body).toEqual(body())
  })

  it('[open-2] a client cannot sign one', async () => {
    await expectCode(verify({ signer: client.fingerprint }, client), 'ERR_PATH_INVALID')
  })

  it('[open-2] its form is checked', async () => {
    const crl = { hash: seeded('crl'), issuer: seeded('issuer'), number: 1 }
    for (const edit of [
      { version: 0 },
      { incarnation: 0 },
      { crls: [crl, crl] },
      { trust: { hash: seeded('x'), number: 0 } },
      { log: { root: seeded('log') } },
      { more: 1 },
    ]) {
      await expectCode(verify(edit), 'ERR_SCHEMA')
    }
  })

  it('[open-3] its lifetime is that of the trust document', async () => {
    await verify({ expiresAt: NOW + 3_600 })
    await expectCode(verify({ expiresAt: NOW + 3_601 }), 'ERR_LIFETIME')
    await expectCode(verify({ expiresAt: NOW }), 'ERR_LIFETIME')
  })

  it('[open-4] it is not from the future', async () => {
    await expectCode(verify({ issuedAt: NOW + 61 }), 'ERR_FUTURE')
  })

  it('[open-5] it stands under the trust document given', async () => {
    const { trust } = tenant
    requireTrust(body(), trust)
    const at =
      (number: number, hash = trust.hash) =>
      () =>
        requireTrust(body({ trust: { hash, number } }), trust)
    await expectCode(at(2), 'ERR_HASH')
    await expectCode(at(1, seeded('x')), 'ERR_FORK')
    const second = { ...trust, body: { ...trust.body, number: 2 } }
    await expectCode(() => requireTrust(body(), second), 'ERR_ROLLBACK')
  })

  it('[open-6] its incarnation is that of the trust document', async () => {
    for (const incarnation of [2, 3]) {
      await expectCode(() => requireTrust(body({ incarnation }), tenant.trust), 'ERR_INCARNATION')
    }
  })

  it('[open-8] it comes after the last one, by incarnation and version', async () => {
    const { hash } = await verify()
    const last = { incarnation: 1, version: 58, hash, issuedAt: NOW }
    const next = async (edit: object, to: Partial<typeof last> = {}) => {
      const made: Head = await verify(edit)
      return requireSuccession(made, { ...last, ...to }, NOW, 60)
    }
    await next({})
    await next({ version: 59 })
    await next({ incarnation: 2, version: 1 })
    await expectCode(next({ version: 57 }), 'ERR_ROLLBACK')
    await expectCode(next({ version: 99 }, { incarnation: 2 }), 'ERR_ROLLBACK')
    await expectCode(next({ expiresAt: NOW + 5 }), 'ERR_FORK')
    await expectCode(next({}, { issuedAt: NOW + 61 }), 'ERR_CLOCK')
  })
})

describe('refusal', () => {
  const verify = async (edit: Partial<RefusalBody> | { more: number } = {}, as = deriver) => {
    const body = {
      expiresAt: NOW + 3_600,
      head: id(1, 58),
      issuedAt: NOW,
      keyring: seeded('keyring', 16),
      kind: 'denied',
      nonce: seeded('nonce', 16),
      reason: 'no rule covers this client',
      recipient: client.fingerprint,
      release: new Uint8Array(),
      signer: as.fingerprint,
      tenant: tenant.trust.tenant,
    }
    const envelope = await signAs(as, 'refusal', { ...body, ...edit })
    return verifyRefusal(envelope, client.fingerprint, context)
  }
  const refuses = (edit: Parameters<typeof verify>[0], code: ErrorCode) =>
    expectCode(verify(edit), code)

  const nothing = new Uint8Array()
  const release = seeded('release')

  it.each(['denied', 'pending', 'removed'])('%s is verified', async (kind) => {
    const edit = kind === 'removed' ? { kind, nonce: nothing, release } : { kind }
    expect((await verify(edit)).body.kind).toBe(kind)
  })

  it.each(['denied', 'pending'])('[refusal-2] %s is bound to a nonce alone', async (kind) => {
    await refuses({ kind, nonce: nothing }, 'ERR_SCHEMA')
    await refuses({ kind, release }, 'ERR_SCHEMA')
    await refuses({ kind, nonce: seeded('nonce', 15) }, 'ERR_SCHEMA')
  })

  it('[refusal-2] removed is bound to a release alone', async () => {
    const kind = 'removed'
    await refuses({ kind, nonce: nothing }, 'ERR_SCHEMA')
    await refuses({ kind, release }, 'ERR_SCHEMA')
    await refuses({ kind, nonce: nothing, release: release.slice(1) }, 'ERR_SCHEMA')
  })

  it('[refusal-1] signed by a client it is ERR_PATH_INVALID', async () => {
    await expectCode(verify({}, client), 'ERR_PATH_INVALID')
  })

  it('[refusal-1] for another client it is ERR_NOT_RECIPIENT', async () => {
    await refuses({ recipient: deriver.fingerprint }, 'ERR_NOT_RECIPIENT')
  })

  it('[refusal-1] of another tenant it is ERR_TENANT', async () => {
    await refuses({ tenant: 'a'.repeat(52) }, 'ERR_TENANT')
  })

  it('[refusal-1] of another form it is ERR_SCHEMA', async () => {
    await refuses({ kind: 'never' }, 'ERR_SCHEMA')
    await refuses({ reason: 'x'.repeat(301) }, 'ERR_SCHEMA')
    await refuses({ more: 1 }, 'ERR_SCHEMA')
  })

  it('[refusal-3] it lives as long as a head, not longer', async () => {
    await refuses({ expiresAt: NOW + 3_601 }, 'ERR_STALE')
  })

  it('[refusal-3] after its expiry and the skew it is ERR_STALE', async () => {
    await verify({ issuedAt: NOW - 100, expiresAt: NOW - 60 })
    await refuses({ issuedAt: NOW - 100, expiresAt: NOW - 61 }, 'ERR_STALE')
  })

  it('[refusal-3] from the future it is ERR_FUTURE', async () => {
    await refuses({ issuedAt: NOW + 61 }, 'ERR_FUTURE')
  })
})
