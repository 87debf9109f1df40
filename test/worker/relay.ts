/** The relay inside workerd, and a look into the storage of its tenants. */
import { env } from 'cloudflare:workers'
import { runInDurableObject } from 'cloudflare:test'
import app, { type Tenant } from '../../worker/index.ts'
import { INVITE, type Relay } from '../lib/calls.ts'

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
