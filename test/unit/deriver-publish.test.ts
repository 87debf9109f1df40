/** Numbers, heads and objects: what is never used twice, and what a head shows. */
import { createDecipheriv } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { issueRoleCrl, renewRoleCrl } from '../../deriver/ca.ts'
import { createKeyring, rotateKeyring } from '../../deriver/keyrings.ts'
import { rotateDue } from '../../deriver/schedule.ts'
import { emptyLog, logLeaves, readLog, shownLog } from '../../deriver/log.ts'
import { currentKek, renewGeneration } from '../../deriver/members.ts'
import { pruneObjects } from '../../deriver/objects.ts'
import { publish } from '../../deriver/publish.ts'
import { versionSecret } from '../../deriver/version-secrets.ts'
import { handleRequest } from '../../deriver/requests.ts'
import { type VersionRow } from '../../deriver/rows.ts'
import { openStore, type Store } from '../../deriver/store.ts'
import { loadTrust } from '../../deriver/trust.ts'
import { storePath } from '../../deriver/store.ts'
import { decodeBundle } from '../../shared/bundle.ts'
import { type Bytes, fromBase32, hex } from '../../shared/bytes.ts'
import { decodeEnvelope, encodeEnvelope } from '../../shared/envelope.ts'
import { decodeJson } from '../../shared/json.ts'
import { decodeEntry } from '../../shared/log.ts'
import { verifyHead } from '../../shared/release.ts'
import { signBytes, type RemoteSigningKey } from '../../shared/signature.ts'
import { treeRoot } from '../../shared/tree.ts'
import { makeClient, makeRequest } from '../lib/tenant.ts'
import { ask, codeOf, deriving, leaves, notes, ring, tenant, useTenant } from '../lib/deriver.ts'

useTenant()

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

  it('[deriver-7] an entry of a transaction that failed is under no later head', async () => {
    const { store, keys, trust, clock } = tenant
    const log = emptyLog()
    const full: Store = {
      ...store,
      transaction: (work) =>
        store.transaction(() => {
          const done = work()
          if (store.get('SELECT 1 FROM heads') !== undefined) throw new Error('the disk is full')
          return done
        }),
    }
    await expect(publish(full, keys, trust, log, clock.now, 3_600)).rejects.toThrow('full')
    rotateKeyring(store, 'notes', clock.now)
    await publish(store, keys, trust, log, clock.now, 3_600)
    expect(shownLog(store)).toEqual(readLog(store, emptyLog()))
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
    expect(rotateDue(store, clock.now, 3_660)).toEqual([])
    expect(rotateDue(store, clock.now + 82 * 86_400, 3_660)).toEqual(['notes'])
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

  it('[log-2] a catalog that was signed too slowly is not noted behind one with a higher number', async () => {
    const { store, keys, trust, clock } = tenant
    const [key] = keys.authority
    let signNow = (): void => {}
    const asked = Promise.withResolvers<void>()
    const slow: RemoteSigningKey = {
      ...key!,
      sign: async (data) => {
        await new Promise<void>((resolve) => {
          signNow = resolve
          asked.resolve()
        })
        return signBytes(key!, data)
      },
    }
    const late = publish(store, { ...keys, authority: [slow] }, trust, emptyLog(), clock.now, 3_600)
    await asked.promise
    rotateKeyring(store, 'notes', clock.now)
    await publish(store, keys, trust, emptyLog(), clock.now, 3_600)
    signNow()
    await late
    const numbers = [...logLeaves(store)].map(decodeEntry).flatMap((entry) => {
      return entry.event === 'catalog-signed' ? [entry.number] : []
    })
    expect(numbers).toEqual([2])
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
  it(
    'that nothing names any more are dropped, and what a head names stays',
    { timeout: 120_000 },
    async () => {
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
    },
  )
})

describe('bundles', () => {
  it('a version is wrapped once in a generation, and all of them anew in the next one', async () => {
    const { store, keys, trust, clock } = tenant
    let macs = 0
    const root = {
      ...keys.root,
      mac(input: Bytes, number?: number) {
        macs++
        return keys.root.mac(input, number)
      },
      // As the real one, which would else run the work with its own.
      transaction: <T>(over: Store, work: () => T) => Promise.resolve(over.transaction(work)),
    }
    const head = async (): Promise<number> => {
      macs = 0
      await publish(store, { ...keys, root }, trust, emptyLog(), clock.now, 3_600)
      return macs
    }
    /** Versions with the secret inside, opened with the key-encryption key of the generation. */
    const opened = (): string[] => {
      const kek = currentKek(store, deriving(), notes)
      const body = store.get<{ body: Bytes }>(
        'SELECT body FROM objects WHERE hash = ?',
        ring().bundle,
      )!
      return decodeBundle(new Uint8Array(body.body)).entries.map(({ version, wrapped }) => {
        const decipher = createDecipheriv('id-aes256-wrap', kek, Buffer.from('a6'.repeat(8), 'hex'))
        return `${version} ${Buffer.concat([decipher.update(wrapped), decipher.final()]).toString('hex')}`
      })
    }
    const expected = (): string[] =>
      store.all<VersionRow>('SELECT * FROM versions ORDER BY version').map((row) => {
        const names = { tenant: fromBase32(trust.tenant), keyring: notes }
        return `${row.version} ${hex(versionSecret(keys.root, names, row))}`
      })
    for (let i = 0; i < 12; i++) rotateKeyring(store, 'notes', clock.now)
    await head()
    rotateKeyring(store, 'notes', clock.now)
    // The key-encryption key, and the new version, once for its key id and its entry.
    expect(await head()).toBe(2)
    expect(opened()).toEqual(expected())
    store.transaction(() => renewGeneration(store, deriving(), notes, clock.now, () => true))
    expect(await head()).toBe(1 + expected().length)
    expect(opened()).toEqual(expected())
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
