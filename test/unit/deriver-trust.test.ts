/** Which trust documents a deriver takes into force. */
import { expect, it } from 'vitest'
import { loadTrust, newestTrust } from '../../deriver/trust.ts'
import { publishTrust } from '../../deriver/trust-change.ts'
import { documentHash, encodeEnvelope, signWithAuthority } from '../../shared/envelope.ts'
import { type TrustBody, type TrustDocument } from '../../shared/trust.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { tenant, useTenant } from '../lib/deriver.ts'

useTenant()

type Place = Pick<TrustDocument, 'body' | 'hash'>

/** Signs the successor of a document. */
const signNext = ({ body, hash }: Place, edit: Partial<TrustBody> = {}) => {
  const next = { ...body, number: body.number + 1, previous: hash, tenant: tenant.trust.tenant }
  return signWithAuthority('trust', { ...next, ...edit }, tenant.keys.authority)
}

const now = (): number => tenant.clock.now

it('[trust-9] puts no document from the future into force, and the same one when its time has come', async () => {
  const { expiresAt, skew } = tenant.trust.body
  const dated = await signNext(tenant.trust, { issuedAt: now() + skew + 1, expiresAt })
  await expectCode(publishTrust(tenant.store, dated, now()), 'ERR_FUTURE')
  expect((await newestTrust(tenant.store)).body.number).toBe(1)
  expect((await publishTrust(tenant.store, dated, now() + 1)).body.number).toBe(2)
})

it('[trust-7] takes document 1,024, and no further one, which no client without state would follow', async () => {
  let last: Place = tenant.trust
  while (last.body.number < 1_023) {
    const envelope = await signNext(last)
    const hash = documentHash(envelope)
    const number = last.body.number + 1
    tenant.store.run('INSERT INTO trust VALUES (?, ?, ?)', number, hash, encodeEnvelope(envelope))
    last = { body: { ...last.body, number }, hash }
  }
  const newest = await publishTrust(tenant.store, await signNext(last), now())
  expect(newest.body.number).toBe(1_024)
  const further = publishTrust(tenant.store, await signNext(newest), now())
  await expectCode(further, 'ERR_TRUST_CHAIN_TOO_LONG')
  expect((await newestTrust(tenant.store)).hash).toEqual(newest.hash)
  expect(await loadTrust(tenant.store)).toHaveLength(1_024)
})
