// What a copy of a device, or of the master secret, is good for, and for how long.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { orderDestruction } from '../../deriver/destroy.ts'
import { keyPath } from '../../deriver/key-files.ts'
import { rotateKeyring } from '../../deriver/keyrings.ts'
import { readKeyFile } from '../../deriver/secret.ts'
import { readStatus } from '../../deriver/status.ts'
import { hex, type Bytes } from '../../shared/bytes.ts'
import { type StoredPackage } from '../../web/store.ts'
import { closure, type Leaked } from '../lib/attacker.ts'
import { checkLives, type Campaign } from '../lib/campaign.ts'
import { commands, LIMIT } from '../lib/commands.ts'
import { keysInUse, madeVersions } from '../lib/made-keys.ts'
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

/** Notes every salt that a database ever holds, in a temporary table beside it. Returns those that there were. */
function noteSalts({ store }: Campaign): () => Bytes[] {
  store.run('CREATE TEMP TABLE seen (salt BLOB PRIMARY KEY)')
  for (const [table, column] of [
    ['versions', 'salt'],
    ['generations', 'salt'],
    ['devices', 'channel_salt'],
  ] as const) {
    store.run(`INSERT OR IGNORE INTO temp.seen SELECT ${column} FROM main.${table}`)
    for (const event of ['INSERT', `UPDATE OF ${column}`])
      store.run(
        `CREATE TEMP TRIGGER ${table}_${event.slice(0, 6)} AFTER ${event} ON main.${table} BEGIN INSERT OR IGNORE INTO seen VALUES (new.${column}); END`,
      )
  }
  return () =>
    store
      .all<{ salt: Bytes }>('SELECT salt FROM temp.seen WHERE length(salt) = 32')
      .map(({ salt }) => new Uint8Array(salt))
}

/** Of all salts that ever were, those whose bytes stand anywhere in any file of the customer's directory, the write-ahead log and key files among them. */
function saltsOnDisk({ path }: Campaign, seen: readonly Bytes[]): Bytes[] {
  const { directory } = path.tenant
  const files = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name)))
  return seen.filter((salt) => files.some((file) => file.includes(Buffer.from(salt))))
}

/** What every device's store holds now, also of those that were removed. */
async function packagesNow({ devices }: Campaign): Promise<StoredPackage[]> {
  const states = await Promise.all(devices.map(({ store }) => store.read()))
  return states.flatMap((state) => state?.packages ?? [])
}

it(
  '4 erasure: a destroyed version follows from master secret, disk, relay and all that clients hold no more from its date on, and before that nobody calls it destroyed',
  { timeout: LIMIT },
  async () => {
    const lives = commands(8, ['join', 'round', 'rotate', 'remove', 'step', 'wait'])
    await checkLives(lives, 3, async (campaign, life) => {
      const { path, store } = campaign
      const seen = noteSalts(campaign)
      for (let i = 0; i < 2; i++) await campaign.join()
      for (const command of life) await campaign.run(command)
      await campaign.settle()
      const master = readKeyFile(keyPath(path.tenant.directory, 'master'), 'master', null)
      const mail = campaign.keyrings().find(({ kind }) => kind === 'erasable')!
      const made = madeVersions(path.tenant).filter(
        (one) => hex(one.version.keyring) === hex(mail.id) && one.version.bundled === 1,
      )
      // All but every third, so that some stay.
      const [doomed, kept] = [
        made.filter((_, i) => i % 3 !== 1),
        made.filter((_, i) => i % 3 === 1),
      ]
      const names = doomed.map(({ version }) => `mail@${version.version}`)
      const onDisk = () => saltsOnDisk(campaign, seen())
      const customer = async () => (await reach(campaign, { master, salts: onDisk() })).secrets
      const everyone = async () =>
        (await reach(campaign, { master, salts: onDisk(), packages: await packagesNow(campaign) }))
          .secrets
      const before = await customer()
      for (const { secret } of made) expect(before).toContain(secret)

      const phases = async () =>
        (await readStatus(store, campaign.now)).destructions.map(({ phase }) => phase)
      orderDestruction(store, names, 40 * DAY, campaign.now)
      expect(new Set(await phases())).toEqual(new Set(['ordered']))
      await campaign.settle()
      expect(new Set(await phases())).toEqual(new Set(['erased']))
      const { completes } = (await readStatus(store, campaign.now)).destructions[0]!
      expect(completes).toBeGreaterThanOrEqual(campaign.now + 30 * DAY)
      // The customer's side and the relay have lost it; clients open what a relay kept until their packages end, and there is a date for that.
      const erased = await customer()
      const held = await everyone()
      for (const { secret } of doomed) expect(erased).not.toContain(secret)
      for (const { secret } of kept) expect(erased).toContain(secret)
      expect(doomed.some(({ secret }) => held.has(secret))).toBe(true)

      while (campaign.now + 3 * DAY < completes) {
        await campaign.run({ do: 'wait', days: 3 })
        expect(await phases()).not.toContain('destroyed')
      }
      campaign.pass(completes - 1 - campaign.now)
      await campaign.step()
      expect(await phases()).not.toContain('destroyed')
      campaign.pass(1)
      await campaign.settle()
      expect(new Set(await phases())).toEqual(new Set(['destroyed']))
      const after = await everyone()
      for (const { secret } of doomed) expect(after).not.toContain(secret)
      for (const { secret } of kept) expect(after).toContain(secret)
      // A recoverable one needs no salts: it cannot be destroyed, and nobody says so.
      for (const { secret, version } of madeVersions(path.tenant))
        if (hex(version.keyring) !== hex(mail.id) && version.bundled === 1)
          expect(after).toContain(secret)
      // The keyring itself goes on.
      const [honest] = campaign.present
      expect(await honest!.client.encryptsUnder('mail')).toBe(keysInUse(path.tenant, mail.id).keyId)
    })
  },
)

it('4 erasure: the salt and the private key of a package that was replaced are gone, at the deriver and at the client', async () => {
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
