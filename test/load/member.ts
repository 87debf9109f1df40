/** A member under load: the client as an app has it, on a store that sees whether what it accepts ever goes back. */
import { issueClient } from '../../deriver/ca.ts'
import { readCa } from '../../deriver/key-files.ts'
import { type Store as DeriverStore } from '../../deriver/store.ts'
import { type AppConfigJson } from '../../shared/config.ts'
import { createCsr } from '../../shared/csr.ts'
import { compareVersions } from '../../shared/manifest.ts'
import { generateSigningKey } from '../../shared/signature.ts'
import {
  connect,
  createMemoryStore,
  isKeyferryError,
  type Identity,
  type Keyferry,
  type Keyring,
} from '../../web/index.ts'
import { type Store, type StoredState } from '../../web/store.ts'

const HOST = 'keyferry://client.acme.example/'
export const KEYRING = 'notes'

/** What makes members. Times are seconds. */
export interface MemberOptions {
  directory: string
  store: DeriverStore
  config: AppConfigJson
  /** Of certificates; the client renews from two thirds of it on. */
  lifetime: number
  now: () => number
  violate: (what: string) => void
}

/** Why a state is older than the one before it. */
function goesBack(before: StoredState, after: StoredState): string | null {
  if (after.packageVersion < before.packageVersion) return 'key package'
  const [a, b] = [before.accepted, after.accepted]
  if (a === null) return null
  if (b === null || compareVersions(b.head, a.head) < 0) return 'head'
  if (b.trust.body.number < a.trust.body.number) return 'trust document'
  return b.catalog.body.number < a.catalog.body.number ? 'catalog' : null
}

export class Member {
  readonly name: string
  readonly uri: string
  client!: Keyferry
  keyring!: Keyring
  /** Version of the head that it accepted last. */
  head = 0
  renewals = 0
  /** What was tried and the code that it ended with, with how many. */
  readonly failures = new Map<string, number>()
  readonly #options: MemberOptions
  readonly #store: Store
  #identity!: Identity

  private constructor(name: string, options: MemberOptions) {
    this.name = name
    this.uri = HOST + name
    this.#options = options
    this.#store = this.#watched(createMemoryStore())
  }

  /** Enrols one, and waits until it has the keyring. Throws what `keyring` throws. */
  static async start(name: string, options: MemberOptions): Promise<Member> {
    const member = new Member(name, options)
    member.#identity = await member.#certify(await generateSigningKey('ES256', false))
    await member.#connect()
    return member
  }

  async #connect(): Promise<void> {
    const { config, now } = this.#options
    const client = await connect({
      config,
      identity: (await this.#store.read())?.identity ?? this.#identity,
      store: this.#store,
      now,
      renew: async ({ key }) => {
        const renewed = await this.#certify(key)
        this.renewals++
        return renewed
      },
    })
    client.on('change', ({ version }) => (this.head = version))
    this.client = client
    this.keyring = await client.keyring(KEYRING, { timeout: 60_000 })
  }

  /** Ends the client and starts it again on what it stored. */
  async restart(): Promise<void> {
    this.client.close()
    await this.attempt('restart', () => this.#connect())
  }

  async #certify(key: Identity['key']): Promise<Identity> {
    const { store, directory, lifetime, now } = this.#options
    const issuer = await readCa(directory, 'ca-client', null)
    const csr = await createCsr(key, this.name)
    return {
      key,
      certificates: [await issueClient(store, issuer, csr, this.uri, now(), lifetime)],
    }
  }

  #watched(inner: Store): Store {
    return {
      ...inner,
      write: async (state) => {
        const before = await inner.read()
        const what = before === null ? null : goesBack(before, state)
        if (what !== null) this.#options.violate(`${this.name} went back: ${what}`)
        await inner.write(state)
      },
    }
  }

  /** What work gives, or the code that it ended with: counted, since relays may be away. Every other error is a violation. */
  async attempt<T>(what: string, work: () => Promise<T>): Promise<{ value: T } | { code: string }> {
    try {
      return { value: await work() }
    } catch (error) {
      const code = isKeyferryError(error) ? error.code : String(error)
      if (!isKeyferryError(error)) this.#options.violate(`${this.name}: ${code}`)
      const key = `${what}: ${code}`
      this.failures.set(key, (this.failures.get(key) ?? 0) + 1)
      return { code }
    }
  }

  /** Encrypts and decrypts with what it has: works without a relay. */
  async roundTrip(text: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const done = await this.attempt('round trip', async () => {
      const message = await this.keyring.encrypt(text)
      if ((await this.keyring.decrypt(message, { as: 'text' })) !== text)
        this.#options.violate(`${this.name} decrypts to something else`)
      return message
    })
    return 'value' in done ? done.value : undefined
  }
}
