/** A tenant for each test of the deriver, and what its tests ask of it. */
import { afterEach, beforeEach } from 'vitest'
import { createMaintenance } from '../../deriver/maintain.ts'
import { createKeyring, type KeyringRow } from '../../deriver/keyrings.ts'
import { handleRequest, type Outcome } from '../../deriver/requests.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { isKeyferryError, type ErrorCode } from '../../shared/errors.ts'
import { type TrustDocument } from '../../shared/trust.ts'
import { makeRequest, makeTenant, type TestClient, type TestTenant } from './tenant.ts'

/** The open tenant and the id of its keyring "notes", anew for each test. */
export let tenant: TestTenant
export let notes: Bytes

/** Call it at the top of a test file. */
export function useTenant(): void {
  beforeEach(async () => {
    tenant = await makeTenant()
    notes = createKeyring(
      tenant.store,
      { name: 'notes', rules: ['keyferry://client.acme.example/*'] },
      tenant.clock.now,
    ).id
  })
  afterEach(() => {
    tenant.remove()
  })
}

export async function ask(
  client: TestClient,
  keyrings: Bytes[] = [notes],
  nonce?: Bytes,
): Promise<Outcome> {
  const request = await makeRequest(tenant, client, keyrings, nonce)
  return handleRequest(tenant.store, tenant.keys, tenant.trust, request, tenant.clock.now)
}

export async function codeOf(work: Promise<unknown>): Promise<ErrorCode | 'none'> {
  try {
    await work
    return 'none'
  } catch (error) {
    if (isKeyferryError(error)) return error.code
    throw error
  }
}

export function ring(): KeyringRow {
  return tenant.store.get<KeyringRow>('SELECT * FROM keyrings WHERE id = ?', notes)!
}

export function leaves(): { device: Bytes; leaf: Bytes }[] {
  return tenant.store.all('SELECT device, leaf FROM members WHERE keyring = ? ORDER BY slot', notes)
}

export const deriving = () => ({ root: tenant.keys.root, tenant: tenant.trust.tenant })

export function maintenance(): (now: number, trust?: TrustDocument) => Promise<void> {
  const { store, clients, derivers } = tenant
  const cas = { client: clients, deriver: derivers }
  const maintain = createMaintenance(store, deriving(), cas, () => {})
  return (now, trust = tenant.trust) => maintain(now, trust)
}

export function members(): string[] {
  return tenant.store
    .all<{ uri: string }>(
      'SELECT d.uri FROM members m JOIN devices d ON d.key_id = m.device WHERE m.keyring = ? ORDER BY m.slot',
      notes,
    )
    .map((row) => row.uri)
}
