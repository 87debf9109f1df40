/** Keyferry in this page: an identity with a certificate from Acme's own server, and its keyrings. */
import { hex } from '../../shared/bytes.ts'
import { decodeBundle } from '../../shared/bundle.ts'
import { parseAppConfig, type AppConfigJson } from '../../shared/config.ts'
import { sha256 } from '../../shared/hash.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { createIdentity, enrollAt, loadIdentity, renewBy } from '../../web/enroll.ts'
import { type Identity } from '../../web/identity.ts'
import { connect, openIndexedDbStore, type Keyferry, type Keyring } from '../../web/index.ts'
import { encryptLimit } from '../../web/state.ts'
import { type Store, type StoredState } from '../../web/store.ts'
import { type Server } from './api.ts'
import { codeOf, explain } from './codes.ts'
import { type Through } from './transfer.ts'

type Bytes = Uint8Array<ArrayBuffer>

/** What the page shows of its identity. */
export interface IdentityFacts {
  uri: string
  algorithm: string
  isExtractable: boolean
  fingerprint: string
  /** Seconds. */
  validUntil: number
}

/** What the page shows of a keyring. */
export interface KeyringFacts {
  name: string
  /** 0 before the first key. */
  version: number
  generation: number
  state: string
}

/** How long a head counts. Seconds. */
export interface Freshness {
  lifetime: number
  /** That clocks may differ by. */
  skew: number
  /** The last second at which this browser encrypts under the newest head it accepted. */
  until: number
}

/** What is needed to become a client. */
export interface ClientOptions {
  server: Server
  name: string
  say: (text: string) => void
}

const LONGEST_WAIT = 60_000

/** Becomes a client. The keys come later. */
export async function connectClient({ server, name, say }: ClientOptions): Promise<Client> {
  const config = (await server.config()) as AppConfigJson
  // Each identity of this browser has a store of its own.
  const store = await openIndexedDbStore(`keyferry-${config.tenant.slice(0, 8)}-${name}`)
  const enroll = enrollAt('/enroll', { headers: { 'keyferry-demo': name } })
  say('A key that cannot leave this browser, certified by Acme …')
  const identity =
    (await loadIdentity({ store })) ?? (await createIdentity({ name, store, enroll }))
  say('Waiting for the keys from Acme’s deriver …')
  const keyferry = await connect({ config, identity, store, renew: renewBy(enroll) })
  const ids = [...parseAppConfig(config).keyrings].map(([ring, id]) => [ring, hex(id)] as const)
  return new Client(keyferry, identity, store, new Map(ids))
}

/** A client as the page uses it. */
export class Client {
  readonly #keyferry: Keyferry
  readonly #store: Store
  /** Keyring ids in hex by name. */
  readonly #ids: ReadonlyMap<string, string>
  readonly #keyrings = new Map<string, Keyring>()
  readonly #failures = new Map<string, unknown>()
  readonly #listeners: (() => void)[] = []
  #state: StoredState | null = null
  readonly identity: IdentityFacts
  /** Milliseconds from `connect` to the first key. */
  firstKey: number | null = null

  constructor(
    keyferry: Keyferry,
    { key, certificates }: Identity,
    store: Store,
    ids: ReadonlyMap<string, string>,
  ) {
    const { uris, notAfter } = parseCertificate(certificates[0]!)
    this.identity = {
      uri: uris[0] ?? '',
      algorithm: key.alg === 'ES256' ? 'P-256' : key.alg,
      isExtractable: key.key.extractable,
      fingerprint: hex(sha256(certificates[0]!)),
      validUntil: notAfter,
    }
    this.#keyferry = keyferry
    this.#store = store
    this.#ids = ids
    keyferry.on('ready', ({ milliseconds }) => {
      this.firstKey = milliseconds
      this.#tell()
    })
    for (const event of ['state', 'change', 'key'] as const) keyferry.on(event, () => this.#tell())
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** Asks for every keyring of the app config. Resolves when each is there or refused. */
  async open(): Promise<void> {
    const one = async (name: string): Promise<void> => {
      try {
        this.#keyrings.set(name, await this.#keyferry.keyring(name, { timeout: LONGEST_WAIT }))
        this.#failures.delete(name)
      } catch (error) {
        this.#failures.set(name, error)
      }
      this.#tell()
    }
    await Promise.all(this.#keyferry.keyrings.map(one))
  }

  /** What is stored now. */
  async stored(): Promise<StoredState | null> {
    this.#state = await this.#store.read()
    return this.#state
  }

  /** Version of the newest head accepted; 0 before the first. */
  get head(): number {
    return this.#state?.accepted?.head.version ?? 0
  }

  /** How fresh what was accepted is; all 0 before the first head. */
  get freshness(): Freshness {
    const accepted = this.#state?.accepted ?? null
    if (accepted === null) return { lifetime: 0, skew: 0, until: 0 }
    const { issuedAt, expiresAt } = accepted.head
    const { skew } = accepted.trust.body
    return { lifetime: expiresAt - issuedAt, skew, until: encryptLimit(accepted) }
  }

  /** Why a keyring is not there. */
  get failure(): { code: string; text: string } | null {
    const [error] = this.#failures.values()
    return error === undefined ? null : { code: codeOf(error), text: explain(error) }
  }

  keyrings(): KeyringFacts[] {
    return this.#keyferry.keyrings.toSorted().map((name) => {
      const keyring = this.#keyrings.get(name)
      const failed = this.#failures.has(name) ? 'not available' : 'pending'
      return {
        name,
        version: keyring?.version ?? 0,
        generation: this.#generation(name),
        state: keyring?.state ?? failed,
      }
    })
  }

  #generation(name: string): number {
    const view = this.#state?.keyrings[this.#ids.get(name) ?? '']?.view
    return view ? decodeBundle(view.bundle).generation : 0
  }

  #keyring(name: string): Keyring {
    const keyring = this.#keyrings.get(name)
    if (keyring === undefined) throw this.#failures.get(name) ?? new Error('the key is on its way')
    return keyring
  }

  async encrypt(keyring: string, text: string, context: string): Promise<Bytes> {
    return this.#keyring(keyring).encrypt(text, { context })
  }

  /** Decrypts. With `ask`, the relay is asked once more for a key that is not here yet. */
  async decrypt(keyring: string, message: Bytes, context: string, ask: boolean): Promise<string> {
    const options = { context, as: 'text' } as const
    try {
      return await this.#keyring(keyring).decrypt(message, options)
    } catch (error) {
      if (!ask || codeOf(error) !== 'ERR_UNKNOWN_KEY') throw error
      // What the relay answers does not matter: the key is there afterwards, or it is not.
      await this.#keyferry.refresh().catch(() => {})
      return this.#keyring(keyring).decrypt(message, options)
    }
  }

  /** Does what an app does all the time: fetches, then encrypts. The code that it fails with; empty if it does not. */
  async probe(): Promise<string> {
    try {
      await this.#keyferry.refresh()
      await this.encrypt('notes', 'probe', 'demo/probe')
      return ''
    } catch (error) {
      return codeOf(error)
    }
  }

  encryptThrough(keyring: string, context: string): Through {
    const stream = this.#keyring(keyring).encryptStream({ context })
    return (plain) => plain.pipeThrough(stream) as ReadableStream<Bytes>
  }

  decryptThrough(keyring: string, context: string): Through {
    const stream = this.#keyring(keyring).decryptStream({ context })
    return (sealed) => sealed.pipeThrough(stream) as ReadableStream<Bytes>
  }
}
