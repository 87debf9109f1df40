/** A client from `connect` to `close`: what an app sees. The work is done in agent.ts (when), session.ts and accept.ts (what). */
import { type Bytes } from '../shared/bytes.ts'
import { parseAppConfig, type AppConfig, type AppConfigJson } from '../shared/config.ts'
import { type Crl } from '../shared/crl.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { lazily } from '../shared/lazy.ts'
import { requireClock } from '../shared/use.ts'
import { Agent } from './agent.ts'
import { createEmitter, type ClientEvents } from './emitter.ts'
import { checkIdentity, loadIdentity, type Identity } from './identity.ts'
import { type KeyringHost } from './keyring-host.ts'
import { Keyring } from './keyring.ts'
import { Renewal } from './renewal.ts'
import { Session } from './session.ts'
import { isCurrent, isUsable } from './state.ts'
import { type Evidence, type Store } from './store.ts'
import { createTransport } from './transport.ts'
import { type WaitOptions } from './waiting.ts'

/** Milliseconds between two fetches for messages under unknown keys. */
const CATCH_UP_GAP = 2_000

/** What {@link connect} needs. */
export interface ConnectOptions {
  /** JSON of `keyferry app-config`. */
  config: AppConfigJson
  /** The one that `createIdentity` stored, by default. */
  identity?: Identity
  /** Where the client's state is kept. */
  store: Store
  fetch?: typeof fetch
  /** Seconds since 1970, by this device's clock. */
  now?: () => number
  /**
   * Brings a new certificate for the same key, from two thirds of the old one's life on: `renewBy(enrollAt('/enroll'))` of `keyferry/enroll`. Without it the
   * app renews.
   */
  renew?: (identity: Identity) => Promise<Identity>
  /** Closes the client. */
  signal?: AbortSignal
  /** For the event stream; `null` to poll only. */
  WebSocket?: typeof WebSocket | null
}

/**
 * A client of a tenant. It begins with what the store holds; the network is used from the first keyring on.
 *
 * Throws `ERR_SCHEMA` for another config, `ERR_STATE` for the store of another tenant or one without identity, `ERR_CERT_PROFILE` when key and
 * certificate do not belong together, `ERR_IO`.
 *
 * @example
 * const keyferry = await connect({ config, store: await openIndexedDbStore() })
 * const notes = await keyferry.keyring('notes')
 * const message = await notes.encrypt('Hello')
 */
export async function connect(options: ConnectOptions): Promise<Keyferry> {
  const { store } = options
  const config = parseAppConfig(options.config)
  const identity = options.identity ?? (await loadIdentity({ store }))
  if (identity === null) throw new KeyferryError('ERR_STATE', 'no identity: createIdentity first')
  await checkIdentity(identity)
  const client = Keyferry.of(config, identity, options)
  await client.load()
  return client
}

/** Made by {@link connect}. */
export class Keyferry {
  readonly #config: AppConfig
  readonly #session: Session
  readonly #agent: Agent
  readonly #now: () => number
  readonly #emitter = createEmitter<ClientEvents>()
  readonly #closing = new AbortController()
  readonly #began = performance.now()
  /** Warns of a store that ends with the page. */
  readonly #warnSession: () => void
  #listen: (() => void) | undefined
  #hasKey = false
  #caughtUp = -CATCH_UP_GAP

  private constructor(config: AppConfig, given: Identity, options: ConnectOptions) {
    // One object for all who sign: a renewal changes its certificates.
    const identity = { ...given }
    const now = options.now ?? (() => Math.floor(Date.now() / 1000))
    const { signal } = this.#closing
    const { relays, tenant } = config
    const warned = new WeakSet<KeyferryError>()
    const warn = (error: KeyferryError): void => {
      const { code, message } = error
      if (!warned.has(error)) this.#emitter.emit('warning', { code, message })
      warned.add(error)
    }
    const call: typeof fetch = options.fetch ?? ((input, init) => fetch(input, init))
    const transport = createTransport({ relays, tenant, fetch: call, signer: identity, now, warn })
    const { store } = options
    const { sessionOnly } = store
    this.#warnSession = () => sessionOnly && warn(sessionOnly)
    if (sessionOnly !== undefined)
      this.#emitter.keep('session', { code: sessionOnly.code, message: sessionOnly.message })
    this.#config = config
    this.#now = now
    this.#session = new Session({ config, identity, store, transport, now, warn })
    const [session, emitter, { renew }] = [this.#session, this.#emitter, options]
    const renewal = renew && new Renewal({ session, emitter, now, renew })
    this.#agent = new Agent({ session, emitter, now, signal, warn, renewal })
    const Socket = options.WebSocket === undefined ? globalThis.WebSocket : options.WebSocket
    this.#listen = () => {
      this.#listen = undefined
      const onHint: Agent['hint'] = (event) => this.#agent.hint(event)
      if (Socket !== null) {
        const all = {
          relays,
          tenant,
          signer: identity,
          now,
          fetch: call,
          WebSocket: Socket,
          onHint,
          signal,
        }
        // Without it there is only polling.
        void lazily(() => import('./events.ts')).then(({ listen }) => listen(all), warn)
      }
      globalThis.addEventListener?.('online', () => this.#agent.hint(null), { signal })
    }
    const close = (): void => this.close()
    options.signal?.addEventListener('abort', close, { signal })
    if (options.signal?.aborted === true) close()
  }

  /**
   * For {@link connect}.
   * @internal
   */
  static of(config: AppConfig, identity: Identity, options: ConnectOptions): Keyferry {
    return new Keyferry(config, identity, options)
  }

  /** Reads the store again; `connect` and every fetch do it. Throws `ERR_STATE`, `ERR_IO`. */
  load(): Promise<void> {
    return this.#session.load()
  }

  /** Names of the app config's keyrings. */
  get keyrings(): string[] {
    return [...this.#config.keyrings.keys()]
  }

  /** Signed contradictions that were met with `ERR_FORK`: proof to show to others. */
  get evidence(): readonly Evidence[] {
    return this.#session.state.evidence
  }

  /** Calls `listener` at every such event until the returned function is called. */
  on<N extends keyof ClientEvents>(
    event: N,
    listener: (detail: ClientEvents[N]) => void,
  ): () => void {
    return this.#emitter.on(event, listener)
  }

  /**
   * A keyring, as soon as its key is there: at once if the store has it and it is fresh, else it is asked for at the deriver. One whose
   * signed state is too old to encrypt under is given when no relay has newer.
   *
   * Throws `ERR_KEYRING` for a name that the config does not have or that is not the keyring's own; `ERR_DENIED`, `ERR_PENDING` and
   * `ERR_REMOVED` only on the deriver's signed word; `ERR_UNPROVEN` when a keyring that was there is withheld without one; `ERR_TIMEOUT`;
   * `ERR_UNAUTHORIZED` when no relay takes the certificate's signature; `ERR_CERT_REVOKED` when the CA's own list names the certificate and there is no key; `ERR_CLOSED`; and the code of a delivery that was refused. What the last fetch
   * failed with is the `cause` of `ERR_TIMEOUT`: `ERR_NOT_FOUND` when relays do not admit the certificate, which they answer as an unknown tenant.
   */
  async keyring(name: string, options: WaitOptions = {}): Promise<Keyring> {
    this.#closing.signal.throwIfAborted()
    const id = this.#config.keyrings.get(name)
    if (id === undefined)
      throw new KeyferryError('ERR_KEYRING', `no keyring ${JSON.stringify(name)} in the config`)
    this.#warnSession()
    const agent = this.#agent
    const wanted = agent.want(id, () => Keyring.of(name, this.#hostOf(id)))
    if (!isUsable(agent.stateOf(id))) {
      this.#listen?.()
      await agent.wait(wanted, options)
    }
    await this.#session.open(id)
    agent.run()
    this.#listen?.()
    if (!this.#hasKey) {
      this.#hasKey = true
      this.#emitter.emit('ready', { milliseconds: performance.now() - this.#began })
    }
    return wanted.keyring
  }

  #hostOf(id: Bytes): KeyringHost {
    return {
      open: async () => {
        this.#closing.signal.throwIfAborted()
        const { state } = this.#session
        const { accepted } = state
        const open = await this.#session.open(id)
        if (open === null || accepted === null) throw new KeyferryError('ERR_STATE')
        requireClock(accepted, this.#now())
        return { open, accepted, isCurrent: isCurrent(state, id) }
      },
      view: () => {
        this.#closing.signal.throwIfAborted()
        const view = this.#session.view(id)
        if (view === null) throw new KeyferryError('ERR_STATE')
        return view
      },
      settled: () => this.#agent.settled(),
      sync: () => this.#agent.sync(),
      catchUp: () => this.#catchUp(),
      requireUnrevoked: () => this.#session.requireUnrevoked(),
      state: () => this.#agent.stateOf(id),
      reason: () => this.#agent.reasonOf(id),
      version: () => this.#agent.versionOf(id),
      now: this.#now,
      sender: {
        tenant: this.#config.tenant,
        keyring: id,
        identity: () => this.#session.identity,
        lists: (issuers) => this.#lists(issuers),
        verify: this.#session.verify,
      },
    }
  }

  /** Revocation lists by issuers. A relay that moved on has no longer those that the head before named. */
  async #lists(issuers: readonly Bytes[]): Promise<Crl[]> {
    const { signal } = this.#closing
    try {
      return await (await this.#session.lists()).read(issuers, signal)
    } catch (error) {
      if (!isKeyferryError(error, 'ERR_NOT_FOUND')) throw error
      await this.#catchUp()
      return (await this.#session.lists()).read(issuers, signal)
    }
  }

  /** Fetches for a message under a key, or with a list, that is not known yet. Messages cannot make a client fetch without end. */
  async #catchUp(): Promise<void> {
    const time = performance.now()
    if (time - this.#caughtUp < CATCH_UP_GAP) return this.#agent.settled()
    this.#caughtUp = time
    await this.#agent.refresh().catch(() => {})
  }

  /** Fetches what is new, together with whoever else does. Throws what transport and verification throw; keys stay usable. */
  refresh(): Promise<void> {
    return this.#agent.refresh()
  }

  /** Stops everything; keyrings of this client work no more. What is stored stays. */
  close(): void {
    if (this.#closing.signal.aborted) return
    const closed = new KeyferryError('ERR_CLOSED')
    this.#closing.abort(closed)
    this.#agent.close(closed)
  }
}
