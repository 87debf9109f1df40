/** A tenant under load: real derivers, real clients, and a note of everything that the relay acknowledged. */
import { issueDeriver } from '../../deriver/ca.ts'
import {
  appConfig,
  createKeyring,
  openDeriver,
  rotateKeyring,
  type Deriver,
  type RelayReport,
} from '../../deriver/index.ts'
import { readCa } from '../../deriver/key-files.ts'
import { revokeClient } from '../../deriver/revocation.ts'
import { type AppConfigJson } from '../../shared/config.ts'
import { Acknowledged, findLost } from './acknowledged.ts'
import { KEYRING, Member } from './member.ts'
import { initAcme } from '../lib/init-acme.ts'

export interface TenantOptions {
  /** Of the tenant's files. */
  directory: string
  relay: string
  invite: string
  /** Derivers that work side by side. */
  instances?: number
  /** Of clients' certificates; seconds. */
  lifetime?: number
  violate: (what: string) => void
}

const now = (): number => Math.floor(Date.now() / 1000)
const DAY = 86_400

export class LoadTenant {
  readonly acknowledged = new Acknowledged()
  readonly members: Member[] = []
  /** Those that were revoked. */
  readonly left: Member[] = []
  readonly derivers: Deriver[] = []
  /** Codes that relays gave derivers, with how many. */
  readonly errors = new Map<string, number>()
  readonly #options: TenantOptions
  readonly #stop = new AbortController()
  #running: Promise<void>[] = []
  #config!: AppConfigJson
  #joined = 0

  private constructor(options: TenantOptions) {
    this.#options = options
  }

  /** Enrols it with one keyring. */
  static async start(options: TenantOptions): Promise<LoadTenant> {
    const tenant = new LoadTenant(options)
    const { directory, relay, invite, instances = 1 } = options
    await initAcme(directory, [relay])
    for (let i = 1; i <= instances; i++) {
      const deriver = await openDeriver({
        directory,
        passphrase: null,
        invite,
        instance: `deriver-${i}`,
        fetch: tenant.acknowledged.watch(),
        report(event) {
          if (event.type !== 'relay-error') return
          tenant.errors.set(event.code, (tenant.errors.get(event.code) ?? 0) + 1)
        },
      })
      tenant.derivers.push(deriver)
    }
    createKeyring(
      tenant.store,
      { name: KEYRING, rules: ['keyferry://client.acme.example/*'] },
      now(),
    )
    tenant.#config = await appConfig(tenant.store)
    await tenant.derivers[0]!.step()
    return tenant
  }

  get store(): Deriver['store'] {
    return this.derivers[0]!.store
  }

  get id(): string {
    return this.derivers[0]!.tenant
  }

  /** Version of the newest head that was acknowledged. */
  get head(): number {
    return Math.max(0, ...this.acknowledged.heads.keys())
  }

  /** Lets the derivers run by themselves. */
  run(): void {
    this.#running = this.derivers.map((deriver) => deriver.run(this.#stop.signal))
  }

  rotate(): void {
    rotateKeyring(this.store, KEYRING, now())
  }

  /** A further client; throws what its first fetch throws. */
  async join(): Promise<Member> {
    const { directory, lifetime = 30 * DAY, violate } = this.#options
    const member = await Member.start(`member-${++this.#joined}`, {
      directory,
      store: this.store,
      config: this.#config,
      lifetime,
      now,
      violate,
    })
    this.members.push(member)
    return member
  }

  /** Takes one out; its client still runs. */
  revoke(member: Member): void {
    revokeClient(this.store, member.uri, now())
    this.members.splice(this.members.indexOf(member), 1)
    this.left.push(member)
  }

  /** Whether a revoked client's device has left every keyring. */
  hasLeft({ uri }: Member): boolean {
    const sql = 'SELECT 1 FROM members m JOIN devices d ON d.key_id = m.device WHERE d.uri = ?'
    return this.store.get(sql, uri) === undefined
  }

  /** The highest version that any deriver has begun to sign. */
  get begun(): number {
    return this.store.get<{ version: number }>('SELECT max(version) AS version FROM heads')!.version
  }

  /** Verifies everything that the relay stores, and that what it acknowledged is there. Problems are violations. */
  async check(relay = this.#options.relay): Promise<RelayReport> {
    const { directory, violate } = this.#options
    const before = this.acknowledged.snapshot()
    const report = await this.derivers[0]!.check(relay)
    for (const problem of report.problems) violate(`fsck: ${problem}`)
    const issuer = await readCa(directory, 'ca-deriver', null)
    const uri = 'keyferry://deriver.acme.example/check'
    const signer = await issueDeriver(this.store, issuer, uri, now())
    const access = { url: relay, tenant: this.id, signer: () => signer, now }
    for (const healed of this.acknowledged.healed.splice(0)) violate(healed)
    for (const lost of await findLost(before, access, report.head?.version ?? 0))
      violate(`acknowledged, and lost: ${lost}`)
    return report
  }

  /** Ends clients and derivers. */
  async close(): Promise<void> {
    for (const { client } of [...this.members, ...this.left]) client.close()
    this.#stop.abort()
    await Promise.all(this.#running)
    for (const deriver of this.derivers) deriver.close()
  }
}
