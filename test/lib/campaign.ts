/** What the commands of a life do to a real deriver, real clients and a hostile relay on one clock. */
import { copyFileSync, rmSync } from 'node:fs'
import * as fc from 'fast-check'
import { revocationBound } from '../../deriver/bound.ts'
import { createKeyring, rotateKeyring, type KeyringRow } from '../../deriver/keyrings.ts'
import { currentCrls } from '../../deriver/publish.ts'
import { revokeCertificate, revokeClient } from '../../deriver/revocation.ts'
import { type Service } from '../../deriver/service.ts'
import { appConfig } from '../../deriver/status.ts'
import { caStorePath, openStore, storePath, type Store } from '../../deriver/store.ts'
import { publishTrust } from '../../deriver/trust-change.ts'
import { newestTrust } from '../../deriver/trust.ts'
import { type AppConfigJson } from '../../shared/config.ts'
import { type Envelope } from '../../shared/envelope.ts'
import { isKeyferryError } from '../../shared/errors.ts'
import { type Identity } from '../../web/index.ts'
import { type Store as ClientStore } from '../../web/store.ts'
import { check, type Command } from './commands.ts'
import {
  createLeakyStore,
  SteppedClient,
  type LeakyStore,
  type SteppedOptions,
} from './stepped-client.ts'
import { makeTenant } from './tenant.ts'
import { DAY, NAMES, WholePath } from './whole-path.ts'

/** Checks a property of lives: lists of commands, each in a tenant of its own. */
export function checkLives(
  lives: fc.Arbitrary<Command[]>,
  runs: number,
  live: (campaign: Campaign, life: readonly Command[]) => Promise<void>,
): Promise<void> {
  const property = fc.asyncProperty(lives, async (life) => {
    const campaign = await Campaign.start()
    try {
      await live(campaign, life)
    } finally {
      campaign.end()
    }
  })
  return check(property, runs)
}

/** A device, as long as it lives. Times are seconds. */
export interface Device {
  name: string
  client: SteppedClient
  store: LeakyStore
  identity: Identity
  /** When it was revoked, and after how long nobody encrypts under what it had. */
  removed: { at: number; bound: number } | null
}

const MAX_DEVICES = 6

const uriOf = ({ name }: Device): string => `keyferry://client.acme.example/${name}`

/** Whether there was nothing to revoke. */
async function isUnknown(revoke: () => unknown): Promise<boolean> {
  try {
    await revoke()
    return false
  } catch (error) {
    if (!isKeyferryError(error, 'ERR_NOT_FOUND')) throw error
    return true
  }
}

export class Campaign {
  readonly path: WholePath
  readonly devices: Device[] = []
  /** Every trust document, as the customer files them. */
  readonly trusts: Envelope[]
  #second: { store: Store; service: Service } | null = null
  #hasBackup = false
  #config!: AppConfigJson

  private constructor(path: WholePath) {
    this.path = path
    this.trusts = [path.tenant.trust.envelope]
  }

  static async start(): Promise<Campaign> {
    // Two suites that differ in cost only; X-Wing has tests of its own.
    const campaign = new Campaign(new WholePath(await makeTenant({ suites: ['X25519'] })))
    const { path } = campaign
    for (const name of NAMES) {
      const kind = name === 'mail' ? 'erasable' : 'recoverable'
      createKeyring(
        path.tenant.store,
        { name, rules: ['keyferry://client.acme.example/*'], kind },
        path.now(),
      )
    }
    await path.startService()
    await path.service.step()
    campaign.#config = await appConfig(path.tenant.store)
    return campaign
  }

  end(): void {
    this.#second?.store.close()
    this.path.tenant.remove()
  }

  get store(): Store {
    return this.path.tenant.store
  }

  get now(): number {
    return this.path.now()
  }

  get present(): Device[] {
    return this.devices.filter(({ removed }) => removed === null)
  }

  keyrings(): KeyringRow[] {
    return this.store.all<KeyringRow>('SELECT * FROM keyrings ORDER BY name')
  }

  pass(seconds: number): void {
    this.path.tenant.clock.now += seconds
  }

  /** A step of every instance, side by side. */
  async step(): Promise<void> {
    await Promise.all([this.path.service.step(), this.#second?.service.step()])
  }

  /** What a client of an identity is made of, over a store. */
  optionsOf(identity: Identity, name: string, store: ClientStore): SteppedOptions {
    return {
      config: this.#config,
      identity,
      store,
      fetch: this.path.relay.fetch,
      now: this.path.now,
      renew: ({ key }) => this.path.identityOf(name, key),
    }
  }

  /** A new device becomes a member; `lifetime` is its certificate's, in seconds. */
  async join(lifetime?: number): Promise<Device> {
    const name = `device-${this.devices.length}`
    const identity = await this.path.identityOf(name, undefined, lifetime)
    const store = createLeakyStore()
    const device = {
      name,
      identity,
      store,
      client: new SteppedClient(this.optionsOf(identity, name, store)),
      removed: null,
    }
    this.devices.push(device)
    await device.client.round()
    await this.step()
    await device.client.round()
    return device
  }

  async rounds(): Promise<void> {
    for (const { client } of this.devices) await client.round()
  }

  #showTruth(): void {
    const { relay } = this.path
    relay.shown = undefined
    relay.twist = (delivery) => delivery
  }

  /** Everyone is shown the truth, and comes up to date. */
  async settle(): Promise<void> {
    this.#showTruth()
    this.path.relay.isRefusing = false
    for (let i = 0; i < 3; i++) {
      await this.path.stepToHead()
      await this.rounds()
    }
  }

  async #remove(device: Device): Promise<void> {
    const { path } = this
    const trust = await newestTrust(this.store)
    const bound = revocationBound(this.store, trust, this.now).direct
    const { certificates } = device.client.identity
    // By URI, or by certificate where a restored database knows the URI no more.
    if (await isUnknown(() => revokeClient(this.store, uriOf(device), this.now)))
      await revokeCertificate(this.store, certificates[0]!, this.now)
    device.removed = { at: path.now(), bound }
    this.pass(1 + (this.now % 50))
    await this.step()
  }

  async #wait(days: number): Promise<void> {
    for (let day = 0; day < days; day += 3) {
      this.pass(3 * DAY)
      await this.step()
      await this.rounds()
      // Packages that are due move now.
      await this.step()
      await this.rounds()
    }
  }

  #files(): [string, string][] {
    const { directory } = this.path.tenant
    return [storePath(directory), caStorePath(directory)].map((file) => [file, `${file}.backup`])
  }

  /** What lies on the disk: everything is in these files, nothing beside them. */
  files(): string[] {
    for (const name of ['main', 'ca']) this.store.get(`PRAGMA ${name}.wal_checkpoint(TRUNCATE)`)
    return this.#files().map(([file]) => file)
  }

  #backup(): void {
    this.files()
    for (const [file, copy] of this.#files()) copyFileSync(file, copy)
    this.#hasBackup = true
  }

  async #restore(files: 'deriver' | 'both', raise: boolean): Promise<void> {
    if (!this.#hasBackup) return
    const { tenant } = this.path
    const lists = currentCrls(this.store).map(({ issuer, number }) => ({
      issuer: new Uint8Array(issuer),
      number,
    }))
    this.#second?.store.close()
    tenant.store.close()
    for (const [file, copy] of this.#files().slice(0, files === 'both' ? 2 : 1)) {
      for (const end of ['-wal', '-shm']) rmSync(file + end, { force: true })
      copyFileSync(copy, file)
    }
    tenant.store = openStore(storePath(tenant.directory))
    const { body } = await newestTrust(tenant.store)
    for (const one of this.trusts.slice(body.number))
      await publishTrust(tenant.store, one, this.now)
    if (files === 'both') await this.#revokeAgain()
    if (raise) await this.raise(lists)
    await this.path.startService()
    if (this.#second !== null) await this.#startSecond()
    await this.step()
  }

  /** What the backup does not know, the administrator does. */
  async #revokeAgain(): Promise<void> {
    for (const { removed, client } of this.devices) {
      if (removed === null) continue
      await isUnknown(() =>
        revokeCertificate(this.store, client.identity.certificates[0]!, this.now),
      )
    }
  }

  /** A trust document with the next incarnation, which asks for these lists at least. */
  async raise(lowestCrls: { issuer: Uint8Array<ArrayBuffer>; number: number }[]): Promise<void> {
    const { body } = await newestTrust(this.store)
    const times = { issuedAt: this.now, expiresAt: this.now + 365 * DAY }
    await this.path.changeTrust({ ...times, incarnation: body.incarnation + 1, lowestCrls })
    this.trusts.push((await newestTrust(this.store)).envelope)
  }

  async #startSecond(): Promise<void> {
    const { path } = this
    const store = openStore(storePath(path.tenant.directory))
    const first = path.service
    await path.startService({ store })
    this.#second = { store, service: path.service }
    path.service = first
  }

  async #instances(count: 1 | 2): Promise<void> {
    if (count === 2 && this.#second === null) await this.#startSecond()
    if (count === 1 && this.#second !== null) {
      this.#second.store.close()
      this.#second = null
    }
  }

  /** Does one thing. What makes no sense now does nothing. */
  async run(command: Command): Promise<void> {
    const { relay, tenant } = this.path
    const { devices, present } = this
    switch (command.do) {
      case 'join':
        if (devices.length < MAX_DEVICES) await this.join()
        return
      case 'round':
        await devices[command.who % Math.max(1, devices.length)]?.client.round()
        return
      case 'rotate':
        rotateKeyring(tenant.store, NAMES[command.keyring]!, this.now)
        return
      case 'remove':
        if (present.length > 1) await this.#remove(present[command.who % present.length]!)
        return
      case 'step':
        this.pass(command.seconds)
        return this.step()
      case 'wait':
        return this.#wait(command.days)
      case 'backup':
        return this.#backup()
      case 'restore':
        return this.#restore(command.files, command.raise)
      case 'instances':
        return this.#instances(command.count)
      case 'hide':
        relay.shown = Math.max(0, relay.pushes.length - 1 - command.back)
        return
      case 'mix':
        relay.twist = (_, ask) => relay.mix(ask, command.back)
        return
      case 'show':
        this.#showTruth()
        return
      case 'refuse':
        relay.isRefusing = command.isOn
        return
      case 'leak':
    }
  }
}
