// What a deriver never does: sign a version twice, take for new what it was sent before.
import * as fc from 'fast-check'
import { expect, it, onTestFinished } from 'vitest'
import { createKeyring } from '../../deriver/keyrings.ts'
import { markChanged, type Store } from '../../deriver/store.ts'
import { type RequestBody } from '../../shared/deriver-calls.ts'
import { fromUtf8, hex, type Bytes } from '../../shared/bytes.ts'
import { encodeEnvelope } from '../../shared/envelope.ts'
import { sha256 } from '../../shared/hash.ts'
import { type HeadBody } from '../../shared/release.ts'
import { toJson } from '../lib/calls.ts'
import { Campaign, checkLives } from '../lib/campaign.ts'
import { check, commands, LIMIT } from '../lib/commands.ts'
import { makeClient, makeRequest } from '../lib/tenant.ts'
import { DAY } from '../lib/whole-path.ts'

/** The database for a process that is killed before it writes so many times. */
function killed(store: Store, writes: number): Store {
  let left = writes
  const live = (): void => {
    if (left-- <= 0) throw new Error('killed')
  }
  return {
    ...store,
    run(...statement) {
      live()
      store.run(...statement)
    },
    transaction(work) {
      live()
      return store.transaction(work)
    },
  }
}

it(
  '10 one head version is one byte string, whatever instances step side by side and wherever one of them is killed',
  { timeout: LIMIT },
  async () => {
    const lives = commands(12, [
      'join',
      'rotate',
      'remove',
      'step',
      'backup',
      'restore',
      'instances',
      'refuse',
    ])
    let [heads, deaths] = [0, 0]
    await checkLives(lives, 5, async (campaign, life) => {
      const { path } = campaign
      const bytes = new Map<string, string>()
      const see = (incarnation: number, version: number, envelope: Bytes): void => {
        const name = `${incarnation} ${version}`
        const before = bytes.get(name) ?? hex(envelope)
        expect(hex(envelope)).toBe(before)
        bytes.set(name, before)
      }
      const look = (): void => {
        const rows = campaign.store.all<{ incarnation: number; version: number; envelope: Bytes }>(
          'SELECT * FROM heads WHERE envelope IS NOT NULL',
        )
        for (const { incarnation, version, envelope } of rows) see(incarnation, version, envelope)
        for (const { head } of [...path.relay.pushes, ...path.relay.refused]) {
          const { incarnation, version } = JSON.parse(fromUtf8(head.payload)) as HeadBody
          see(incarnation, version, encodeEnvelope(head))
        }
      }
      for (const [i, command] of life.entries()) {
        await campaign.run(command)
        const first = path.service
        const writes = (7 * i + 3 * life.length) % 17
        await path.startService({ store: killed(campaign.store, writes) })
        const dying = path.service
        path.service = first
        markChanged(campaign.store)
        const [dead, alive] = await Promise.allSettled([dying.step(), campaign.step()])
        if (alive.status === 'rejected') throw alive.reason
        if (dead.status === 'rejected') deaths++
        look()
      }
      heads += bytes.size
    })
    expect([heads, deaths].every((n) => n > 3)).toBe(true)
  },
)

/** All that a request can change at a deriver, by table. */
function changeable({ store }: Campaign): Record<string, string> {
  const tables = [
    'devices',
    'members',
    'packages',
    'generations',
    'versions',
    'keyrings',
    'requests',
    'log',
  ]
  return Object.fromEntries(
    tables.map((table) => [table, hex(sha256(toJson(store.all(`SELECT * FROM ${table}`))))]),
  )
}

it(
  '12 package replay: a request or a package that comes again, at any time and in any company, makes no welcome, no cell and no other change',
  { timeout: LIMIT },
  async () => {
    const lives = commands(10, [
      'join',
      'join',
      'round',
      'rotate',
      'remove',
      'step',
      'wait',
      'instances',
    ])
    let replays = 0
    await checkLives(lives, 5, async (campaign, life) => {
      const { relay, tenant } = campaign.path
      const again = new Set<RequestBody>()
      await campaign.join()
      // Somebody who is refused, too: that is answered once.
      const rules = ['keyferry://client.acme.example/other']
      const { id } = createKeyring(tenant.store, { name: 'other', rules }, campaign.now)
      const stranger = await makeClient(tenant, 'stranger', 'X25519')
      relay.requests.push(await makeRequest(tenant, stranger, [id]))
      for (const [i, command] of life.entries()) {
        await campaign.run(command)
        campaign.pass([0, 30, 700, 2 * DAY][i % 4]!)
        await campaign.step()
        const before = changeable(campaign)
        const welcomes = [...relay.objects.values()].filter(isWelcome).length
        const sent = relay.requests.filter((one) => !again.has(one))
        for (const [at, { request }] of sent.entries()) {
          // With the package that came with it, and with one that came with another.
          for (const { package: keyPackage } of new Set([
            sent[at]!,
            sent[(at * 5 + i) % sent.length]!,
          ])) {
            const replay = { package: keyPackage, request }
            again.add(replay)
            relay.requests.push(replay)
          }
        }
        await campaign.step()
        expect(changeable(campaign)).toEqual(before)
        expect([...relay.objects.values()].filter(isWelcome)).toHaveLength(welcomes)
        // Every cell is for the newest package of its device.
        const behind = tenant.store.all(
          'SELECT 1 FROM members m JOIN packages p ON p.key_id = m.device WHERE substr(m.leaf, 1, 32) <> p.hash',
        )
        expect(behind).toEqual([])
      }
      replays += again.size
    })
    expect(replays).toBeGreaterThan(10)
  },
)

it(
  '12 package replay: a request that the relay kept back until its package was replaced makes no welcome and no cell, in any order',
  { timeout: LIMIT },
  async () => {
    const order = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 500 }))
    await check(
      fc.asyncProperty(order, async ([renewals, delay]) => {
        const campaign = await Campaign.start()
        onTestFinished(() => campaign.end())
        const { path } = campaign
        const { relay } = path
        await campaign.join()
        // Its first requests stay at the relay: each names a package that a new certificate replaces.
        relay.isHolding = true
        const device = await campaign.join()
        for (let i = 0; i < renewals; i++) {
          campaign.pass(30)
          relay.isHolding = i < renewals - 1
          const { client, identity, name } = device
          await client.session.renewed(await path.identityOf(name, identity.key))
          await client.round()
        }
        await campaign.step()
        await device.client.round()
        expect(await device.client.encryptsUnder('notes')).toMatch(/^[0-9a-f]{64}$/)
        expect(relay.held).toHaveLength(renewals + 1)
        campaign.pass(delay)
        await campaign.step()
        const { requests: _, log: __, ...before } = changeable(campaign)
        relay.requests.push(...relay.held)
        await campaign.step()
        expect(changeable(campaign)).toMatchObject(before)
      }),
      4,
    )
  },
)

const isWelcome = (object: Bytes): boolean =>
  Buffer.from(object.subarray(0, 7)).toString() === 'KFWELCM'
