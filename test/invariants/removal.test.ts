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
    const some = commands(7, ['join', 'rotate', 'remove', 'step', 'instances'])
    const restores = fc.oneof(
      careless,
      fc.constant({ do: 'restore', files: 'deriver', raise: true } as const),
    )
    const lives = fc
      .tuple(some, some, restores, some)
      .map(([first, lost, restore, then]) => [
        ...first,
        { do: 'backup' } as const,
        ...lost,
        restore,
        ...then,
      ])
    await checkLives(lives, 6, async (campaign, life) => {
      const { tenant } = campaign.path
      const made = new Set<string>()
      let rows = new Set<string>()
      const look = (): void => {
        const keys = [...madeKeks(tenant), ...madeVersions(tenant)]
        const fresh = keys.filter(({ row }) => !rows.has(row))
        for (const { secret } of fresh) {
          expect(made).not.toContain(secret)
          made.add(secret)
        }
        rows = new Set(keys.map(({ row }) => row))
      }
      let backup = rows
      await campaign.join()
      look()
      for (const command of life) {
        await campaign.run(command)
        if (command.do === 'backup') backup = rows
        // Then there are the old rows again, and what was made since; what was lost is not forgotten.
        if (command.do === 'restore') rows = backup
        look()
      }
    })
  },
)

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
