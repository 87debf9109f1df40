// The memory of the path validated last gives what validating gives, whatever changes: each thing that a path hangs on is changed alone.
import { beforeEach, expect, it, vi } from 'vitest'
import { type Bytes } from '../../shared/bytes.ts'
import { type CaVerifier, rememberSignatures } from '../../shared/certificate-signature.ts'
import { parseCrl, type Crl } from '../../shared/crl.ts'
import { verifyRole } from '../../shared/envelope.ts'
import { issueCrl } from '../../shared/issue.ts'
import * as paths from '../../shared/path.ts'
import type { TrustBody } from '../../shared/trust.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { rememberPath } from '../../web/path-memory.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import {
  DAY,
  makeCrl,
  makeIdentity,
  makeTenant,
  NOW,
  type Identity,
  type Tenant,
} from '../lib/fixtures.ts'

vi.mock('../../shared/path.ts', { spy: true })

let tenant: Tenant
let deriver: Identity
let verify: CaVerifier
let crl: Crl

/** Until when the fixtures' lists and certificates last. */
const LIST_END = NOW + 7 * DAY
const END = NOW + 60 * DAY

const listOf = async (thisUpdate: number, nextUpdate: number, number: number, revoked: Bytes[]) =>
  parseCrl(
    await issueCrl({
      issuer: tenant.derivers,
      number,
      thisUpdate,
      nextUpdate,
      revoked: revoked.map((serial) => ({ serial, date: NOW - 100 })),
    }),
  )

interface Change {
  now?: number
  certificates?: Bytes[]
  crls?: (Bytes | Crl)[] | 'unsafe-without-revocation'
  trust?: TrustBody
}

const ask = (change: Change = {}) => {
  const { now = NOW, certificates = deriver.certificates, crls = [crl] } = change
  const { trust = tenant.trust.body } = change
  return verifyRole(certificates, { trust, role: 'deriver', now, crls, verify })
}
const validated = () => vi.mocked(paths.validatePath).mock.calls.length

beforeEach(async () => {
  tenant = await makeTenant('acme')
  deriver = await makeIdentity(tenant.derivers, 'deriver', 'one')
  verify = Object.assign(rememberSignatures(), { path: rememberPath() })
  crl = parseCrl(await makeCrl(tenant.derivers))
  await ask()
  vi.mocked(paths.validatePath).mockClear()
})

it('the same is not validated again, also where the certificates came again and time went on', async () => {
  const first = await ask()
  const certificates = deriver.certificates.map((one) => one.slice())
  expect(await ask({ certificates, crls: [crl], now: LIST_END })).toBe(first)
  expect(validated()).toBe(0)
})

it.each<[string, () => Promise<Change> | Change, string]>([
  [
    'a certificate with one bit changed',
    () => ({
      certificates: deriver.certificates.map((one) => one.with(one.length - 1, one.at(-1)! ^ 1)),
    }),
    'ERR_PATH_INVALID',
  ],
  ['no certificate', () => ({ certificates: [] }), 'ERR_PATH_INVALID'],
  [
    'a certificate more',
    () => ({ certificates: [...deriver.certificates, ...deriver.certificates] }),
    'ERR_PATH_INVALID',
  ],
  ['no list', () => ({ crls: [] }), 'ERR_CRL'],
  [
    'a list that revokes beside the other one',
    async () => ({
      crls: [
        crl,
        await listOf(NOW, LIST_END, 2, [parseCertificate(deriver.certificates[0]!).serial]),
      ],
    }),
    'ERR_CERT_REVOKED',
  ],
  [
    'a list that revokes in the place of the other one',
    async () => ({
      crls: [await listOf(NOW, LIST_END, 2, [parseCertificate(deriver.certificates[0]!).serial])],
    }),
    'ERR_CERT_REVOKED',
  ],
  [
    'the list as bytes, of another issuer',
    async () => ({ crls: [await makeCrl(tenant.clients)] }),
    'ERR_CRL',
  ],
  [
    'other anchors',
    () => ({
      trust: {
        ...tenant.trust.body,
        derivers: { ...tenant.trust.body.derivers, anchors: tenant.trust.body.clients.anchors },
      },
    }),
    'ERR_PATH_INVALID',
  ],
  [
    'another use',
    () => ({
      trust: { ...tenant.trust.body, derivers: { ...tenant.trust.body.derivers, ekus: ['1.2.3'] } },
    }),
    'ERR_PATH_INVALID',
  ],
  [
    'names that no rule covers any more',
    () => ({
      trust: {
        ...tenant.trust.body,
        derivers: { ...tenant.trust.body.derivers, sans: ['keyferry://other.example/*'] },
      },
    }),
    'ERR_ROLE',
  ],
  ['a second after the list ended', () => ({ now: LIST_END + 1 }), 'ERR_CRL'],
  ['a time before the certificate began', () => ({ now: NOW - 2 * DAY }), 'ERR_CERT_EXPIRED'],
])('%s is seen', async (_, change, code) => {
  await expectCode(ask(await change()), code as never)
  // And what was refused is not remembered in its place.
  await ask()
})

it('the end of a certificate is seen, where the list goes on', async () => {
  const lasting = [await listOf(NOW, END + DAY, 2, [])]
  await ask({ crls: lasting })
  await ask({ crls: lasting, now: END })
  await expectCode(ask({ crls: lasting, now: END + 1 }), 'ERR_CERT_EXPIRED')
})

it('a list that is not valid yet, and revokes, is seen when it begins', async () => {
  const { serial } = parseCertificate(deriver.certificates[0]!)
  const crls = [crl, await listOf(NOW + 100, LIST_END, 2, [serial])]
  await ask({ crls })
  await ask({ crls, now: NOW + 99 })
  await expectCode(ask({ crls, now: NOW + 100 }), 'ERR_CERT_REVOKED')
})

it('a list that ends, behind which an older one counts again, is seen', async () => {
  const { serial } = parseCertificate(deriver.certificates[0]!)
  const older = await listOf(NOW - 10, LIST_END, 1, [serial])
  const crls = [older, await listOf(NOW - 5, NOW + 100, 2, [])]
  await ask({ crls })
  await expectCode(ask({ crls, now: NOW + 101 }), 'ERR_CERT_REVOKED')
})

it('lists as bytes are not remembered, and neither is a path without lists', async () => {
  const bytes = await makeCrl(tenant.derivers)
  const crls = [bytes]
  await ask({ crls })
  await ask({ crls })
  await ask({ crls: 'unsafe-without-revocation' })
  await ask({ crls: 'unsafe-without-revocation' })
  expect(validated()).toBe(4)
})

it('whoever changes certificates or lists of an earlier question changes nothing about what is remembered', async () => {
  const [certificates, crls] = [deriver.certificates.map((one) => one.slice()), [crl]]
  const { uri } = await ask({ certificates, crls })
  certificates[0]!.fill(0)
  await expectCode(ask({ certificates, crls }), 'ERR_MALFORMED')
  certificates[0] = deriver.certificates[0]!.slice()
  expect((await ask({ certificates, crls })).uri).toBe(uri)
  const { serial } = parseCertificate(deriver.certificates[0]!)
  crls[0] = await listOf(NOW, LIST_END, 2, [serial])
  await expectCode(ask({ certificates, crls }), 'ERR_CERT_REVOKED')
})

it('a clock that was set back is not served with what was found later', async () => {
  await ask({ now: NOW + 1 })
  expect(validated()).toBe(0)
  await ask({ now: NOW - 1 })
  expect(validated()).toBe(1)
})
