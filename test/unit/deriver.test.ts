/** The deriver's decisions and numbers, on a real database: who gets a cell, what a removal does, what is never used twice. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  crlsByIssuer,
  importCrl,
  issueClient,
  issueRoleCrl,
  leavingDevices,
  renewRoleCrl,
  revokeClient,
} from '../../deriver/certificates.ts'
import { isDenied, lastPackage, type DeviceRow } from '../../deriver/devices.ts'
import { createMaintenance } from '../../deriver/maintain.ts'
import { createKeyring, rotateDue, rotateKeyring, type KeyringRow } from '../../deriver/keyrings.ts'
import { emptyLog, readLog } from '../../deriver/log.ts'
import { currentKek, keyringsOf, removeDevices, renewGeneration } from '../../deriver/members.ts'
import { pruneObjects } from '../../deriver/objects.ts'
import { publish } from '../../deriver/publish.ts'
import { handleRequest, type Outcome } from '../../deriver/requests.ts'
import { openStore } from '../../deriver/store.ts'
import { loadTrust, storePath } from '../../deriver/tenant.ts'
import { createCsr } from '../../shared/csr.ts'
import { type Bytes, fromBase32, hex } from '../../shared/bytes.ts'
import { channelInput } from '../../shared/kdf.ts'
import { keyId } from '../../shared/signature.ts'
import { issueCrl } from '../../deriver/ca.ts'
import { wrapKey } from '../../deriver/root.ts'
import { decodeBundle, decodeMember } from '../../shared/bundle.ts'
import { decodeEnvelope, documentHash, encodeEnvelope } from '../../shared/envelope.ts'
import { isKeyferryError, type ErrorCode } from '../../shared/errors.ts'
import { decodeJson } from '../../shared/json.ts'
import { verifyHead } from '../../shared/release.ts'
import { treeRoot } from '../../shared/tree.ts'
import {
  makeClient,
  makePackage,
  makeRequest,
  makeTenant,
  type TestClient,
  type TestTenant,
} from '../lib/tenant.ts'

let tenant: TestTenant
let notes: Bytes

beforeEach(async () => {
  tenant = await makeTenant()
  notes = createKeyring(
    tenant.store,
    { name: 'notes', rules: ['keyferry://client.acme.example/*'] },
    tenant.clock.now,
  ).id
})
afterEach(() => {
  tenant.remove()
})

async function ask(
  client: TestClient,
  keyrings: Bytes[] = [notes],
  nonce?: Bytes,
): Promise<Outcome> {
  const request = await makeRequest(tenant, client, keyrings, nonce)
  return handleRequest(tenant.store, tenant.keys, tenant.trust, request, tenant.clock.now)
}

async function codeOf(work: Promise<unknown>): Promise<ErrorCode | 'none'> {
  try {
    await work
    return 'none'
  } catch (error) {
    if (isKeyferryError(error)) return error.code
    throw error
  }
}

function ring(): KeyringRow {
  return tenant.store.get<KeyringRow>('SELECT * FROM keyrings WHERE id = ?', notes)!
}

function leaves(): { device: Bytes; leaf: Bytes }[] {
  return tenant.store.all('SELECT device, leaf FROM members WHERE keyring = ? ORDER BY slot', notes)
}

describe('requests', () => {
  it('[request-4] a client that no rule covers is refused, signed, and gets no cell', async () => {
    const secret = createKeyring(
      tenant.store,
      { name: 'secret', rules: ['keyferry://client.acme.example/admin/*'] },
      tenant.clock.now,
    ).id
    const outcome = await ask(await makeClient(tenant, 'ada'), [notes, secret])
    expect(outcome.granted).toEqual(['notes'])
    expect(outcome.refused).toEqual([{ keyring: 'secret', reason: 'no rule covers this client' }])
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
})

const deriving = () => ({ root: tenant.keys.root, tenant: tenant.trust.tenant })

function maintenance(): (now: number) => Promise<void> {
  return createMaintenance(
    tenant.store,
    deriving(),
    { client: tenant.clients, deriver: tenant.derivers },
    () => {},
  )
}

function members(): string[] {
  return tenant.store
    .all<{ uri: string }>(
      'SELECT d.uri FROM members m JOIN devices d ON d.key_id = m.device WHERE m.keyring = ? ORDER BY m.slot',
      notes,
    )
    .map((row) => row.uri)
}

describe('removal', () => {
  it('[deriver-4] a revoked client loses all its memberships, its key for good, and enrols no more', async () => {
    const [ada, ben] = [await makeClient(tenant, 'ada'), await makeClient(tenant, 'ben')]
    await ask(ada)
    await ask(ben)
    expect(revokeClient(tenant.store, ben.uri, tenant.clock.now)).toEqual({
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
    const renew = (stays: (device: DeviceRow) => boolean): void => {
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

describe('numbers', () => {
  it('[deriver-1] two processes on one store never sign the same head version', async () => {
    const other = openStore(storePath(tenant.directory))
    const { keys, trust, clock } = tenant
    const logs = [emptyLog(), emptyLog()] as const
    const published = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        publish(
          i % 2 === 0 ? tenant.store : other,
          keys,
          trust,
          logs[i % 2 === 0 ? 0 : 1],
          clock.now,
          3_600,
        ),
      ),
    )
    other.close()
    expect(new Set(published.map((one) => one.version)).size).toBe(8)
  })

  it('[deriver-1] a version allocated before a crash is never signed again with other bytes', async () => {
    const { store, keys, trust, clock } = tenant
    const broken = {
      ...keys,
      signer: { ...keys.signer, key: { ...keys.signer.key, key: keys.authority[0]!.key } },
    }
    await expect(publish(store, broken, trust, emptyLog(), clock.now, 3_600)).rejects.toThrow()
    const version = store.counter('head')
    const { version: next } = await publish(store, keys, trust, emptyLog(), clock.now, 3_600)
    expect(next).toBe(version + 1)
  })

  it('[deriver-2] trust documents come from the own database and are verified when it is opened', async () => {
    const trust = await loadTrust(tenant.store)
    expect(trust.map((one) => one.body.number)).toEqual([1])
    const forged = {
      ...trust[0]!.envelope,
      signatures: [{ keyid: new Uint8Array(32), sig: new Uint8Array(64) }],
    }
    tenant.store.run('UPDATE trust SET envelope = ?', encodeEnvelope(forged))
    expect(await codeOf(loadTrust(tenant.store))).toBe('ERR_SIGNATURE')
  })

  it('rotation keeps generation and members, and what it writes does not grow with members', async () => {
    const { store, keys, trust, clock } = tenant
    const rotateCost = async (): Promise<number> => {
      const log = emptyLog()
      await publish(store, keys, trust, log, clock.now, 3_600)
      const before = store.counter('object')
      rotateKeyring(store, 'notes', clock.now)
      await publish(store, keys, trust, log, clock.now, 3_600)
      return store.counter('object') - before
    }
    const empty = await rotateCost()
    const generation = ring().generation
    for (let i = 0; i < 5; i++) await ask(await makeClient(tenant, `c${i}`))
    expect(await rotateCost()).toBe(empty - 1)
    expect(ring().generation).toBe(generation)
  })

  it('a version is rotated before it ends, and a new generation keeps members in order', async () => {
    const { store, clock } = tenant
    for (const name of ['a', 'b', 'c']) await ask(await makeClient(tenant, name))
    expect(rotateDue(store, clock.now)).toEqual([])
    expect(rotateDue(store, clock.now + 82 * 86_400)).toEqual(['notes'])
    const order = leaves().map((one) => hex(one.device))
    store.transaction(() => {
      renewGeneration(store, deriving(), notes, clock.now, () => true)
    })
    expect(leaves().map((one) => hex(one.device))).toEqual(order)
  })
})

describe('two services on one store', () => {
  it('[deriver-1] no head names an older catalog than the head before it', async () => {
    const other = openStore(storePath(tenant.directory))
    const { store, keys, trust, clock } = tenant
    const [first, second] = [emptyLog(), emptyLog()]
    for (let i = 0; i < 4; i++) {
      const one = publish(store, keys, trust, first, clock.now, 3_600)
      rotateKeyring(other, 'notes', clock.now)
      await Promise.all([one, publish(other, keys, trust, second, clock.now, 3_600)])
    }
    other.close()
    const catalogs = store
      .all<{ catalog: number }>('SELECT catalog FROM heads ORDER BY version')
      .map((row) => row.catalog)
    expect(catalogs.length).toBeGreaterThan(4)
    expect(catalogs).toEqual(catalogs.toSorted((a, b) => a - b))
  })

  it('a change while a head is signed is due at once, not at the next heartbeat', async () => {
    const { store, keys, trust, clock } = tenant
    const publishing = publish(store, keys, trust, emptyLog(), clock.now, 3_600)
    rotateKeyring(store, 'notes', clock.now)
    await publishing
    const head = store.get<{ change: number }>(
      'SELECT change FROM heads ORDER BY version DESC LIMIT 1',
    )!
    // Either this head shows it, or the next one is due.
    expect(ring().dirty === 0 || head.change !== store.counter('change')).toBe(true)
  })

  it('[request-3] the same request in both is answered once and breaks neither', async () => {
    const other = openStore(storePath(tenant.directory))
    const request = await makeRequest(tenant, await makeClient(tenant, 'ada'), [
      notes,
      new Uint8Array(16),
    ])
    const { keys, trust, clock } = tenant
    await Promise.all([
      handleRequest(tenant.store, keys, trust, request, clock.now),
      handleRequest(other, keys, trust, request, clock.now),
    ])
    other.close()
    expect(leaves()).toHaveLength(1)
    expect(tenant.store.all('SELECT * FROM requests')).toHaveLength(1)
  })
})

describe('objects', () => {
  it('that nothing names any more are dropped, and what a head names stays', async () => {
    const { store, keys, trust, clock } = tenant
    const log = emptyLog()
    for (let i = 0; i < 400; i++) {
      rotateKeyring(store, 'notes', clock.now)
      await publish(store, keys, trust, log, clock.now, 3_600)
      if (i === 0) expect(pruneObjects(store)).toBe(0)
    }
    expect(pruneObjects(store)).toBeGreaterThan(900)
    const has = (hash: Bytes | null) =>
      store.get('SELECT 1 FROM objects WHERE hash = ?', hash) !== undefined
    expect([ring().manifest, ring().bundle, ring().release].map(has)).toEqual([true, true, true])
    expect(pruneObjects(store)).toBe(0)
  })
})

describe('keyring settings', () => {
  it.each([
    { offline: 5_000_000_000 },
    { offline: -1 },
    { cryptoperiod: 1 },
    { generationMaxAge: 10 },
    { decryptPeriod: 1.5 },
  ])('%o is refused before it is stored', (settings) => {
    const create = () =>
      createKeyring(
        tenant.store,
        { name: 'bad', rules: tenant.trust.body.clients.sans, ...settings },
        tenant.clock.now,
      )
    expect(create).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }) as Error)
    expect(tenant.store.all('SELECT * FROM keyrings')).toHaveLength(1)
  })
})

describe('head', () => {
  it('verifies for a client, names every CRL and carries the log', async () => {
    const { store, keys, trust, clock } = tenant
    await ask(await makeClient(tenant, 'ada'))
    const log = emptyLog()
    const { head } = await publish(store, keys, trust, log, clock.now, 3_600)
    const crls = store
      .all<{ der: Bytes }>('SELECT der FROM crls')
      .map((row) => new Uint8Array(row.der))
    const verified = await verifyHead(decodeEnvelope(encodeEnvelope(head)), {
      trust,
      now: clock.now,
      crls,
    })
    expect(verified.body.crls).toHaveLength(2)
    const rows = store
      .all<{ leaf: Bytes }>('SELECT leaf FROM log ORDER BY seq')
      .map((row) => new Uint8Array(row.leaf))
    expect(verified.body.log.size).toBeLessThanOrEqual(rows.length)
    expect(hex(verified.body.log.root)).toBe(hex(treeRoot(rows.slice(0, verified.body.log.size))))
    expect(readLog(store, log).size).toBe(rows.length)
  })

  it('a CRL is issued again after a revocation and its number rises', async () => {
    const { store, clients, clock } = tenant
    const number = () => store.get<{ n: number }>('SELECT sum(number) AS n FROM crls')!.n
    const before = number()
    expect(await renewRoleCrl(store, clients, 'client', clock.now)).toBe(false)
    await issueRoleCrl(store, clients, 'client', clock.now + 1)
    expect(number()).toBe(before + 1)
  })

  it('leaves in the log hold no key bytes', async () => {
    await ask(await makeClient(tenant, 'ada'))
    const salts = tenant.store
      .all<{ salt: Bytes }>('SELECT salt FROM generations')
      .map((row) => Buffer.from(row.salt).toString('base64url'))
    const text = tenant.store
      .all<{ leaf: Bytes }>('SELECT leaf FROM log')
      .map((row) => JSON.stringify(decodeJson(new Uint8Array(row.leaf), 65_536)))
      .join('\n')
    for (const salt of salts) expect(text).not.toContain(salt)
  })
})
