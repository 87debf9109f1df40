/**
 * The tenants of this relay, so that its operator can list them: an object cannot be asked which others there are. No call of a tenant gets here but its enrolment;
 * a tenant's alarm enters it again, should it be missing.
 */
import { DurableObject } from 'cloudflare:workers'

/** Entries of one answer. */
const PAGE = 1_000

/** One tenant. Times are seconds. */
export interface Entry {
  tenant: string
  enrolledAt: number
}

export class Registry extends DurableObject<Env> {
  async add(tenant: string, now: number): Promise<void> {
    const { storage } = this.ctx
    if ((await storage.get(tenant)) === undefined) await storage.put(tenant, now)
  }

  async remove(tenant: string): Promise<void> {
    await this.ctx.storage.delete(tenant)
  }

  /** Entries after a tenant id, in their order; `next` is where to go on, or `null`. */
  async list(after: string, limit = PAGE): Promise<{ next: string | null; tenants: Entry[] }> {
    const found = await this.ctx.storage.list<number>({
      ...(after === '' ? {} : { startAfter: after }),
      limit: limit + 1,
    })
    const all = [...found].map(([tenant, enrolledAt]) => ({ tenant, enrolledAt }))
    const tenants = all.slice(0, limit)
    return { next: all.length > limit ? tenants.at(-1)!.tenant : null, tenants }
  }
}
