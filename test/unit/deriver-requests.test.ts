/** Who gets a cell: requests decided on a real database. */
import { describe, expect, it } from 'vitest'
import { issueRoleCrl } from '../../deriver/ca.ts'
import { lastPackage } from '../../deriver/devices.ts'
import { createKeyring } from '../../deriver/keyrings.ts'
import { storeCrl } from '../../deriver/crls.ts'
import { makeDraft, publishTrust, signDraft } from '../../deriver/trust-change.ts'
import { handleRequest } from '../../deriver/requests.ts'
import { hex } from '../../shared/bytes.ts'
import { issueCrl } from '../../shared/issue.ts'
import { keyId } from '../../shared/signature.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { decodeMember } from '../../shared/bundle.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { makeClient, makePackage, makeRequest, makeTenant } from '../lib/tenant.ts'
import { ask, codeOf, leaves, notes, tenant, useTenant } from '../lib/deriver.ts'

useTenant()

describe('requests', () => {
  it('[request-4] a client that no rule covers is refused, signed, and gets no cell', async () => {
    const secret = createKeyring(
      tenant.store,
      { name: 'secret', rules: ['keyferry://client.acme.example/admin/*'] },
      tenant.clock.now,
    ).id
    const outcome = await ask(await makeClient(tenant, 'ada'), [notes, secret])
    expect(outcome.granted).toEqual(['notes'])
    expect(outcome.refused).toEqual([
      { keyring: 'secret', kind: 'denied', reason: 'no rule covers this client' },
    ])
    expect(outcome.refusals).toHaveLength(1)
    expect(tenant.store.all('SELECT * FROM members WHERE keyring = ?', secret)).toEqual([])
  })

  it('[request-4] a keyring that does not exist is refused in the same words', async () => {
    const outcome = await ask(await makeClient(tenant, 'ada'), [new Uint8Array(16)])
    expect(outcome.refused[0]?.reason).toBe('no rule covers this client')
  })

  it('[request-3] the same request again changes nothing and has the same answer', async () => {
    const ada = await makeClient(tenant, 'ada')
    const request = await makeRequest(tenant, ada, [notes, new Uint8Array(16)])
    const handle = () =>
      handleRequest(tenant.store, tenant.keys, tenant.trust, request, tenant.clock.now)
    const first = await handle()
    const change = tenant.store.counter('change')
    const second = await handle()
    expect(tenant.store.counter('change')).toBe(change)
    expect(second.refusals.map((one) => hex(documentHash(one)))).toEqual(
      first.refusals.map((one) => hex(documentHash(one))),
    )
    expect(leaves()).toHaveLength(1)
  })

  it('[request-3] a nonce used for another request is ERR_REPLAY', async () => {
    const ada = await makeClient(tenant, 'ada')
    const nonce = new Uint8Array(16).fill(7)
    await ask(ada, [notes], nonce)
    expect(await codeOf(ask(ada, [new Uint8Array(16)], nonce))).toBe('ERR_REPLAY')
  })

  it('[package-4] a lower package version, or another package of the same version, is refused, signed, and gets no cell', async () => {
    const ada = await makeClient(tenant, 'ada')
    await ask({ ...ada, ...(await makePackage(tenant, ada, 5)) })
    const before = leaves()
    for (const version of [4, 5]) {
      const outcome = await ask({ ...ada, ...(await makePackage(tenant, ada, version)) })
      expect(outcome.granted).toEqual([])
      expect(outcome.refused[0]?.reason).toContain('a newer key package')
      expect(outcome.refusals).toHaveLength(1)
    }
    expect(leaves()).toEqual(before)
  })

  it('[package-4] a version that rises by more than 1,000 is refused', async () => {
    const ada = await makeClient(tenant, 'ada')
    const far = await ask({ ...ada, ...(await makePackage(tenant, ada, 1_001)) })
    expect([far.granted, far.refused[0]?.reason]).toEqual([[], expect.stringContaining('too far')])
    const near = await ask({ ...ada, ...(await makePackage(tenant, ada, 1_000)) })
    expect(near.granted).toEqual(['notes'])
  })

  it('[package-4] a package counts also where nothing was granted: an older one is refused afterwards', async () => {
    const ada = await makeClient(tenant, 'ada')
    const none = new Uint8Array(16)
    const first = await makeRequest(tenant, ada, [notes])
    await ask({ ...ada, ...(await makePackage(tenant, ada, 2)) }, [none])
    expect(tenant.store.all('SELECT * FROM devices')).toEqual([])
    expect(lastPackage(tenant.store, await keyId(ada.key.spki))?.version).toBe(2)
    const held = await handleRequest(
      tenant.store,
      tenant.keys,
      tenant.trust,
      first,
      tenant.clock.now,
    )
    expect([held.granted, leaves()]).toEqual([[], []])
  })

  it('a rotated package takes its memberships along, and no cell stays for the old one', async () => {
    const ada = await makeClient(tenant, 'ada')
    await ask(ada)
    const before = decodeMember(leaves()[0]!.leaf)
    const next = { ...ada, ...(await makePackage(tenant, ada, 2)) }
    await ask(next)
    expect(leaves()).toHaveLength(1)
    const after = decodeMember(leaves()[0]!.leaf)
    expect(hex(after.packageHash)).toBe(hex(documentHash(next.keyPackage)))
    expect(hex(after.channelId)).not.toBe(hex(before.channelId))
    expect(hex(after.cell)).not.toBe(hex(before.cell))
  })

  it('[request-1] a client of another CA is refused, also one with the same names', async () => {
    const other = await makeTenant({ now: tenant.clock.now })
    const stranger = await makeClient(other, 'ada')
    const made = await makePackage(tenant, stranger, 1)
    expect(await codeOf(ask({ ...stranger, ...made }))).toBe('ERR_PATH_INVALID')
    const theirs = await makeRequest(other, stranger, [notes])
    const handle = handleRequest(tenant.store, tenant.keys, tenant.trust, theirs, tenant.clock.now)
    expect(await codeOf(handle)).toBe('ERR_TENANT')
    other.remove()
  })

  it('[package-1] an expired client certificate is refused', async () => {
    const ada = await makeClient(tenant, 'ada')
    tenant.clock.now += 31 * 86_400
    await issueRoleCrl(tenant.store, tenant.clients, 'client', tenant.clock.now)
    expect(await codeOf(ask({ ...ada, ...(await makePackage(tenant, ada, 1)) }))).toBe(
      'ERR_CERT_EXPIRED',
    )
  })

  it('[request-2] a request that is kept back for longer than it lives is refused', async () => {
    const request = await makeRequest(tenant, await makeClient(tenant, 'ada'), [notes])
    const late = tenant.clock.now + 600 + 61
    const handle = handleRequest(tenant.store, tenant.keys, tenant.trust, request, late)
    expect(await codeOf(handle)).toBe('ERR_REQUEST_EXPIRED')
  })

  it('a deriver certificate that asks as a client is refused', async () => {
    const { key, certificates } = tenant.keys.signer
    const made = await makePackage(tenant, { key, certificates }, 1)
    const client = { key, certificates, uri: '', ...made }
    expect(await codeOf(ask(client))).toBe('ERR_PATH_INVALID')
  })

  it('[deriver-4] one that a list names, taken into force while the request is decided, gets no cell', async () => {
    const { store, keys, trust, clients, clock } = tenant
    const ada = await makeClient(tenant, 'ada')
    const request = await makeRequest(tenant, ada, [notes])
    const { serial } = parseCertificate(ada.certificates[0]!)
    const times = { thisUpdate: clock.now - 60, nextUpdate: clock.now + 3_600 }
    const revoked = [{ serial, date: clock.now }]
    const der = await issueCrl({ issuer: clients, number: 99, ...times, revoked })
    const handled = handleRequest(store, keys, trust, request, clock.now)
    storeCrl(store, await keyId(clients.key.spki), 99, der, times.nextUpdate)
    expect(await codeOf(handled)).toBe('ERR_CONFLICT')
    expect(leaves()).toEqual([])
    expect(await codeOf(handleRequest(store, keys, trust, request, clock.now))).toBe(
      'ERR_CERT_REVOKED',
    )
  })

  it('[deriver-5] one under a trust document that is no longer the newest when it is decided gets no cell yet', async () => {
    const { store, keys, trust, clock } = tenant
    const request = await makeRequest(tenant, await makeClient(tenant, 'ada'), [notes])
    const next = { number: 2, previous: trust.hash, tenant: trust.tenant, headLifetime: 1_800 }
    const draft = makeDraft({ ...trust.body, ...next }, trust)
    const signed = await signDraft(draft, keys.authority[0]!, trust)
    const newest = await publishTrust(store, signed, clock.now)
    const handled = handleRequest(store, keys, trust, request, clock.now)
    expect(await codeOf(handled)).toBe('ERR_CONFLICT')
    expect(leaves()).toEqual([])
    await handleRequest(store, keys, newest, request, clock.now)
    expect(leaves()).toHaveLength(1)
  })
})
