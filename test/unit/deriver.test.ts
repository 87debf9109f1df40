/** The deriver's decisions and numbers, on a real database: who gets a cell, what a removal does, what is never used twice. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  issueClient,
  issueRoleCrl,
  renewRoleCrl,
  revokeClient,
  revokedDevices,
} from '../../deriver/certificates.ts'
import { createKeyring, rotateDue, rotateKeyring, type KeyringRow } from '../../deriver/keyrings.ts'
import { emptyLog, readLog } from '../../deriver/log.ts'
import { denyDevices, renewGeneration, type DeviceRow } from '../../deriver/members.ts'
import { publish } from '../../deriver/publish.ts'
import { handleRequest, type Outcome } from '../../deriver/requests.ts'
import { openStore } from '../../deriver/store.ts'
import { loadTrust, storePath } from '../../deriver/tenant.ts'
import { createCsr } from '../../shared/csr.ts'
import { decodeMember } from '../../shared/bundle.ts'
import { type Bytes, hex } from '../../shared/bytes.ts'
import { decodeBundle } from '../../shared/bundle.ts'
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

describe('removal', () => {
  it('[deriver-4] a certificate that a CRL lists loses all its memberships', async () => {
    const [ada, ben] = [await makeClient(tenant, 'ada'), await makeClient(tenant, 'ben')]
    await ask(ada)
    await ask(ben)
    revokeClient(tenant.store, ben.uri, tenant.clock.now)
    expect(revokedDevices(tenant.store)).toEqual([])
    await renewRoleCrl(tenant.store, tenant.clients, 'client', tenant.clock.now)
    const revoked = revokedDevices(tenant.store)
    expect(revoked.map((device) => device.uri)).toEqual([ben.uri])
    tenant.store.transaction(() => {
      denyDevices(tenant.store, tenant.keys.root, tenant.trust.tenant, revoked, tenant.clock.now)
    })
    expect(leaves()).toHaveLength(1)
    expect(await codeOf(ask(ben))).toBe('ERR_CERT_REVOKED')
    const csr = await createCsr(ben.key, 'ben')
    const again = issueClient(tenant.store, tenant.clients, csr, ben.uri, tenant.clock.now)
    expect(await codeOf(again)).toBe('ERR_DENIED')
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
    const device = store.all<DeviceRow>('SELECT * FROM devices WHERE uri = ?', ben.uri)
    store.transaction(() => {
      denyDevices(store, keys.root, trust.tenant, device, clock.now)
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
    const { store, keys, trust, clock } = tenant
    for (const name of ['a', 'b', 'c']) await ask(await makeClient(tenant, name))
    expect(rotateDue(store, clock.now)).toEqual([])
    expect(rotateDue(store, clock.now + 82 * 86_400)).toEqual(['notes'])
    const order = leaves().map((one) => hex(one.device))
    store.transaction(() => {
      renewGeneration(store, keys.root, trust.tenant, notes, clock.now, () => true, false)
    })
    expect(leaves().map((one) => hex(one.device))).toEqual(order)
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
