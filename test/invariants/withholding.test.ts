// What a relay gains by showing old documents, each by itself, and a crash by happening between any two writes of a client.
import { expect, it } from 'vitest'
import { fromUtf8, hex, type Bytes } from '../../shared/bytes.ts'
import { compareVersions, decodeManifest } from '../../shared/manifest.ts'
import { type HeadBody } from '../../shared/release.ts'
import { checkLives, type Campaign } from '../lib/campaign.ts'
import { commands, LIMIT } from '../lib/commands.ts'
import { createCrashingStore } from '../lib/crashing-store.ts'
import { type Pushed } from '../lib/hiding-relay.ts'
import { keysInUse } from '../lib/made-keys.ts'
import { expectNotBelow } from '../lib/monotone.ts'
import { SteppedClient } from '../lib/stepped-client.ts'
import { expiryOf, NAMES, withoutHead } from '../lib/whole-path.ts'

it(
  '6 monotone state: incarnation, head, trust document, catalog, manifests and lists never fall, whatever the relay mixes and at whichever write the client crashes',
  { timeout: LIMIT },
  async () => {
    const kinds = [
      'join',
      'rotate',
      'remove',
      'step',
      'wait',
      'backup',
      'restore',
      'hide',
      'mix',
      'mix',
      'show',
    ] as const
    let crashes = 0
    await checkLives(commands(14, [...kinds]), 4, async (campaign, life) => {
      const store = createCrashingStore(expectNotBelow)
      const identity = await campaign.path.identityOf('crashing')
      const options = campaign.optionsOf(identity, 'crashing', store)
      let client = new SteppedClient(options)
      /** A round that ends at each of its writes, before and after it took effect, and each time a new client from what is stored. */
      const round = async (): Promise<void> => {
        for (let at = 0, isOver = false; !isOver; at++) {
          for (const moment of ['before', 'after'] as const) {
            store.arm(at, moment)
            await client.round()
            isOver = !store.disarm()
            if (isOver) break
            crashes++
            // What is not stored is not used.
            const stored = await store.read()
            expect(client.session.state.revision).toBeLessThanOrEqual(stored?.revision ?? 0)
            client = new SteppedClient({ ...options, identity: client.identity })
          }
        }
      }
      for (const command of life) {
        await campaign.run(command)
        await round()
        await campaign.step()
        await round()
      }
      await campaign.settle()
      for (let i = 0; i < 2; i++) {
        await round()
        await campaign.path.stepToHead()
      }
      await client.round()
      for (const { id, name } of campaign.keyrings())
        expect(await client.encryptsUnder(name)).toBe(keysInUse(campaign.path.tenant, id).keyId)
    })
    expect(crashes).toBeGreaterThan(10)
  },
)

/** Key ids that a push lets clients encrypt under, by name, and until when; seconds. */
interface Shown {
  until: number
  keyIds: Map<string, string>
}

const known = new WeakMap<Pushed, Shown>()

function shownBy(
  { path }: Campaign,
  rings: readonly { id: Bytes; name: string }[],
  push: Pushed,
): Shown {
  const before = known.get(push)
  if (before !== undefined) return before
  const { relay, tenant } = path
  const keyIds = new Map<string, string>()
  for (const { id, name } of rings) {
    const { release } = relay.shows(push, new Uint8Array(id))!
    const { versions } = decodeManifest(relay.objects.get(hex(release.manifest))!)
    const version = versions.find((one) => compareVersions(one, release.encrypt) === 0)!
    keyIds.set(name, hex(version.keyId))
  }
  const until = Math.min(expiryOf(push.head), expiryOf(push.catalog)) + tenant.trust.body.skew
  known.set(push, { until, keyIds })
  return { until, keyIds }
}

it(
  '8 bounded withholding: whatever mixture of old documents a relay gives, nobody encrypts under what no unexpired head and catalog name',
  { timeout: LIMIT },
  async () => {
    const kinds = [
      'join',
      'round',
      'rotate',
      'remove',
      'step',
      'instances',
      'hide',
      'mix',
      'show',
      'refuse',
    ] as const
    let used = 0
    await checkLives(commands(20, [...kinds]), 5, async (campaign, life) => {
      const { path } = campaign
      const rings = campaign.keyrings()
      for (let i = 0; i < 2; i++) await campaign.join()
      for (const command of life) {
        await campaign.run(command)
        const good = path.relay.pushes
          .map((push) => shownBy(campaign, rings, push))
          .filter(({ until }) => until >= campaign.now)
        for (const { client, store, name: device } of campaign.present) {
          await client.round()
          // A client that lost what it had accepted has the time alone.
          const lost = await withoutHead(store)
          const stateless = new SteppedClient(campaign.optionsOf(client.identity, device, lost))
          await stateless.round()
          for (const name of NAMES) {
            for (const keyId of [
              await client.encryptsUnder(name),
              await stateless.encryptsUnder(name),
            ]) {
              if (keyId.startsWith('ERR_')) continue
              used++
              expect(good.map(({ keyIds }) => keyIds.get(name))).toContain(keyId)
            }
          }
        }
      }
    })
    expect(used).toBeGreaterThan(10)
  },
)

it('8 bounded withholding: a manifest that was withdrawn is encrypted under until its head ends, and not one second longer', async () => {
  await checkLives(commands(6, ['join', 'rotate', 'step']), 3, async (campaign, life) => {
    const { path } = campaign
    const { client } = await campaign.join()
    for (const command of life) await campaign.run(command)
    await campaign.settle()
    const last = path.relay.pushes.at(-1)!
    const { until, keyIds } = shownBy(campaign, campaign.keyrings(), last)
    path.relay.shown = path.relay.pushes.length - 1
    await campaign.run({ do: 'rotate', keyring: 0 })
    await campaign.run({ do: 'step', seconds: 700 })
    expect(path.relay.pushes.length).toBeGreaterThan(path.relay.shown + 1)
    const at = async (seconds: number): Promise<string> => {
      path.tenant.clock.now = seconds
      await client.round()
      return client.encryptsUnder('notes')
    }
    expect(await at(until)).toBe(keyIds.get('notes'))
    expect(await at(until + 1)).toBe('ERR_STALE')
    const { issuedAt, expiresAt } = JSON.parse(fromUtf8(last.head.payload)) as HeadBody
    expect(until - issuedAt).toBe(expiresAt - issuedAt + path.tenant.trust.body.skew)
  })
})
