/** The mixed load: everything that happens in a tenant's life, at once and again and again, with what has to hold all the time. */
import { Member } from '../load/member.ts'
import { type LoadTenant } from '../load/tenant.ts'
import { type Strangers } from './strangers.ts'

/** Members of a tenant. */
const FEWEST = 6
const MOST = 16
/** Messages of a tenant that others decrypt. */
const POOL = 20
/** Milliseconds until everybody must have what a head changed. */
const SETTLE = 60_000

export interface Counts {
  rotations: number
  joins: number
  revocations: number
  restarts: number
  fetches: number
  messages: number
  hostile: number
}

interface Message {
  bytes: Uint8Array<ArrayBuffer>
  text: string
}

const wait = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds))

export class SoakLoad {
  readonly counts: Counts = {
    rotations: 0,
    joins: 0,
    revocations: 0,
    restarts: 0,
    fetches: 0,
    messages: 0,
    hostile: 0,
  }
  readonly #tenants: readonly LoadTenant[]
  readonly #strangers: Strangers
  readonly #violate: (what: string) => void
  readonly #pools = new Map<LoadTenant, Message[]>()
  readonly #running = new Set<Promise<void>>()
  #isOn = true

  constructor(
    tenants: readonly LoadTenant[],
    strangers: Strangers,
    violate: (what: string) => void,
  ) {
    this.#tenants = tenants
    this.#strangers = strangers
    this.#violate = violate
  }

  start(): void {
    for (const tenant of this.#tenants) {
      this.#pools.set(tenant, [])
      for (const member of tenant.members) this.#begin(this.#use(tenant, member))
      this.#every(4_000, async () => this.#rotate(tenant))
      this.#every(5_000, () => this.#join(tenant))
      this.#every(9_000, () => this.#revoke(tenant))
      this.#every(7_000, () => this.#restart(tenant))
    }
    this.#every(40, () => this.#hostile(() => this.#strangers.call()))
    this.#every(1_000, () => this.#hostile(() => this.#strangers.body()))
    this.#every(1_500, () => this.#hostile(() => this.#strangers.socket()))
    this.#every(15_000, () => this.#hostile(() => this.#strangers.slowly(5_000)))
  }

  async stop(): Promise<void> {
    this.#isOn = false
    await Promise.all(this.#running)
  }

  #begin(work: Promise<void>): void {
    const noted = work
      .catch((error: unknown) => this.#violate(`an error in the load: ${String(error)}`))
      .finally(() => this.#running.delete(noted))
    this.#running.add(noted)
  }

  #every(milliseconds: number, work: () => Promise<void>): void {
    this.#begin(
      (async () => {
        while (this.#isOn) {
          await wait(milliseconds * (0.5 + Math.random()))
          if (this.#isOn) await work()
        }
      })(),
    )
  }

  async #rotate(tenant: LoadTenant): Promise<void> {
    tenant.rotate()
    this.counts.rotations++
    await wait(0)
  }

  async #join(tenant: LoadTenant): Promise<void> {
    if (tenant.members.length >= MOST) return
    const member = await tenant.join()
    this.counts.joins++
    this.#begin(this.#use(tenant, member))
  }

  /** Revokes somebody; what others encrypt once they know must be closed to them. */
  async #revoke(tenant: LoadTenant): Promise<void> {
    if (tenant.members.length <= FEWEST) return
    const member = tenant.members[Math.floor(Math.random() * tenant.members.length)]!
    tenant.revoke(member)
    this.counts.revocations++
    const other = await this.#settled(tenant, member)
    if (other !== undefined) {
      const text = `after ${member.name}`
      const message = await other.roundTrip(text)
      const opened =
        message &&
        (await member.attempt('reading when revoked', () =>
          member.keyring.decrypt(message, { as: 'text' }),
        ))
      if (opened && 'value' in opened)
        this.#violate(`${member.name} was revoked, and opens what was encrypted later`)
    }
    member.client.close()
  }

  /** Somebody who accepted a head that was begun when the other one had left: those before may have been on their way. */
  async #settled(tenant: LoadTenant, left: Member): Promise<Member | undefined> {
    let head = Number.POSITIVE_INFINITY
    for (const end = Date.now() + SETTLE; Date.now() < end && this.#isOn; await wait(100)) {
      if (head === Number.POSITIVE_INFINITY && tenant.hasLeft(left)) head = tenant.begun
      const found = tenant.members.find((one) => one.head > head)
      if (found !== undefined) return found
    }
    if (this.#isOn) this.#violate(`${left.name} is revoked, and in ${SETTLE} ms nobody knows`)
    return undefined
  }

  /** An app that is started again on what it stored. */
  async #restart(tenant: LoadTenant): Promise<void> {
    const member = tenant.members[Math.floor(Math.random() * tenant.members.length)]
    if (member === undefined) return
    await member.restart()
    this.counts.restarts++
  }

  async #hostile(work: () => Promise<void>): Promise<void> {
    this.counts.hostile++
    await work()
  }

  /** An app: it encrypts, reads its own and what others wrote, and fetches now and then. */
  async #use(tenant: LoadTenant, member: Member): Promise<void> {
    const pool = this.#pools.get(tenant)!
    for (let n = 0; this.#isOn && tenant.members.includes(member); n++) {
      const text = `${member.name} ${n}`
      const bytes = await member.roundTrip(text)
      if (bytes !== undefined) {
        this.counts.messages++
        pool.push({ bytes, text })
        if (pool.length > POOL) pool.shift()
      }
      const other = pool[Math.floor(Math.random() * pool.length)]
      if (other !== undefined) {
        const read = await member.attempt('reading', () =>
          member.keyring.decrypt(other.bytes, { as: 'text' }),
        )
        if ('value' in read && read.value !== other.text)
          this.#violate(`${member.name} decrypts to something else`)
      }
      if (n % 4 === 0) {
        const fetched = await member.attempt('fetch', () => member.client.refresh())
        if ('value' in fetched) this.counts.fetches++
      }
      await wait(300 + 400 * Math.random())
    }
  }
}
