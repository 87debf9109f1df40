/** What a restored deriver takes in of what relays hold: never more than it had, and what was destroyed is destroyed again. */
import { expect, it } from 'vitest'
import { catchUp, type CaughtUp } from '../../deriver/catch-up.ts'
import { orderDestruction } from '../../deriver/destroy.ts'
import { type Held } from '../../deriver/held.ts'
import { createKeyring } from '../../deriver/keyrings.ts'
import { emptyLog } from '../../deriver/log.ts'
import { latestHead, publish } from '../../deriver/publish.ts'
import { noteRestored } from '../../deriver/restored.ts'
import { changeRules } from '../../deriver/rules.ts'
import { type KeyringRow, type VersionRow } from '../../deriver/rows.ts'
import { decodeBundle } from '../../shared/bundle.ts'
import { hex, type Bytes } from '../../shared/bytes.ts'
import { decodeManifest } from '../../shared/manifest.ts'
import { decodeHead, decodeRelease } from '../../shared/release.ts'
import { ask, leaves, ring, tenant, useTenant } from '../lib/deriver.ts'
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
