/** What relays show of heads that another database signed, also after an incarnation was raised. */
import { expect, it } from 'vitest'
import { keepConditions } from '../../deriver/conditions.ts'
import { latestHead } from '../../deriver/heads.ts'
import { createKeyring } from '../../deriver/keyrings.ts'
import { emptyLog } from '../../deriver/log.ts'
import { publish } from '../../deriver/publish.ts'
import { createWitnesses } from '../../deriver/witness.ts'
import { encodeEnvelope, signWithCertificate, type Envelope } from '../../shared/envelope.ts'
import { peekHead } from '../../shared/release.ts'
import { codeOf } from '../lib/deriver.ts'
import { makeTenant } from '../lib/tenant.ts'

it('[deriver-7] a relay that is asked again is believed again, in each incarnation', async () => {
  const tenant = await makeTenant()
  const { store, keys, trust, clock } = tenant
  createKeyring(store, { name: 'notes', rules: trust.body.clients.sans }, clock.now)
  await publish(store, keys, trust, emptyLog(), clock.now, 3_600)
  const own = latestHead(store)!.envelope
  const body = peekHead(own, trust.tenant)
  const foreign = (incarnation: number): Promise<Envelope> => {
    const { key, certificates } = keys.signer
    const other = { ...body, incarnation, version: body.version + 5 }
    return signWithCertificate('head', other, key, certificates)
  }
  let shown = own
  const access = {
    url: 'https://relay.example',
    tenant: trust.tenant,
    signer: () => keys.signer,
    now: () => clock.now,
    fetch: () => Promise.resolve(new Response(encodeEnvelope(shown))),
  }
  const witnesses = createWitnesses(
    store,
    keepConditions(store, () => clock.now),
  )
  const ask = (): Promise<string> => codeOf(witnesses.ask([access], trust))
  expect(await ask()).toBe('none')
  // It has answered: it is not asked for nothing.
  shown = await foreign(1)
  expect(await ask()).toBe('none')
  witnesses.askAgain(access.url)
  expect(await ask()).toBe('ERR_ROLLBACK')
  store.set('incarnation', 2)
  expect(await ask()).toBe('none')
  shown = await foreign(2)
  witnesses.askAgain(access.url)
  expect(await ask()).toBe('ERR_ROLLBACK')
  // What it shows of the past is no news.
  shown = await foreign(1)
  witnesses.askAgain(access.url)
  expect(await ask()).toBe('ERR_ROLLBACK')
  tenant.remove()
})
