/** What a removal does, and what counts as one. */
import { describe, expect, it } from 'vitest'
import { issueClient, issueRoleCrl, renewRoleCrl } from '../../deriver/ca.ts'
import { crlsByIssuer, importCrl } from '../../deriver/crls.ts'
import { leavingDevices, revokeClient } from '../../deriver/revocation.ts'
import { isDenied, type DeviceRow } from '../../deriver/devices.ts'
import { createKeyring } from '../../deriver/keyrings.ts'
import { emptyLog } from '../../deriver/log.ts'
import { currentKek, keyringsOf, removeDevices, renewGeneration } from '../../deriver/members.ts'
import { publish } from '../../deriver/publish.ts'
import { type Member } from '../../deriver/seats.ts'
import { createCsr } from '../../shared/csr.ts'
import { type Bytes, fromBase32, hex } from '../../shared/bytes.ts'
import { channelInput } from '../../shared/kdf.ts'
import { keyId } from '../../shared/signature.ts'
import { issueCrl } from '../../shared/issue.ts'
import { wrapKey } from '../../deriver/key-wrap.ts'
import { decodeBundle, decodeMember } from '../../shared/bundle.ts'
import { makeClient, makePackage, makeTenant } from '../lib/tenant.ts'
import {
  ask,
  codeOf,
  deriving,
  leaves,
  maintenance,
  members,
  notes,
  ring,
  tenant,
  useTenant,
} from '../lib/deriver.ts'

useTenant()

describe('removal', () => {
  it('[deriver-4] a revoked client loses all its memberships, its key for good, and enrols no more', async () => {
    const [ada, ben] = [await makeClient(tenant, 'ada'), await makeClient(tenant, 'ben')]
    await ask(ada)
    await ask(ben)
    expect(revokeClient(tenant.store, ben.uri, tenant.clock.now)).toMatchObject({
      certificates: 1,
      keys: 1,
    })
    await maintenance()(tenant.clock.now)
    expect(members()).toEqual([ada.uri])
    expect(await codeOf(ask(ben))).toBe('ERR_CERT_REVOKED')
    const csr = await createCsr(ben.key, 'ben')
    const again = issueClient(tenant.store, tenant.clients, csr, ben.uri, tenant.clock.now)
    expect(await codeOf(again)).toBe('ERR_DENIED')
    expect(() => revokeClient(tenant.store, ben.uri, tenant.clock.now)).toThrow('nothing to revoke')
  })

  it('[deriver-4] a revocation holds although the deriver was down until the certificate had ended', async () => {
    const ben = await makeClient(tenant, 'ben')
    await ask(ben)
    revokeClient(tenant.store, ben.uri, tenant.clock.now)
    tenant.clock.now += 40 * 86_400
    await maintenance()(tenant.clock.now)
    expect(members()).toEqual([])
  })

  it('[deriver-4] a key that was revoked under one URI is denied under every other', async () => {
    const ada = await makeClient(tenant, 'ada')
    const csr = await createCsr(ada.key, 'other')
    const uri = 'keyferry://client.acme.example/other'
    const certificates = [
      await issueClient(tenant.store, tenant.clients, csr, uri, tenant.clock.now),
    ]
    revokeClient(tenant.store, ada.uri, tenant.clock.now)
    const other = { ...ada, certificates, uri }
    const outcome = await ask({ ...other, ...(await makePackage(tenant, other, 1)) })
    expect(outcome.granted).toEqual([])
    expect(outcome.refused[0]?.reason).toBe('this device was revoked')
  })

  it('[deriver-4] a CRL of the CA alone is enough, whatever the database says of issued certificates', async () => {
    const ben = await makeClient(tenant, 'ben')
    await ask(ben)
    tenant.store.run('UPDATE issued SET revoked = ? WHERE uri = ?', tenant.clock.now, ben.uri)
    await issueRoleCrl(tenant.store, tenant.clients, 'client', tenant.clock.now)
    await maintenance()(tenant.clock.now)
    expect(members()).toEqual([])
    expect(
      isDenied(tenant.store, tenant.store.get<DeviceRow>('SELECT * FROM devices')!.key_id),
    ).toBe(true)
  })

  it('[deriver-4] a certificate that ended ends the membership, with a new version for the others', async () => {
    const [ada, ben] = [await makeClient(tenant, 'ada'), await makeClient(tenant, 'ben')]
    await ask(ada)
    await ask(ben)
    tenant.store.run('UPDATE devices SET expires = ? WHERE uri = ?', tenant.clock.now - 1, ben.uri)
    const version = ring().encrypt_version
    await maintenance()(tenant.clock.now)
    expect(members()).toEqual([ada.uri])
    expect(ring().encrypt_version).toBe(version + 1)
    // And so while nothing else changes, within a minute.
    const maintain = maintenance()
    await maintain(tenant.clock.now)
    tenant.store.run('UPDATE devices SET expires = ? WHERE uri = ?', tenant.clock.now + 30, ada.uri)
    await maintain(tenant.clock.now + 61)
    expect(members()).toEqual([])
  })

  it('[request-4] a rotated package under another URI keeps only what a rule still grants', async () => {
    const secret = createKeyring(
      tenant.store,
      { name: 'secret', rules: ['keyferry://client.acme.example/admin/*'] },
      tenant.clock.now,
    ).id
    const admin = await makeClient(tenant, 'admin/al')
    await ask(admin, [notes, secret])
    expect(
      keyringsOf(tenant.store, tenant.store.get<DeviceRow>('SELECT * FROM devices')!.key_id),
    ).toHaveLength(2)
    const csr = await createCsr(admin.key, 'al')
    const uri = 'keyferry://client.acme.example/user/al'
    const certificates = [
      await issueClient(tenant.store, tenant.clients, csr, uri, tenant.clock.now),
    ]
    const user = { ...admin, certificates, uri }
    await ask({ ...user, ...(await makePackage(tenant, user, 2)) }, [notes])
    expect(tenant.store.all('SELECT * FROM members WHERE keyring = ?', secret)).toEqual([])
    expect(members()).toEqual([uri])
  })

  it('[deriver-3] a removal makes a new generation and a version that no earlier bundle held', async () => {
    const [ada, ben] = [await makeClient(tenant, 'ada'), await makeClient(tenant, 'ben')]
    await ask(ada)
    await ask(ben)
    const log = emptyLog()
    const { store, keys, trust, clock } = tenant
    await publish(store, keys, trust, log, clock.now, 3_600)
    const bundleOf = () =>
      decodeBundle(
        new Uint8Array(
          store.get<{ body: Bytes }>('SELECT body FROM objects WHERE hash = ?', ring().bundle)!
            .body,
        ),
      )
    const before = bundleOf()
    const cells = leaves().map((one) => hex(decodeMember(one.leaf).cell))
    store.transaction(() => {
      removeDevices(
        store,
        deriving(),
        store.all<DeviceRow>('SELECT * FROM devices WHERE uri = ?', ben.uri),
        clock.now,
      )
    })
    await publish(store, keys, trust, log, clock.now, 3_600)
    const after = bundleOf()
    expect(after.generation).toBe(before.generation + 1)
    expect(before.entries.map((entry) => entry.version)).not.toContain(ring().encrypt_version)
    expect(cells).not.toContain(hex(decodeMember(leaves()[0]!.leaf).cell))
    // The key-encryption key changed: no wrapped entry stays as it was.
    const wrapped = new Set(before.entries.map((entry) => hex(entry.wrapped)))
    expect(after.entries.some((entry) => wrapped.has(hex(entry.wrapped)))).toBe(false)
  })

  it('[deriver-3] a generation that drops nobody keeps its version; one that drops somebody does not', async () => {
    for (const name of ['a', 'b']) await ask(await makeClient(tenant, name))
    const renew = (stays: (member: Member) => boolean): void => {
      tenant.store.transaction(() =>
        renewGeneration(tenant.store, deriving(), notes, tenant.clock.now, stays),
      )
    }
    const version = ring().encrypt_version
    renew(() => true)
    expect(ring().encrypt_version).toBe(version)
    renew((device) => device.uri.endsWith('/a'))
    expect(ring().encrypt_version).toBe(version + 1)
  })

  it('whoever stays keeps the slot, the last ones fill the gaps, and every cell is of the new generation', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) await ask(await makeClient(tenant, name))
    const { store } = tenant
    const slots = (): string =>
      store
        .all<{ uri: string }>(
          'SELECT uri FROM members JOIN devices ON key_id = device WHERE keyring = ? ORDER BY slot',
          notes,
        )
        .map(({ uri }) => uri.at(-1))
        .join('')
    const renew = (stay: string): number =>
      store.transaction(() =>
        renewGeneration(store, deriving(), notes, tenant.clock.now, ({ uri }) =>
          stay.includes(uri.at(-1)!),
        ),
      )
    for (const [stay, after] of [
      ['abcdef', 'abcdef'],
      ['acef', 'aecf'],
      ['cf', 'cf'],
      ['c', 'c'],
    ] as const) {
      const before = new Set(leaves().map(({ leaf }) => hex(leaf)))
      expect(renew(stay)).toBe(before.size - stay.length)
      expect(slots()).toBe(after)
      expect(store.get('SELECT max(slot) + 1 AS size FROM members')).toEqual({ size: after.length })
      expect(leaves().filter(({ leaf }) => before.has(hex(leaf)))).toEqual([])
    }
  })

  it('a removal while a welcome is sealed does not give the newcomer the key of the generation before', async () => {
    const [ada, ben] = [await makeClient(tenant, 'ada'), await makeClient(tenant, 'ben')]
    await ask(ada)
    const asking = ask(ben)
    tenant.store.transaction(() => {
      renewGeneration(tenant.store, deriving(), notes, tenant.clock.now, () => false)
    })
    await asking
    const { leaf } = leaves()[0]!
    const row = tenant.store.get<DeviceRow>('SELECT * FROM devices WHERE uri = ?', ben.uri)!
    const channel = tenant.keys.root.mac(
      channelInput(
        fromBase32(tenant.trust.tenant),
        new Uint8Array(row.package_hash),
        new Uint8Array(row.channel_salt),
      ),
    )
    expect(hex(decodeMember(leaf).cell)).toBe(
      hex(wrapKey(channel, currentKek(tenant.store, deriving(), notes))),
    )
  })

  it('a key denied while its welcome is sealed gets no cell', async () => {
    const ben = await makeClient(tenant, 'ben')
    const asking = ask(ben)
    revokeClient(tenant.store, ben.uri, tenant.clock.now)
    const outcome = await asking
    expect([outcome.granted, leaves()]).toEqual([[], []])
  })
})

describe('revocation lists', () => {
  it('never go back and never fork', async () => {
    const { store, clients, clock } = tenant
    const issuer = clients
    const make = (number: number, thisUpdate: number) =>
      issueCrl({ issuer, number, thisUpdate, nextUpdate: thisUpdate + 86_400, revoked: [] })
    const anchors = [clients.certificate]
    const [ninth, other, eighth] = [
      await make(9, clock.now - 10),
      await make(9, clock.now - 20),
      await make(8, clock.now - 30),
    ]
    expect(await importCrl(store, ninth, anchors, clock.now)).toBe(true)
    expect(await importCrl(store, ninth, anchors, clock.now)).toBe(false)
    expect(await codeOf(importCrl(store, other, anchors, clock.now))).toBe('ERR_FORK')
    expect(await codeOf(importCrl(store, eighth, anchors, clock.now))).toBe('ERR_ROLLBACK')
    expect(await codeOf(importCrl(store, ninth, [tenant.derivers.certificate], clock.now))).toBe(
      'ERR_CRL',
    )
  })

  it('of two CAs of one name are told apart by their key', async () => {
    const other = await makeTenant({ now: tenant.clock.now })
    const der = tenant.store.get<{ der: Bytes }>(
      'SELECT der FROM crls WHERE issuer = ?',
      await keyId(tenant.clients.key.spki),
    )!
    const anchors = [other.clients.certificate, tenant.clients.certificate]
    expect(await importCrl(tenant.store, new Uint8Array(der.der), anchors, tenant.clock.now)).toBe(
      false,
    )
    expect([...crlsByIssuer(tenant.store).keys()]).toHaveLength(2)
    expect(leavingDevices(tenant.store, crlsByIssuer(tenant.store), tenant.clock.now)).toEqual([])
    other.remove()
  })

  it('are renewed once by two instances', async () => {
    const later = tenant.clock.now + 2 * 86_400
    const renew = () => renewRoleCrl(tenant.store, tenant.clients, 'client', later)
    const done = await Promise.all([renew(), renew()])
    expect(done).toContain(true)
  })
})
