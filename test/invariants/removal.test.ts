// What no key may be, whatever happens to a tenant: one that was there before, or one that a removed member can reach.
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { closure } from '../lib/attacker.ts'
import { checkLives, type Campaign, type Device } from '../lib/campaign.ts'
import { careless, commands, LIMIT } from '../lib/commands.ts'
import { keysInUse, madeKeks, madeVersions } from '../lib/made-keys.ts'
import { outcome } from '../lib/stepped-client.ts'
import { NAMES } from '../lib/whole-path.ts'

it(
  '1 no re-use: no key-encryption key and no version secret is made twice, also by a deriver that was set back',
  { timeout: LIMIT },
  async () => {
    const kinds = ['join', 'rotate', 'remove', 'step', 'backup', 'restore', 'instances'] as const
    const lives = commands(14, [...kinds]).chain((life) =>
      fc.tuple(fc.constant(life), fc.array(careless, { maxLength: 2 })).map(([a, b]) => mix(a, b)),
    )
    await checkLives(lives, 6, async (campaign, life) => {
      const { tenant } = campaign.path
      const made = new Set<string>()
      let rows = new Set<string>()
      const look = (isRestored: boolean): void => {
        const keys = [...madeKeks(tenant), ...madeVersions(tenant)]
        // After a restore there are the old rows, and what was made since it.
        const before = isRestored ? backup : rows
        const fresh = keys.filter(({ row }) => !before.has(row))
        for (const { secret } of fresh) {
          expect(made).not.toContain(secret)
          made.add(secret)
        }
        rows = new Set(keys.map(({ row }) => row))
      }
      let backup = rows
      look(false)
      for (const command of life) {
        await campaign.run(command)
        look(command.do === 'restore' && backup.size > 0)
        if (command.do === 'backup') backup = rows
      }
    })
  },
)

/** Some of the second spread over the first. */
function mix<T>(first: readonly T[], second: readonly T[]): T[] {
  const gap = Math.ceil((first.length + 1) / (second.length + 1))
  return second.reduceRight<T[]>(
    (list, one, i) => list.toSpliced(gap * (i + 1), 0, one),
    [...first],
  )
}

/** All that these devices ever had, with all that the relay ever saw. */
const reachOf = ({ path }: Campaign, devices: readonly Device[]) =>
  closure(path.tenant.trust.tenant, path.relay.objects.values(), {
    packages: devices.flatMap(({ store }) => store.leak()),
  })

it(
  '2 removed stays out: what is encrypted after the bound is under no key that follows from all that removed members and the relay ever saw',
  { timeout: LIMIT },
  async () => {
    await checkLives(commands(24), 6, async (campaign, life) => {
      const { path, devices } = campaign
      const check = async (): Promise<void> => {
        const removed = devices.filter((one) => one.removed !== null)
        // A deriver that has done its step tells nobody to encrypt under what they can reach.
        const { secrets } = await reachOf(campaign, removed)
        for (const { id } of campaign.keyrings()) {
          const { kek, version } = keysInUse(path.tenant, id)
          expect(secrets).not.toContain(kek)
          expect(secrets).not.toContain(version)
        }
        const gone = removed.filter((one) => campaign.now > one.removed!.at + one.removed!.bound)
        const { keyIds } = await reachOf(campaign, gone)
        for (const { client } of campaign.present)
          for (const name of NAMES) expect(keyIds).not.toContain(await client.encryptsUnder(name))
      }
      // Somebody has to be there to be removed, and somebody to stay.
      for (let i = 0; i < 3; i++) await campaign.join()
      for (const command of [...life, { do: 'remove', who: 0 } as const]) {
        await campaign.run(command)
        await check()
      }
      await campaign.settle()
      await check()
      // It is no empty word: those who stay encrypt, and they and the attacker's own keys are as good as they say.
      const [honest] = campaign.present
      const all = await reachOf(campaign, [honest!])
      for (const { id, name } of campaign.keyrings()) {
        const { keyId, version } = keysInUse(path.tenant, id)
        expect(await honest!.client.encryptsUnder(name)).toBe(keyId)
        expect(all.secrets).toContain(version)
        expect(all.keyIds).toContain(keyId)
        const message = await honest!.client.keyring(name).encrypt('new')
        for (const { client } of devices.filter((one) => one.removed !== null)) {
          const code = await outcome(() => client.keyring(name).decrypt(message))
          expect(code).toBeOneOf(['ERR_UNKNOWN_KEY', 'ERR_STALE', 'ERR_STATE'])
        }
      }
    })
  },
)
