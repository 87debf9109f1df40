// A client whose certificate is revoked: by the list of its CA, which the relay shows, and by nothing that a relay can make up.
import { beforeEach, describe, expect, it } from 'vitest'
import { base64url, equal, type Bytes } from '../../shared/bytes.ts'
import { parseCrl } from '../../shared/crl.ts'
import { sha256 } from '../../shared/hash.ts'
import { type Signer } from '../../shared/http-signature.ts'
import { issueCrl } from '../../shared/issue.ts'
import { findRevocation } from '../../shared/revocation.ts'
import { keyId } from '../../shared/signature.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { createMemoryStore, type Keyferry, type Store } from '../../web/index.ts'
import { ClientRelay, openClient as open, stored } from '../lib/client-relay.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { DAY, issueSigner, makeCa, renewCrl, revoke, uriOf } from '../lib/world.ts'

let relay: ClientRelay
let kim: Signer
let store: Store

beforeEach(async () => {
  relay = await ClientRelay.start()
  kim = await issueSigner(relay.world.cas.client, uriOf('client', 'kim'), relay.now)
  store = createMemoryStore()
})

/** What a relay answers to whom it does not admit; with a list, as to whom that names. */
function refuse(list?: Bytes | string): Response {
  const crl = list instanceof Uint8Array ? base64url(list) : list
  const body = JSON.stringify({
    code: 'ERR_NOT_FOUND',
    status: 404,
    ...(crl !== undefined && { crl }),
  })
  return new Response(body, {
    status: 404,
    headers: { 'content-type': 'application/problem+json' },
  })
}

function watch(client: Keyferry): { states: string[]; warnings: string[] } {
  const seen = { states: [] as string[], warnings: [] as string[] }
  client.on('state', ({ state }) => seen.states.push(state))
  client.on('warning', ({ code }) => seen.warnings.push(code))
  return seen
}

describe('by the list of its CA', () => {
  it('[client-2] encrypts and signs no more, says so, keeps all that it has, and knows it after a restart', async () => {
    const client = await open(relay, { identity: kim, store })
    const notes = await client.keyring('notes')
    const message = await notes.encrypt('x')
    const { keyrings, packages } = await stored(store)
    const seen = watch(client)
    const list = await revoke(relay.world.cas.client, kim, relay.now)
    relay.interfere = () => refuse(list)
    await expectCode(client.refresh(), 'ERR_CERT_REVOKED')
    expect(notes.state).toBe('revoked')
    await expectCode(notes.encrypt('y'), 'ERR_CERT_REVOKED')
    await expectCode(notes.encrypt('y', { sign: true }), 'ERR_CERT_REVOKED')
    await expectCode(
      new Response(notes.encryptStream('y') as BodyInit).arrayBuffer(),
      'ERR_CERT_REVOKED',
    )
    await expectCode(notes.sign('y'), 'ERR_CERT_REVOKED')
    expect(await notes.decrypt(message, { as: 'text' })).toBe('x')
    expect(seen).toEqual({ states: ['revoked'], warnings: ['ERR_CERT_REVOKED'] })
    expect(await stored(store)).toMatchObject({ keyrings, packages })
    client.close()
    // Nor does a relay that hides the list, or admits the client all the same, take it back.
    for (const other of [
      () => Promise.reject(new TypeError('no network')),
      () => refuse(),
      () => undefined,
    ]) {
      relay.interfere = other
      const again = await open(relay, { identity: kim, store })
      const held = await again.keyring('notes')
      await again.refresh().catch(() => {})
      expect(held.state).toBe('revoked')
      await expectCode(held.encrypt('y'), 'ERR_CERT_REVOKED')
      expect(await held.decrypt(message, { as: 'text' })).toBe('x')
    }
  })

  it('[client-2] another tab of the same store stops as well', async () => {
    const one = await open(relay, { identity: kim, store })
    const two = await open(relay, { identity: kim, store })
    await one.keyring('notes')
    const notes = await two.keyring('notes')
    const list = await revoke(relay.world.cas.client, kim, relay.now)
    relay.interfere = () => refuse(list)
    await expectCode(one.refresh(), 'ERR_CERT_REVOKED')
    // It has not fetched since.
    await expectCode(notes.sign('y'), 'ERR_CERT_REVOKED')
    await expectCode(notes.encrypt('y'), 'ERR_CERT_REVOKED')
  })

  it('[client-2] another tab of the same store stops to encrypt, too, before it has signed or fetched', async () => {
    const one = await open(relay, { identity: kim, store })
    const two = await open(relay, { identity: kim, store })
    await one.keyring('notes')
    const notes = await two.keyring('notes')
    const list = await revoke(relay.world.cas.client, kim, relay.now)
    relay.interfere = () => refuse(list)
    await expectCode(one.refresh(), 'ERR_CERT_REVOKED')
    await expectCode(notes.encrypt('y'), 'ERR_CERT_REVOKED')
  })

  it('without a key it fails by that name, and not before its time', async () => {
    relay.policy = 'silent'
    const client = await open(relay, { identity: kim, store })
    await expectCode(client.keyring('notes', { timeout: 300 }), 'ERR_TIMEOUT')
    const list = await revoke(relay.world.cas.client, kim, relay.now)
    relay.interfere = () => refuse(list)
    await expectCode(client.keyring('notes'), 'ERR_CERT_REVOKED')
  })

  it('counts although another relay goes on delivering', async () => {
    const config = relay.config(['https://one.example', 'https://two.example'])
    const client = await open(relay, { identity: kim, store, config })
    const notes = await client.keyring('notes')
    const list = await revoke(relay.world.cas.client, kim, relay.now)
    relay.interfere = ({ host }) => (host === 'one.example' ? refuse(list) : undefined)
    await client.refresh()
    expect(notes.state).toBe('revoked')
  })

  it('[client-2] ends with another certificate, also where the list is shown again', async () => {
    const client = await open(relay, { identity: kim, store })
    const notes = await client.keyring('notes')
    const message = await notes.encrypt('x')
    const list = await revoke(relay.world.cas.client, kim, relay.now)
    relay.interfere = () => refuse(list)
    await expectCode(client.refresh(), 'ERR_CERT_REVOKED')
    client.close()
    relay.interfere = () => undefined
    await relay.publish()
    const identity = await issueSigner(relay.world.cas.client, uriOf('client', 'kim'), relay.now)
    const again = await open(relay, { identity, store })
    const held = await again.keyring('notes')
    await again.refresh()
    expect(held.state).toBe('ready')
    expect(await held.decrypt(message, { as: 'text' })).toBe('x')
    const codes = watch(again).warnings
    relay.interfere = () => refuse(list)
    await expectCode(again.refresh(), 'ERR_NOT_FOUND')
    expect(held.state).toBe('unadmitted')
    await held.encrypt('y')
    // Its own round may have asked meanwhile, and warned as well.
    expect(new Set(codes)).toEqual(new Set(['ERR_NOT_FOUND']))
  })
})

describe('by nothing that a relay makes up', () => {
  type Lists = Record<
    string,
    (relay: ClientRelay, kim: Signer) => Promise<Bytes | string | undefined>
  >
  const lists: Lists = {
    'its word alone': () => Promise.resolve(undefined),
    'no list': () => Promise.resolve('AAAA'),
    'no base64url': () => Promise.resolve('=?'),
    'a list that names others': async ({ world, now }) =>
      revoke(
        world.cas.client,
        await issueSigner(world.cas.client, uriOf('client', 'lee'), now),
        now,
      ),
    'a list of another CA, by the same name': async ({ now }, signer) =>
      revoke(await makeCa('client', now), signer, now),
    'a list of the derivers’ CA': ({ world, now }, signer) =>
      revoke(world.cas.deriver, signer, now),
    'a list that its CA signed otherwise': async ({ world, now }, signer) => {
      const list = await revoke(world.cas.client, signer, now)
      return list.with(list.length - 1, list.at(-1)! ^ 1)
    },
    'a list of tomorrow': async ({ world, now }, signer) => {
      await revoke(world.cas.client, signer, now)
      return renewCrl(world.cas.client, now, { thisUpdate: now + DAY })
    },
    'a list that has run out': async ({ world, now }, signer) => {
      await revoke(world.cas.client, signer, now)
      return renewCrl(world.cas.client, now, { thisUpdate: now - DAY, nextUpdate: now - 1 })
    },
  }

  it.each(Object.entries(lists))('[client-1] %s', async (_, make) => {
    const client = await open(relay, { identity: kim, store })
    const notes = await client.keyring('notes')
    const list = await make(relay, kim)
    relay.interfere = () => refuse(list)
    await expectCode(client.refresh(), 'ERR_NOT_FOUND')
    expect(notes.state).toBe('unadmitted')
    await notes.encrypt('y')
    expect((await stored(store)).revoked).toBe(null)
    // Nor is anything gained by hiding it: then it ends as every silence does.
    relay.now += 3_600 + 61
    await expectCode(notes.encrypt('y'), 'ERR_STALE')
    expect(notes.state).toBe('stale')
  })

  it('[client-1] a list from before the one that the accepted head names: the certificate was on hold', async () => {
    const ca = relay.world.cas.client
    const list = await revoke(ca, kim, relay.now)
    ca.revoked = []
    await renewCrl(ca, relay.now)
    await relay.publish()
    const client = await open(relay, { identity: kim, store })
    const notes = await client.keyring('notes')
    relay.interfere = () => refuse(list)
    await expectCode(client.refresh(), 'ERR_NOT_FOUND')
    expect(notes.state).toBe('unadmitted')
    // By its number alone: the same entries in a newer list count.
    const { serial } = parseCertificate(kim.certificates[0]!)
    const newer = await issueCrl({
      issuer: ca,
      number: ca.number,
      thisUpdate: relay.now - 60,
      nextUpdate: relay.now + DAY,
      revoked: [{ serial, date: relay.now - 60 }],
    })
    expect(equal(sha256(newer), sha256(ca.crl))).toBe(false)
    relay.interfere = () => refuse(newer)
    await expectCode(client.refresh(), 'ERR_CERT_REVOKED')
  })

  it('[client-1] the number of another key in the path says nothing of a list', async () => {
    const list = parseCrl(await revoke(relay.world.cas.client, kim, relay.now))
    const own = await keyId(kim.key.spki)
    const find = (lowest: (issuer: Bytes) => number) =>
      findRevocation(kim.certificates, [list], { trust: relay.world.trust, now: relay.now, lowest })
    expect(await find((id) => (equal(id, own) ? 100 : list.number))).toBe(list)
    expect(await find(() => list.number + 1)).toBe(undefined)
  })

  it('[client-1] a client that has accepted nothing knows no CA', async () => {
    const client = await open(relay, { identity: kim, store })
    const list = await revoke(relay.world.cas.client, kim, relay.now)
    relay.interfere = () => refuse(list)
    await expectCode(client.keyring('notes', { timeout: 300 }), 'ERR_TIMEOUT')
  })
})
