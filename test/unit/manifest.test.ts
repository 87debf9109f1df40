// Manifests: the one encoding, and what a manifest may not say.
import { describe, expect, it } from 'vitest'
import { concat, u32 } from '../../shared/bytes.ts'
import { MAX_MANIFEST } from '../../shared/limits.ts'
import {
  compareVersions,
  decodeManifest,
  encodeManifest,
  keyringLeaf,
  readManifest,
  KEYRING_LEAF,
  requireRising,
  versionContext,
  type Manifest,
  type VersionEntry,
} from '../../shared/manifest.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { seeded } from '../lib/fixtures-keys.ts'
import { DAY, NOW } from '../lib/fixtures.ts'

const entry = (version: number, edit: Partial<VersionEntry> = {}): VersionEntry => ({
  incarnation: 1,
  version,
  algorithm: 1,
  encryptFrom: NOW,
  encryptUntil: NOW + DAY,
  decryptUntil: NOW + 2 * DAY,
  nonce: seeded(`nonce ${version}`, 16),
  keyId: seeded(`id ${version}`),
  ...edit,
})
const good: Manifest = {
  tenant: seeded('tenant'),
  keyring: seeded('keyring', 16),
  number: 5,
  kind: 'recoverable',
  offline: DAY,
  generationMaxAge: 30 * DAY,
  rules: ['keyferry://client.acme.example/*', 'keyferry://client.acme.example/a'],
  versions: [entry(1), entry(2)],
}
const bytes = encodeManifest(good)
/** Where the number of versions stands. */
const COUNT = bytes.length - 2 * 84 - 4

const refuses = (edit: Partial<Manifest>, code: 'ERR_SCHEMA' | 'ERR_UNSUPPORTED') =>
  expectCode(() => encodeManifest({ ...good, ...edit }), code)

it('round-trips, empty or erasable too', () => {
  for (const m of [
    good,
    { ...good, kind: 'erasable' as const, rules: [], versions: [] },
    { ...good, versions: [entry(7), entry(1, { incarnation: 2, keyId: seeded('x') })] },
  ]) {
    expect(decodeManifest(encodeManifest(m))).toEqual(m)
  }
})

describe('bytes', () => {
  it('[dec-1] more than 1,500,000 bytes are ERR_TOO_LARGE', async () => {
    await expectCode(() => decodeManifest(new Uint8Array(MAX_MANIFEST + 1)), 'ERR_TOO_LARGE')
    await expectCode(() => decodeManifest(new Uint8Array(MAX_MANIFEST)), 'ERR_MALFORMED')
  })

  it('[dec-4] another magic is ERR_MALFORMED', async () => {
    for (const at of [0, 6, 7]) {
      await expectCode(() => decodeManifest(bytes.with(at, bytes[at]! ^ 1)), 'ERR_MALFORMED')
    }
  })

  it('[dec-4] bytes that are missing or left over are ERR_MALFORMED', async () => {
    await expectCode(() => decodeManifest(concat(bytes, Uint8Array.of(0))), 'ERR_MALFORMED')
    await expectCode(() => decodeManifest(bytes.slice(0, -1)), 'ERR_MALFORMED')
    for (const count of [0, 1, 3, 0xffffffff]) {
      const changed = concat(bytes.slice(0, COUNT), u32(count), bytes.slice(COUNT + 4))
      await expectCode(() => decodeManifest(changed), 'ERR_MALFORMED')
      // Before room is made for so many: engines reserve it for tens of millions.
      expect(() => decodeManifest(changed)).toThrow('another length')
    }
  })

  it('[dec-4] a rule that is not UTF-8 is ERR_MALFORMED', async () => {
    await expectCode(() => decodeManifest(bytes.with(COUNT - 1, 0xff)), 'ERR_MALFORMED')
  })
})

describe('what it says', () => {
  it('[manifest-1] rules that do not rise strictly are ERR_SCHEMA', async () => {
    await refuses({ rules: good.rules.toReversed() }, 'ERR_SCHEMA')
    await refuses({ rules: [good.rules[0]!, good.rules[0]!] }, 'ERR_SCHEMA')
  })

  it('[manifest-1] a rule that is not ASCII is ERR_SCHEMA', async () => {
    await refuses({ rules: ['keyferry://client.acme.example/ä'] }, 'ERR_SCHEMA')
  })

  it('[manifest-1] versions that do not rise strictly are ERR_SCHEMA', async () => {
    await refuses({ versions: [entry(2), entry(1)] }, 'ERR_SCHEMA')
    await refuses({ versions: [entry(1), entry(1, { keyId: seeded('x') })] }, 'ERR_SCHEMA')
    await refuses({ versions: [entry(1, { incarnation: 2 }), entry(2)] }, 'ERR_SCHEMA')
  })

  it('[manifest-1] the number 0 is ERR_SCHEMA', async () => {
    await refuses({ versions: [entry(0)] }, 'ERR_SCHEMA')
    await refuses({ versions: [entry(1, { incarnation: 0 })] }, 'ERR_SCHEMA')
  })

  it('[manifest-1] windows that do not nest are ERR_SCHEMA', async () => {
    await refuses({ versions: [entry(1, { encryptFrom: NOW + DAY + 1 })] }, 'ERR_SCHEMA')
    await refuses({ versions: [entry(1, { decryptUntil: NOW + DAY - 1 })] }, 'ERR_SCHEMA')
    const point = { encryptFrom: NOW, encryptUntil: NOW, decryptUntil: NOW }
    encodeManifest({ ...good, versions: [entry(1, point)] })
  })

  it('[manifest-1] a key id that repeats is ERR_SCHEMA', async () => {
    await refuses({ versions: [entry(1), entry(2, { keyId: seeded('id 1') })] }, 'ERR_SCHEMA')
  })

  it('[manifest-1] key ids may begin alike, but not be the same', async () => {
    const like = (last: number) => seeded('id 1').with(31, last)
    const versions = [1, 2, 3].map((n) => entry(n, { keyId: like(n) }))
    const m = { ...good, versions }
    expect(decodeManifest(encodeManifest(m))).toEqual(m)
    await refuses({ versions: [...versions, entry(4, { keyId: like(2) })] }, 'ERR_SCHEMA')
  })

  it('[manifest-1] the same is checked on what is decoded', async () => {
    const versions = bytes.slice(COUNT + 4)
    const swapped = concat(bytes.slice(0, COUNT + 4), versions.slice(84), versions.slice(0, 84))
    await expectCode(() => decodeManifest(swapped), 'ERR_SCHEMA')
  })

  it('[manifest-2] an unknown algorithm is ERR_UNSUPPORTED', async () => {
    await refuses({ versions: [entry(1, { algorithm: 2 })] }, 'ERR_UNSUPPORTED')
    await expectCode(() => decodeManifest(bytes.with(COUNT + 15, 2)), 'ERR_UNSUPPORTED')
  })

  it('[manifest-2] an unknown kind is ERR_UNSUPPORTED', async () => {
    const KIND = 8 + 32 + 16 + 8
    expect(bytes[KIND]).toBe(1)
    for (const kind of [0, 4, 255]) {
      await expectCode(() => decodeManifest(bytes.with(KIND, kind)), 'ERR_UNSUPPORTED')
    }
    expect(decodeManifest(bytes.with(KIND, 2)).kind).toBe('erasable')
    await expectCode(() => decodeManifest(bytes.with(KIND, 3)), 'ERR_MALFORMED')
  })

  it('of an imported keyring it has a hash for each version, and no other has one', async () => {
    const importHash = seeded('hash of the sealed import')
    const imported = { ...good, kind: 'imported' as const, versions: [entry(1, { importHash })] }
    expect(decodeManifest(encodeManifest(imported))).toEqual(imported)
    await refuses({ versions: [entry(1, { importHash })] }, 'ERR_SCHEMA')
    await refuses({ kind: 'imported', versions: [entry(1)] }, 'ERR_SCHEMA')
  })
})

describe('read where it stands', () => {
  const ids = [1, 2, 7, 4_294_967_295].map((version) => ({ incarnation: 1, version }))
  const all = [...ids, { incarnation: 4_294_967_295, version: 1 }].map((id, i) =>
    entry(i, { ...id, keyId: seeded(`id ${i}`) }),
  )
  const { versions } = readManifest(encodeManifest({ ...good, versions: all }))

  it('it has the same versions, and finds each by its id and its key id', () => {
    expect(versions.all()).toEqual(all)
    for (const one of all) {
      expect(versions.find(one)).toEqual(one)
      expect(versions.findKey(one.keyId)).toEqual(one)
    }
  })

  it('it finds no others', () => {
    for (const [incarnation, version] of [
      [1, 0],
      [1, 3],
      [2, 1],
      [0, 1],
      [4_294_967_295, 2],
    ] as const)
      expect(versions.find({ incarnation, version })).toBeUndefined()
    const { keyId } = all[0]!
    for (const other of [seeded('x'), keyId.slice(1), keyId.slice(0, 31), new Uint8Array()])
      expect(versions.findKey(other)).toBeUndefined()
    const none = readManifest(encodeManifest({ ...good, versions: [] }))
    expect(none.versions.find(ids[0]!)).toBeUndefined()
  })

  it('[dec-4] a time above 2^53 − 1 is ERR_MALFORMED, whichever it is', async () => {
    for (const at of [12, 20, 28])
      await expectCode(() => readManifest(bytes.with(COUNT + 4 + at, 0xff)), 'ERR_MALFORMED')
  })
})

it('versions are ordered by incarnation, then version', () => {
  const id = (incarnation: number, version: number) => ({ incarnation, version })
  const sorted = [id(1, 1), id(1, 2), id(2, 1), id(2, 10)]
  expect(sorted.toReversed().toSorted(compareVersions)).toEqual(sorted)
  expect(() => requireRising(sorted, compareVersions, 'ids')).not.toThrow()
})

it('a leaf is the keyring and a hash, a context what labels need', () => {
  const leaf = keyringLeaf(good.keyring, seeded('hash'))
  expect(leaf).toEqual(concat(good.keyring, seeded('hash')))
  expect(leaf.length).toBe(KEYRING_LEAF)
  const { tenant, keyring } = good
  const context = { tenant, keyring, incarnation: 1, version: 2, algorithm: 1 }
  expect(versionContext(good, entry(2))).toEqual(context)
})
