// What a copy of a device, or of the master secret, is good for, and for how long.
import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { channelKey, type DeviceRow } from '../../deriver/devices.ts'
import { keyPath } from '../../deriver/key-files.ts'
import { rotateKeyring } from '../../deriver/keyrings.ts'
import { wrapKey } from '../../deriver/root.ts'
import { readKeyFile } from '../../deriver/secret.ts'
import { decodeBundle, MEMBER_LEAF, WRAPPED_KEY } from '../../shared/bundle.ts'
import { hex, type Bytes } from '../../shared/bytes.ts'
import { compareVersions } from '../../shared/manifest.ts'
import { parsePage } from '../../shared/tree.ts'
import { closure, type Leaked } from '../lib/attacker.ts'
import { checkLives, type Campaign } from '../lib/campaign.ts'
import { commands, LIMIT } from '../lib/commands.ts'
import { keysInUse, madeKeks, madeVersions } from '../lib/made-keys.ts'
import { DAY, NAMES } from '../lib/whole-path.ts'

/** Days: a package is replaced at half of its life, a generation 30 days after it was made; and the steps of the test in between. */
const [HALF_PACKAGE, GENERATION, STEPS] = [15, 30, 9]

const reach = ({ path }: Campaign, leaked: Leaked) =>
  closure(path.tenant.trust.tenant, path.relay.objects.values(), leaked)

it(
  '3 healing: a copy of all that a device holds gives no new version once its package has rotated and the generation has ended by age',
  { timeout: LIMIT },
  async () => {
    const some = commands(6, [
      'join',
      'round',
      'rotate',
      'step',
      'instances',
      'hide',
      'show',
      'wait',
    ])
    const lives = fc.tuple(some, some).map(([a, b]) => [...a, { do: 'leak' } as const, ...b])
    await checkLives(lives, 3, async (campaign, life) => {
      const { tenant } = campaign.path
      // No new certificate replaces its package before the time.
      const victim = await campaign.join(300 * DAY)
      await campaign.join()
      let packages: Leaked['packages'] = []
      for (const command of life) {
        await campaign.run(command)
        if (command.do === 'leak') packages = victim.store.leak()
      }
      // Nobody does anything about it; time goes by, and the relay delivers.
      await campaign.run({ do: 'show' })
      await campaign.run({ do: 'wait', days: HALF_PACKAGE + GENERATION + STEPS })
      const old = new Set(madeVersions(tenant).map(({ row }) => row))
      for (const name of NAMES) rotateKeyring(campaign.store, name, campaign.now)
      await campaign.settle()
      const fresh = madeVersions(tenant).filter(({ row }) => !old.has(row))
      expect(fresh).toHaveLength(NAMES.length)
      const { secrets, keyIds } = await reach(campaign, { packages })
      for (const { secret, keyId } of fresh) {
        expect(secrets).not.toContain(secret)
        expect(keyIds).not.toContain(keyId)
      }
      for (const { id, name } of campaign.keyrings()) {
        const { kek, keyId } = keysInUse(tenant, id)
        expect(secrets).not.toContain(kek)
        // The device itself goes on, and what leaked was worth something.
        expect(await victim.client.encryptsUnder(name)).toBe(keyId)
      }
      expect(keyIds.size).toBeGreaterThan(0)
    })
  },
)

/** Salts that have to go for each version of a keyring to go: its own, of the generations that bundled it, of the channels with cells of those. */
function saltsOf({ path, store }: Campaign, keyring: Bytes): Map<string, Bytes[]> {
  const { tenant, relay } = path
  const { root } = tenant.keys
  const objects = [...relay.objects.values()]
  const startsWith = (magic: string) => (one: Bytes) =>
    Buffer.from(one.subarray(0, 7)).toString() === magic
  const bundles = objects.filter(startsWith('KFBUNDL')).map(decodeBundle)
  const leaves = objects
    .filter(
      (one) =>
        startsWith('KFTPAGE')(one) &&
        new DataView(one.buffer, one.byteOffset).getUint32(8) === MEMBER_LEAF,
    )
    .flatMap((one) => parsePage(one, MEMBER_LEAF).leaves)
  const cells = new Set(leaves.map((leaf) => hex(leaf.subarray(-WRAPPED_KEY))))
  const generations = store.all<{ generation: number; salt: Bytes }>(
    'SELECT generation, salt FROM generations WHERE keyring = ? ORDER BY generation',
    keyring,
  )
  const keks = madeKeks(tenant).filter(({ row }) => row.startsWith(`generation ${hex(keyring)}`))
  const kekOf = (salt: Bytes): Bytes =>
    new Uint8Array(Buffer.from(keks.find(({ row }) => row.endsWith(hex(salt)))!.secret, 'hex'))
  const channels = store.all<DeviceRow>('SELECT * FROM devices').map((device) => ({
    salt: device.channel_salt,
    key: channelKey(root, tenant.trust.tenant, device.package_hash, device.channel_salt),
  }))
  const versions = madeVersions(tenant).filter((one) => hex(one.version.keyring) === hex(keyring))
  return new Map(
    versions.map(({ secret, version }) => {
      const held = generations.filter(({ generation }) =>
        bundles.some(
          (one) =>
            hex(one.keyring) === hex(keyring) &&
            one.generation === generation &&
            one.entries.some((entry) => compareVersions(entry, version) === 0),
        ),
      )
      const opening = channels.filter(({ key }) =>
        held.some(({ salt }) => cells.has(hex(wrapKey(key, kekOf(salt))))),
      )
      return [
        secret,
        [version.salt, ...held.map(({ salt }) => salt), ...opening.map(({ salt }) => salt)],
      ]
    }),
  )
}

it(
  '4 erasure (what is built: no command destroys a version yet): without its salts an erasable version follows from master secret, database and relay no more, and each of them gives it back',
  { timeout: LIMIT },
  async () => {
    const lives = commands(8, ['join', 'round', 'rotate', 'remove', 'step', 'wait'])
    await checkLives(lives, 3, async (campaign, life) => {
      const { tenant } = campaign.path
      for (let i = 0; i < 2; i++) await campaign.join()
      for (const command of life) await campaign.run(command)
      await campaign.settle()
      const master = readKeyFile(keyPath(tenant.directory, 'master'), 'master', null)
      const salts = campaign.store
        .all<{ salt: Bytes }>(
          'SELECT salt FROM versions UNION ALL SELECT salt FROM generations UNION ALL SELECT channel_salt FROM devices',
        )
        .map(({ salt }) => new Uint8Array(salt))
        .filter((salt) => salt.length > 0)
      const mail = campaign.keyrings().find(({ kind }) => kind === 'erasable')!
      for (const [secret, own] of saltsOf(campaign, mail.id)) {
        const gone = new Set(own.map(hex))
        const left = salts.filter((salt) => !gone.has(hex(salt)))
        expect((await reach(campaign, { master, salts: left })).secrets).not.toContain(secret)
        for (const one of own)
          expect((await reach(campaign, { master, salts: [...left, one] })).secrets).toContain(
            secret,
          )
      }
      // A recoverable one needs none: it cannot be destroyed, and nobody says so.
      const { secrets } = await reach(campaign, { master })
      for (const { secret, version } of madeVersions(tenant))
        expect(secrets.has(secret)).toBe(hex(version.keyring) !== hex(mail.id))
    })
  },
)

it('4 erasure (what is built: no command destroys a version yet): the salt and the private key of a package that was replaced are gone, at the deriver and at the client', async () => {
  await checkLives(fc.constant([]), 1, async (campaign) => {
    const device = await campaign.join()
    const saltOf = (): Bytes =>
      campaign.store.get<{ channel_salt: Bytes }>('SELECT channel_salt FROM devices')!.channel_salt
    const isOnDisk = (salt: Bytes): boolean =>
      campaign.files().some((file) => readFileSync(file).includes(Buffer.from(salt)))
    const [before, old] = [saltOf(), (await device.store.read())!.package]
    expect(isOnDisk(before)).toBe(true)
    await campaign.run({ do: 'wait', days: HALF_PACKAGE + STEPS })
    expect([isOnDisk(before), isOnDisk(saltOf())]).toEqual([false, true])
    const { packages } = (await device.store.read())!
    expect(packages.map(({ hash }) => hex(hash))).not.toContain(hex(old))
    expect(packages).toHaveLength(1)
  })
})
