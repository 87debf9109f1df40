/** A thief who copied the private key of a key package, and a relay that kept everything there ever was. */
import { expect, it } from 'vitest'
import { createKeyring, type KeyringRow } from '../../deriver/keyrings.ts'
import { emptyLog } from '../../deriver/log.ts'
import { publish } from '../../deriver/publish.ts'
import { decodeBundle, decodeMember } from '../../shared/bundle.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { documentHash } from '../../shared/envelope.ts'
import { sha256 } from '../../shared/hash.ts'
import { openWelcome, unwrapCell, unwrapName } from '../../shared/unwrap.ts'
import { ask, codeOf, maintenance, tenant, useTenant } from '../lib/deriver.ts'
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
