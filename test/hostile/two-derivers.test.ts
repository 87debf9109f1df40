/** Two derivers over one database, of which a relay keeps one waiting: no honest head contradicts another one. Real databases, real services, one clock. */
import { expect, it, onTestFinished } from 'vitest'
import { createService, type Service } from '../../deriver/service.ts'
import { markChanged, openStore, storePath } from '../../deriver/store.ts'
import { loadTrust } from '../../deriver/trust.ts'
import { decodeEnvelope, type Envelope } from '../../shared/envelope.ts'
import { verifyEvidence } from '../../shared/evidence.ts'
import { parseJson } from '../../shared/json.ts'
import { type TrustBody } from '../../shared/trust.ts'
import { currentCrls } from '../../deriver/publish.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { path, useWholePath } from '../lib/whole-path.ts'

useWholePath()

/** A deriver over the same database, whose relay does something before it answers with the mailbox. */
async function delayed(meanwhile: () => Promise<void>): Promise<Service> {
  const { keys, derivers, clients, directory } = path.tenant
  const store = openStore(storePath(directory))
  onTestFinished(() => store.close())
  return createService({
    store,
    root: keys.root,
    authority: keys.authority,
    signer: { issuer: derivers, uri: 'keyferry://deriver.acme.example/deriver-2' },
    issuers: { deriver: derivers, client: clients },
    now: path.now,
    fetch: async (input, init) => {
      if ((init?.method ?? 'GET') === 'GET') await meanwhile()
      return path.relay.fetch(input, init)
    },
  })
}

const headsOf = (): Envelope[] =>
  path.tenant.store
    .all<{ envelope: Uint8Array }>('SELECT envelope FROM heads ORDER BY version')
    .map(({ envelope }) => decodeEnvelope(new Uint8Array(envelope)))

it.each<[string, Partial<TrustBody>]>([
  ['trust document', { headLifetime: 1_800 }],
  ['incarnation', { incarnation: 2 }],
])(
  '[deriver-1] a newer %s that came while a relay kept one deriver waiting is in all heads after it',
  async (_, change) => {
    await path.join(await path.identityOf('ada'))
    let isOver = false
    const slow = await delayed(async () => {
      if (isOver) return
      isOver = true
      await path.changeTrust(change)
      await path.stepToHead()
      // What the slow one has to sign a head for, once it goes on.
      markChanged(path.tenant.store)
    })
    markChanged(path.tenant.store)
    await slow.step()
    expect(isOver).toBe(true)
    const heads = headsOf()
    const trusts = heads.map(
      (one) => (parseJson(one.payload, 65_536) as { trust: { number: number } }).trust.number,
    )
    expect(trusts).toEqual(trusts.toSorted((a, b) => a - b))
    expect(trusts.at(-1)).toBe(2)
    const {
      store,
      trust: { tenant },
    } = path.tenant
    const chain = await loadTrust(store)
    const [known, other] = heads.slice(-2) as [Envelope, Envelope]
    const evidence = {
      at: path.now(),
      crls: currentCrls(store).map(({ der }) => new Uint8Array(der)),
      known,
      other,
      tenant,
      trust: chain.map((one) => one.envelope),
    }
    await expectCode(verifyEvidence(evidence, tenant), 'ERR_UNPROVEN')
  },
)
