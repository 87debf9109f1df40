/** What months do to a tenant, on the test's clock: devices and CAs that are away, CAs that are replaced, a deriver's certificate that ends early. */
import { describe, expect, it } from 'vitest'
import { issueRoleCrl } from '../../deriver/ca.ts'
import { addSource } from '../../deriver/crl-sources.ts'
import { importCrl } from '../../deriver/crls.ts'
import { revokeDerivers } from '../../deriver/deriver-certificates.ts'
import { issueDeriver } from '../../deriver/ca.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import { issueCrl, issueLeaf, makeIssuingCa, type Issuer } from '../../shared/issue.ts'
import { generateSigningKey, keyId } from '../../shared/signature.ts'
import { createMemoryStore, type Identity } from '../../web/index.ts'
import { startCrlServer } from '../lib/crl-server.ts'
import { DAY, DERIVER, path, tryEncrypt, useWholePath } from '../lib/whole-path.ts'

useWholePath()

const isKeyId = /^[0-9a-f]{64}$/
const random = (length: number): Bytes => crypto.getRandomValues(new Uint8Array(length))

const memberCount = async ({ key }: Identity): Promise<number> =>
  path.tenant.store.all('SELECT 1 FROM members WHERE device = ?', await keyId(key.spki)).length

/** The deriver at work, once a day. */
async function pass(days: number): Promise<void> {
  for (let day = 0; day < days; day++) {
    path.tenant.clock.now += DAY
    await path.service.step()
  }
}

describe('a device that was away for 90 days', () => {
  it('renews its certificate for the same key, joins again with its old state and reads old and new', async () => {
    const store = createMemoryStore()
    const ada = await path.identityOf('ada')
    const first = await path.join(ada, store)
    const old = await (await first.keyring('notes')).encrypt('of spring')
    path.closeClients()
    const before = path.keyIds()
    await pass(90)
    // Certificate and package are long over: the deriver has taken both out, and moved on to a version that they never had.
    expect([await memberCount(ada), path.keyIds().length > before.length]).toEqual([0, true])

    const renewals: string[] = []
    const renew = async (identity: Identity): Promise<Identity> => {
      renewals.push('asked')
      return path.identityOf('ada', identity.key)
    }
    const again = await path.connect(ada, store, { renew })
    const notes = await path.during(again.keyring('notes'))
    await expect.poll(() => tryEncrypt(again, 'notes')).toMatch(isKeyId)
    expect(before).not.toContain(await tryEncrypt(again, 'notes'))
    expect(await notes.decrypt(old, { as: 'text' })).toBe('of spring')
    expect([renewals, await memberCount(ada)]).toEqual([['asked'], 1])
  })

  it('that lost its key is a new device, and reads what is old as well', async () => {
    const first = await path.join(await path.identityOf('ada'))
    const old = await (await first.keyring('mail')).encrypt('of spring')
    path.closeClients()
    await pass(90)
    const again = await path.join(await path.identityOf('ada'))
    expect(await (await again.keyring('mail')).decrypt(old, { as: 'text' })).toBe('of spring')
  })
})

describe('a CA of the customer that is away for 8 days', () => {
  it('ends new heads after a week; the same service and the same client go on when it is back', async () => {
    const { store, derivers, clients } = path.tenant
    const client = await path.join(await path.identityOf('ada'))
    const notes = await client.keyring('notes')
    const message = await notes.encrypt('kept')

    // From here on the CA is somebody else: its lists have a place, its certificates come as files.
    const places = { deriver: await startCrlServer(), client: await startCrlServer() }
    const cas = { deriver: derivers, client: clients }
    let signer = path.tenant.keys.signer
    let number = 100
    const comeBack = async (): Promise<void> => {
      signer = await issueDeriver(store, derivers, DERIVER, path.now())
      number++
      for (const role of ['deriver', 'client'] as const) {
        const times = { thisUpdate: path.now() - 10, nextUpdate: path.now() + 7 * DAY }
        const der = await issueCrl({ issuer: cas[role], number, ...times, revoked: [] })
        places[role].answer = (response) => response.end(der)
      }
    }
    const leave = (): void => {
      for (const place of Object.values(places))
        place.answer = (response) => response.writeHead(503).end()
    }
    for (const { url } of Object.values(places))
      addSource(store, { place: url, issuer: null, every: 600 }, path.now())
    await path.startService({ signer: async () => signer, issuers: {} })
    await comeBack()
    await path.service.step()
    leave()

    path.events = []
    await pass(7)
    await client.refresh()
    expect(await tryEncrypt(client, 'notes')).toMatch(isKeyId)
    const heads = path.relay.pushes.length
    await pass(1)
    expect(path.relay.pushes.length).toBe(heads)
    const alarms = path.events.flatMap((event) => (event.type === 'alarm' ? [event.what] : []))
    expect(alarms).toContain('no heads are signed: the deriver certificate')
    expect(await tryEncrypt(client, 'notes')).toBe('ERR_STALE')
    expect(places.client.calls).toBeGreaterThanOrEqual(8)

    await comeBack()
    path.tenant.clock.now += 3_600
    await path.service.step()
    expect(path.relay.pushes.length).toBeGreaterThan(heads)
    await expect.poll(() => tryEncrypt(client, 'notes'), { timeout: 20_000 }).toMatch(isKeyId)
    expect(await notes.decrypt(message, { as: 'text' })).toBe('kept')
    await Promise.all(Object.values(places).map((place) => place.close()))
  })
})

/** A CA for clients that nobody has heard of, and a certificate of it. */
async function otherCa(): Promise<Issuer> {
  const key = await generateSigningKey('ES256', true)
  const certificate = await makeIssuingCa({
    key,
    commonName: 'Acme clients 2',
    organization: 'Acme',
    host: 'client.acme.example',
    eku: ['1.3.6.1.5.5.7.3.2'],
    notBefore: path.now() - 60,
    notAfter: path.now() + 365 * DAY,
    random,
  })
  return { key, certificate }
}

async function issueFrom(issuer: Issuer, name: string, { key }: Identity): Promise<Identity> {
  const leaf = await issueLeaf({
    issuer,
    spki: key.spki,
    commonName: name,
    uri: `keyferry://client.acme.example/${name}`,
    eku: ['1.3.6.1.5.5.7.3.2'],
    notBefore: path.now() - 60,
    notAfter: path.now() + 30 * DAY,
    random,
  })
  return { key, certificates: [leaf] }
}

async function listOf(issuer: Issuer): Promise<Bytes> {
  const times = { thisUpdate: path.now() - 60, nextUpdate: path.now() + 7 * DAY }
  return issueCrl({ issuer, number: 1, ...times, revoked: [] })
}

describe('[deriver-5] a client CA that is replaced in two trust documents', () => {
  it('keeps those who changed over and loses those who did not, without any client configured anew', async () => {
    const { store, trust } = path.tenant
    const [adaStore, bobStore] = [createMemoryStore(), createMemoryStore()]
    const [ada, bob] = [await path.identityOf('ada'), await path.identityOf('bob')]
    const adas = await path.join(ada, adaStore)
    const old = await (await adas.keyring('notes')).encrypt('before')
    const bobs = await path.join(bob, bobStore)
    const bobsNotes = await bobs.keyring('notes')

    const fresh = await otherCa()
    const { clients } = trust.body
    const both = [...clients.anchors, fresh.certificate]
    await path.changeTrust({ clients: { ...clients, anchors: both } })
    await importCrl(store, await listOf(fresh), both, path.now())
    await path.service.step()
    expect([await memberCount(ada), await memberCount(bob)]).toEqual([2, 2])
    // Both are members as before; ada changes over, with her key and state.
    adas.close()
    const renewed = await issueFrom(fresh, 'ada', ada)
    const second = await path.connect(renewed, adaStore)
    expect(await (await second.keyring('notes')).decrypt(old, { as: 'text' })).toBe('before')
    const isMoved = "SELECT 1 FROM devices WHERE fingerprint = ? AND uri LIKE '%ada'"
    await path.until(() => store.get(isMoved, sha256(renewed.certificates[0]!)) !== undefined)
    const held = path.keyIds()

    await path.changeTrust({ clients: { ...clients, anchors: [fresh.certificate] } })
    path.events = []
    await path.service.step()
    expect(path.events).toContainEqual({ type: 'unadmitted', devices: 1, keyrings: 2 })
    expect([await memberCount(ada), await memberCount(bob)]).toEqual([2, 0])
    // What is new is under keys that the one who left never had.
    await second.refresh()
    await expect.poll(() => tryEncrypt(second, 'notes')).toMatch(isKeyId)
    expect(held).not.toContain(await tryEncrypt(second, 'notes'))
    const message = await (await second.keyring('notes')).encrypt('after')
    await expect(bobsNotes.decrypt(message)).rejects.toMatchObject({ code: 'ERR_UNKNOWN_KEY' })

    // Nothing is held against him: with a certificate of the new CA he is back.
    const back = await path.connect(await issueFrom(fresh, 'bob', bob), bobStore)
    const notes = await path.during(back.keyring('notes'))
    expect(await notes.decrypt(message, { as: 'text' })).toBe('after')
  })

  it('loses nobody while a list is missing, and looks again when it is there', async () => {
    const { store, trust } = path.tenant
    const ada = await path.identityOf('ada')
    const fresh = await otherCa()
    const { clients } = trust.body
    const both = [...clients.anchors, fresh.certificate]
    await path.changeTrust({ clients: { ...clients, anchors: both } })
    await importCrl(store, await listOf(fresh), both, path.now())
    await path.join(await issueFrom(fresh, 'ada', ada))
    expect(await memberCount(ada)).toBe(2)
    // The rule changes in the very hour in which the CA's list is over.
    path.tenant.clock.now += 7 * DAY + 1
    const sans = ['keyferry://client.acme.example/team/*']
    await path.changeTrust({ clients: { ...clients, anchors: both, sans } })
    await path.service.step()
    expect(await memberCount(ada)).toBe(2)
    const next = { thisUpdate: path.now() - 60, nextUpdate: path.now() + 7 * DAY, revoked: [] }
    const der = await issueCrl({ issuer: fresh, number: 2, ...next })
    await importCrl(store, der, both, path.now())
    path.tenant.clock.now += 60
    await path.service.step()
    expect(await memberCount(ada)).toBe(0)
  })
})

describe('a certificate of the deriver that is revoked', () => {
  it('is replaced by the running service, and clients go over to the new one', async () => {
    const { store, derivers } = path.tenant
    const client = await path.join(await path.identityOf('ada'))
    const last = path.relay.pushes.at(-1)!.head
    expect(revokeDerivers(store, null, path.now())).toBeGreaterThan(0)
    await path.service.step()
    const next = path.relay.pushes.at(-1)!.head
    expect(next.certificates).not.toEqual(last.certificates)
    await client.refresh()
    expect(await tryEncrypt(client, 'notes')).toMatch(isKeyId)
    // The head of the revoked one is nothing to a client that has seen the list.
    await issueRoleCrl(store, derivers, 'deriver', path.now())
    path.relay.pushes.push({ ...path.relay.pushes.at(-1)!, head: last })
    await expect(client.refresh()).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_(CERT_REVOKED|ROLLBACK)$/) as string,
    })
  })
})
