/** The relay inside workerd, and a look into the storage of its tenants. */
import { env } from 'cloudflare:workers'
import { runInDurableObject } from 'cloudflare:test'
import { documentHash } from '../../shared/document-hash.ts'
import { decodeEnvelope, encodeEnvelope } from '../../shared/envelope.ts'
import { sha256 } from '../../shared/hash.ts'
import { type TrustBody } from '../../shared/trust.ts'
import app, { type Tenant } from '../../worker/index.ts'
import { standingTag } from '../../worker/store.ts'
import { INVITE, type Relay } from '../lib/calls.ts'
import { renewTrust, type World } from '../lib/world.ts'

/** The gateway, called without a socket and without a rate limit. */
export const relay: Relay = {
  url: new URL('https://relay.example'),
  fetch: async (url, init) => {
    const { RATE: _, ...rest } = env
    return app.fetch(new Request(url, init), {
      ...rest,
      INVITES: INVITE,
    })
  },
}

export function stubOf(tenant: string): DurableObjectStub<Tenant> {
  return env.TENANT.getByName(tenant)
}

/** A trust document that another isolate of the gateway brought: this one knows nothing of it. */
export async function changeElsewhere(world: World, edit: Partial<TrustBody>): Promise<void> {
  const next = await renewTrust(world, edit)
  const [hash, envelope] = [documentHash(next), encodeEnvelope(next)]
  const { number } = world.trust
  const code = await stubOf(world.tenant).addTrust({ number, hash, envelope }, true)
  if (code !== null) throw new Error(code)
}

/** The tag of the documents by which the tenant admits now. */
export async function tagOf(tenant: string): Promise<string> {
  const { trust, crls } = await stubOf(tenant).readDocuments()
  return standingTag(documentHash(decodeEnvelope(trust.at(-1)!)), crls.map(sha256))
}

/** Runs SQL in a tenant's storage. */
export function query(
  tenant: string,
  sql: string,
  ...bindings: unknown[]
): Promise<Record<string, SqlStorageValue>[]> {
  return runInDurableObject(stubOf(tenant), (_, state) =>
    state.storage.sql.exec(sql, ...bindings).toArray(),
  )
}

/** Rows that were read and written. */
export interface Rows {
  read: number
  written: number
}

/** Counts the rows of everything that the tenant's object does until `stop`. */
export async function countRows(tenant: string): Promise<{ stop: () => Promise<Rows> }> {
  const cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = []
  await runInDurableObject(stubOf(tenant), (_, state) => {
    const { sql } = state.storage
    const exec = sql.exec.bind(sql)
    Object.defineProperty(sql, 'exec', {
      configurable: true,
      value: (text: string, ...bindings: unknown[]) => {
        const cursor = exec(text, ...bindings)
        cursors.push(cursor)
        return cursor
      },
    })
  })
  const stop = (): Promise<Rows> =>
    runInDurableObject(stubOf(tenant), (_, state) => {
      Reflect.deleteProperty(state.storage.sql, 'exec')
      const sum = (pick: (cursor: (typeof cursors)[number]) => number): number =>
        cursors.reduce((total, cursor) => total + pick(cursor), 0)
      return {
        read: sum((cursor) => cursor.rowsRead),
        written: sum((cursor) => cursor.rowsWritten),
      }
    })
  return { stop }
}
