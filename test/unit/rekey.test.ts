// A device that may have leaked: what is asked of it, how often, and what follows when.
import { expect, it } from 'vitest'
import { revokeClient } from '../../deriver/revocation.ts'
import { dueDemands, finishRekeys, listRekeys, orderRekey } from '../../deriver/rekey.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { hex } from '../../shared/bytes.ts'
import { sha256 } from '../../shared/hash.ts'
import { keyId } from '../../shared/signature.ts'
import { ask, deriving, maintenance, ring, tenant, useTenant } from '../lib/deriver.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { makeClient, makePackage, type TestClient } from '../lib/tenant.ts'

useTenant()

const order = (who: { uri: string } | { device: string }) =>
  orderRekey(tenant.store, who, tenant.clock.now)
const due = () => dueDemands(tenant.store, tenant.clock.now)
const finish = () => finishRekeys(tenant.store, deriving(), tenant.clock.now)

async function join(name: string): Promise<TestClient> {
  const client = await makeClient(tenant, name)
  await ask(client)
  return client
}

async function rotate(client: TestClient): Promise<void> {
  await ask({ ...client, ...(await makePackage(tenant, client, client.version + 1)) })
}

it('[deriver-11] the generation follows the package, once for all devices that are done, and not before', async () => {
  const [ada, ben, cid] = [await join('ada'), await join('ben'), await join('cid')]
  const { generation } = ring()
  for (const { uri } of [ada, ben, cid]) order({ uri })
  expect(await finish()).toEqual({ uris: [], keyrings: [] })
  expect(ring().generation).toBe(generation)
  await rotate(ada)
  await rotate(ben)
  expect(await finish()).toMatchObject({ keyrings: ['notes'] })
  expect(ring().generation).toBe(generation + 1)
  expect(listRekeys(tenant.store)).toMatchObject([{ uri: cid.uri }])
  expect((await finish()).uris).toEqual([])
  // Who leaves needs no generation of its own: it got one by that.
  revokeClient(tenant.store, cid.uri, tenant.clock.now)
  await maintenance()(tenant.clock.now)
  expect([listRekeys(tenant.store), ring().generation]).toEqual([[], generation + 2])
})

it('[deriver-11] the demand names the package, and is repeated until it is met', async () => {
  const ada = await join('ada')
  order({ uri: ada.uri })
  const [demand] = due()
  expect(demand!.word).toMatchObject({ kind: 'package', keyring: ring().id })
  expect(hex(demand!.word.release)).toBe(hex(documentHash(ada.keyPackage)))
  expect(hex(demand!.word.recipient)).toBe(hex(sha256(ada.certificates[0]!)))
  demand!.isTold()
  expect(due()).toEqual([])
  tenant.clock.now += 600
  expect(due()).toHaveLength(1)
  await rotate(ada)
  expect(due()).toEqual([])
})

it('a device is named by its URI, or by digits that are those of one member', async () => {
  const [ada] = [await join('ada'), await join('ben')]
  const key = hex(await keyId(ada.key.spki))
  expect(order({ device: key.slice(0, 12) })).toMatchObject([{ uri: ada.uri, keyId: key }])
  await expectCode(() => order({ device: 'abc' }), 'ERR_USAGE')
  await expectCode(() => order({ device: '0'.repeat(20) }), 'ERR_NOT_FOUND')
  await expectCode(() => order({ uri: 'keyferry://client.acme.example/x' }), 'ERR_NOT_FOUND')
})
