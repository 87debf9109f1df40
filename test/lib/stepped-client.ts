/** A client whose rounds the test makes: all of the real one but its timers (web/agent.ts), on a store that keeps every private key that was ever in it. */
import { hex, type Bytes } from '../../shared/bytes.ts'
import { parseAppConfig, type AppConfigJson } from '../../shared/config.ts'
import { isKeyferryError, KeyferryError, type ErrorCode } from '../../shared/errors.ts'
import { parseMessageHeader } from '../../shared/message.ts'
import { requireClock } from '../../shared/use.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { createMemoryStore, type Identity } from '../../web/index.ts'
import { Keyring } from '../../web/keyring.ts'
import { Session } from '../../web/session.ts'
import { isCurrent, keyringState } from '../../web/state.ts'
import { type Store, type StoredPackage } from '../../web/store.ts'
import { createTransport } from '../../web/transport.ts'

/** A store of a device that somebody reads: keys are made extractable, and those that the client deletes are kept. */
export interface LeakyStore extends Store {
  /** Every key package that was ever made here, with its private key. */
  leak(): StoredPackage[]
}

export function createLeakyStore(inner: Store = createMemoryStore()): LeakyStore {
  const packages = new Map<string, StoredPackage>()
  return {
    ...inner,
    exportsKeys: true,
    write(state) {
      for (const one of state.packages) packages.set(hex(one.hash), one)
      return inner.write(state)
    },
    leak: () => [...packages.values()],
  }
}

/** What a stepped client is made of. Times are seconds. */
export interface SteppedOptions {
  config: AppConfigJson
  identity: Identity
  store: Store
  fetch: typeof fetch
  now: () => number
  /** A new certificate for the same key. */
  renew?: (identity: Identity) => Promise<Identity>
}

/** Seconds before the end of a certificate at which a round renews it. */
const RENEWAL = 10 * 86_400

export class SteppedClient {
  readonly session: Session
  readonly #options: SteppedOptions
  readonly #ids: ReadonlyMap<string, Bytes>
  readonly #signal = new AbortController().signal

  constructor(options: SteppedOptions) {
    const { store, fetch, now } = options
    const config = parseAppConfig(options.config)
    const identity = { ...options.identity }
    const warn = (): void => {}
    const transport = createTransport({
      relays: config.relays,
      tenant: config.tenant,
      fetch,
      signer: identity,
      now,
      warn,
    })
    this.session = new Session({ config, identity, store, transport, now, warn })
    this.#options = options
    this.#ids = config.keyrings
  }

  get identity(): Identity {
    return this.session.identity
  }

  async #renew(): Promise<void> {
    const { renew, now } = this.#options
    const { notAfter } = parseCertificate(this.identity.certificates[0]!)
    if (renew && now() > notAfter - RENEWAL) await this.session.renewed(await renew(this.identity))
  }

  /** Fetches once, and asks the deriver for what is missing or has to move. Returns what it was refused with. */
  async round(): Promise<ErrorCode | 'none'> {
    const { session } = this
    const ids = [...this.#ids.values()]
    return outcome(async () => {
      // Who gets no certificate any more goes on with the one that it has.
      await this.#renew().catch((error: unknown) => {
        if (!isKeyferryError(error)) throw error
      })
      await session.refresh(ids, this.#signal)
      const missing = ids.filter((id) => !isCurrent(session.state, id))
      const asked = session.isRotating ? ids : missing
      if (asked.length > 0) await session.request(asked, this.#signal)
    })
  }

  /** The keyring as an app has it. */
  keyring(name: string): Keyring {
    const { session } = this
    const { now } = this.#options
    const id = this.#ids.get(name)!
    return Keyring.of(name, {
      open: async () => {
        const { state } = session
        const open = await session.open(id)
        if (open === null || state.accepted === null) throw new KeyferryError('ERR_STATE')
        requireClock(state.accepted, now())
        return { open, accepted: state.accepted, isCurrent: isCurrent(state, id) }
      },
      view: () => session.view(id)!,
      requireUnrevoked: () => session.requireUnrevoked(),
      settled: () => Promise.resolve(),
      sync: () => session.sync(),
      catchUp: () => Promise.resolve(),
      state: () => keyringState(session.state, id, now(), 'ready'),
      reason: () => '',
      version: () => session.view(id)?.release.encrypt.version ?? 0,
      now,
      sender: {
        tenant: this.#options.config.tenant,
        keyring: id,
        identity: () => session.identity,
        lists: async (issuers) => (await session.lists()).read(issuers, this.#signal),
        verify: session.verify,
      },
    })
  }

  /** The key id (hex) that a message is encrypted under now, or why none is. */
  async encryptsUnder(name: string): Promise<string> {
    let keyId = ''
    const code = await outcome(async () => {
      keyId = hex(parseMessageHeader(await this.keyring(name).encrypt('new')).keyId)
    })
    return code === 'none' ? keyId : code
  }
}

/** The code that work is refused with; every other error is thrown on. */
export async function outcome(work: () => Promise<unknown>): Promise<ErrorCode | 'none'> {
  try {
    await work()
    return 'none'
  } catch (error) {
    if (!isKeyferryError(error)) throw error
    return error.code
  }
}
