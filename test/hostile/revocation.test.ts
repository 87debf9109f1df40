/** The time bound of docs/revocation.md over the whole path: real CA, deriver and clients on one clock, and a relay that hides the revocation. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { issueClient } from '../../deriver/ca.ts'
import { readCalendar } from '../../deriver/calendar.ts'
import { REKEY, revocationBound } from '../../deriver/bound.ts'
import { addSource } from '../../deriver/crl-sources.ts'
import { createKeyring } from '../../deriver/keyrings.ts'
import { revokeClient } from '../../deriver/revocation.ts'
import { markChanged } from '../../deriver/store.ts'
import { createService, type Service, type ServiceEvent } from '../../deriver/service.ts'
import { appConfig } from '../../deriver/status.ts'
import { createCsr } from '../../shared/csr.ts'
import { fromUtf8, hex } from '../../shared/bytes.ts'
import { parseCrl } from '../../shared/crl.ts'
import { signWithCertificate, type Envelope } from '../../shared/envelope.ts'
import { sha256 } from '../../shared/hash.ts'
import { issueCrl } from '../../shared/issue.ts'
import { parseMessageHeader } from '../../shared/message.ts'
import { generateSigningKey, keyId, type SigningKey } from '../../shared/signature.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { connect, createMemoryStore, type Identity, type Keyferry } from '../../web/index.ts'
import { type Store } from '../../web/store.ts'
import { startCrlServer } from '../lib/crl-server.ts'
import { codeOf } from '../lib/deriver.ts'
import { HidingRelay } from '../lib/hiding-relay.ts'
import { makeTenant, type TestTenant } from '../lib/tenant.ts'

const DAY = 86_400
const NAMES = ['notes', 'mail']

let tenant: TestTenant
let relay: HidingRelay
let service: Service
let events: ServiceEvent[]
const open: Keyferry[] = []

beforeEach(async () => {
  tenant = await makeTenant()
  relay = new HidingRelay()
  relay.trusts = [tenant.trust.envelope]
  events = []
  for (const name of NAMES)
    createKeyring(
      tenant.store,
      {
        name,
        rules: ['keyferry://client.acme.example/*'],
        kind: name === 'mail' ? 'erasable' : 'recoverable',
      },
      tenant.clock.now,
    )
  service = await makeService()
})
afterEach(() => {
  for (const client of open.splice(0)) client.close()
  tenant.remove()
})

const now = (): number => tenant.clock.now

function makeService(own = true): Promise<Service> {
  const { store, keys, derivers, clients } = tenant
  return createService({
    store,
    root: keys.root,
    authority: keys.authority,
    signer: own
      ? { issuer: derivers, uri: 'keyferry://deriver.acme.example/deriver-1' }
      : keys.signer,
    issuers: own ? { deriver: derivers, client: clients } : {},
    now,
    fetch: relay.fetch,
    report: (event) => events.push(event),
  })
}

async function identityOf(name: string, key?: SigningKey): Promise<Identity> {
  const own = key ?? (await generateSigningKey('ES256', false))
  const csr = await createCsr(own, name)
  const uri = `keyferry://client.acme.example/${name}`
  const der = await issueClient(tenant.store, tenant.clients, csr, uri, now())
  return { key: own, certificates: [der] }
}

async function start(identity: Identity, store: Store = createMemoryStore()): Promise<Keyferry> {
  const config = await appConfig(tenant.store)
  const options = { config, identity, store, fetch: relay.fetch, now, WebSocket: null }
  const client = await connect(options)
  open.push(client)
  return client
}

/** Connects and gets every keyring, with the deriver at work beside it. */
async function join(identity: Identity, store?: Store): Promise<Keyferry> {
  const client = await start(identity, store)
  const progress = { isDone: false }
  const work = Promise.all(NAMES.map((name) => client.keyring(name))).finally(() => {
    progress.isDone = true
  })
  while (!progress.isDone) {
    await service.step()
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  await work
  return client
}

/** Key ids of all versions that have been in a bundle so far, in hex. */
const keyIds = (): string[] =>
  tenant.store
    .all<{ key_id: Uint8Array | null }>('SELECT key_id FROM versions')
    .flatMap(({ key_id }) => (key_id === null ? [] : [hex(key_id)]))

/** The key id that a client encrypts a message of a keyring under now, or why it does not. */
async function tryEncrypt(client: Keyferry, name: string): Promise<string> {
  try {
    const message = await (await client.keyring(name, { timeout: 2_000 })).encrypt('new')
    return hex(parseMessageHeader(message).keyId)
  } catch (error) {
    return (error as { code: string }).code
  }
}

/** When a head ends, in seconds. */
function expiryOf(head: Envelope): number {
  return (JSON.parse(fromUtf8(head.payload)) as { expiresAt: number }).expiresAt
}

/** What a client has that kept its keys and lost whatever it had accepted. */
async function withoutHead(store: Store): Promise<Store> {
  const state = (await store.read())!
  const lost = createMemoryStore()
  await lost.write({ ...state, accepted: null, head: new Uint8Array(), keyrings: {} })
  return lost
}

describe('a revoked client', () => {
  it(
    '[deriver-4] reads nothing that an honest client encrypts after the bound, whatever the relay shows',
    { timeout: 60_000 },
    async () => {
      const adaStore = createMemoryStore()
      const ada = await identityOf('ada')
      const honest = await join(ada, adaStore)
      const [first, second] = [await identityOf('eve'), await identityOf('eve')]
      const eves = [await join(first), await join(second)]
      // Their keyrings, taken while they have them: nothing that fails later hides what they can still open.
      const theirs = await Promise.all(
        NAMES.map(async (name) => ({
          name,
          keyrings: await Promise.all(eves.map((eve) => eve.keyring(name))),
        })),
      )
      const held = keyIds()
      // The worst case: a head as new as the revocation.
      markChanged(tenant.store)
      await service.step()
      relay.shown = relay.pushes.length - 1
      const last = expiryOf(relay.pushes.at(-1)!.head) + tenant.trust.body.skew

      const t0 = now()
      const revoked = revokeClient(tenant.store, 'keyferry://client.acme.example/eve', t0)
      expect(revoked).toMatchObject({ certificates: 2, keys: 2, keyrings: ['mail', 'notes'] })
      const { direct, headLifetime, skew } = revocationBound(tenant.store, tenant.trust, now())
      expect(direct).toBe(REKEY + headLifetime + skew)
      expect(last).toBeLessThanOrEqual(t0 + direct)
      await service.step()
      expect(events).toContainEqual({ type: 'revoked', devices: 2, keyrings: 2 })
      const added = keyIds().filter((id) => !held.includes(id))
      expect(added.length).toBeGreaterThanOrEqual(NAMES.length)

      // As long as the head lives, the relay can hold everyone on it: the bound is not smaller than it has to be.
      for (const moment of [t0 + REKEY, last]) {
        tenant.clock.now = moment
        const stateless = await start(ada, await withoutHead(adaStore))
        for (const name of NAMES) {
          expect(held).toContain(await tryEncrypt(honest, name))
          expect(held).toContain(await tryEncrypt(stateless, name))
        }
      }
      // And not one second longer, with state or without any.
      for (const moment of [last + 1, t0 + direct + 1, t0 + DAY]) {
        tenant.clock.now = moment
        const stateless = await start(ada, await withoutHead(adaStore))
        for (const name of NAMES) {
          expect(await tryEncrypt(honest, name)).toBe('ERR_STALE')
          expect(await tryEncrypt(stateless, name)).toBe('ERR_STALE')
        }
      }

      // Shown the truth, the honest one goes on under keys that nobody revoked ever had.
      relay.shown = undefined
      await service.step()
      for (const { name, keyrings } of theirs) {
        await expect.poll(() => tryEncrypt(honest, name), { timeout: 20_000 }).toBeOneOf(added)
        const message = await (await honest.keyring(name)).encrypt('new')
        for (const keyring of keyrings)
          expect(await codeOf(keyring.decrypt(message))).toBe('ERR_UNKNOWN_KEY')
      }
      // And no device of the revoked one is a member any more.
      const devices = await Promise.all([first, second].map(({ key }) => keyId(key.spki)))
      for (const device of devices)
        expect(tenant.store.get('SELECT 1 FROM members WHERE device = ?', device)).toBe(undefined)
    },
  )
})

describe('a stolen deriver key', () => {
  it(
    'holds clients on old keys until the bound of docs/revocation.md, and no longer',
    { timeout: 60_000 },
    async () => {
      const ada = await identityOf('ada')
      const store = createMemoryStore()
      await join(ada, store)
      const held = keyIds()
      // Lists and certificate are of the first day; the catalog is signed again on the second.
      service = await makeService(false)
      tenant.clock.now += DAY + 3_600
      await service.step()
      const honest = relay.pushes.at(-1)!
      const { key, certificates } = tenant.keys.signer
      const { headLifetime, skew } = tenant.trust.body

      /** What a thief can sign at a moment, over what an honest deriver once published. */
      let version = 1_000
      const forge = async (at: number): Promise<void> => {
        const body = JSON.parse(fromUtf8(honest.head.payload)) as object
        const times = { issuedAt: at, expiresAt: at + headLifetime, version: version++ }
        const signer = sha256(certificates[0]!)
        const head = await signWithCertificate(
          'head',
          { ...body, ...times, signer },
          key,
          certificates,
        )
        relay.pushes.push({ ...honest, head })
      }
      const tryAt = async (at: number): Promise<string> => {
        tenant.clock.now = at
        for (const client of open.splice(0)) client.close()
        return tryEncrypt(await start(ada, store), 'notes')
      }

      const lists = honest.crls.map((der) => parseCrl(der).nextUpdate)
      const signs = Math.min(...lists, parseCertificate(certificates[0]!).notAfter)
      const catalog = expiryOf(honest.catalog)
      const bound = Math.min(signs + headLifetime, catalog) + skew
      expect(bound).toBe(signs + headLifetime + skew)

      // The last head that a thief can get accepted lives for as long as a head may.
      await forge(signs)
      expect(held).toContain(await tryAt(signs))
      await forge(signs + 1)
      expect(held).toContain(await tryAt(bound))
      expect(await tryAt(bound + 1)).toBe('ERR_STALE')

      // One that saw none of it takes none of it.
      tenant.clock.now = bound + 1
      await forge(bound + 1)
      const stateless = await start(ada, await withoutHead(store))
      expect(await tryEncrypt(stateless, 'notes')).toBeOneOf(['ERR_CRL', 'ERR_CERT_EXPIRED'])
    },
  )
})

describe('a CA that is away', () => {
  it(
    'for 8 days ends new heads, by name; decryption goes on offline; all is well when it is back',
    { timeout: 60_000 },
    async () => {
      const ada = await identityOf('ada')
      const honest = await join(ada)
      const notes = await honest.keyring('notes')
      const message = await notes.encrypt('kept')
      await service.step()

      // The keys of the CA are gone: no lists, no deriver certificates.
      service = await makeService(false)
      const server = await startCrlServer()
      addSource(tenant.store, { place: server.url, issuer: null, every: 600 }, now())
      const heads = (): number => relay.pushes.length
      tenant.clock.now += 6 * 3_600
      await service.step()
      expect(await notes.decrypt(message, { as: 'text' })).toBe('kept')
      tenant.clock.now += 8 * DAY
      const before = heads()
      events = []
      await service.step()
      expect(heads()).toBe(before)
      const alarms = events.filter((event) => event.type === 'alarm')
      expect(alarms.map(({ what }) => what)).toContain(
        'no heads are signed: the deriver certificate',
      )
      expect(
        alarms.some(({ what, state }) => what.startsWith('CRL of') && state === 'overdue'),
      ).toBe(true)
      expect(
        readCalendar(tenant.store, tenant.trust, now()).some(({ state }) => state === 'overdue'),
      ).toBe(true)
      // Once a day.
      events = []
      await service.step()
      expect(events.filter((event) => event.type === 'alarm')).toEqual([])
      expect(await codeOf(notes.encrypt('x'))).toBe('ERR_STALE')
      expect(await codeOf(notes.decrypt(message))).toBe('ERR_STALE')

      // The CA is back: nobody installs anything anew.
      await server.close()
      service = await makeService()
      await service.step()
      expect(heads()).toBeGreaterThan(before)
      await expect
        .poll(() => tryEncrypt(honest, 'notes'), { timeout: 20_000 })
        .toMatch(/^[0-9a-f]{64}$/)
      expect(await notes.decrypt(message, { as: 'text' })).toBe('kept')
    },
  )

  it(
    '[deriver-4] comes back with a list from its place that names a client',
    { timeout: 60_000 },
    async () => {
      const eve = await identityOf('eve')
      await join(eve)
      const server = await startCrlServer()
      addSource(tenant.store, { place: server.url, issuer: null, every: 600 }, now())
      const der = await issueCrl({
        issuer: tenant.clients,
        number: 500,
        thisUpdate: now() - 10,
        nextUpdate: now() + 7 * DAY,
        revoked: [{ serial: parseCertificate(eve.certificates[0]!).serial, date: now() }],
      })
      server.answer = (response) => response.end(der)
      await service.step()
      expect(events).toContainEqual({ type: 'revoked', devices: 1, keyrings: 2 })
      const { poll, total, direct } = revocationBound(tenant.store, tenant.trust, now())
      expect([poll, total]).toEqual([660, 660 + direct])
      await server.close()
    },
  )
})
