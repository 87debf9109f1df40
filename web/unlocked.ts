/** Keyrings opened out of the stored state: views and keys, each made once for what they are made of. */
import { equal, hex, type Bytes } from '../shared/bytes.ts'
import { type AppConfig } from '../shared/config.ts'
import { KeyferryError } from '../shared/errors.ts'
import { type KeyringView } from '../shared/open.ts'
import { openChannel } from './accept.ts'
import { openKeys, type Keys } from './keys.ts'
import { keysId, readView } from './state.ts'
import { type StoredState, type StoredView } from './store.ts'

const MAX_CACHED = 1_000

/** A keyring's verified view and its keys. */
export interface OpenKeyring {
  view: KeyringView
  keys: Keys
  /** The head that the view stood under. */
  head: StoredView['head']
}

export class Unlocked {
  readonly #config: AppConfig
  readonly #names: ReadonlyMap<string, string>
  /** By {@link keysId}. */
  readonly #keys = new Map<string, Promise<Keys>>()
  readonly #views = new WeakMap<StoredView, KeyringView>()

  constructor(config: AppConfig) {
    this.#config = config
    this.#names = new Map([...config.keyrings].map(([name, id]) => [hex(id), name]))
  }

  /** Whether the app config names the keyring of this id (hex). */
  isNamed(id: string): boolean {
    return this.#names.has(id)
  }

  /** Whether these keys were opened before, by {@link keysId}. */
  isKnown(name: string): boolean {
    return this.#keys.has(name)
  }

  /** A keyring as it was last shown; `null` if it never was. */
  view(state: StoredState, id: Bytes): KeyringView | null {
    const stored = state.keyrings[hex(id)]?.view ?? null
    if (stored === null) return null
    const view = this.#views.get(stored) ?? readView(id, stored)
    this.#views.set(stored, view)
    return view
  }

  /** A keyring with its keys; `null` without a view. Throws the codes of unwrapping. */
  async open(state: StoredState, id: Bytes): Promise<OpenKeyring | null> {
    const stored = state.keyrings[hex(id)]?.view ?? null
    const view = this.view(state, id)
    if (stored === null || view === null) return null
    const name = keysId(stored)
    let keys = this.#keys.get(name)
    if (keys === undefined) {
      if (this.#keys.size >= MAX_CACHED) this.#keys.clear()
      keys = this.#unlock(state, view)
      this.#keys.set(name, keys)
      keys.catch(() => this.#keys.delete(name))
    }
    return { view, keys: await keys, head: stored.head }
  }

  async #unlock({ packages }: StoredState, view: KeyringView): Promise<Keys> {
    const used = packages.find((one) => equal(one.hash, view.member.packageHash))
    if (used === undefined) throw new KeyferryError('ERR_STATE', 'the key package is gone')
    const { key } = await openChannel(this.#config.tenant, used, view)
    return openKeys(view, key, this.#names.get(hex(view.id)))
  }
}
