/** A log from end to end: what a check takes, what it finds, and who could read what. Real stores, edited as somebody with the file could. */
import { writeFileSync } from 'node:fs'
import { join as joinPath } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { follow, Follower, type ReadQuery } from '../../deriver/audit-entries.ts'
import { evidenceOfHeads, evidenceOfLogs, unloggedOf } from '../../deriver/audit-evidence.ts'
import { auditStore, readAudit, writeAudit, type AuditSource } from '../../deriver/audit-file.ts'
import { verifyAudit } from '../../deriver/audit-verify.ts'
import { rotateKeyring } from '../../deriver/keyrings.ts'
import { addLeaf, emptyFrontier, frontierRoot, proveStreamed } from '../../deriver/log-tree.ts'
import { openLog } from '../../deriver/log.ts'
import { type Delivery } from '../../shared/delivery.ts'
import { concat, hex, utf8, type Bytes } from '../../shared/bytes.ts'
import { encodeJson } from '../../shared/json.ts'
import { verifyEvidenceFile } from '../../shared/log-evidence.ts'
import { decodeEntry, encodeEntry, type LogEntry } from '../../shared/log.ts'
import { decodeRelease, peekHead } from '../../shared/release.ts'
import { proveLeaf, treeRoot } from '../../shared/tree.ts'
import { live, nextHead } from '../lib/audited.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { ENTRIES } from '../lib/log-entries.ts'
import { showing, releaseOf } from '../lib/log-history.ts'
import { makeTenant, type TestTenant } from '../lib/tenant.ts'
import { issueSigner, makeCa, random, uriOf } from '../lib/world.ts'
import { signHead } from '../lib/thief.ts'

let tenant: TestTenant
let notes: Bytes

beforeEach(async () => {
  tenant = await makeTenant()
  notes = (await live(tenant)).notes
})
afterEach(() => tenant.remove())

const id = (): string => tenant.trust.tenant
const check = async (source?: AuditSource, kept = [] as Parameters<typeof verifyAudit>[2]) =>
  verifyAudit(source ?? (await auditStore(tenant.store)), id(), kept)
const problems = async (source?: AuditSource): Promise<string[]> => (await check(source)).problems

/** A source with other entries. */
async function withLeaves(change: (leaves: Bytes[]) => Bytes[]): Promise<AuditSource> {
  const source = await auditStore(tenant.store)
  const leaves = change([...source.leaves()])
  return { ...source, header: { ...source.header, entries: leaves.length }, leaves: () => leaves }
}

/** The export as a file. */
async function exported(change = (file: Bytes): Bytes => file): Promise<string> {
  const path = joinPath(tenant.directory, 'log.audit')
  writeFileSync(path, change(concat(...writeAudit(await auditStore(tenant.store)))))
  return path
}

const ask = async (query: ReadQuery): Promise<string[]> => {
  const follower = new Follower(null, () => {}, query)
  for (const leaf of (await auditStore(tenant.store)).leaves()) follower.take(leaf)
  // What is passed over changes nothing.
  const { store } = tenant
  expect(follow((await auditStore(store)).leaves(), query).readings).toEqual(follower.readings)
  return follower.readings.map(
    ({ uri, version, removed }) =>
      `${uri.split('/').at(-1)} ${version}${removed === null ? '' : ' removed'}`,
  )
}

describe('a log', () => {
  it('of a whole life is well, from the store and from its file, heads of all sizes included', async () => {
    for (const source of [await auditStore(tenant.store), readAudit(await exported())]) {
      const report = await check(source)
      expect(report).toMatchObject({ problems: [], lost: [], unverified: [], contradicted: [] })
      // The head after a heartbeat shows nothing new.
      expect([report.heads, report.witnesses.length]).toEqual([6, 6])
      expect(report.shown).toBe(report.entries)
      expect([...source.leaves()]).toHaveLength(report.entries)
    }
  })

  it('stays well after a raised incarnation', async () => {
    const { size } = openLog(tenant.store)
    const leaf = encodeEntry('incarnation-raised', 1, { incarnation: 2, since: size, trust: 1 })
    const source = await withLeaves((leaves) => [...leaves, leaf])
    expect(await problems(source)).toEqual([
      expect.stringContaining('is not of incarnation 2') as string,
    ])
  })

  it.each<[string, (leaves: Bytes[]) => Bytes[], RegExp]>([
    ['an entry changed', (all) => all.with(5, all[6]!), /^head 1\.\d+ shows another log/],
    ['an entry left out', (all) => all.toSpliced(5, 1), /^head 1\.\d+ shows/],
    ['an entry put in', (all) => all.toSpliced(5, 0, all[5]!), /^head 1\.\d+ shows another log/],
    ['the last entries cut off', (all) => all.slice(0, -1), /and the log has \d+$/],
    ['everything cut off', () => [], /and the log has 0$/],
    ['two entries swapped', (all) => all.with(5, all[6]!).with(6, all[5]!), /shows another log/],
  ])('with %s is not what its heads show', async (_, change, what) => {
    const report = await check(await withLeaves(change))
    expect(report.problems.filter((one) => what.test(one)).length).toBeGreaterThan(0)
    expect(report.contradicted.length).toBeGreaterThan(0)
  })

  it('is stopped by a signal', async () => {
    const source = await withLeaves((all) => Array.from({ length: 20_000 }, () => all[0]!))
    const signal = AbortSignal.abort()
    await expectCode(verifyAudit(source, id(), [], { signal }), 'ERR_CLOSED')
    const told: number[] = []
    await verifyAudit(source, id(), [], { progress: (done) => told.push(done) })
    expect(told).toEqual([10_000, 20_000])
  })

  it('of another tenant is ERR_TENANT', async () => {
    const source = await auditStore(tenant.store)
    await expectCode(verifyAudit(source, 'a'.repeat(52)), 'ERR_TENANT')
    const header = { ...source.header, tenant: 'a'.repeat(52) }
    await expectCode(verifyAudit({ ...source, header }, 'a'.repeat(52)), 'ERR_TENANT')
  })
})

describe('heads', () => {
  it('that nobody of the derivers signed are a problem of the log, and say nothing where a relay has them', async () => {
    const source = await auditStore(tenant.store)
    const { now } = tenant.clock
    const stranger = await issueSigner(await makeCa('deriver', now), uriOf('deriver', 'x'), now)
    const body = peekHead(source.heads[0]!, id())
    const made = await signHead(
      { ...body, log: { root: random(32), size: 3 }, signer: new Uint8Array(32) },
      stranger,
    )
    expect(await problems({ ...source, heads: [made] })).toHaveLength(1)
    const report = await check(source, [{ by: 'a relay', heads: [made] }])
    expect(report).toMatchObject({ problems: [], contradicted: [] })
    expect(report.unverified).toHaveLength(1)
    for (const number of [1, 9]) {
      const other = { ...body, trust: { number, hash: random(32) } }
      const under = await check(source, [
        { by: 'a relay', heads: [await signHead(other, tenant.keys.signer)] },
      ])
      expect(under.unverified).toEqual([expect.stringContaining('ERR_HASH') as string])
    }
  })

  it('are judged by the lists and the time of their day, also when their certificates are over', async () => {
    tenant.clock.now += 400 * 86_400
    const report = await check()
    expect(report.problems).toEqual([])
    const source = await auditStore(tenant.store)
    expect(await problems({ ...source, crls: [] })).toHaveLength(source.heads.length)
  })

  it('of a relay that are of this log change nothing; one that shows another log is evidence with one of this', async () => {
    const source = await auditStore(tenant.store)
    const body = peekHead(source.heads.at(-1)!, id())
    const fine = await check(source, [{ by: 'a relay', heads: source.heads }])
    expect(fine).toMatchObject({ problems: [], unverified: [] })
    expect(await evidenceOfHeads(source, fine)).toBe(null)
    for (const log of [
      { root: random(32), size: body.log.size },
      { root: random(32), size: body.log.size + 5 },
    ]) {
      const version = log.size > body.log.size ? body.version - 1 : body.version + 7
      const { signer, ...rest } = body
      expect(signer).toHaveLength(32)
      const head = await signHead({ ...rest, log, version }, tenant.keys.signer)
      const report = await check(source, [{ by: 'a relay', heads: [head] }])
      expect(report.problems).toEqual([expect.stringContaining(' of a relay shows ') as string])
      const made = await evidenceOfHeads(source, report)
      expect(await verifyEvidenceFile(made!.file, id())).toMatchObject({ what: made!.what })
    }
  })

  it('of a relay that are later than a file are no fault of it, and others that show more are', async () => {
    const path = await exported()
    await nextHead(tenant)
    rotateKeyring(tenant.store, 'notes', tenant.clock.now)
    await nextHead(tenant)
    const { heads } = await auditStore(tenant.store)
    const kept = [{ by: 'a relay', heads }]
    const isFile = true
    const report = await verifyAudit(readAudit(path), id(), kept, { isFile })
    expect(report).toMatchObject({ problems: [], later: [expect.stringContaining('of a relay')] })
    expect((await verifyAudit(readAudit(path), id(), kept)).problems).toHaveLength(1)
    // One of the time before the file: it had to be in it.
    const { signer: _, ...rest } = peekHead(heads[0]!, id())
    const log = { root: random(32), size: 1_000 }
    const early = [{ by: 'a relay', heads: [await signHead({ ...rest, log }, tenant.keys.signer)] }]
    const found = await verifyAudit(readAudit(path), id(), early, { isFile })
    expect(found).toMatchObject({ problems: [expect.any(String)], later: [] })
  })

  it('of the incarnation before are only lost where the entries say that they were', async () => {
    const source = await auditStore(tenant.store)
    const body = peekHead(source.heads.at(-1)!, id())
    const { signer: _, ...rest } = body
    const size = source.header.entries
    const gone = await signHead(
      { ...rest, log: { root: random(32), size: size + 3 } },
      tenant.keys.signer,
    )
    const kept = [{ by: 'a relay', heads: [gone] }]
    expect((await check(source, kept)).problems).toHaveLength(1)
    const raised = async (since: number) => {
      const leaf = encodeEntry('incarnation-raised', 1, { incarnation: 2, since, trust: 1 })
      return check(await withLeaves((leaves) => [...leaves, leaf]), kept)
    }
    expect(await raised(size)).toMatchObject({ lost: [expect.any(String)], contradicted: [] })
    expect(await raised(size + 3)).toMatchObject({ lost: [], contradicted: [expect.anything()] })
  })
})

describe('two exports', () => {
  it('of one log are one, and of two are evidence', async () => {
    const one = await auditStore(tenant.store)
    const path = await exported()
    const same = { source: one, report: await check(one) }
    const other = readAudit(path)
    expect(await evidenceOfLogs(same, { source: other, report: await check(other) })).toBe(null)
    // What follows in the store after the file was written is no difference.
    rotateKeyring(tenant.store, 'notes', tenant.clock.now)
    await nextHead(tenant)
    const later = await auditStore(tenant.store)
    const grown = { source: later, report: await check(later) }
    expect(await evidenceOfLogs(grown, { source: other, report: await check(other) })).toBe(null)
    // A head over another log, and that log.
    const leaves = [...later.leaves()]
    const forged = leaves.with(4, encodeEntry('device-denied', 1, ENTRIES['device-denied']))
    const { signer: _, ...rest } = peekHead(later.heads.at(-1)!, id())
    const head = await signHead(
      { ...rest, version: rest.version + 1, log: { root: treeRoot(forged), size: forged.length } },
      tenant.keys.signer,
    )
    const thief = { ...later, heads: [head], leaves: () => forged }
    const found = await evidenceOfLogs(grown, { source: thief, report: await check(thief) })
    expect(found).toMatchObject({ index: 4 })
    expect(await verifyEvidenceFile(found!.made!.file, id())).toMatchObject({ kind: 'log' })
  })
})

describe('a delivery', () => {
  it('whose releases stand in the log is well, and one of whose does not is evidence', async () => {
    const source = await auditStore(tenant.store)
    const report = await check(source)
    const { head } = report.witnesses.at(-1)!
    const row = tenant.store.get<{ body: Bytes }>(
      'SELECT o.body FROM keyrings k JOIN objects o ON o.hash = k.release WHERE k.id = ?',
      notes,
    )!
    const bytes = new Uint8Array(row.body)
    const deliver = (release: Bytes, releaseProof = { index: 0, path: [] as Bytes[] }) =>
      ({ keyrings: [{ keyring: notes, release, releaseProof }] }) as unknown as Delivery
    expect(await unloggedOf(deliver(bytes), head, source, report)).toEqual([])

    const release = decodeRelease(bytes)
    const { signer: _, ...rest } = head.body
    const world = { deriver: tenant.keys.signer } as Parameters<typeof showing>[0]
    for (const log of [release.log, head.body.log.size]) {
      const changed = encodeJson({ ...release, generation: 99, log })
      const leaves = [...source.leaves()]
      const thief = await showing(world, rest as typeof head.body, leaves, [
        { keyring: notes, bytes: changed },
      ])
      const { proof } = releaseOf(thief, 0)
      const shown = await check(source, [{ by: 'the delivery', heads: [thief.head] }])
      expect(shown.problems).toEqual([])
      const own = shown.witnesses.at(-1)!.head
      const [found] = await unloggedOf(deliver(changed, proof), own, source, shown)
      const proven = await verifyEvidenceFile(found!.made!.file, id())
      expect(proven).toMatchObject({ kind: 'unlogged' })
    }
  })
})

describe('entries that do not fit each other', () => {
  type Change = (entry: LogEntry) => LogEntry | LogEntry[] | null
  const changed = async (event: string, change: Change): Promise<string[]> => {
    let isDone = false
    const source = await withLeaves((leaves) =>
      leaves.flatMap((leaf) => {
        const entry = decodeEntry(leaf)
        if (isDone || entry.event !== event) return [leaf]
        isDone = true
        const next = change(entry)
        return (next === null ? [] : [next].flat()).map(encodeJson)
      }),
    )
    return (await problems(source)).filter((one) => !one.startsWith('head '))
  }
  const set =
    (fields: object): Change =>
    (entry) => ({ ...entry, ...fields })
  const inRelease =
    (fields: object): Change =>
    (entry) => {
      const { release } = entry as LogEntry & { event: 'released' }
      return { event: 'released', release: { ...release, ...fields } }
    }

  it.each<[string, string, Change, RegExp]>([
    ['no first entry', 'tenant-created', () => null, /the tenant is made in the first entry/],
    ['another tenant', 'tenant-created', set({ tenant: 'b'.repeat(52) }), /of another tenant/],
    ['another authority', 'tenant-created', set({ authority: random(44) }), /of another tenant/],
    ['a keyring made twice', 'keyring-created', (e) => [e, e], /is made again/],
    ['no keyring', 'keyring-created', () => null, /was never made/],
    ['a generation left out', 'generation-created', set({ generation: 2 }), /generation 2 after 0/],
    ['a version left out', 'version-created', set({ version: 2 }), /version 2 after 0/],
    ['another incarnation', 'version-created', set({ incarnation: 2 }), /incarnation 2 in 1/],
    [
      'a bundle of another generation',
      'bundle-made',
      set({ generation: 2 }),
      /a bundle of generation 2/,
    ],
    [
      'a bundle of a version to come',
      'bundle-made',
      set({ versions: '1.1 1.9' }),
      /no version 1\.9/,
    ],
    ['no bundle', 'bundle-made', () => null, /another bundle than the last/],
    ['a member twice', 'member-added', (e) => [e, e], /which is a member/],
    ['a member left out', 'member-added', () => null, /where 0 were added/],
    ['nobody removed', 'member-removed', () => null, /members, where/],
    ['who is no member removed', 'member-removed', (e) => [e, e], /which is no member/],
    ['a catalog twice', 'catalog-signed', (e) => [e, e], /catalog 1 after 1/],
    [
      'a release of another generation',
      'released',
      inRelease({ generation: 7 }),
      /a release of generation 7/,
    ],
    [
      'a release of another incarnation',
      'released',
      inRelease({ incarnation: 2 }),
      /incarnation 2 in 1/,
    ],
    [
      'a release of a keyring that is not',
      'released',
      inRelease({ keyring: random(16) }),
      /was never made/,
    ],
    [
      'a release of a version to come',
      'released',
      inRelease({ encrypt: { incarnation: 1, version: 9 } }),
      /no version 9/,
    ],
    [
      'another trust document',
      'catalog-signed',
      (e) => [e, { event: 'trust-published', time: 1, number: 2, hash: random(32) }],
      /another trust document 2/,
    ],
    [
      'a trust document left out',
      'catalog-signed',
      (e) => [e, { event: 'trust-published', time: 1, number: 3, hash: random(32) }],
      /trust document 3 after 1/,
    ],
    [
      'an incarnation that is not raised',
      'catalog-signed',
      (e) => [e, { event: 'incarnation-raised', time: 1, incarnation: 1, since: 1, trust: 1 }],
      /incarnation 1 after 1/,
    ],
  ])('%s', async (_, event, change, what) => {
    expect((await changed(event, change)).filter((one) => what.test(one))).not.toEqual([])
  })

  it('[log-1] of no form, and are no more than a hundred', async () => {
    const source = await withLeaves((all) => [
      ...all,
      ...Array.from({ length: 200 }, () => utf8('{}')),
    ])
    const found = await problems(source)
    expect(found).toHaveLength(100)
    expect(found[0]).toMatch(/^entry \d+: .*ERR_SCHEMA/)
  })

  it('of a trust document that nobody wrote down', async () => {
    const follower: string[] = []
    const trust = [tenant.trust, tenant.trust]
    new Follower(trust, (what) => follower.push(what)).end()
    expect(follower).toEqual(['no entry of trust document 2'])
  })
})

describe('who could read', () => {
  it('a version: the members of all generations whose bundles had it, from when on, and until they were removed', async () => {
    const keyring = hex(notes)
    expect(await ask({ keyring, version: '1' })).toEqual(['ada 1.1 removed', 'ben 1.1', 'cy 1.1'])
    expect(await ask({ keyring, version: '1.2' })).toEqual(['ada 1.2 removed', 'ben 1.2', 'cy 1.2'])
    // Made when ada was removed.
    expect(await ask({ keyring, version: '3' })).toEqual(['ben 1.3', 'cy 1.3'])
    expect(await ask({ keyring, version: '4' })).toEqual([])
    expect(await ask({ keyring, version: '2.1' })).toEqual([])
  })

  it('what a client could read, in every keyring', async () => {
    const uri = 'keyferry://client.acme.example/ada'
    expect(await ask({ uri })).toEqual(['ada 1.1 removed', 'ada 1.2 removed'])
    expect(await ask({ uri: 'keyferry://client.acme.example/dan' })).toEqual([])
    expect((await ask({})).length).toBe(8)
  })
})

describe('a file', () => {
  const broken = async (
    change: (lines: string[]) => string[],
    code: Parameters<typeof expectCode>[1],
  ) => {
    const path = await exported((file) => {
      const lines = new TextDecoder().decode(file).split('\n')
      return utf8(change(lines).join('\n'))
    })
    await expectCode(async () => [...readAudit(path).leaves()], code)
  }

  it('that is cut off, goes on, or is none is refused', async () => {
    await broken((lines) => lines.slice(0, -2), 'ERR_MALFORMED')
    await broken((lines) => [...lines.slice(0, -2), ''], 'ERR_MALFORMED')
    await broken((lines) => [...lines.slice(0, -1), '{}', ''], 'ERR_MALFORMED')
    await broken((lines) => [...lines.slice(0, 2), ''], 'ERR_MALFORMED')
    await broken(() => [''], 'ERR_MALFORMED')
    await broken((lines) => lines.with(0, '{"format":"x"}'), 'ERR_SCHEMA')
    await broken((lines) => lines.with(1, 'x'.repeat(3_000_000)), 'ERR_TOO_LARGE')
    await expectCode(() => readAudit(joinPath(tenant.directory, 'none')), 'ERR_IO')
  })

  it.each(['[1,2,3]', '7', '{}', '""'])('with %s in place of a list is refused', async (list) => {
    await broken((lines) => {
      const { trust } = JSON.parse(lines[0]!) as { trust: number }
      return lines.with(1 + trust, list)
    }, 'ERR_SCHEMA')
  })
})

describe('[deriver-7] a store whose log is not what its newest head says', () => {
  it.each([
    ['changed', 'UPDATE log SET leaf = (SELECT leaf FROM log WHERE seq = 1) WHERE seq = 3'],
    ['taken out', 'DELETE FROM log WHERE seq = 3'],
    ['cut off', 'DELETE FROM log WHERE seq > 5'],
    ['gone', 'DELETE FROM log'],
  ])('an entry %s is ERR_STATE', async (_, sql) => {
    expect(openLog(tenant.store).size).toBeGreaterThan(5)
    tenant.store.run(sql)
    await expectCode(() => openLog(tenant.store), 'ERR_STATE')
  })
})

it('[deriver-7] an entry that no head shows yet is missed, too', async () => {
  const { size } = openLog(tenant.store)
  rotateKeyring(tenant.store, 'notes', tenant.clock.now)
  expect(openLog(tenant.store).size).toBe(size + 2)
  tenant.store.run('DELETE FROM log WHERE seq = ?', size + 1)
  await expectCode(() => openLog(tenant.store), 'ERR_STATE')
})

describe('trees of what goes by', () => {
  it('have the roots and proofs of trees that are held whole', () => {
    const leaves = Array.from({ length: 40 }, (_, i) => utf8(`leaf ${i}`))
    const frontier = emptyFrontier()
    for (let size = 0; size <= leaves.length; size++) {
      expect(frontierRoot(frontier)).toEqual(treeRoot(leaves.slice(0, size)))
      for (const index of [0, 1, size >> 1, size - 1]) {
        if (index < 0 || index >= size) continue
        const { leaf, proof } = proveStreamed(leaves, index, size)
        expect([leaf, proof]).toEqual([leaves[index], proveLeaf(leaves.slice(0, size), index)])
      }
      if (size < leaves.length) addLeaf(frontier, leaves[size]!)
    }
    expect(() => proveStreamed(leaves, 3, 41)).toThrow(RangeError)
    expect(() => proveStreamed(leaves, 41, 40)).toThrow(RangeError)
  })
})
