/** What a log says of versions: copies of them, their destruction, and entries on them that do not fit. A real store; entries changed as somebody with the file could. */
import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { follow, Follower, type ReadQuery } from '../../deriver/audit-entries.ts'
import { auditStore } from '../../deriver/audit-file.ts'
import { verifyAudit } from '../../deriver/audit-verify.ts'
import { issueDeriver, issueRoleCrl } from '../../deriver/ca.ts'
import { carryOut } from '../../deriver/carry-out.ts'
import { orderDestruction } from '../../deriver/destroy.ts'
import { exportVersion } from '../../deriver/export-key.ts'
import { createKeyring } from '../../deriver/keyrings.ts'
import { emptyLog, logLeaves } from '../../deriver/log.ts'
import { publish } from '../../deriver/publish.ts'
import { finishRekeys, orderRekey } from '../../deriver/rekey.ts'
import { handleRequest } from '../../deriver/requests.ts'
import { hex, type Bytes } from '../../shared/bytes.ts'
import { decodeEnvelope } from '../../shared/envelope.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { decodeEntry, encodeEntry, type LogEntry } from '../../shared/log.ts'
import { makeClient, makePackage, makeRequest, makeTenant, type TestTenant } from '../lib/tenant.ts'

const RULES = ['keyferry://client.acme.example/*']

let tenant: TestTenant
let leaves: Bytes[]
let mail: Bytes
let notes: Bytes
/** When what was done was done. */
const at = { exported: 0, ordered: 0, completes: 0 }

const published = () =>
  publish(tenant.store, tenant.keys, tenant.trust, emptyLog(), tenant.clock.now, 3_600)

/** A version that is exported, one that is destroyed, and a device that is re-keyed. */
async function liveOn(): Promise<void> {
  const { store, clock, keys, trust } = tenant
  notes = createKeyring(store, { name: 'notes', rules: RULES }, clock.now).id
  mail = createKeyring(store, { name: 'mail', rules: RULES, kind: 'erasable' }, clock.now).id
  const ada = await makeClient(tenant, 'ada')
  const ask = async (client = ada): Promise<void> => {
    const request = await makeRequest(tenant, client, [notes, mail])
    await handleRequest(store, keys, trust, request, clock.now)
  }
  await ask()
  await published()
  at.exported = clock.now += 60
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const wrappingKey = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }))
  await exportVersion(
    { store, root: keys.root, authority: keys.authority, trust },
    { name: 'notes', version: 1 },
    [{ target: 'aws-kms', method: 'RSAES_OAEP_SHA_256', wrappingKey }],
    clock.now,
  )
  orderRekey(store, { uri: ada.uri }, clock.now)
  await ask({ ...ada, ...(await makePackage(tenant, ada, 2)) })
  await finishRekeys(store, { root: keys.root, tenant: trust.tenant }, clock.now)
  at.ordered = clock.now += 60
  orderDestruction(store, ['mail@1'], 0, clock.now)
  await carryOut(store, keys, trust, clock.now)
  await published()
  const [row] = store.all<{ completes: number }>('SELECT completes FROM destructions')
  at.completes = clock.now = row!.completes
  const uri = 'keyferry://deriver.acme.example/deriver-1'
  keys.signer = await issueDeriver(store, tenant.derivers, uri, clock.now)
  await issueRoleCrl(store, tenant.derivers, 'deriver', clock.now)
  await carryOut(store, keys, trust, clock.now)
  await published()
}

beforeAll(async () => {
  tenant = await makeTenant()
  await liveOn()
  leaves = [...logLeaves(tenant.store)]
})
afterAll(() => tenant.remove())

const asked = (query: ReadQuery): Follower => follow(leaves, query)

describe('the log of a life of versions', () => {
  it('is well', async () => {
    const report = await verifyAudit(await auditStore(tenant.store), tenant.trust.tenant)
    expect(report).toMatchObject({ problems: [], lost: [], unverified: [], contradicted: [] })
  })

  it('says where a version was exported to, and when', () => {
    const { exports, destructions } = asked({ keyring: hex(notes), version: '1' })
    const { envelope } = tenant.store.get<{ envelope: Bytes }>('SELECT envelope FROM exports')!
    const record = hex(documentHash(decodeEnvelope(new Uint8Array(envelope))))
    const version = { keyring: hex(notes), version: '1.1', at: at.exported, record }
    expect(exports).toMatchObject([version])
    expect(exports[0]!.targets).toMatch(/^aws-kms RSAES_OAEP_SHA_256 [0-9a-f]{64}$/)
    expect(destructions).toEqual([])
    expect(asked({ keyring: hex(notes), version: '2' }).exports).toEqual([])
    expect(asked({ keyring: hex(mail), version: '1' }).exports).toEqual([])
  })

  it('says how far a destruction is, by the hash of its record at last', () => {
    const query = { keyring: hex(mail), version: '1.1' }
    const { record } = tenant.store.get<{ record: Bytes }>('SELECT record FROM destructions')!
    const { ordered, completes } = at
    const said = { ...query, ordered, erased: ordered, completes, destroyed: completes }
    const hash = hex(documentHash(decodeEnvelope(new Uint8Array(record))))
    expect(asked(query).destructions).toEqual([{ ...said, record: hash }])
    expect(asked({ ...query, version: '2' }).destructions).toEqual([])
    // So far as the log has come.
    const end = leaves.findIndex((leaf) => decodeEntry(leaf).event === 'version-destroyed')
    const before = follow(leaves.slice(0, end), query).destructions
    expect(before).toEqual([{ ...said, destroyed: null, record: null }])
  })

  it('says of what a client had what was destroyed since', () => {
    const had = asked({ uri: 'keyferry://client.acme.example/ada' }).readings
    const gone = had.map(({ keyring, version, destroyed }) => [keyring, version, destroyed])
    expect(gone).toContainEqual([hex(mail), '1.1', at.completes])
    expect(gone).toContainEqual([hex(mail), '1.2', null])
    expect(gone).toContainEqual([hex(notes), '1.1', null])
  })
})

type Change = (entry: LogEntry) => LogEntry | LogEntry[] | null

function encode(entry: LogEntry): Bytes {
  const { event, time, ...details } = entry as unknown as { event: never; time: number }
  return encodeEntry(event, time, details as never)
}

/** What does not fit where the first entry of an event is others. */
function changed(event: string, change: Change): string[] {
  const found: string[] = []
  const follower = new Follower(null, (what) => found.push(what))
  let isDone = false
  for (const leaf of leaves) {
    const entry = decodeEntry(leaf)
    const isIt: boolean = !isDone && entry.event === event
    isDone ||= isIt
    const made = isIt ? [change(entry) ?? []].flat().map(encode) : [leaf]
    for (const one of made) follower.take(one)
  }
  expect(isDone).toBe(true)
  return found
}
const set =
  (fields: object): Change =>
  (entry) => ({ ...entry, ...fields })
const twice: Change = (entry) => [entry, entry]
const none: Change = () => null

describe('entries that do not fit', () => {
  const proposal = (number: number): LogEntry => ({
    event: 'catalog-proposed',
    time: 1,
    number,
    root: new Uint8Array(32),
  })

  it.each<[string, string, Change, RegExp]>([
    ['a version to come activated', 'version-activated', set({ version: 9 }), /no version 9/],
    ['one of no incarnation', 'version-activated', set({ incarnation: 2 }), /incarnation 2 in 1/],
    [
      'another one than is used',
      'version-activated',
      set({ version: 0, incarnation: 0 }),
      /encrypts with version 1\.1, and 0\.0/,
    ],
    ['a destruction twice', 'destruction-ordered', twice, /is to be destroyed again/],
    ['salts erased of themselves', 'destruction-ordered', none, /nobody ordered that/],
    ['salts erased twice', 'salts-erased', twice, /nobody ordered that now/],
    ['destroyed with its salts', 'salts-erased', none, /its salts were not erased/],
    ['destroyed twice', 'version-destroyed', twice, /its salts were not erased/],
    ['destroyed too early', 'version-destroyed', set({ time: 5 }), /before its time/],
    [
      'another key destroyed',
      'version-destroyed',
      set({ keyId: new Uint8Array(32) }),
      /another key than/,
    ],
    ['re-keyed of itself', 'rekey-ordered', none, /nobody ordered that/],
    [
      'a catalog proposed again',
      'catalog-signed',
      (e) => [e, proposal(1)],
      /catalog 1 proposed after 1/,
    ],
    [
      'a member welcomed anew',
      'member-added',
      (e) => [{ ...e, event: 'member-rewelcomed' } as LogEntry, e],
      /member-rewelcomed of .*no member/,
    ],
  ])('%s', (_, event, change, what) => {
    expect(changed(event, change).filter((one) => what.test(one))).not.toEqual([])
  })

  it('a version of a recoverable keyring destroyed, a bundle and an activation of one that was to be', () => {
    const order =
      (keyring: Bytes): Change =>
      (e) => {
        const said = {
          keyring,
          incarnation: 1,
          version: 1,
          keyId: new Uint8Array(32),
          retention: 0,
        }
        return [{ event: 'destruction-ordered', time: 1, ...said }, e]
      }
    expect(changed('bundle-made', order(notes))).toContainEqual(
      expect.stringContaining('of a keyring of kind recoverable'),
    )
    const early = changed('bundle-made', order(mail))
    expect(early).toContainEqual(expect.stringContaining('a bundle with version 1.1, which was'))
    const late: Change = (e) => {
      const again = { keyring: mail, incarnation: 1, version: 1 }
      return [e, { event: 'version-activated', time: 1, ...again }]
    }
    const found = changed('destruction-ordered', late)
    expect(found).toContainEqual(expect.stringContaining('1.1 is activated, and was to be'))
  })
})
