// Envelopes signed by an authority: which keys, how many, how often.
import { beforeAll, it } from 'vitest'
import { signWithAuthority, type Envelope } from '../../shared/envelope.ts'
import { verifyByAuthorities } from '../../shared/authority.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeEd25519 } from '../lib/fixtures-keys.ts'
import { makeTenant, type Tenant } from '../lib/fixtures.ts'

let tenant: Tenant

beforeAll(async () => {
  tenant = await makeTenant('acme')
})

const sign = (...keys: number[]) =>
  signWithAuthority(
    'catalog',
    { word: 'x' },
    keys.map((i) => tenant.authority[i]!),
  )
const verifyAuthority = (envelope: Envelope, threshold = 2) =>
  verifyByAuthorities(envelope, [{ keys: tenant.authority.map((key) => key.spki), threshold }])

it('takes any two of three, and three', async () => {
  for (const keys of [
    [0, 1],
    [2, 0],
    [0, 1, 2],
  ])
    await verifyAuthority(await sign(...keys))
})

it('[env-8] a key that is not listed is ERR_SIGNATURE, also beside enough others', async () => {
  const stranger = await makeEd25519('stranger')
  const envelope = await signWithAuthority('catalog', {}, [...tenant.authority, stranger])
  await expectCode(verifyAuthority(envelope), 'ERR_SIGNATURE')
})

it('[env-8] a key that signs twice is ERR_SIGNATURE', async () => {
  await expectCode(verifyAuthority(await sign(0, 0)), 'ERR_SIGNATURE')
  await expectCode(verifyAuthority(await sign(0, 1, 0)), 'ERR_SIGNATURE')
})

it('[env-8] a signature that does not verify is ERR_SIGNATURE, also beside enough others', async () => {
  const envelope = await sign(0, 1, 2)
  const signatures = envelope.signatures.map((one, i) =>
    i === 2 ? { ...one, sig: one.sig.with(1, one.sig[1]! ^ 1) } : one,
  )
  await expectCode(verifyAuthority({ ...envelope, signatures }), 'ERR_SIGNATURE')
  const [first, second] = envelope.signatures
  const crossed = [
    { keyid: first!.keyid, sig: second!.sig },
    { keyid: second!.keyid, sig: first!.sig },
  ]
  await expectCode(verifyAuthority({ ...envelope, signatures: crossed }), 'ERR_SIGNATURE')
})

it('[env-8] certificates on such a document are ERR_SCHEMA', async () => {
  const envelope = await sign(0, 1)
  const certificates = [tenant.clients.certificate]
  await expectCode(verifyAuthority({ ...envelope, certificates }), 'ERR_SCHEMA')
})

it('[env-9] fewer keys than the threshold are ERR_SIGNATURE', async () => {
  await expectCode(verifyAuthority(await sign(1)), 'ERR_SIGNATURE')
  await expectCode(verifyAuthority(await sign(0, 1), 3), 'ERR_SIGNATURE')
  await expectCode(verifyAuthority({ ...(await sign(0)), signatures: [] }), 'ERR_SIGNATURE')
})

it('[env-9] every one of several authorities needs its threshold', async () => {
  const other = await makeEd25519('other')
  const authorities = [
    { keys: tenant.authority.map((key) => key.spki), threshold: 1 },
    { keys: [other.spki], threshold: 1 },
  ]
  const both = await signWithAuthority('catalog', {}, [tenant.authority[0]!, other])
  await verifyByAuthorities(both, authorities)
  await expectCode(verifyByAuthorities(await sign(0, 1), authorities), 'ERR_SIGNATURE')
  const only = await signWithAuthority('catalog', {}, [other])
  await expectCode(verifyByAuthorities(only, authorities), 'ERR_SIGNATURE')
})
