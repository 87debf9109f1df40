// Versions from pre-active to deactivated and compromised, by the clock and by hand, with the authority at hand and without.
import { beforeEach, describe, expect, it } from 'vitest'
import { auditStore } from '../../deriver/audit-file.ts'
import { verifyAudit } from '../../deriver/audit-verify.ts'
import {
  bodyOf,
  decodeProposal,
  encodeProposal,
  fingerprintOf,
  manifestChanges,
  proposalChanges,
  proposeCatalog,
  publishProposal,
  signProposal,
  type Proposal,
} from '../../deriver/catalog-change.ts'
import { createKeyring, rotateKeyring } from '../../deriver/keyrings.ts'
import { emptyLog } from '../../deriver/log.ts'
import { noteAuthority } from '../../deriver/catalog.ts'
import { publish } from '../../deriver/publish.ts'
import { revokeClient } from '../../deriver/revocation.ts'
import { planRotation } from '../../deriver/schedule.ts'
import { readStatus } from '../../deriver/status.ts'
import { makeDraft, publishTrust, signDraft } from '../../deriver/trust-change.ts'
import { versionStatuses } from '../../deriver/version-status.ts'
import { findVersion, withdrawVersion } from '../../deriver/versions.ts'
import { decodeBundle } from '../../shared/bundle.ts'
import { hex, type Bytes } from '../../shared/bytes.ts'
import { decodeManifest } from '../../shared/manifest.ts'
import { decodeRelease, type Release } from '../../shared/release.ts'
import { generateSigningKey, type SigningKey } from '../../shared/signature.ts'
import { ask, codeOf, maintenance, ring, tenant, useTenant } from '../lib/deriver.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeClient } from '../lib/tenant.ts'

useTenant()

const DAY = 86_400
/** Head lifetime and skew of test tenants. */
const LEAD = 3_660

let isAway: boolean
beforeEach(() => {
  isAway = false
})

function objectOf(hash: Bytes): Bytes {
  const row = tenant.store.get<{ body: Bytes }>('SELECT body FROM objects WHERE hash = ?', hash)
  return new Uint8Array(row!.body)
}

/** What a head shows of the keyring now: its release, and the versions in bundle and manifest. */
async function shown(): Promise<Release & { bundled: number[]; committed: number[] }> {
  const { store, trust, clock } = tenant
  const keys = { ...tenant.keys, authority: isAway ? [] : tenant.keys.authority }
  noteAuthority(store, keys.authority, trust)
  await publish(store, keys, trust, emptyLog(), clock.now, 3_600)
  const release = decodeRelease(objectOf(ring().release!))
  return {
    ...release,
    bundled: decodeBundle(objectOf(release.bundle)).entries.map(({ version }) => version),
    committed: decodeManifest(objectOf(release.manifest)).versions.map(({ version }) => version),
  }
}

const numbers = (list: readonly { version: number }[]): number[] =>
  list.map(({ version }) => version)

describe('by the clock', () => {
  it('[deriver-8] the next version is bundled a head lifetime and the skew before it is encrypted under, and not earlier', async () => {
    const { clock } = tenant
    const maintain = maintenance()
    const due = clock.now + 81 * DAY
    await shown()
    clock.now = due - LEAD - 1
    await maintain(clock.now)
    expect(await shown()).toMatchObject({ bundled: [1], encrypt: { version: 1 } })
    clock.now = due - LEAD
    await maintain(clock.now)
    expect(await shown()).toMatchObject({ bundled: [1, 2], encrypt: { version: 1 } })
    clock.now = due
    await maintain(clock.now)
    expect((await shown()).encrypt.version).toBe(1)
    clock.now = due + 1
    await maintain(clock.now)
    expect(await shown()).toMatchObject({ bundled: [1, 2], encrypt: { version: 2 } })
    // A version that was activated late ends no later for it.
    clock.now = due + 81 * DAY
    await maintain(clock.now)
    expect((await shown()).encrypt.version).toBe(2)
    clock.now += 2
    await maintain(clock.now)
    expect((await shown()).encrypt.version).toBe(3)
  })

  it('[deriver-3] a version that was bundled ahead is skipped and marked compromised when somebody leaves', async () => {
    const [ada, ben] = [await makeClient(tenant, 'ada'), await makeClient(tenant, 'ben')]
    tenant.store.run('UPDATE keyrings SET cryptoperiod = ?', 20 * DAY)
    tenant.store.run('UPDATE versions SET encrypt_until = encrypt_from + ?', 20 * DAY)
    await ask(ada)
    await ask(ben)
    tenant.clock.now += 18 * DAY - 1_000
    await maintenance()(tenant.clock.now)
    expect(await shown()).toMatchObject({ bundled: [1, 2], encrypt: { version: 1 } })
    revokeClient(tenant.store, ben.uri, tenant.clock.now)
    await maintenance()(tenant.clock.now)
    const after = await shown()
    expect(after).toMatchObject({ bundled: [1, 3], encrypt: { version: 3 } })
    expect([numbers(after.skipped), numbers(after.compromised)]).toEqual([[2], [2]])
  })
})

describe('by hand', () => {
  it('[deriver-8] a planned rotation comes at its time, with the version handed out shortly before, and is planned once', async () => {
    const maintain = maintenance()
    const { store, clock } = tenant
    const at = clock.now + 5 * DAY
    expect(planRotation(store, 'notes', at, clock.now)).toBe(at)
    const { calendar } = await readStatus(store, clock.now)
    expect(calendar.find(({ what }) => what === 'version of notes')?.renewsAt).toBe(at)
    clock.now = at - LEAD - 1
    await maintain(clock.now)
    expect((await shown()).bundled).toEqual([1])
    clock.now = at - LEAD
    await maintain(clock.now)
    expect(await shown()).toMatchObject({ bundled: [1, 2], encrypt: { version: 1 } })
    clock.now = at + 1
    await maintain(clock.now)
    expect((await shown()).encrypt.version).toBe(2)
    expect(ring().rotate_at).toBeNull()
    // What rotates before the plan ends it.
    planRotation(store, 'notes', clock.now + DAY, clock.now)
    rotateKeyring(store, 'notes', clock.now)
    expect(ring().rotate_at).toBeNull()
    planRotation(store, 'notes', clock.now + DAY, clock.now)
    planRotation(store, 'notes', null, clock.now)
    expect(ring().rotate_at).toBeNull()
    expect(() => planRotation(store, 'notes', clock.now, clock.now)).toThrow('past')
    expect(() => planRotation(store, 'notes', clock.now + 90 * DAY, clock.now)).toThrow('by itself')
    expect(() => planRotation(store, 'none', clock.now + DAY, clock.now)).toThrow('no keyring')
  })

  const states = (): string[] =>
    versionStatuses(tenant.store, ring(), 60, tenant.clock.now).map(({ state }) => state)

  it('a retired version decrypts, a compromised one is marked, and neither encrypts or comes back', async () => {
    const { store, clock } = tenant
    await shown()
    expect(withdrawVersion(store, 'notes@1', 'deactivated', clock.now)).toBe(2)
    expect(states()).toEqual(['deactivated', 'active'])
    const retired = await shown()
    expect(retired).toMatchObject({ bundled: [1, 2], encrypt: { version: 2 } })
    expect(numbers(retired.deactivated)).toEqual([1])
    expect(withdrawVersion(store, 'notes@1', 'compromised', clock.now)).toBe(2)
    expect(withdrawVersion(store, 'notes@1.2', 'compromised', clock.now)).toBe(3)
    expect(states()).toEqual(['compromised', 'compromised', 'active'])
    const after = await shown()
    expect([numbers(after.compromised), numbers(after.deactivated)]).toEqual([[1, 2], []])
    for (const state of ['deactivated', 'compromised'] as const)
      expect(
        await codeOf(
          Promise.resolve().then(() => withdrawVersion(store, 'notes@1', state, clock.now)),
        ),
      ).toBe('ERR_EXISTS')
    for (const [text, code] of [
      ['notes@9', 'ERR_NOT_FOUND'],
      ['other@1', 'ERR_NOT_FOUND'],
      ['notes', 'ERR_USAGE'],
    ] as const)
      expect(await codeOf(Promise.resolve().then(() => findVersion(store, text)))).toBe(code)
  })
})

describe('without the authority', () => {
  async function sign(proposal: Proposal, keys = tenant.keys.authority): Promise<Proposal> {
    let signed = proposal
    for (const key of keys)
      signed = await signProposal(signed, fingerprintOf(proposal), key, tenant.trust)
    return signed
  }
  const propose = (ahead = 10): Promise<Proposal> =>
    proposeCatalog(
      tenant.store,
      tenant.keys.root,
      tenant.trust.tenant,
      { ahead, lifetime: 300 * DAY },
      tenant.clock.now,
    )
  /** As files go. */
  const carried = (proposal: Proposal): Proposal => decodeProposal(encodeProposal(proposal))
  const take = (proposal: Proposal) =>
    publishProposal(tenant.store, tenant.keys.root, proposal, tenant.trust, tenant.clock.now)
  async function ceremony(ahead = 10): Promise<void> {
    isAway = true
    noteAuthority(tenant.store, [], tenant.trust)
    await take(carried(await sign(carried(await propose(ahead)))))
  }
  const unused = async (): Promise<number> =>
    (await readStatus(tenant.store, tenant.clock.now)).keyrings.find(
      ({ name }) => name === 'notes',
    )!.unused

  it('[deriver-9] heads go on for as long as the catalog lives, and removals take versions that nobody was given', async () => {
    const { store, clock } = tenant
    const clients = await Promise.all(['a', 'b', 'c'].map((name) => makeClient(tenant, name)))
    for (const one of clients) await ask(one)
    await ceremony()
    const before = await shown()
    expect(before.committed).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    expect(before).toMatchObject({ bundled: [1], encrypt: { version: 1 } })
    expect(await unused()).toBe(10)
    for (const [i, { uri }] of clients.entries()) {
      revokeClient(store, uri, clock.now)
      await maintenance()(clock.now)
      const after = await shown()
      expect(after.encrypt.version).toBe(i + 2)
      expect(hex(after.manifest)).toBe(hex(before.manifest))
    }
    expect(store.get('SELECT count(*) AS n FROM catalogs')).toEqual({ n: 1 })
    expect(await unused()).toBe(7)
    const { problems } = await readStatus(store, clock.now)
    expect(problems).toContainEqual(expect.stringContaining('7 unused versions of notes'))
    // By the clock, too.
    clock.now += 81 * DAY + 1
    await maintenance()(clock.now)
    expect((await shown()).encrypt.version).toBe(5)
    await ceremony()
    expect(await unused()).toBe(10)
  })

  it('[deriver-9] where no committed version is left nothing is encrypted under, and a rotation says so', async () => {
    const { store, clock } = tenant
    await ceremony(1)
    expect(rotateKeyring(store, 'notes', clock.now)).toBe(2)
    await expectCode(() => rotateKeyring(store, 'notes', clock.now), 'ERR_KEY_VERSION')
    // The clock alone takes nothing away.
    clock.now += 200 * DAY
    await maintenance()(clock.now)
    expect((await shown()).encrypt.version).toBe(2)
    expect(withdrawVersion(store, 'notes@2', 'compromised', clock.now)).toBe(0)
    expect((await shown()).encrypt).toEqual({ incarnation: 0, version: 0 })
    await ceremony(3)
    await maintenance()(clock.now)
    expect((await shown()).encrypt.version).toBe(3)
  })

  it('[deriver-9] a keyring and a rule wait for the next catalog', async () => {
    const { store, clock } = tenant
    await ceremony()
    const rules = ['keyferry://client.acme.example/*']
    const { id } = createKeyring(store, { name: 'later', rules }, clock.now)
    await shown()
    expect((await ask(await makeClient(tenant, 'ada'), [id])).granted).toEqual([])
    await ceremony()
    await shown()
    expect((await ask(await makeClient(tenant, 'ben'), [id])).granted).toEqual(['later'])
  })

  /** The next trust document, with another authority, signed by all of whom there are keys. */
  async function follow(
    authority: typeof tenant.trust.body.authority,
    second: SigningKey,
  ): Promise<void> {
    const { body, hash } = tenant.trust
    const next = {
      ...body,
      authority,
      number: body.number + 1,
      previous: hash,
      tenant: tenant.trust.tenant,
    }
    let draft = makeDraft(next, tenant.trust)
    for (const key of [...tenant.keys.authority, second])
      if ([...body.authority.keys, ...authority.keys].some((one) => hex(one) === hex(key.spki)))
        draft = await signDraft(draft, key, tenant.trust)
    tenant.trust = await publishTrust(tenant.store, draft, tenant.clock.now)
  }

  it('[catalog-1] the catalog of a ceremony counts under the next trust document only if its keys are still enough', async () => {
    await ceremony()
    await shown()
    const second = await generateSigningKey('Ed25519', true)
    const [first] = tenant.trust.body.authority.keys
    await follow({ keys: [first!, second.spki], threshold: 1 }, second)
    expect((await shown()).encrypt.version).toBe(1)
    await follow({ keys: [first!, second.spki], threshold: 2 }, second)
    expect(await codeOf(shown())).toBe('ERR_SIGNATURE')
  })

  it('a catalog that is published again, also with more signatures, is in the log once', async () => {
    const { store, trust } = tenant
    const second = await generateSigningKey('Ed25519', true)
    const [first] = trust.body.authority.keys
    await follow({ keys: [first!, second.spki], threshold: 1 }, second)
    isAway = true
    noteAuthority(store, [], tenant.trust)
    const signed = await sign(await propose())
    await take(signed)
    await take(signed)
    await follow({ keys: [first!, second.spki], threshold: 2 }, second)
    expect(await codeOf(shown())).toBe('ERR_SIGNATURE')
    await take(await signProposal(signed, fingerprintOf(signed), second, tenant.trust))
    expect((await shown()).encrypt.version).toBe(1)
    const { problems } = await verifyAudit(await auditStore(store), trust.tenant)
    expect(problems).toEqual([])
  })

  it('what was not carried, signed or proposed so is refused, and changes nothing', async () => {
    const { store, clock, keys, trust } = tenant
    const other = await generateSigningKey('Ed25519', true)
    await shown()
    const proposal = await propose()
    const print = fingerprintOf(proposal)
    const [key] = keys.authority
    expect(await codeOf(signProposal(proposal, print.replace(/.$/, '_'), key!, trust))).toBe(
      'ERR_HASH',
    )
    expect(await codeOf(signProposal(proposal, print, other, trust))).toBe('ERR_USAGE')
    expect(await codeOf(take(proposal))).toBe('ERR_SIGNATURE')
    const signed = await sign(proposal)
    expect(await codeOf(signProposal(signed, print, key!, trust))).toBe('ERR_EXISTS')
    // Another manifest in the file.
    const [entry] = signed.manifests
    const bent = { ...entry!, manifest: entry!.manifest.with(60, entry!.manifest[60]! ^ 1) }
    await expectCode(() => carried({ ...signed, manifests: [bent] }), 'ERR_HASH')
    await expectCode(() => carried({ ...signed, manifests: [] }), 'ERR_HASH')
    // The keyring moved on after it was proposed.
    isAway = true
    noteAuthority(store, [], trust)
    createKeyring(store, { name: 'x', rules: ['keyferry://client.acme.example/*'] }, clock.now)
    expect(await codeOf(take(signed))).toBe('ERR_CONFLICT')
    const first = await sign(await propose())
    const later = await sign(await propose())
    await take(later)
    expect(await codeOf(take(first))).toBe('ERR_ROLLBACK')
    clock.now += 301 * DAY
    expect(await codeOf(take(later))).toBe('ERR_STALE')
    expect(bodyOf(later).number).toBe(
      store.get<{ n: number }>('SELECT max(number) AS n FROM catalogs')!.n,
    )
  })

  it('a signer sees what a catalog changes, and what it widens', async () => {
    await ceremony()
    const last = decodeManifest((await propose()).manifests[0]!.manifest)
    const rules = ['keyferry://client.acme.example/*', 'keyferry://client.other.example/*']
    const [v, ...rest] = last.versions
    const next = {
      ...last,
      rules,
      versions: [{ ...v!, decryptUntil: v!.decryptUntil + 1 }, ...rest],
    }
    const what = manifestChanges('notes', next, last).filter(({ widens }) => widens)
    expect(what.map((one) => one.what)).toEqual([
      'notes: + rule keyferry://client.other.example/*',
      'notes: version 1 is ANOTHER ONE than before',
    ])
    expect(proposalChanges(await propose(12))).toEqual([
      { what: expect.stringContaining('notes: + 2 versions'), widens: false },
    ])
  })
})
