// Certificates that renew by themselves, against the real handler and CA: in time, with the CA away, and after 90 days.
import { describe, expect, it } from 'vitest'
import { parseCertificate } from '../../shared/x509.ts'
import { createIdentity, enrollAt, loadIdentity, renewBy } from '../../web/enroll.ts'
import { connect, createMemoryStore } from '../../web/index.ts'
import { Renewal } from '../../web/renewal.ts'
import { ClientRelay } from '../lib/client-relay.ts'
import { makeBackend, ORIGIN } from '../lib/enrolment.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { DAY } from '../lib/world.ts'

async function start(lifetime: number) {
  const relay = await ClientRelay.start()
  const backend = makeBackend(relay.world.cas.client, relay.now, { lifetime })
  const away = { ca: false }
  const calls = { count: 0 }
  const enroll = enrollAt('/enroll', {
    fetch: async (input, init) => {
      calls.count++
      backend.clock.now = relay.now
      if (away.ca) throw new TypeError('network')
      return backend.handler(new Request(new URL(input as string, ORIGIN), init))
    },
    headers: { cookie: 'kim', origin: ORIGIN },
  })
  const store = createMemoryStore()
  await createIdentity({ name: 'kim', store, enroll })
  const open = async () => {
    const client = await connect({
      config: relay.config(),
      store,
      fetch: relay.fetch,
      now: () => relay.now,
      WebSocket: null,
      renew: renewBy(enroll),
    })
    const failures: string[] = []
    client.on('renewal', ({ failure }) => failures.push(failure?.code ?? 'renewed'))
    return { client, failures }
  }
  const end = async () =>
    parseCertificate((await loadIdentity({ store }))!.certificates[0]!).notAfter
  return { relay, backend, away, calls, store, open, end }
}

describe('a certificate', () => {
  it('stays what it is before two thirds of its life, and is renewed for the same key after', async () => {
    const { relay, open, end, store, calls } = await start(30 * DAY)
    const began = relay.now
    const key = (await loadIdentity({ store }))!.key.spki
    const before = calls.count
    relay.now += 60
    const one = await open()
    await one.client.keyring('notes')
    one.client.close()
    expect([calls.count - before, one.failures]).toEqual([0, []])
    relay.now = began + 24 * DAY
    const { client, failures } = await open()
    const waiting = client.keyring('notes', { timeout: 500 }).catch(() => {})
    await expect.poll(() => failures).toEqual(['renewed'])
    expect(await end()).toBe(began + 54 * DAY)
    expect((await loadIdentity({ store }))!.key.spki).toEqual(key)
    client.close()
    await waiting
  })

  it('is tried again while the CA is away for 8 days: the client goes on, tells it, and renews when it is back', async () => {
    const { relay, open, end, away } = await start(30 * DAY)
    const began = relay.now
    away.ca = true
    const { client, failures } = await open()
    await client.keyring('notes')
    relay.now = began + 24 * DAY
    await client.refresh().catch(() => {})
    client.close()
    const again = await open()
    const waiting = again.client.keyring('notes', { timeout: 300 }).catch(() => {})
    await expect.poll(() => again.failures).toEqual(['ERR_ENROLMENT'])
    expect(await end()).toBe(began + 30 * DAY)
    again.client.close()
    await waiting
    relay.now = began + 29 * DAY
    away.ca = false
    const last = await open()
    const done = last.client.keyring('notes', { timeout: 300 }).catch(() => {})
    await expect.poll(() => last.failures).toEqual(['renewed'])
    expect(await end()).toBe(began + 59 * DAY)
    last.client.close()
    await done
    expect(failures).not.toContain('renewed')
  })

  it('that ended 90 days ago is renewed at the start, before the relay is asked', async () => {
    const { relay, open, end, away, backend } = await start(7 * DAY)
    const began = relay.now
    relay.now = began + 90 * DAY
    const hosts = relay.hosts.length
    away.ca = true
    const offline = await open()
    await expectCode(offline.client.keyring('notes', { timeout: 300 }), 'ERR_TIMEOUT')
    offline.client.close()
    expect(relay.hosts.length).toBe(hosts)
    away.ca = false
    delete backend.sessions['kim']
    const loggedOut = await open()
    await expectCode(loggedOut.client.keyring('notes', { timeout: 5_000 }), 'ERR_SESSION')
    loggedOut.client.close()
    backend.sessions['kim'] = { id: 'new', uri: 'keyferry://client.acme.example/kim' }
    const { client, failures } = await open()
    const waiting = client.keyring('notes', { timeout: 500 }).catch((error: unknown) => error)
    await expect.poll(() => failures).toEqual(['renewed'])
    expect(await end()).toBe(began + 97 * DAY)
    await expect.poll(() => relay.hosts.length).toBeGreaterThan(hosts)
    client.close()
    await waiting
  })

  it('says when it is to be renewed, so that a client that only waits for news does not miss it', async () => {
    const { relay, store } = await start(600)
    const identity = (await loadIdentity({ store }))!
    const { notBefore, notAfter } = parseCertificate(identity.certificates[0]!)
    const renewal = new Renewal({
      session: { identity } as never,
      emitter: {} as never,
      now: () => relay.now,
      renew: () => Promise.reject(new Error()),
    })
    const share = (renewal.wait + relay.now - notBefore) / (notAfter - notBefore)
    expect(share).toBeGreaterThan(0.66)
    expect(share).toBeLessThan(0.77)
  })

  it('of another key is not taken', async () => {
    const { relay, store, end } = await start(30 * DAY)
    const began = relay.now
    const other = await start(30 * DAY)
    relay.now = began + 24 * DAY
    const client = await connect({
      config: relay.config(),
      store,
      fetch: relay.fetch,
      now: () => relay.now,
      WebSocket: null,
      renew: async () => (await loadIdentity({ store: other.store }))!,
    })
    const codes: unknown[] = []
    client.on('renewal', ({ failure }) => codes.push(failure?.code))
    const waiting = client.keyring('notes', { timeout: 300 }).catch(() => {})
    await expect.poll(() => codes).toEqual(['ERR_CERT_PROFILE'])
    expect(await end()).toBe(began + 30 * DAY)
    client.close()
    await waiting
  })
})
