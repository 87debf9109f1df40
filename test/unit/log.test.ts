/** The deriver's log: what is written of what happens, and that a release names its entry. */
import { describe, expect, it } from 'vitest'
import { createKeyring, rotateKeyring } from '../../deriver/keyrings.ts'
import { emptyLog } from '../../deriver/log.ts'
import { publish } from '../../deriver/publish.ts'
import { hex, type Bytes } from '../../shared/bytes.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { encodeJson } from '../../shared/json.ts'
import { decodeEntry, encodeEntry, releaseLeaf, type LogEntry } from '../../shared/log.ts'
import { decodeRelease, type HeadBody, type Release } from '../../shared/release.ts'
import { treeRoot } from '../../shared/tree.ts'
import { ask, ring, tenant, useTenant } from '../lib/deriver.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { encodedEntries } from '../lib/log-entries.ts'
import { makeClient } from '../lib/tenant.ts'

useTenant()

const logged = (): Bytes[] =>
  tenant.store
    .all<{ leaf: Bytes }>('SELECT leaf FROM log ORDER BY seq')
    .map(({ leaf }) => new Uint8Array(leaf))
const entries = (): LogEntry[] => logged().map(decodeEntry)
const events = (from = 0): string[] =>
  entries()
    .slice(from)
    .map(({ event }) => event)

async function publishNow(): Promise<HeadBody> {
  const { store, keys, trust, clock } = tenant
  const { head } = await publish(store, keys, trust, emptyLog(), clock.now, 3_600)
  return JSON.parse(new TextDecoder().decode(head.payload)) as HeadBody
}

function release(): Release {
  const row = tenant.store.get<{ body: Bytes }>(
    'SELECT body FROM objects WHERE hash = ?',
    ring().release,
  )
  return decodeRelease(new Uint8Array(row!.body))
}

describe('[log-2] the log', () => {
  it('has every step of a keyring’s life, before the head that shows it', async () => {
    const before = events().length
    await publishNow()
    expect(events(before)).toEqual(['bundle-made', 'released', 'catalog-signed'])
    const ada = await makeClient(tenant, 'ada')
    const joined = events().length
    await ask(ada)
    const { log } = await publishNow()
    // The bundle is the same for one member more.
    expect(events(joined)).toEqual(['member-added', 'released'])
    expect(log.size).toBe(events().length)
    const rotated = events().length
    rotateKeyring(tenant.store, 'notes', tenant.clock.now)
    await publishNow()
    expect(events(rotated)).toEqual([
      'version-created',
      'version-activated',
      'bundle-made',
      'released',
      'catalog-signed',
    ])
    expect(entries()[rotated + 2]).toMatchObject({ versions: '1.1 1.2', generation: 1 })
  })

  it('has a release at the index that it names, computed from it alone; unchanged it keeps that', async () => {
    const head = await publishNow()
    const first = release()
    expect(first.log).toBeLessThan(head.log.size)
    expect(logged()[first.log]).toEqual(releaseLeaf(first))
    expect(head.log.root).toBe(Buffer.from(treeRoot(logged())).toString('base64url'))
    // Looked at again without a change, and beside another keyring that changes.
    const size = events().length
    tenant.store.run('UPDATE keyrings SET dirty = 1')
    createKeyring(tenant.store, { name: 'mail', rules: ['keyferry://a/*'] }, tenant.clock.now)
    await publishNow()
    expect(release()).toEqual(first)
    expect(events(size).filter((event) => event === 'released')).toHaveLength(1)
  })

  it('has a refusal by the hash of the document that the client is given', async () => {
    createKeyring(tenant.store, { name: 'mail', rules: ['keyferry://a/*'] }, tenant.clock.now)
    const mail = tenant.store.get<{ id: Bytes }>("SELECT id FROM keyrings WHERE name = 'mail'")!.id
    const { refusals } = await ask(await makeClient(tenant, 'ada'), [mail])
    const last = entries().at(-1)! as LogEntry & { refusal: Bytes }
    expect([last.event, hex(last.refusal)]).toEqual([
      'request-refused',
      hex(documentHash(refusals[0]!)),
    ])
  })
})

describe('[log-1] an entry', () => {
  it.each(encodedEntries())('%s reads as it was written', (event, leaf) => {
    const { event: found, ...rest } = decodeEntry(leaf)
    const { time, ...details } = rest as { time: number }
    expect(encodeEntry(found as typeof event, time, details as never)).toEqual(leaf)
    expect(found).toBe(event)
  })

  it.each([
    ['of another event', { event: 'toString', time: 1 }],
    ['without an event', { time: 1 }],
    ['that is no object', 'released'],
    [
      'with a field too many',
      { event: 'certificate-revoked', more: 1, serial: '', time: 1, uri: '' },
    ],
    ['without its time', { event: 'certificate-revoked', serial: '', uri: '' }],
    ['of versions in no form', { event: 'bundle-made', versions: '1' }],
  ])('%s is ERR_SCHEMA', async (_, value) => {
    await expectCode(() => decodeEntry(encodeJson(value)), 'ERR_SCHEMA')
  })

  it('in another form, or too large, is refused', async () => {
    const [[, leaf]] = encodedEntries() as [[string, Bytes]]
    const spaced = new TextEncoder().encode(`${new TextDecoder().decode(leaf)} `)
    await expectCode(() => decodeEntry(spaced), 'ERR_NOT_CANONICAL')
    await expectCode(() => decodeEntry(new Uint8Array(1_500_001)), 'ERR_TOO_LARGE')
  })
})
