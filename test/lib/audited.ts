/** A tenant with a life that its log tells: clients come and go, keys rotate, and heads are signed. */
import { createKeyring, rotateKeyring } from '../../deriver/keyrings.ts'
import { emptyLog } from '../../deriver/log.ts'
import { publish } from '../../deriver/publish.ts'
import { handleRequest } from '../../deriver/requests.ts'
import { revokeClient } from '../../deriver/revocation.ts'
import { createMaintenance } from '../../deriver/maintain.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { type Envelope } from '../../shared/envelope.ts'
import { makeClient, makeRequest, type TestTenant } from './tenant.ts'

const RULE = 'keyferry://client.acme.example/*'

/** Signs the next head, a minute later. */
export async function nextHead(tenant: TestTenant): Promise<Envelope> {
  const { store, keys, trust, clock } = tenant
  clock.now += 60
  return (await publish(store, keys, trust, emptyLog(), clock.now, 3_600)).head
}

/** A client that asks for a keyring. */
async function join(tenant: TestTenant, name: string, keyring: Bytes): Promise<void> {
  const { store, keys, trust, clock } = tenant
  const request = await makeRequest(tenant, await makeClient(tenant, name), [keyring])
  await handleRequest(store, keys, trust, request, clock.now)
}

/** Takes a client out of everything. */
async function remove(tenant: TestTenant, name: string): Promise<void> {
  const { store, keys, trust, clock, clients, derivers } = tenant
  revokeClient(store, `keyferry://client.acme.example/${name}`, clock.now)
  const deriving = { root: keys.root, tenant: trust.tenant }
  const cas = { client: clients, deriver: derivers }
  await createMaintenance(store, deriving, cas, () => {})(clock.now, trust)
}

/**
 * notes: ada from version 1, ben from 2 (with 1), ada out: version 3 for ben, cy from then on; mail: nobody. Six heads and more.
 */
export async function live(tenant: TestTenant): Promise<{ notes: Bytes; heads: Envelope[] }> {
  const { store, clock } = tenant
  const heads: Envelope[] = []
  const { id: notes } = createKeyring(store, { name: 'notes', rules: [RULE] }, clock.now)
  heads.push(await nextHead(tenant))
  await join(tenant, 'ada', notes)
  heads.push(await nextHead(tenant))
  rotateKeyring(store, 'notes', clock.now)
  heads.push(await nextHead(tenant), await nextHead(tenant))
  await join(tenant, 'ben', notes)
  heads.push(await nextHead(tenant))
  await remove(tenant, 'ada')
  heads.push(await nextHead(tenant))
  createKeyring(store, { name: 'mail', rules: ['keyferry://client.acme.example/x'] }, clock.now)
  await join(tenant, 'cy', notes)
  heads.push(await nextHead(tenant))
  return { notes, heads }
}
