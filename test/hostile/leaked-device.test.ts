/** A thief who copied the private key of a key package, and a relay that kept everything there ever was. */
import { expect, it } from 'vitest'
import { createKeyring, rotateKeyring, type KeyringRow } from '../../deriver/keyrings.ts'
import { emptyLog } from '../../deriver/log.ts'
import { renewGeneration } from '../../deriver/members.ts'
import { publish } from '../../deriver/publish.ts'
import { listRekeys, orderRekey } from '../../deriver/rekey.ts'
import { handleRequest } from '../../deriver/requests.ts'
import { decodeBundle, decodeMember } from '../../shared/bundle.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { sha256 } from '../../shared/hash.ts'
import { unwrapCell, unwrapName } from '../../shared/unwrap.ts'
import { openWelcome } from '../../shared/welcome.ts'
import { closure, type Leaked } from '../lib/attacker.ts'
import { Campaign } from '../lib/campaign.ts'
import { ask, codeOf, maintenance, tenant, useTenant } from '../lib/deriver.ts'
import { keysInUse } from '../lib/made-keys.ts'
import { makeClient, makePackage, type TestClient } from '../lib/tenant.ts'

useTenant()

const DAY = 86_400

function row(id: Bytes): KeyringRow {
  return tenant.store.get<KeyringRow>('SELECT * FROM keyrings WHERE id = ?', id)!
}

function objectOf(hash: Bytes): Bytes {
  return new Uint8Array(
    tenant.store.get<{ body: Bytes }>('SELECT body FROM objects WHERE hash = ?', hash)!.body,
  )
}

/** The only member leaf of a keyring, and the bundle beside it, as the relay has them. */
async function shown(id: Bytes) {
  const { store, keys, trust, clock } = tenant
  await publish(store, keys, trust, emptyLog(), clock.now, 3_600)
  const { leaf } = store.get<{ leaf: Bytes }>('SELECT leaf FROM members WHERE keyring = ?', id)!
  return {
    leaf: decodeMember(new Uint8Array(leaf)),
    bundle: decodeBundle(objectOf(row(id).bundle!)),
  }
}

/** The channel of a leaf, opened with the key of a package. */
function channelOf(client: TestClient, { leaf }: Awaited<ReturnType<typeof shown>>) {
  return openWelcome(objectOf(leaf.welcomeHash), leaf, {
    tenant: tenant.trust.tenant,
    fingerprint: sha256(client.certificates[0]!),
    packageHash: documentHash(client.keyPackage),
    key: client.recipient,
  })
}

it('W13 a leaked package key · relay + thief of the old key · opens nothing after the next package and the next generation', async () => {
  const { store, clock } = tenant
  const rules = ['keyferry://client.acme.example/*']
  const { id } = createKeyring(store, { name: 'n', rules, generationMaxAge: DAY }, clock.now)
  const old = await makeClient(tenant, 'ada')
  await ask(old, [id])
  const before = await shown(id)
  const { key: channel } = await channelOf(old, before)
  const kek = await unwrapCell(channel, before.leaf.cell)
  expect(await unwrapName(kek, before.bundle)).toBe('n')

  // The next package alone heals nothing: the key-encryption key is the same one.
  const next = { ...old, ...(await makePackage(tenant, old, 2)) }
  await ask(next, [id])
  const rotated = await shown(id)
  expect(await codeOf(unwrapCell(channel, rotated.leaf.cell))).toBe('ERR_OPEN')
  expect(await unwrapName(kek, rotated.bundle)).toBe('n')

  clock.now += DAY + 1
  await maintenance()(clock.now)
  const after = await shown(id)
  const { key: own } = await channelOf(next, after)
  expect(await unwrapName(await unwrapCell(own, after.leaf.cell), after.bundle)).toBe('n')
  expect(await codeOf(channelOf(old, after))).toBe('ERR_OPEN')
  expect(await codeOf(unwrapCell(channel, after.leaf.cell))).toBe('ERR_OPEN')
  expect(await codeOf(unwrapName(kek, after.bundle))).toBe('ERR_OPEN')
})

/** What a thief reaches who copied all that a device held, with all that the relay ever saw. */
const reached = async ({ path }: Campaign, packages: Leaked['packages'] = []) =>
  (await closure(path.tenant.trust.tenant, path.relay.objects.values(), { packages })).secrets

const generations = (campaign: Campaign): number[] =>
  campaign.keyrings().map(({ generation }) => generation)

/** A version of "notes" that is made now, and whether the thief reaches it once it is published. */
async function reachesNext(campaign: Campaign, leaked: Leaked['packages']): Promise<boolean> {
  rotateKeyring(campaign.store, 'notes', campaign.now)
  await campaign.path.stepToHead()
  const { id } = campaign.keyrings().find(({ name }) => name === 'notes')!
  return (await reached(campaign, leaked)).has(keysInUse(campaign.path.tenant, id).version)
}

it('W13 [deriver-11] a leaked device · relay + thief of all that it held · reaches nothing new after client rekey, which a relay can delay and not fake', async () => {
  const campaign = await Campaign.start()
  try {
    const { relay } = campaign.path
    const device = await campaign.join()
    const leaked = device.store.leak()
    const other = await campaign.join()
    expect(await reachesNext(campaign, leaked)).toBe(true)
    const before = generations(campaign)
    const uri = `keyferry://client.acme.example/${device.name}`
    expect(orderRekey(campaign.store, { uri }, campaign.now)).toHaveLength(1)

    // While the relay keeps the demand to itself nothing is done in the wrong order.
    await campaign.settle()
    expect(relay.refusals.length).toBeGreaterThan(0)
    expect(generations(campaign)).toEqual(before)
    expect(listRekeys(campaign.store)).toHaveLength(1)

    relay.givesRefusals = true
    await campaign.settle()
    expect(listRekeys(campaign.store)).toEqual([])
    expect(generations(campaign)).toEqual(before.map((one) => one + 1))
    expect(await reachesNext(campaign, leaked)).toBe(false)
    // Those that are honest go on.
    await campaign.settle()
    const { id } = campaign.keyrings().find(({ name }) => name === 'notes')!
    const { keyId } = keysInUse(campaign.path.tenant, id)
    for (const { client } of [device, other])
      expect(await client.encryptsUnder('notes')).toBe(keyId)

    // The same demand again moves nobody: it names a package that is gone.
    const { packageVersion } = (await device.store.read())!
    expect(packageVersion).toBe(2)
    await campaign.settle()
    expect((await device.store.read())!.packageVersion).toBe(2)
    expect((await other.store.read())!.packageVersion).toBe(1)
  } finally {
    campaign.end()
  }
})

it('W13 [deriver-11] neither the next package nor the next generation alone takes a leaked device’s keys away', async () => {
  for (const alone of ['package', 'generation'] as const) {
    const campaign = await Campaign.start()
    try {
      const device = await campaign.join()
      const leaked = device.store.leak()
      const { store, path } = campaign
      const deriving = { root: path.tenant.keys.root, tenant: path.tenant.trust.tenant }
      if (alone === 'generation') {
        store.transaction(() => {
          for (const { id } of campaign.keyrings())
            renewGeneration(store, deriving, id, campaign.now, () => true)
        })
      } else {
        path.relay.givesRefusals = true
        orderRekey(store, { uri: `keyferry://client.acme.example/${device.name}` }, campaign.now)
        await campaign.step()
        await device.client.round()
        // The new package is in; the generation is what the next step begins.
        await handleRequest(
          store,
          path.tenant.keys,
          path.tenant.trust,
          path.relay.requests.at(-1)!,
          campaign.now,
        )
        store.run('DELETE FROM rekeys')
        expect((await device.store.read())!.packageVersion).toBe(2)
      }
      expect(await reachesNext(campaign, leaked)).toBe(true)
    } finally {
      campaign.end()
    }
  }
})
