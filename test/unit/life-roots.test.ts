// The life of versions under roots that have to be asked, from one root to the next, and with bytes that were imported.
import { describe, expect, it } from 'vitest'
import { carryOut } from '../../deriver/carry-out.ts'
import {
  fingerprintOf,
  proposeCatalog,
  publishProposal,
  signProposal,
} from '../../deriver/catalog-change.ts'
import { listDestructions, orderDestruction } from '../../deriver/destroy.ts'
import { openImport } from '../../deriver/imported.ts'
import { importKey } from '../../deriver/import-key.ts'
import { createKeyring, findKeyring, rotateKeyring } from '../../deriver/keyrings.ts'
import { emptyLog } from '../../deriver/log.ts'
import { noteAuthority } from '../../deriver/catalog.ts'
import { publish } from '../../deriver/publish.ts'
import { finishRekeys, orderRekey } from '../../deriver/rekey.ts'
import { versionSecret } from '../../deriver/version-secrets.ts'
import { holdRoots, memoryKey, type MacKey } from '../../deriver/root.ts'
import { addRoot, markOf, removeRoot, useOf, useRoot } from '../../deriver/roots.ts'
import { type VersionRow } from '../../deriver/rows.ts'
import { rotateDue } from '../../deriver/schedule.ts'
import { unusedVersions } from '../../deriver/versions.ts'
import { equal, fromBase32, utf8, type Bytes } from '../../shared/bytes.ts'
import { kekInput } from '../../shared/kdf.ts'
import { ask, codeOf, deriving, notes, ring, tenant, useTenant } from '../lib/deriver.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeClient, makePackage } from '../lib/tenant.ts'

useTenant()

const DAY = 86_400
const RULES = ['keyferry://client.acme.example/*']

/** A root that has to be asked, over a key in memory: remembers what for. */
function asked(master: number): MacKey & { inputs: Bytes[] } {
  const inner = memoryKey(new Uint8Array(32).fill(master))
  const inputs: Bytes[] = []
  const mac = (input: Bytes): Promise<Bytes> => {
    inputs.push(input)
    return inner.mac(input)
  }
  return { inputs, mac }
}

const published = (authority = tenant.keys.authority) => {
  const { store, keys, trust, clock } = tenant
  noteAuthority(store, authority, trust)
  return publish(store, { ...keys, authority }, trust, emptyLog(), clock.now, 3_600)
}
const versionsOf = (keyring: Bytes): VersionRow[] =>
  tenant.store.all<VersionRow>('SELECT * FROM versions WHERE keyring = ? ORDER BY version', keyring)
const states = (keyring = notes): string[] =>
  versionsOf(keyring).map(({ version, root, state }) => `${version} of ${root}: ${state}`)
/** Bundles the next version of every keyring, just before its time. */
function bundleAhead(): void {
  tenant.clock.now += 81 * DAY - 60
  rotateDue(tenant.store, tenant.clock.now, 3_660)
}

describe('a root that has to be asked', () => {
  it('[deriver-10] is not asked for what was erased, and what it said of that is forgotten', async () => {
    const { store, trust, clock } = tenant
    const key = asked(5)
    tenant.keys.root = holdRoots(new Map([[1, key]]))
    const options = { name: 'mail', rules: RULES, kind: 'erasable' } as const
    const mail = createKeyring(store, options, clock.now).id
    for (const name of ['ada', 'ben']) await ask(await makeClient(tenant, name), [notes, mail])
    await published()
    const [old] = store.all<{ salt: Bytes }>('SELECT salt FROM generations WHERE keyring = ?', mail)
    const input = kekInput(fromBase32(trust.tenant), mail, 1, 1, new Uint8Array(old!.salt))
    const timesAsked = (): number => key.inputs.filter((one) => equal(one, input)).length
    expect(timesAsked()).toBe(1)
    await tenant.keys.root.ask(input)
    expect(timesAsked()).toBe(1)
    orderDestruction(store, ['mail@1'], 0, clock.now)
    const { rewelcomed, erased } = await carryOut(store, tenant.keys, trust, clock.now)
    expect([rewelcomed, erased.length]).toEqual([2, 1])
    await published()
    // It is not in memory any more.
    expect(timesAsked()).toBe(1)
    await tenant.keys.root.ask(input)
    expect(timesAsked()).toBe(2)
    // What is forgotten once is kept from then on.
    await carryOut(store, tenant.keys, trust, clock.now)
    await tenant.keys.root.ask(input)
    expect(timesAsked()).toBe(2)
    expect(listDestructions(store)[0]!.scrubbed).toBe(1)
  })

  it('is asked for the generation after a re-keying, and for a catalog that is proposed and published', async () => {
    const { store, trust, clock, keys } = tenant
    const key = asked(5)
    keys.root = holdRoots(new Map([[1, key]]))
    const ada = await makeClient(tenant, 'ada')
    await ask(ada)
    await published()
    orderRekey(store, { uri: ada.uri }, clock.now)
    await ask({ ...ada, ...(await makePackage(tenant, ada, 2)) })
    const before = key.inputs.length
    const { keyrings } = await finishRekeys(store, deriving(), clock.now)
    expect([keyrings, key.inputs.length - before]).toEqual([['notes'], 1])
    await published([])
    const options = { ahead: 3, lifetime: 100 * DAY }
    const made = await proposeCatalog(store, keys.root, trust.tenant, options, clock.now)
    expect(key.inputs.length - before).toBe(4)
    let signed = made
    for (const one of keys.authority)
      signed = await signProposal(signed, fingerprintOf(made), one, trust)
    await publishProposal(store, keys.root, signed, trust, clock.now)
    expect(key.inputs.length - before).toBe(4)
    await published([])
    expect(versionsOf(notes).every(({ committed, key_id }) => committed === 1 && key_id)).toBe(true)
  })
})

describe('from one root to the next', () => {
  const open = [5, 6].map((master) => memoryKey(new Uint8Array(32).fill(master)))

  async function begin(): Promise<void> {
    const { store, trust, clock, keys } = tenant
    keys.root = holdRoots(new Map(open.map((key, i) => [i + 1, key])))
    const mark = await markOf(open[1]!, trust.tenant)
    addRoot(store, { name: 'second', place: 'file:second', mark }, clock.now)
    await published()
  }

  it('a version that was ahead is never used: the next one comes from the new root', async () => {
    await begin()
    bundleAhead()
    await published()
    expect(states()).toEqual(['1 of 1: active', '2 of 1: pre-active'])
    useRoot(tenant.store, 'second', tenant.clock.now)
    await published()
    expect(states()).toEqual(['1 of 1: active', '2 of 1: skipped', '3 of 2: active'])
    rotateKeyring(tenant.store, 'notes', tenant.clock.now)
    expect(states().at(-1)).toBe('4 of 2: active')
    expect(useOf(tenant.store, 1, tenant.clock.now).versions).toBe(1)
  })

  it('with the authority elsewhere versions of the old root serve until its catalog has those of the new one', async () => {
    await begin()
    const { store, trust, clock, keys } = tenant
    const ceremony = async (ahead: number): Promise<void> => {
      const options = { ahead, lifetime: 100 * DAY }
      const made = await proposeCatalog(store, keys.root, trust.tenant, options, clock.now)
      let signed = made
      for (const one of keys.authority)
        signed = await signProposal(signed, fingerprintOf(made), one, trust)
      await publishProposal(store, keys.root, signed, trust, clock.now)
      await published([])
    }
    await published([])
    await ceremony(2)
    useRoot(store, 'second', clock.now)
    expect(states()).toEqual(['1 of 1: active', '2 of 1: pre-active', '3 of 1: pre-active'])
    rotateKeyring(store, 'notes', clock.now)
    await published([])
    expect(ring().encrypt_version).toBe(2)
    await ceremony(2)
    expect(unusedVersions(store, notes, clock.now, false).map((one) => one.root)).toEqual([2, 2, 1])
    rotateKeyring(store, 'notes', clock.now)
    expect([ring().encrypt_version, states()[3]]).toEqual([4, '4 of 2: active'])
    // With the authority at hand again nothing of the old one is left to be used.
    noteAuthority(store, keys.authority, trust)
    expect(unusedVersions(store, notes, clock.now, false).map((one) => one.root)).toEqual([2])
  })

  it('what was destroyed, and channels whose salts are erased, keep no root', async () => {
    await begin()
    const { store, trust, clock, keys } = tenant
    const options = { name: 'mail', rules: RULES, kind: 'erasable' } as const
    const mail = createKeyring(store, options, clock.now).id
    await ask(await makeClient(tenant, 'ada'), [mail])
    await published()
    useRoot(store, 'second', clock.now)
    await published()
    expect(useOf(store, 1, clock.now)).toEqual({ versions: 2, generations: 2, devices: 1 })
    orderDestruction(store, ['mail@1'], 0, clock.now)
    await carryOut(store, keys, trust, clock.now)
    // The member has a channel of the new root by that.
    expect(useOf(store, 1, clock.now)).toEqual({ versions: 1, generations: 1, devices: 0 })
    store.run("UPDATE devices SET channel_salt = X'', root = 1")
    expect(useOf(store, 1, clock.now).devices).toBe(0)
    await expectCode(() => removeRoot(store, 'main', clock.now), 'ERR_CONFLICT')
  })
})

describe('imported bytes', () => {
  const bring = async (text: string): Promise<void> => {
    const options = { name: 'archive', rules: RULES, bytes: utf8(text) }
    for (const by of ['alice', 'bob'])
      await importKey(tenant.store, deriving(), { ...options, by }, tenant.clock.now)
  }
  const archive = (): Bytes => new Uint8Array(findKeyring(tenant.store, 'archive').id)
  /** What the versions of the keyring hold. */
  const texts = (): string[] => {
    const names = { tenant: fromBase32(tenant.trust.tenant), keyring: archive() }
    return versionsOf(archive()).map((row) => {
      const secret = versionSecret(tenant.keys.root, names, row)
      const [sealed, keyId] = [new Uint8Array(row.sealed!), new Uint8Array(row.key_id!)]
      return new TextDecoder().decode(openImport(secret, sealed, names, keyId))
    })
  }

  it('go along with a version ahead, and a further import skips that: no rotation brings them back', async () => {
    await bring('the first key of ours')
    await published()
    bundleAhead()
    await published()
    expect(texts()).toEqual(['the first key of ours', 'the first key of ours'])
    await bring('a second key of ours')
    await published()
    expect(states(archive()).slice(1)).toEqual(['2 of 1: skipped', '3 of 1: active'])
    rotateKeyring(tenant.store, 'archive', tenant.clock.now)
    await published()
    expect(texts().slice(2)).toEqual(['a second key of ours', 'a second key of ours'])
    expect(findKeyring(tenant.store, 'archive').encrypt_version).toBe(4)
  })

  it('are not destroyed, and with the authority elsewhere come into new keyrings alone', async () => {
    await bring('the first key of ours')
    await published()
    const { store, clock } = tenant
    await expectCode(() => orderDestruction(store, ['archive@1'], 0, clock.now), 'ERR_RECOVERABLE')
    await published([])
    expect(await codeOf(bring('a second key of ours'))).toBe('ERR_SIGNATURE')
    expect(states(archive())).toEqual(['1 of 1: active'])
  })
})
