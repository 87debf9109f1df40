// From a welcome to keys that encrypt, and the two walls against a fellow member who knows the key-encryption key.
import { beforeAll, describe, expect, it } from 'vitest'
import { wrapKey } from '../../deriver/key-wrap.ts'
import { publicHmac } from '../../deriver/hmac.ts'
import { decodeWelcome, encodeBundle, encodeName, encodeWelcome } from '../../shared/bundle.ts'
import { utf8, type Bytes } from '../../shared/bytes.ts'
import { type ErrorCode } from '../../shared/errors.ts'
import { sha256 } from '../../shared/hash.ts'
import { commitInput } from '../../shared/kdf.ts'
import { versionContext, type Manifest } from '../../shared/manifest.ts'
import { decryptMessage, encryptMessage, parseMessageHeader } from '../../shared/message.ts'
import { openDelivery, type KeyringView } from '../../shared/open.ts'
import { subtle } from '../../shared/platform.ts'
import { SUITES } from '../../shared/trust.ts'
import {
  requireChannel,
  requireVersion,
  unwrapCell,
  unwrapName,
  unwrapVersion,
} from '../../shared/unwrap.ts'
import { versionToDecrypt, versionToEncrypt } from '../../shared/use.ts'
import { openWelcome, type WelcomeRecipient } from '../../shared/welcome.ts'
import {
  channelOf,
  KEYRINGS,
  makeDelivery,
  makeWorld,
  openContext,
  secretsOf,
  withItem,
  type World,
} from '../lib/fixtures-delivery.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { importedOf, sealed } from '../lib/fixtures-imported.ts'
import { makeRecipient, seeded } from '../lib/fixtures-keys.ts'
import { NOW, type Device } from '../lib/fixtures.ts'
import { hasWebCrypto } from '../lib/platform.ts'
import { manifestView, withVersions } from '../lib/rows.ts'

let world: World
let view: KeyringView
let kek: CryptoKey

const recipientOf = (device: Device): WelcomeRecipient => ({
  tenant: world.tenant.trust.tenant,
  fingerprint: device.fingerprint,
  packageHash: channelOf(world.tenant, device).packageHash,
  key: device.recipient,
})

beforeAll(async () => {
  world = await makeWorld()
  const opened = await openDelivery(await makeDelivery(world), openContext(world))
  view = opened.keyrings[0]!
  const channel = await openWelcome(view.welcome, view.member, recipientOf(world.alice))
  kek = await unwrapCell(channel.key, view.member.cell)
})

const refusesWelcome = (welcome: Bytes, recipient: WelcomeRecipient, code: ErrorCode) =>
  expectCode(
    openWelcome(welcome, { ...view.member, welcomeHash: sha256(welcome) }, recipient),
    code,
  )

it.each([0, 1, 2])(
  'member %i: channel, cell, bundle, message; no key can be exported',
  async (i) => {
    const device = world.members[i]!
    const context = openContext(world, { packageHash: recipientOf(device).packageHash })
    const opened = await openDelivery(await makeDelivery(world, {}, device), context)
    const own = opened.keyrings[0]!
    const channel = await openWelcome(own.welcome, own.member, recipientOf(device))
    requireChannel(channel.id, own.member.channelId)
    const cell = await unwrapCell(channel.key, own.member.cell)
    expect(await unwrapName(cell, own.bundle)).toBe('notes')
    const entry = versionToEncrypt(own, opened.accepted, NOW)
    expect(entry.version).toBe(2)
    const version = await unwrapVersion(cell, entry, own.manifest)
    const { keyId } = version.entry
    const message = await encryptMessage(
      version.key,
      keyId,
      utf8('order/17'),
      seeded('salt', 24),
      utf8('Hello'),
    )
    const found = versionToDecrypt(own, opened.accepted, parseMessageHeader(message).keyId, NOW)
    const again = await unwrapVersion(cell, found, own.manifest)
    expect(await decryptMessage(again.key, message, utf8('order/17'))).toEqual(utf8('Hello'))
    for (const key of [channel.key, cell, version.key]) {
      expect(key.extractable).toBe(false)
      await expect(subtle().exportKey('raw', key)).rejects.toThrow()
    }
    for (const key of device.recipient.privateKeys) {
      // What stands in for an ML-KEM key has its own test.
      if (!hasWebCrypto && 'seed' in (key as object)) continue
      expect((key as CryptoKey).extractable).toBe(false)
      await expect(subtle().exportKey('pkcs8', key as CryptoKey)).rejects.toThrow()
    }
  },
)

describe('welcome', () => {
  it('[open-15] a welcome whose hash is not in the leaf is ERR_HASH', async () => {
    const changed = view.welcome.with(60, view.welcome[60]! ^ 1)
    await expectCode(openWelcome(changed, view.member, recipientOf(world.alice)), 'ERR_HASH')
    const theirs = channelOf(world.tenant, world.members[0]!).welcome
    await expectCode(openWelcome(theirs, view.member, recipientOf(world.alice)), 'ERR_HASH')
  })

  it('[open-15] a welcome sealed to another key, device, package or tenant is ERR_OPEN', async () => {
    const own = recipientOf(world.alice)
    const { welcome } = view
    const key = await makeRecipient('X25519', 'someone else')
    await refusesWelcome(welcome, { ...own, key }, 'ERR_OPEN')
    const { fingerprint } = world.members[0]!
    await refusesWelcome(welcome, { ...own, fingerprint }, 'ERR_OPEN')
    await refusesWelcome(welcome, { ...own, packageHash: seeded('other') }, 'ERR_OPEN')
    await refusesWelcome(welcome, { ...own, tenant: 'a'.repeat(52) }, 'ERR_OPEN')
  })

  it('[open-15] a welcome in another suite than the package is ERR_SUITE', async () => {
    const decoded = decodeWelcome(view.welcome)
    const other = encodeWelcome({ ...decoded, kem: 0x0010 })
    await refusesWelcome(other, recipientOf(world.alice), 'ERR_SUITE')
  })

  it.each(SUITES)('[open-15] a changed %s welcome is ERR_OPEN, or not a welcome', async (suite) => {
    const device = world.members.find((one) => one.recipient.suite === suite)!
    const { welcome } = channelOf(world.tenant, device)
    const end = welcome.length
    for (const at of [12, 13, 44, 45, end - 49, end - 48, end - 16, end - 1]) {
      const changed = welcome.with(at, welcome[at]! ^ 0x10)
      await refusesWelcome(changed, recipientOf(device), 'ERR_OPEN')
    }
    await refusesWelcome(welcome.slice(0, -1), recipientOf(device), 'ERR_MALFORMED')
    const { kem, ciphertext } = decodeWelcome(welcome)
    const length = decodeWelcome(welcome).encapsulated.length
    for (const encapsulated of [new Uint8Array(length), new Uint8Array(), new Uint8Array(8)]) {
      const weak = encodeWelcome({ kem, encapsulated, ciphertext })
      await refusesWelcome(weak, recipientOf(device), 'ERR_OPEN')
    }
  })

  it('[open-16] a channel that is not the one in the leaf is ERR_HASH', async () => {
    const leaf = { ...view.member, channelId: seeded('other') }
    await expectCode(openWelcome(view.welcome, leaf, recipientOf(world.alice)), 'ERR_HASH')
    await expectCode(() => requireChannel(view.member.channelId, leaf.channelId), 'ERR_HASH')
  })
})

describe('message', () => {
  const context = utf8('order/17')
  const make = async () => {
    const { key, entry } = await unwrapVersion(kek, view.bundle.entries.all()[1]!, view.manifest)
    const salt = seeded('salt', 24)
    return { key, message: await encryptMessage(key, entry.keyId, context, salt, utf8('Hello')) }
  }

  it('[message-1] without its header it is ERR_MALFORMED', async () => {
    const { key, message } = await make()
    for (const bad of [message.slice(1), message.with(7, 3), message.slice(0, 39)]) {
      await expectCode(decryptMessage(key, bad, context), 'ERR_MALFORMED')
    }
  })

  it('[message-2] under another version, in another context, or changed it is ERR_OPEN', async () => {
    const { key, message } = await make()
    const other = await unwrapVersion(kek, view.bundle.entries.all()[0]!, view.manifest)
    await expectCode(decryptMessage(other.key, message, context), 'ERR_OPEN')
    await expectCode(decryptMessage(key, message, utf8('order/18')), 'ERR_OPEN')
    for (const at of [8, 40, 64, 96, message.length - 1]) {
      const changed = message.with(at, message[at]! ^ 1)
      await expectCode(decryptMessage(key, changed, context), 'ERR_OPEN')
    }
    await expectCode(decryptMessage(key, message.slice(0, -1), context), 'ERR_OPEN')
  })
})

describe('cell and bundle', () => {
  it("[open-17] a fellow member's cell, or a changed one, is ERR_OPEN", async () => {
    const channel = await openWelcome(view.welcome, view.member, recipientOf(world.alice))
    const { cell } = view.member
    for (const at of [0, 8, 39]) {
      await expectCode(unwrapCell(channel.key, cell.with(at, cell[at]! ^ 1)), 'ERR_OPEN')
    }
    const theirs = wrapKey(channelOf(world.tenant, world.members[0]!).key, seeded('kek'))
    await expectCode(unwrapCell(channel.key, theirs), 'ERR_OPEN')
  })

  it('[open-19] an entry under another key-encryption key is ERR_OPEN', async () => {
    const [entry] = view.bundle.entries.all()
    const { secret } = secretsOf(world.tenant, KEYRINGS[0]!).versions[0]!
    const wrapped = wrapKey(secretsOf(world.tenant, KEYRINGS[1]!).kek, secret)
    await expectCode(unwrapVersion(kek, { ...entry!, wrapped }, view.manifest), 'ERR_OPEN')
  })

  it('[open-19] a bundled version that the manifest does not know is ERR_KEY_VERSION', async () => {
    const [entry] = view.bundle.entries.all()
    const third = { ...entry!, version: 3 }
    await expectCode(unwrapVersion(kek, third, view.manifest), 'ERR_KEY_VERSION')
    await expectCode(() => requireVersion(view.manifest, third), 'ERR_KEY_VERSION')
    const later = { ...entry!, incarnation: 2 }
    await expectCode(unwrapVersion(kek, later, view.manifest), 'ERR_KEY_VERSION')
  })

  it('[open-20] a secret that the authority did not commit to is ERR_COMMITMENT', async () => {
    const [entry] = view.bundle.entries.all()
    const wrapped = wrapKey(secretsOf(world.tenant, KEYRINGS[0]!).kek, seeded('chosen'))
    await expectCode(unwrapVersion(kek, { ...entry!, wrapped }, view.manifest), 'ERR_COMMITMENT')
  })

  it('[open-20] the secret of another version, keyring, tenant or algorithm is ERR_COMMITMENT', async () => {
    const [one, two] = view.bundle.entries.all()
    const swapped = { ...one!, wrapped: two!.wrapped }
    await expectCode(unwrapVersion(kek, swapped, view.manifest), 'ERR_COMMITMENT')
    for (const change of [{ keyring: KEYRINGS[1]! }, { tenant: seeded('other') }]) {
      await expectCode(unwrapVersion(kek, one!, { ...view.manifest, ...change }), 'ERR_COMMITMENT')
    }
    const other = withVersions(view.manifest, (all) => all.map((v) => ({ ...v, algorithm: 2 })))
    await expectCode(unwrapVersion(kek, one!, other), 'ERR_COMMITMENT')
  })

  it('[import-1] a sealed import that the manifest does not know is ERR_COMMITMENT', async () => {
    const { manifest: own, bundle } = importedOf(world.tenant)
    const manifest = manifestView(own)
    const [entry] = bundle.entries
    expect((await unwrapVersion(kek, entry!, manifest)).key.extractable).toBe(false)
    const { sealed: _, ...bare } = entry!
    const [version] = secretsOf(world.tenant, KEYRINGS[0]!).versions
    // As a fellow member can make it, who knows the version secret.
    const chosen = sealed(world.tenant, version!.secret, version!.keyId, seeded('chosen', 48))
    for (const one of [bare, { ...entry!, sealed: chosen }])
      await expectCode(unwrapVersion(kek, one, manifest), 'ERR_COMMITMENT')
    await expectCode(unwrapVersion(kek, entry!, view.manifest), 'ERR_COMMITMENT')
  })

  it('[import-2] a sealed import of another version, or changed, is ERR_OPEN', async () => {
    const { manifest, bundle } = importedOf(world.tenant)
    const [one, two] = bundle.entries
    const at = (bytes: Bytes) =>
      unwrapVersion(
        kek,
        { ...one!, sealed: bytes },
        manifestView({
          ...manifest,
          versions: manifest.versions.map((v) => ({ ...v, importHash: sha256(bytes) })),
        }),
      )
    expect((await at(one!.sealed!)).key.type).toBe('secret')
    await expectCode(at(two!.sealed!), 'ERR_OPEN')
    for (const i of [0, 12, one!.sealed!.length - 1])
      await expectCode(at(one!.sealed!.with(i, one!.sealed![i]! ^ 1)), 'ERR_OPEN')
  })

  it('a name under another key is ERR_OPEN, one that is no name ERR_MALFORMED', async () => {
    const own = secretsOf(world.tenant, KEYRINGS[0]!).kek
    const named = (block: Bytes, key = own) =>
      unwrapName(kek, { ...view.bundle, name: wrapKey(key, block) })
    await expectCode(named(encodeName('x'), seeded('other')), 'ERR_OPEN')
    expect(await named(encodeName('Größe'))).toBe('Größe')
    await expectCode(named(new Uint8Array(64).fill(1)), 'ERR_MALFORMED')
    await expectCode(
      named(Uint8Array.from({ length: 64 }, (_, i) => [1, 0xff][i] ?? 0)),
      'ERR_MALFORMED',
    )
  })
})

describe('a fellow member who knows the key-encryption key and works with the relay', () => {
  const evil = () => {
    const own = secretsOf(world.tenant, KEYRINGS[0]!)
    const secret = seeded('chosen by bob')
    const entries = view.bundle.entries.all()
    const wrapped = wrapKey(own.kek, secret)
    return { secret, bundle: { ...view.bundle, entries: entries.map((e) => ({ ...e, wrapped })) } }
  }

  it('[open-18] is stopped by the hash of the bundle alone', async () => {
    const { secret, bundle } = evil()
    // The commitment is made to fit: a manifest that names the chosen secret.
    const manifest = (m: Manifest, n: number) => ({
      ...m,
      versions: m.versions.map((v) => ({
        ...v,
        keyId: n === 0 ? publicHmac(secret, commitInput(versionContext(m, v))) : v.keyId,
      })),
    })
    const delivery = await makeDelivery(world, { manifest })
    const swapped = withItem(delivery, { bundle: encodeBundle(bundle) })
    await expectCode(openDelivery(swapped, openContext(world)), 'ERR_HASH')
  })

  it('[open-20] is stopped by the commitment alone', async () => {
    const { bundle } = evil()
    // The hash is made to fit: a release that names the chosen bundle.
    const delivery = await makeDelivery(world, { bundle: (b, n) => (n === 0 ? bundle : b) })
    const opened = await openDelivery(delivery, openContext(world))
    const [keyring] = opened.keyrings
    for (const entry of keyring!.bundle.entries.all()) {
      await expectCode(unwrapVersion(kek, entry, keyring!.manifest), 'ERR_COMMITMENT')
    }
  })

  it('gets through when both walls are down, so that they are what stops it', async () => {
    const { secret, bundle } = evil()
    const manifest = (m: Manifest, n: number) => ({
      ...m,
      versions: m.versions.slice(0, n === 0 ? 1 : 2).map((v) => ({
        ...v,
        keyId: n === 0 ? publicHmac(secret, commitInput(versionContext(m, v))) : v.keyId,
      })),
    })
    const delivery = await makeDelivery(world, { manifest, bundle: (b, n) => (n ? b : bundle) })
    const opened = await openDelivery(delivery, openContext(world))
    const [keyring] = opened.keyrings
    const key = await unwrapVersion(kek, keyring!.bundle.entries.all()[0]!, keyring!.manifest)
    expect(key.entry.version).toBe(1)
  })
})
