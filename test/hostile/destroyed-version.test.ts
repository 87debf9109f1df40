/** A relay that goes on showing what there was before a version was destroyed, and a client that is kept from everything newer. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { orderDestruction } from '../../deriver/destroy.ts'
import { readStatus } from '../../deriver/status.ts'
import { hex } from '../../shared/bytes.ts'
import { withoutEnded } from '../../web/state.ts'
import { closure } from '../lib/attacker.ts'
import { Campaign, type Device } from '../lib/campaign.ts'
import { madeVersions } from '../lib/made-keys.ts'
import { outcome } from '../lib/stepped-client.ts'
import { DAY } from '../lib/whole-path.ts'

let campaign: Campaign
beforeEach(async () => {
  campaign = await Campaign.start()
})
afterEach(() => campaign.end())

/** Destroys version 1 of "mail". Returns its secret, and when it is complete. */
async function destroyFirst(): Promise<{ secret: string; completes: number }> {
  const { path, store } = campaign
  const mail = campaign.keyrings().find(({ name }) => name === 'mail')!
  const { secret } = madeVersions(path.tenant).find(
    ({ version }) => hex(version.keyring) === hex(mail.id) && version.version === 1,
  )!
  orderDestruction(store, ['mail@1'], 0, campaign.now)
  await path.stepToHead()
  await campaign.step()
  const [row] = (await readStatus(store, campaign.now)).destructions
  return { secret, completes: row!.completes }
}

/** Whether all that a device holds opens the secret out of what the relay kept. */
async function has(device: Device, secret: string): Promise<boolean> {
  const { path } = campaign
  const { packages } = (await device.store.read())!
  const objects = path.relay.objects.values()
  return (await closure(path.tenant.trust.tenant, objects, { packages })).secrets.has(secret)
}

it('3.3 destroyed version: the relay hides the destruction from a member · relay · it reads for as long as the old head lets it, and has nothing any more at the date', async () => {
  const device = await campaign.join()
  const message = await device.client.keyring('mail').encrypt('old')
  const { relay } = campaign.path
  relay.shown = relay.pushes.length - 1
  const { secret, completes } = await destroyFirst()
  const read = () => outcome(() => device.client.keyring('mail').decrypt(message))
  await device.client.round()
  expect(await read()).toBe('none')
  expect(await has(device, secret)).toBe(true)
  campaign.pass(2 * DAY)
  expect(await read()).toBe('ERR_STALE')
  campaign.pass(completes - campaign.now)
  await device.client.round()
  expect(await has(device, secret)).toBe(false)
})

it('3.3 destroyed version: the relay lets a member know · relay · nobody decrypts under it from then on', async () => {
  const [device, other] = [await campaign.join(), await campaign.join()]
  const message = await device.client.keyring('mail').encrypt('old')
  await destroyFirst()
  await campaign.rounds()
  for (const { client } of [device, other]) {
    expect(await outcome(() => client.keyring('mail').decrypt(message))).toBe('ERR_KEY_VERSION')
    const next = await client.keyring('mail').encrypt('new')
    expect(await outcome(() => client.keyring('mail').decrypt(next))).toBe('none')
  }
  // What was there before is older than what they have accepted.
  const { relay } = campaign.path
  relay.shown = 1
  for (const { client } of [device, other]) expect(await client.round()).toBe('ERR_ROLLBACK')
})

it('[package-5] a device that was off deletes what had ended before it uses anything, and one without an erasable keyring keeps it', async () => {
  const device = await campaign.join()
  const { relay } = campaign.path
  relay.isDown = true
  const end = (await device.store.read())!.packages[0]!.expiresAt - 1
  campaign.pass(end - campaign.now)
  await device.client.round()
  const state = (await device.store.read())!
  const held = ({ packages }: typeof state) => packages.map(({ hash }) => hex(hash))
  expect(held(state)).toContain(hex(state.package))
  campaign.pass(1)
  expect(await device.client.round()).not.toBe('none')
  const after = (await device.store.read())!
  expect(held(after)).not.toContain(hex(state.package))
  expect(Object.values(after.keyrings).map(({ view }) => view)).toEqual([null, null])
  expect(await outcome(() => device.client.keyring('notes').encrypt('x'))).toBe('ERR_STATE')
  const mail = campaign.keyrings().find(({ name }) => name === 'mail')!
  const { [hex(mail.id)]: _, ...others } = state.keyrings
  const recoverable = { ...state, keyrings: others }
  expect(withoutEnded(recoverable, campaign.now)).toBe(recoverable)
})

it('[package-5] a device that comes back without a package makes one only under a head that a relay shows it now', async () => {
  const device = await campaign.join()
  const { relay } = campaign.path
  const packages = async () => (await device.store.read())!.packages
  campaign.pass((await packages())[0]!.expiresAt - campaign.now)
  relay.isDown = true
  expect(await device.client.round()).toBe('ERR_RELAY')
  expect(await packages()).toEqual([])
  // The one that it was shown last is over.
  relay.isDown = false
  expect(await device.client.round()).not.toBe('none')
  expect(await packages()).toEqual([])
  await campaign.step()
  expect(await device.client.round()).toBe('none')
  expect(await packages()).toHaveLength(1)
})
