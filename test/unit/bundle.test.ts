// Welcome, member leaf, bundle and name: fixed layouts.
import { describe, expect, it } from 'vitest'
import {
  decodeBundle,
  decodeMember,
  decodeName,
  decodeWelcome,
  encodeBundle,
  encodeMember,
  encodeName,
  encodeWelcome,
  MEMBER_LEAF,
  readBundle,
  welcomeInfo,
  type Bundle,
} from '../../shared/bundle.ts'
import { concat, hex, u16, u32, utf8 } from '../../shared/bytes.ts'
import { lengthPrefixed } from '../../shared/kdf.ts'
import { MAX_BUNDLE, MAX_WELCOME } from '../../shared/limits.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { seeded } from '../lib/fixtures-keys.ts'

const more = Uint8Array.of(0)

describe('welcome', () => {
  const welcome = { kem: 0x20, encapsulated: seeded('enc'), ciphertext: seeded('ct', 48) }
  const bytes = encodeWelcome(welcome)

  it('round-trips', () => {
    expect(decodeWelcome(bytes)).toEqual(welcome)
    expect(hex(bytes.slice(0, 12))).toBe(`${hex(utf8('KFWELCM\x01'))}00200020`)
  })

  it('[dec-1] above 4,096 bytes it is ERR_TOO_LARGE', async () => {
    await expectCode(() => decodeWelcome(new Uint8Array(MAX_WELCOME + 1)), 'ERR_TOO_LARGE')
  })

  it('[dec-4] of another magic or length it is ERR_MALFORMED', async () => {
    const long = concat(bytes.slice(0, 10), u16(4_000), bytes.slice(12))
    for (const bad of [
      more,
      bytes.with(7, 2),
      bytes.slice(1),
      bytes.slice(0, -1),
      concat(bytes, more),
      long,
    ]) {
      await expectCode(() => decodeWelcome(bad), 'ERR_MALFORMED')
    }
  })

  it('its info names tenant, certificate, package and suite', () => {
    const [a, b, c] = [seeded('a'), seeded('b'), seeded('c')]
    const fields = [a, b, c, utf8('X25519')].map(lengthPrefixed)
    expect(welcomeInfo(a, b, c, 'X25519')).toEqual(concat(utf8('keyferry/v1/welcome\0'), ...fields))
  })
})

describe('member leaf', () => {
  const leaf = {
    packageHash: seeded('package'),
    channelId: seeded('channel'),
    welcomeHash: seeded('welcome'),
    cell: seeded('cell', 40),
  }

  it('round-trips', () => {
    expect(encodeMember(leaf).length).toBe(MEMBER_LEAF)
    expect(decodeMember(encodeMember(leaf))).toEqual(leaf)
  })

  it('[dec-4] of another length it is ERR_MALFORMED', async () => {
    const bytes = encodeMember(leaf)
    for (const bad of [bytes.slice(1), concat(bytes, more), more]) {
      await expectCode(() => decodeMember(bad), 'ERR_MALFORMED')
    }
  })
})

describe('bundle', () => {
  const entry = (incarnation: number, version: number) => ({
    incarnation,
    version,
    wrapped: seeded(`${incarnation} ${version}`, 40),
  })
  const bundle: Bundle = {
    keyring: seeded('keyring', 16),
    incarnation: 2,
    generation: 3,
    name: seeded('name', 72),
    entries: [entry(1, 1), entry(1, 2), entry(2, 1)],
  }
  const bytes = encodeBundle(bundle)

  it('round-trips, empty too', () => {
    expect(decodeBundle(bytes)).toEqual(bundle)
    const empty = { ...bundle, entries: [] }
    expect(decodeBundle(encodeBundle(empty))).toEqual(empty)
  })

  it('[dec-1] above 1,500,000 bytes it is ERR_TOO_LARGE', async () => {
    await expectCode(() => decodeBundle(new Uint8Array(MAX_BUNDLE + 1)), 'ERR_TOO_LARGE')
  })

  it('[dec-4] of another magic or length it is ERR_MALFORMED', async () => {
    const at = bytes.length - 3 * 48 - 4
    const count = (n: number) => concat(bytes.slice(0, at), u32(n), bytes.slice(at + 4))
    for (const bad of [
      more,
      bytes.with(0, 0),
      bytes.slice(0, -1),
      concat(bytes, more),
      count(2),
      count(4),
      count(0xffffffff),
    ]) {
      await expectCode(() => decodeBundle(bad), 'ERR_MALFORMED')
    }
  })

  it('[bundle-1] sealed imports travel in its entries, of 76 to 572 bytes each', async () => {
    const withSealed = (...lengths: number[]): Bundle => ({
      ...bundle,
      entries: lengths.map((length, i) => ({
        ...entry(1, i + 1),
        sealed: seeded('import', length),
      })),
    })
    const good = withSealed(76, 92, 572)
    expect(decodeBundle(encodeBundle(good))).toEqual(good)
    for (const length of [0, 75, 573]) {
      // What the others have above the least is enough for its length to be what is wrong.
      const bad = encodeBundle(withSealed(150, length, 150))
      await expectCode(() => decodeBundle(bad), 'ERR_MALFORMED')
    }
    const imports = encodeBundle(good)
    for (const bad of [
      imports.slice(0, -1),
      concat(imports, more),
      concat(imports.slice(0, 7), bytes.slice(7)),
    ])
      await expectCode(() => decodeBundle(bad), 'ERR_MALFORMED')
    // With other entries it has the other magic.
    const none = concat(imports.slice(0, 8), encodeBundle({ ...bundle, entries: [] }).slice(8))
    await expectCode(() => decodeBundle(none), 'ERR_MALFORMED')
  })

  it('finds an entry where it stands, with and without an import', () => {
    const sealed = [76, 92, 572].map((length) => seeded('import', length))
    const entries = bundle.entries.map((one, i) => ({ ...one, sealed: sealed[i]! }))
    for (const own of [bundle, { ...bundle, entries }]) {
      const view = readBundle(encodeBundle(own))
      for (const one of own.entries) expect(view.entries.find(one)).toEqual(one)
      expect(view.entries.find({ incarnation: 2, version: 2 })).toBeUndefined()
    }
  })

  it('[bundle-1] entries that do not rise strictly are ERR_SCHEMA', async () => {
    for (const entries of [
      [entry(1, 2), entry(1, 1)],
      [entry(1, 1), entry(1, 1)],
      [entry(2, 1), entry(1, 2)],
    ]) {
      await expectCode(() => encodeBundle({ ...bundle, entries }), 'ERR_SCHEMA')
    }
    const head = bytes.slice(0, -144)
    const [a, b, c] = [bytes.slice(-144, -96), bytes.slice(-96, -48), bytes.slice(-48)]
    await expectCode(() => decodeBundle(concat(head, b, a, c)), 'ERR_SCHEMA')
    await expectCode(() => decodeBundle(concat(head, a, a, c)), 'ERR_SCHEMA')
  })
})

describe('name', () => {
  it('round-trips up to 63 bytes of UTF-8', () => {
    for (const name of ['', 'notes', 'Größe', '\ufeffmarked', 'x'.repeat(63)]) {
      expect(encodeName(name).length).toBe(64)
      expect(decodeName(encodeName(name))).toBe(name)
    }
    expect(() => encodeName('ä'.repeat(32))).toThrow(RangeError)
  })

  it('[dec-4] with another length, rest or encoding it is ERR_MALFORMED', async () => {
    const block = encodeName('ab')
    for (const bad of [
      block.with(0, 64),
      block.with(0, 1),
      block.with(0, 255),
      block.with(63, 1),
      block.with(1, 0xff),
      block.slice(1),
      concat(block, more),
      new Uint8Array(),
    ]) {
      await expectCode(() => decodeName(bad), 'ERR_MALFORMED')
    }
  })
})
