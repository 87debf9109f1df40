/** The time bound of docs/revocation.md over the whole path: real CA, deriver and clients on one clock, and a relay that hides the revocation. */
import { describe, expect, it } from 'vitest'
import { readCalendar } from '../../deriver/calendar.ts'
import { REKEY, revocationBound } from '../../deriver/bound.ts'
import { addSource } from '../../deriver/crl-sources.ts'
import { revokeClient } from '../../deriver/revocation.ts'
import { fromUtf8 } from '../../shared/bytes.ts'
import { parseCrl } from '../../shared/crl.ts'
import { signWithCertificate } from '../../shared/envelope.ts'
import { sha256 } from '../../shared/hash.ts'
import { issueCrl } from '../../shared/issue.ts'
import { keyId } from '../../shared/signature.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { createMemoryStore } from '../../web/index.ts'
import { startCrlServer } from '../lib/crl-server.ts'
import { codeOf } from '../lib/deriver.ts'
import {
  DAY,
  expiryOf,
  NAMES,
  path,
  tryEncrypt,
  useWholePath,
  withoutHead,
} from '../lib/whole-path.ts'

useWholePath()

describe('a revoked client', () => {
  it(
    '[deriver-4] reads nothing that an honest client encrypts after the bound, whatever the relay shows',
    { timeout: 60_000 },
    async () => {
      const adaStore = createMemoryStore()
      const ada = await path.identityOf('ada')
      const honest = await path.join(ada, adaStore)
      const [first, second] = [await path.identityOf('eve'), await path.identityOf('eve')]
      const eves = [await path.join(first), await path.join(second)]
      // Their keyrings, taken while they have them: nothing that fails later hides what they can still open.
      const theirs = await Promise.all(
        NAMES.map(async (name) => ({
          name,
          keyrings: await Promise.all(eves.map((eve) => eve.keyring(name))),
        })),
      )
      const held = path.keyIds()
      // The worst case: a head as new as the revocation.
      await path.stepToHead()
      path.relay.shown = path.relay.pushes.length - 1
      const last = expiryOf(path.relay.pushes.at(-1)!.head) + path.tenant.trust.body.skew

      const t0 = path.now()
      const revoked = revokeClient(path.tenant.store, 'keyferry://client.acme.example/eve', t0)
      expect(revoked).toMatchObject({ certificates: 2, keys: 2, keyrings: ['mail', 'notes'] })
      const { direct, headLifetime, skew } = revocationBound(
        path.tenant.store,
        path.tenant.trust,
        path.now(),
      )
      expect(direct).toBe(REKEY + headLifetime + skew)
      expect(last).toBeLessThanOrEqual(t0 + direct)
      await path.service.step()
      expect(path.events).toContainEqual({ type: 'revoked', devices: 2, keyrings: 2 })
      const added = path.keyIds().filter((id) => !held.includes(id))
      expect(added.length).toBeGreaterThanOrEqual(NAMES.length)

      // As long as the head lives, the relay can hold everyone on it: the bound is not smaller than it has to be.
      for (const moment of [t0 + REKEY, last]) {
        path.tenant.clock.now = moment
        const stateless = await path.connect(ada, await withoutHead(adaStore))
        for (const name of NAMES) {
          expect(held).toContain(await tryEncrypt(honest, name))
          expect(held).toContain(await tryEncrypt(stateless, name))
        }
      }
      // And not one second longer, with state or without any.
      for (const moment of [last + 1, t0 + direct + 1, t0 + DAY]) {
        path.tenant.clock.now = moment
        const stateless = await path.connect(ada, await withoutHead(adaStore))
        for (const name of NAMES) {
          expect(await tryEncrypt(honest, name)).toBe('ERR_STALE')
          expect(await tryEncrypt(stateless, name)).toBe('ERR_STALE')
        }
      }

      // Shown the truth, the honest one goes on under keys that nobody revoked ever had.
      path.relay.shown = undefined
      await path.service.step()
      for (const { name, keyrings } of theirs) {
        await expect.poll(() => tryEncrypt(honest, name), { timeout: 20_000 }).toBeOneOf(added)
        const message = await (await honest.keyring(name)).encrypt('new')
        for (const keyring of keyrings)
          expect(await codeOf(keyring.decrypt(message))).toBe('ERR_UNKNOWN_KEY')
      }
      // And no device of the revoked one is a member any more.
      const devices = await Promise.all([first, second].map(({ key }) => keyId(key.spki)))
      for (const device of devices)
        expect(path.tenant.store.get('SELECT 1 FROM members WHERE device = ?', device)).toBe(
          undefined,
        )
    },
  )
})

describe('a stolen deriver key', () => {
  it(
    'holds clients on old keys until the bound of docs/revocation.md, and no longer',
    { timeout: 60_000 },
    async () => {
      const ada = await path.identityOf('ada')
      const store = createMemoryStore()
      await path.join(ada, store)
      const held = path.keyIds()
      // Lists and certificate are of the first day; the catalog is signed again on the second.
      await path.startWithoutCas()
      path.tenant.clock.now += DAY + 3_600
      await path.service.step()
      const honest = path.relay.pushes.at(-1)!
      const { key, certificates } = path.tenant.keys.signer
      const { headLifetime, skew } = path.tenant.trust.body

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
        path.relay.pushes.push({ ...honest, head })
      }
      const tryAt = async (at: number): Promise<string> => {
        path.tenant.clock.now = at
        path.closeClients()
        return tryEncrypt(await path.connect(ada, store), 'notes')
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
      path.tenant.clock.now = bound + 1
      await forge(bound + 1)
      const stateless = await path.connect(ada, await withoutHead(store))
      expect(await tryEncrypt(stateless, 'notes')).toBeOneOf(['ERR_CRL', 'ERR_CERT_EXPIRED'])
    },
  )
})

describe('a CA that is away', () => {
  it(
    'for 8 days ends new heads, by name; decryption goes on offline; all is well when it is back',
    { timeout: 60_000 },
    async () => {
      const ada = await path.identityOf('ada')
      const honest = await path.join(ada)
      const notes = await honest.keyring('notes')
      const message = await notes.encrypt('kept')
      await path.service.step()

      // The keys of the CA are gone: no lists, no deriver certificates.
      await path.startWithoutCas()
      const server = await startCrlServer()
      addSource(path.tenant.store, { place: server.url, issuer: null, every: 600 }, path.now())
      const heads = (): number => path.relay.pushes.length
      path.tenant.clock.now += 6 * 3_600
      await path.service.step()
      expect(await notes.decrypt(message, { as: 'text' })).toBe('kept')
      path.tenant.clock.now += 8 * DAY
      const before = heads()
      path.events = []
      await path.service.step()
      expect(heads()).toBe(before)
      const alarms = path.events.filter((event) => event.type === 'alarm')
      expect(alarms.map(({ what }) => what)).toContain(
        'no heads are signed: the deriver certificate',
      )
      expect(
        alarms.some(({ what, state }) => what.startsWith('CRL of') && state === 'overdue'),
      ).toBe(true)
      expect(
        readCalendar(path.tenant.store, path.tenant.trust, path.now()).some(
          ({ state }) => state === 'overdue',
        ),
      ).toBe(true)
      // Once a day.
      path.events = []
      await path.service.step()
      expect(path.events.filter((event) => event.type === 'alarm')).toEqual([])
      expect(await codeOf(notes.encrypt('x'))).toBe('ERR_STALE')
      expect(await codeOf(notes.decrypt(message))).toBe('ERR_STALE')

      // The CA is back: nobody installs anything anew.
      await server.close()
      await path.startService()
      await path.service.step()
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
      const eve = await path.identityOf('eve')
      await path.join(eve)
      const server = await startCrlServer()
      addSource(path.tenant.store, { place: server.url, issuer: null, every: 600 }, path.now())
      const der = await issueCrl({
        issuer: path.tenant.clients,
        number: 500,
        thisUpdate: path.now() - 10,
        nextUpdate: path.now() + 7 * DAY,
        revoked: [{ serial: parseCertificate(eve.certificates[0]!).serial, date: path.now() }],
      })
      server.answer = (response) => response.end(der)
      await path.service.step()
      expect(path.events).toContainEqual({ type: 'revoked', devices: 1, keyrings: 2 })
      const { poll, total, direct } = revocationBound(
        path.tenant.store,
        path.tenant.trust,
        path.now(),
      )
      expect([poll, total]).toEqual([660, 660 + direct])
      await server.close()
    },
  )
})
