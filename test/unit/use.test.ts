// Which version may be used now.
import { beforeAll, describe, expect, it } from 'vitest'
import { type VersionEntry } from '../../shared/manifest.ts'
import { openDelivery, type Accepted, type KeyringView } from '../../shared/open.ts'
import { type Release } from '../../shared/release.ts'
import { needsRewrap, versionToDecrypt, versionToEncrypt } from '../../shared/use.ts'
import { makeDelivery, makeWorld, openContext } from '../lib/fixtures-delivery.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { seeded } from '../lib/fixtures-keys.ts'
import { DAY, NOW } from '../lib/fixtures.ts'
import { bundleView, withVersions } from '../lib/rows.ts'

let view: KeyringView
let accepted: Accepted

beforeAll(async () => {
  const world = await makeWorld()
  const opened = await openDelivery(await makeDelivery(world), openContext(world))
  view = opened.keyrings[0]!
  accepted = opened.accepted
})

const withRelease = (edit: Partial<Release>): KeyringView => ({
  ...view,
  release: { ...view.release, ...edit },
})
const withVersion = (edit: Partial<VersionEntry>, at = 1): KeyringView => {
  const manifest = withVersions(view.manifest, (all) =>
    all.map((v, i) => (i === at ? { ...v, ...edit } : v)),
  )
  return { ...view, manifest }
}
const SECOND = { incarnation: 1, version: 2 }
const encrypt =
  (v: KeyringView, now = NOW, state = accepted) =>
  () =>
    versionToEncrypt(v, state, now)
const decrypt =
  (v: KeyringView, at = 1, now = NOW, minVersion = 0) =>
  () =>
    versionToDecrypt(v, accepted, v.manifest.versions.all()[at]!.keyId, now, minVersion)

describe('encrypting', () => {
  it('takes the version that the release names', () => {
    expect(encrypt(view)()).toMatchObject(SECOND)
  })

  it('[use-1] after the expiry of the head and the skew it is ERR_STALE', async () => {
    const { expiresAt } = accepted.head
    expect(encrypt(view, expiresAt + 60)().version).toBe(2)
    await expectCode(encrypt(view, expiresAt + 61), 'ERR_STALE')
  })

  it('[use-1] after the expiry of the catalog or the trust document it is ERR_STALE', async () => {
    const head = { ...accepted.head, expiresAt: NOW + 10_000 * DAY }
    const body = { ...accepted.catalog.body, expiresAt: NOW }
    const catalog = { ...accepted, head, catalog: { ...accepted.catalog, body } }
    expect(encrypt(view, NOW + 60, catalog)().version).toBe(2)
    await expectCode(encrypt(view, NOW + 61, catalog), 'ERR_STALE')
    const trust = { ...accepted.trust, body: { ...accepted.trust.body, expiresAt: NOW } }
    await expectCode(encrypt(view, NOW + 61, { ...accepted, head, trust }), 'ERR_STALE')
  })

  it('[use-2] where there is no version to encrypt with it is ERR_KEY_VERSION', async () => {
    const none = withRelease({ encrypt: { incarnation: 0, version: 0 } })
    await expectCode(encrypt(none), 'ERR_KEY_VERSION')
    const third = withRelease({ encrypt: { incarnation: 1, version: 3 } })
    await expectCode(encrypt(third), 'ERR_KEY_VERSION')
  })

  it('[use-2] a version of an earlier incarnation is ERR_KEY_VERSION', async () => {
    await expectCode(encrypt(withRelease({ incarnation: 2 })), 'ERR_KEY_VERSION')
  })

  it.each(['compromised', 'deactivated', 'skipped'] as const)(
    '[use-2] a version that is %s is ERR_KEY_VERSION',
    async (list) => {
      await expectCode(encrypt(withRelease({ [list]: [SECOND] })), 'ERR_KEY_VERSION')
    },
  )

  it('[use-2] outside its window it is ERR_KEY_VERSION', async () => {
    expect(encrypt(withVersion({ encryptFrom: NOW, encryptUntil: NOW }))().version).toBe(2)
    await expectCode(encrypt(withVersion({ encryptFrom: NOW + 1 })), 'ERR_KEY_VERSION')
    await expectCode(encrypt(withVersion({ encryptUntil: NOW - 1 })), 'ERR_KEY_VERSION')
  })

  it('[use-2] a version that is not in the bundle is ERR_KEY_VERSION', async () => {
    const bundle = bundleView({ ...view.bundle, entries: view.bundle.entries.all().slice(0, 1) })
    await expectCode(encrypt({ ...view, bundle }), 'ERR_KEY_VERSION')
    await expectCode(decrypt({ ...view, bundle }), 'ERR_KEY_VERSION')
  })
})

describe('decrypting', () => {
  it('takes the version of the key id, also a deactivated or compromised one', () => {
    expect(decrypt(view, 0)().version).toBe(1)
    const bad = { compromised: [SECOND], deactivated: [SECOND] }
    expect(decrypt(withRelease(bad))().version).toBe(2)
  })

  it('[use-3] offline for longer than the manifest allows it is ERR_STALE', async () => {
    const limit = accepted.head.expiresAt + 60 + DAY
    expect(decrypt(view, 1, limit)().version).toBe(2)
    await expectCode(decrypt(view, 1, limit + 1), 'ERR_STALE')
  })

  it('[use-4] a key id that the keyring does not have is ERR_UNKNOWN_KEY', async () => {
    await expectCode(
      () => versionToDecrypt(view, accepted, seeded('other'), NOW),
      'ERR_UNKNOWN_KEY',
    )
  })

  it('[use-4] a version below minVersion is ERR_KEY_VERSION', async () => {
    expect(decrypt(view, 1, NOW, 2)().version).toBe(2)
    await expectCode(decrypt(view, 0, NOW, 2), 'ERR_KEY_VERSION')
  })

  it('[use-4] a skipped version is ERR_KEY_VERSION', async () => {
    await expectCode(decrypt(withRelease({ skipped: [SECOND] })), 'ERR_KEY_VERSION')
  })

  it('[use-4] before encryptFrom − skew, or after decryptUntil, it is ERR_KEY_VERSION', async () => {
    expect(decrypt(withVersion({ encryptFrom: NOW + 60, decryptUntil: NOW }))().version).toBe(2)
    await expectCode(decrypt(withVersion({ encryptFrom: NOW + 61 })), 'ERR_KEY_VERSION')
    await expectCode(decrypt(withVersion({ decryptUntil: NOW - 1 })), 'ERR_KEY_VERSION')
  })
})

describe('rewrapping', () => {
  const rewrap = (v: KeyringView, at = 1, now = NOW) =>
    needsRewrap(v, v.manifest.versions.all()[at]!.keyId, now)

  it('is not needed for the version that is encrypted under', () => {
    expect(rewrap(view)).toBe(false)
  })

  it.each(['compromised', 'deactivated', 'skipped'] as const)(
    '[use-6] is needed for a version that is %s',
    (list) => {
      expect(rewrap(withRelease({ [list]: [SECOND] }))).toBe(true)
    },
  )

  it('[use-6] is needed for a version below the one that is encrypted under', () => {
    expect(rewrap(withRelease({ deactivated: [] }), 0)).toBe(true)
    const first = withRelease({ deactivated: [], encrypt: { incarnation: 1, version: 1 } })
    expect([rewrap(first, 0), rewrap(first, 1)]).toEqual([false, false])
  })

  it('[use-6] is needed for a version of an earlier incarnation', () => {
    expect(rewrap(withRelease({ incarnation: 2 }))).toBe(true)
  })

  it('[use-6] is needed after encryptUntil', () => {
    const until = withVersion({ encryptUntil: NOW })
    expect([rewrap(until), rewrap(until, 1, NOW + 1)]).toEqual([false, true])
  })

  it('[use-6] is not known of a key id that the keyring does not have', async () => {
    await expectCode(() => needsRewrap(view, seeded('other'), NOW), 'ERR_UNKNOWN_KEY')
  })
})
