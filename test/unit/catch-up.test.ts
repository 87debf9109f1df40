/** What a restored deriver takes in of what relays hold: never more than it had, and what was destroyed is destroyed again. */
import { expect, it } from 'vitest'
import { issueRoleCrl, renewRoleCrl } from '../../deriver/ca.ts'
import { catchUp, type CaughtUp } from '../../deriver/catch-up.ts'
import { orderDestruction } from '../../deriver/destroy.ts'
import { type Held } from '../../deriver/held.ts'
import { createKeyring, rotateKeyring } from '../../deriver/keyrings.ts'
import { emptyLog } from '../../deriver/log.ts'
import { latestHead } from '../../deriver/heads.ts'
import { publish } from '../../deriver/publish.ts'
import { noteRestored } from '../../deriver/restored.ts'
import { revokeClient } from '../../deriver/revocation.ts'
import { changeRules } from '../../deriver/rules.ts'
import { type KeyringRow, type VersionRow } from '../../deriver/rows.ts'
import { decodeBundle } from '../../shared/bundle.ts'
import { base64url, hex, type Bytes } from '../../shared/bytes.ts'
import { parseCrl } from '../../shared/crl.ts'
import { decodeManifest } from '../../shared/manifest.ts'
import { decodeHead, decodeRelease } from '../../shared/release.ts'
import { withdrawVersion } from '../../deriver/versions.ts'
import { makeDraft, signDraft } from '../../deriver/trust-change.ts'
import { newestTrust } from '../../deriver/trust.ts'
import { sha256 } from '../../shared/hash.ts'
import { keyId } from '../../shared/signature.ts'
import { verifySuccessor, type TrustDocument } from '../../shared/trust.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { ask, leaves, notes, ring, tenant, useTenant } from '../lib/deriver.ts'
import { makeClient } from '../lib/tenant.ts'

useTenant()

const ALL = 'keyferry://client.acme.example/*'
const BOB = 'keyferry://client.acme.example/bob'

const head = () =>
  publish(tenant.store, tenant.keys, tenant.trust, emptyLog(), tenant.clock.now, 3_600)

/** What a relay holds that has the newest head. */
function held(crls: Bytes[] = []): Held {
  const { store, trust } = tenant
  const object = (hash: Uint8Array): Bytes =>
    new Uint8Array(
      store.get<{ body: Bytes }>('SELECT body FROM objects WHERE hash = ?', hash as Bytes)!.body,
    )
  const rows = store.all<KeyringRow & { release: Bytes }>('SELECT * FROM keyrings')
  const rings = rows.map(({ id, release: hash }) => {
    const release = decodeRelease(object(hash))
    const members = store.all<{ hash: Bytes }>(
      'SELECT d.package_hash AS hash FROM members m JOIN devices d ON d.key_id = m.device WHERE m.keyring = ?',
      id,
    )
    return {
      release,
      manifest: decodeManifest(object(release.manifest)),
      bundle: decodeBundle(object(release.bundle)),
      members: new Set(members.map((one) => hex(one.hash))),
    }
  })
  const { envelope } = latestHead(store)!
  return { url: 'relay', trusts: [trust], crls, head: decodeHead(envelope), rings }
}

const accept = (relays: Held[]): Promise<CaughtUp> =>
  catchUp(tenant.store, tenant.keys.root, relays, { accept: true, retention: 0 }, tenant.clock.now)

it('[restore-2] a head from before the backup undoes nothing that the backup knows', async () => {
  const { store, clock } = tenant
  await head()
  const before = held()
  await ask(await makeClient(tenant, 'ada'))
  store.transaction(() => changeRules(store, ring(), { add: [BOB] }, clock.now))
  await head()
  const now = held()
  noteRestored(store, clock.now)
  const members = leaves()
  const found = await accept([before])
  expect(found).toMatchObject({ head: { version: 1 }, backup: 2, changes: [] })
  expect(leaves()).toEqual(members)
  expect(JSON.parse(ring().rules)).toEqual([ALL, BOB])
  // The head of the backup itself says that nothing happened.
  expect(await accept([before, now])).toMatchObject({ head: { version: 2 }, changes: [] })
})

it.each(['skipped', 'not derived yet'])(
  '[restore-2] a version that was destroyed since is destroyed again, also where the backup has it as %s',
  async (as) => {
    const { store, clock } = tenant
    const mail = createKeyring(
      store,
      { name: 'mail', rules: [ALL], kind: 'erasable' },
      clock.now,
    ).id
    await head()
    const backup = store.get<VersionRow>('SELECT * FROM versions WHERE keyring = ?', mail)!
    orderDestruction(store, ['mail@1'], 0, clock.now)
    await head()
    const since = held()
    // As the backup has it.
    store.run('DELETE FROM destructions')
    store.run('DELETE FROM versions WHERE keyring = ? AND version > 1', mail)
    store.run(
      'UPDATE versions SET state = ?, salt = ?, key_id = ? WHERE keyring = ?',
      as === 'skipped' ? 'skipped' : 'active',
      backup.salt,
      as === 'skipped' ? backup.key_id : null,
      mail,
    )
    noteRestored(store, clock.now)
    const { changes } = await accept([since])
    expect(changes).toContainEqual(
      expect.objectContaining({ keyring: 'mail', kind: 'version-destroyed' }),
    )
    const row = store.get<VersionRow>('SELECT * FROM versions WHERE keyring = ?', mail)!
    expect(row).toMatchObject({ state: 'destroying', key_id: backup.key_id })
    expect(row.salt.length).toBe(0)
  },
)

it('what a relay holds that is no list keeps nobody from what others hold', async () => {
  await head()
  const good = held()
  noteRestored(tenant.store, tenant.clock.now)
  const bad = { ...held([Uint8Array.of(0x30, 0)]), head: null, rings: [] }
  expect(await accept([bad, good])).toMatchObject({ head: { version: 1 }, lists: [] })
})

/** The same, with another number of its head. */
const at = (one: Held, incarnation: number, version: number): Held => ({
  ...one,
  head: { ...one.head!, incarnation, version },
})

it('[restore-2] the newest head of several relays counts, by incarnation first, and one before the backup says nothing', async () => {
  const { store, clock } = tenant
  await ask(await makeClient(tenant, 'ada'))
  await head()
  const empty = { ...held(), rings: [] }
  // A relay that shows that ada is gone.
  const without = {
    ...held(),
    rings: held().rings.map((one) => ({ ...one, members: new Set('') })),
  }
  noteRestored(store, clock.now)
  const look = async (...relays: Held[]): Promise<CaughtUp> =>
    catchUp(store, tenant.keys.root, relays, { accept: false, retention: 0 }, clock.now)
  const gone = [expect.objectContaining({ keyring: 'notes' })]
  expect(await look(at(empty, 1, 9), at(without, 2, 1))).toMatchObject({
    head: { incarnation: 2, version: 1 },
    changes: gone,
  })
  expect(await look(at(without, 1, 9), at(empty, 1, 8))).toMatchObject({ changes: gone })
  store.run('UPDATE heads SET incarnation = 2, version = 5')
  for (const [incarnation, version, changes] of [
    [1, 9, []],
    [2, 4, []],
    [2, 5, gone],
    [3, 1, gone],
  ] as const)
    expect([incarnation, version, (await look(at(without, incarnation, version))).changes]).toEqual(
      [incarnation, version, changes],
    )
  store.run('DELETE FROM heads')
  expect(await look(at(without, 1, 1))).toMatchObject({ backup: 0, changes: gone })
  expect(await look()).toMatchObject({ head: null, lost: 0, changes: [] })
  expect(await look({ ...without, head: null })).toMatchObject({ head: null, changes: [] })
})

it('[restore-2] looking changes nothing, what fails changes nothing, and a database that goes on already takes nothing in', async () => {
  const { store, clock, keys } = tenant
  await ask(await makeClient(tenant, 'ada'))
  await head()
  const without = {
    ...held(),
    rings: held().rings.map((one) => ({ ...one, members: new Set('') })),
  }
  await expectCode(accept([without]), 'ERR_CONFLICT')
  noteRestored(store, clock.now)
  const look = { accept: false, retention: 0 }
  const before = [leaves(), store.all('SELECT * FROM meta')]
  expect((await catchUp(store, keys.root, [without], look, clock.now)).changes.length).toBe(1)
  expect([leaves(), store.all('SELECT * FROM meta')]).toEqual(before)
  const failing = {
    ...store,
    set: () => {
      throw new Error('the disk is gone')
    },
  }
  const taken = { accept: true, retention: 0 }
  await expect(catchUp(failing, keys.root, [without], taken, clock.now)).rejects.toThrow('disk')
  expect([leaves(), store.all('SELECT * FROM meta')]).toEqual(before)
  expect((await accept([without])).changes.length).toBe(1)
  expect(leaves()).toEqual([])
  expect([store.counter('caught-up'), store.counter('restored')]).toEqual([1, 1])
})

it('[restore-2] trust documents of since are taken in, and two of one number are a fork', async () => {
  const { store, trust, clock, keys } = tenant
  await head()
  const follow = async (relays: string[]): Promise<TrustDocument> => {
    const body = { ...trust.body, relays, number: 2, previous: trust.hash, tenant: trust.tenant }
    const draft = await signDraft(makeDraft(body, trust), keys.authority[0]!, trust)
    return verifySuccessor(draft, trust)
  }
  const [one, other] = [await follow(['https://a.example']), await follow(['https://b.example'])]
  const now = held()
  noteRestored(store, clock.now)
  const showing = (...trusts: TrustDocument[]): Held => ({ ...now, trusts })
  for (const relays of [[showing(one)], [showing(trust, one), showing(trust, other)]])
    await expectCode(accept(relays), 'ERR_FORK')
  expect((await newestTrust(store)).body.number).toBe(1)
  const found = await accept([showing(trust), showing(trust, one), showing(trust)])
  expect(found.trust).toEqual([{ number: 2, hash: base64url(one.hash) }])
  expect((await newestTrust(store)).hash).toEqual(one.hash)
})

it('[restore-2] lists of the built-in CAs are taken in that are above ours: who is on them is revoked here', async () => {
  const { store, clients, clock } = tenant
  const issuer = await keyId(clients.key.spki)
  const list = async (): Promise<Bytes> => {
    await issueRoleCrl(store, clients, 'client', clock.now)
    return store.get<{ der: Bytes }>('SELECT der FROM crls WHERE issuer = ?', issuer)!.der
  }
  const [ada, bob] = [await makeClient(tenant, 'ada'), await makeClient(tenant, 'bob')]
  await ask(ada)
  await head()
  revokeClient(store, ada.uri, clock.now)
  const known = await list()
  revokeClient(store, bob.uri, clock.now)
  const later = await list()
  // As the backup has it: ada is revoked, bob is not, and the first of these lists is in force.
  const { number } = parseCrl(known)
  const device = await keyId(bob.key.spki)
  store.run('DELETE FROM denied WHERE key_id = ?', device)
  store.run('UPDATE issued SET revoked = NULL WHERE uri = ?', bob.uri)
  const set = 'UPDATE crls SET number = ?, hash = ?, der = ? WHERE issuer = ?'
  store.run(set, number, sha256(known), known, issuer)
  noteRestored(store, clock.now)
  const [own] = store.all<{ key_id: Bytes; role: string }>(
    'SELECT * FROM own_issuers WHERE key_id = ?',
    issuer,
  )
  // Of a CA that is the customer's own, no relay is asked.
  store.run('DELETE FROM own_issuers WHERE key_id = ?', issuer)
  expect((await accept([held([later])])).lists).toEqual([])
  store.run('INSERT INTO own_issuers VALUES (?, ?)', own!.key_id, own!.role)
  expect((await accept([held([known])])).lists).toEqual([])
  const short = hex(issuer).slice(0, 16)
  const found = await accept([held([later, known])])
  expect(found.lists).toEqual([{ issuer: short, number: number + 1, revoked: 1 }])
  expect(store.get('SELECT 1 FROM denied WHERE key_id = ?', device)).toBeDefined()
  expect((await accept([held([later])])).lists).toEqual([])
  // Where no list was in force, whatever is there is above it.
  store.run('DELETE FROM crls WHERE issuer = ?', issuer)
  expect((await accept([held([known, later])])).lists).toEqual([
    { issuer: short, number, revoked: 0 },
    { issuer: short, number: number + 1, revoked: 0 },
  ])
})

it('[restore-2] who is on a list of a relay is revoked here, also where a list that was made here has its number', async () => {
  const { store, clients, clock } = tenant
  const ada = await makeClient(tenant, 'ada')
  await head()
  const [issuer, device] = [await keyId(clients.key.spki), await keyId(ada.key.spki)]
  const row = () =>
    store.get<{ number: number; der: Bytes }>(
      'SELECT number, der FROM crls WHERE issuer = ?',
      issuer,
    )!
  revokeClient(store, ada.uri, clock.now)
  await issueRoleCrl(store, clients, 'client', clock.now)
  const { number, der: lost } = row()
  // As the backup has it, and a list that was made since the restore.
  store.run('DELETE FROM denied')
  store.run('UPDATE issued SET revoked = NULL')
  store.run('UPDATE crls SET number = number - 1')
  store.set('crl-client', number - 1)
  noteRestored(store, clock.now)
  await issueRoleCrl(store, clients, 'client', clock.now + 1)
  const own = row()
  expect(own.number).toBe(number)
  const short = hex(issuer).slice(0, 16)
  const found = await accept([held([new Uint8Array(lost)])])
  expect(found.lists).toEqual([{ issuer: short, number, revoked: 1 }])
  expect(store.get('SELECT 1 FROM denied WHERE key_id = ?', device)).toBeDefined()
  expect(row()).toEqual(own)
  expect((await accept([held([new Uint8Array(lost)])])).lists).toEqual([])
  // The next list is above both, and names it.
  await renewRoleCrl(store, clients, 'client', clock.now + 1)
  expect(row().number).toBe(number + 1)
  expect(parseCrl(new Uint8Array(row().der)).revoked.size).toBe(1)
})

it.each(['compromised', 'skipped'] as const)(
  '[restore-2] a version that is %s here is not less than that because a relay has it as deactivated',
  async (as) => {
    const { store, clock } = tenant
    rotateKeyring(store, 'notes', clock.now)
    withdrawVersion(store, 'notes@1', 'deactivated', clock.now)
    await head()
    const since = held()
    noteRestored(store, clock.now)
    const set = (state: string): void =>
      store.run('UPDATE versions SET state = ? WHERE keyring = ? AND version = 1', state, notes)
    const state = (): unknown =>
      store.get<{ state: string }>(
        'SELECT state FROM versions WHERE keyring = ? AND version = 1',
        notes,
      )?.state
    set(as)
    expect((await accept([since])).changes).toEqual([])
    expect(state()).toBe(as)
    set('active')
    expect((await accept([since])).changes).toMatchObject([{ kind: 'version-withdrawn' }])
    expect(state()).toBe('deactivated')
  },
)
