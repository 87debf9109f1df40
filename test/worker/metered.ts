/** The relay with tenants that count: rows by the cursor's own numbers, which Cloudflare bills by, and calls of the object. */
import app from '../../worker/app.ts'
import { Tenant as Real } from '../../worker/tenant.ts'
import { type Count } from '../bench/prices.ts'

type Cursor = SqlStorageCursor<Record<string, SqlStorageValue>>

export class Tenant extends Real {
  #cursors: Cursor[] = []
  calls = 0

  constructor(ctx: DurableObjectState, env: Env) {
    const { sql } = ctx.storage
    const exec = sql.exec.bind(sql)
    const cursors: Cursor[] = []
    Object.defineProperty(sql, 'exec', {
      value: (text: string, ...bindings: unknown[]) => {
        const cursor = exec(text, ...bindings)
        cursors.push(cursor)
        return cursor
      },
    })
    super(ctx, env)
    this.#cursors = cursors
  }

  /** Counts and begins anew. */
  count(): Count {
    const sum = (pick: (cursor: Cursor) => number): number =>
      this.#cursors.reduce((total, cursor) => total + pick(cursor), 0)
    const count = {
      calls: this.calls,
      read: sum((one) => one.rowsRead),
      written: sum((one) => one.rowsWritten),
    }
    this.#cursors.length = 0
    this.calls = 0
    return count
  }
}

const prototype = Real.prototype as unknown as Record<string, unknown>
for (const name of Object.getOwnPropertyNames(prototype)) {
  const method = prototype[name]
  if (name === 'constructor' || typeof method !== 'function') continue
  Object.defineProperty(Tenant.prototype, name, {
    value(this: Tenant, ...given: unknown[]): unknown {
      this.calls++
      return Reflect.apply(method, this, given)
    },
  })
}

app.get('/count/:tenant', async (c) => {
  const stub = c.env.TENANT.getByName(c.req.param('tenant')) as unknown as DurableObjectStub<Tenant>
  return Response.json(await stub.count())
})

export default app
export { Registry } from '../../worker/registry.ts'
