/** The whole path on one clock: real CA, deriver and clients, and between them a relay that can hide. For each test anew. */
import { afterEach, beforeEach } from 'vitest'
import { issueClient } from '../../deriver/ca.ts'
import { createKeyring } from '../../deriver/keyrings.ts'
import { markChanged } from '../../deriver/store.ts'
import {
  createService,
  type Service,
  type ServiceEvent,
  type ServiceOptions,
} from '../../deriver/service.ts'
import { appConfig } from '../../deriver/status.ts'
import { makeDraft, publishTrust, signDraft } from '../../deriver/trust-change.ts'
import { newestTrust } from '../../deriver/trust.ts'
import { createCsr } from '../../shared/csr.ts'
import { fromUtf8, hex } from '../../shared/bytes.ts'
import { type Envelope } from '../../shared/envelope.ts'
import { parseMessageHeader } from '../../shared/message.ts'
import { generateSigningKey, type SigningKey } from '../../shared/signature.ts'
import { type TrustBody } from '../../shared/trust.ts'
import {
  connect,
  createMemoryStore,
  type ConnectOptions,
  type Identity,
  type Keyferry,
} from '../../web/index.ts'
import { type Store } from '../../web/store.ts'
import { HidingRelay } from './hiding-relay.ts'
import { makeTenant, type TestTenant } from './tenant.ts'

export const DAY = 86_400
export const NAMES = ['notes', 'mail']
export const DERIVER = 'keyferry://deriver.acme.example/deriver-1'

export class WholePath {
  readonly relay = new HidingRelay()
  events: ServiceEvent[] = []
  service!: Service
  readonly tenant: TestTenant
  readonly #open: Keyferry[] = []

  constructor(tenant: TestTenant) {
    this.tenant = tenant
    this.relay.trusts = [tenant.trust.envelope]
  }

  readonly now = (): number => this.tenant.clock.now

  /** A deriver over the tenant's database, in place of the one before; with its CAs, unless said otherwise. */
  async startService(options: Partial<ServiceOptions> = {}): Promise<void> {
    const { store, keys, derivers, clients } = this.tenant
    this.service = await createService({
      store,
      root: keys.root,
      authority: keys.authority,
      signer: { issuer: derivers, uri: DERIVER },
      issuers: { deriver: derivers, client: clients },
      now: this.now,
      fetch: this.relay.fetch,
      report: (event) => this.events.push(event),
      ...options,
    })
  }

  /** The same without the keys of the CAs: no lists, no deriver certificates. */
  startWithoutCas(): Promise<void> {
    return this.startService({ signer: this.tenant.keys.signer, issuers: {} })
  }

  /** A certificate of the built-in CA for a key, by default a new one; `lifetime` in seconds. */
  async identityOf(name: string, key?: SigningKey, lifetime?: number): Promise<Identity> {
    const own = key ?? (await generateSigningKey('ES256', false))
    const csr = await createCsr(own, name)
    const uri = `keyferry://client.acme.example/${name}`
    const { store, clients } = this.tenant
    const certificate = await issueClient(store, clients, csr, uri, this.now(), lifetime)
    return { key: own, certificates: [certificate] }
  }

  /** Connects with a state, by default none. */
  async connect(
    identity: Identity,
    store: Store = createMemoryStore(),
    more: Partial<ConnectOptions> = {},
  ): Promise<Keyferry> {
    const client = await connect({
      config: await appConfig(this.tenant.store),
      identity,
      store,
      fetch: this.relay.fetch,
      now: this.now,
      WebSocket: null,
      ...more,
    })
    this.#open.push(client)
    return client
  }

  /** Waits for work, with the deriver at its own beside it. */
  async during<T>(work: Promise<T>): Promise<T> {
    const progress = { isDone: false }
    const ended = work.finally(() => {
      progress.isDone = true
    })
    // Its error is for the caller, who waits for the same.
    ended.catch(() => {})
    while (!progress.isDone) {
      await this.service.step()
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    return ended
  }

  /** Lets the deriver work until something is so, which takes a client some rounds. */
  async until(isSo: () => boolean): Promise<void> {
    for (let round = 0; !isSo(); round++) {
      if (round === 200) throw new Error('it never was so')
      await this.service.step()
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  /** Connects and gets every keyring. */
  async join(identity: Identity, store?: Store): Promise<Keyferry> {
    const client = await this.connect(identity, store)
    await this.during(Promise.all(NAMES.map((name) => client.keyring(name))))
    return client
  }

  /** A step in which a head is signed. */
  async stepToHead(): Promise<void> {
    markChanged(this.tenant.store)
    await this.service.step()
  }

  /** Publishes the next trust document, signed with these keys. */
  async changeTrust(
    changes: Partial<TrustBody>,
    keys: readonly SigningKey[] = this.tenant.keys.authority,
  ): Promise<void> {
    const current = await newestTrust(this.tenant.store)
    const next = { number: current.body.number + 1, previous: current.hash, tenant: current.tenant }
    let draft = makeDraft({ ...current.body, ...next, ...changes }, current)
    for (const key of keys) draft = await signDraft(draft, key, current)
    await publishTrust(this.tenant.store, draft, this.now())
  }

  /** Key ids of all versions that have been in a bundle so far, in hex. */
  keyIds(): string[] {
    return this.tenant.store
      .all<{ key_id: Uint8Array | null }>('SELECT key_id FROM versions')
      .flatMap(({ key_id }) => (key_id === null ? [] : [hex(key_id)]))
  }

  closeClients(): void {
    for (const client of this.#open.splice(0)) client.close()
  }
}

/** The path of the present test. */
export let path: WholePath

/** Call it at the top of a test file. */
export function useWholePath(): void {
  beforeEach(async () => {
    path = new WholePath(await makeTenant())
    for (const name of NAMES)
      createKeyring(
        path.tenant.store,
        {
          name,
          rules: ['keyferry://client.acme.example/*'],
          kind: name === 'mail' ? 'erasable' : 'recoverable',
        },
        path.now(),
      )
    await path.startService()
  })
  afterEach(() => {
    path.closeClients()
    path.tenant.remove()
  })
}

/** The key id that a client encrypts a message of a keyring under now, or why it does not. */
export async function tryEncrypt(client: Keyferry, name: string): Promise<string> {
  try {
    const message = await (await client.keyring(name, { timeout: 2_000 })).encrypt('new')
    return hex(parseMessageHeader(message).keyId)
  } catch (error) {
    return (error as { code: string }).code
  }
}

/** When a head ends, in seconds. */
export function expiryOf(head: Envelope): number {
  return (JSON.parse(fromUtf8(head.payload)) as { expiresAt: number }).expiresAt
}

/** What a client has that kept its keys and lost whatever it had accepted. */
export async function withoutHead(store: Store): Promise<Store> {
  const state = (await store.read())!
  const lost = createMemoryStore()
  await lost.write({ ...state, accepted: null, head: new Uint8Array(), keyrings: {} })
  return lost
}
