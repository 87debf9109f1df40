/** Keyrings opened out of the stored state: views and keys, each made once for what they are made of. */
import { type MemberLeaf } from '../shared/bundle.ts'
import { equal, hex, type Bytes } from '../shared/bytes.ts'
import type { AppConfig } from '../shared/config.ts'
import { KeyferryError } from '../shared/errors.ts'
import { type KeyringView } from '../shared/open.ts'
import { unwrapCell } from '../shared/unwrap.ts'
import { openChannel } from './accept.ts'
import { openKeys, requireName, type Keys } from './keys.ts'
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

/** What names a key-encryption key: the channel and the cell. */
function kekId({ welcomeHash, cell }: MemberLeaf): string {
  return hex(welcomeHash) + hex(cell)
}

export class Unlocked {
  readonly #config: AppConfig
  readonly #names: ReadonlyMap<string, string>
  /** By {@link keysId}. */
  readonly #keys = new Map<string, Promise<Keys>>()
  /** By welcome hash and cell. */
  readonly #keks = new Map<string, CryptoKey>()
  readonly #views = new WeakMap<StoredView, KeyringView>()
  /** {@link keysId}, which is asked for at every message. */
  readonly #ids = new WeakMap<StoredView, string>()

  constructor(config: AppConfig) {
    this.#config = config
    this.#names = new Map([...config.keyrings].map(([name, id]) => [hex(id), name]))
  }

  /** Whether the app config names the keyring of this id (hex). */
  isNamed(id: string): boolean {
    return this.#names.has(id)
  }

  /** Forgets the keys of everything that is not in the state any more: what was destroyed meanwhile is not to live on in memory. */
  keep(state: StoredState): void {
    const views = Object.values(state.keyrings).flatMap(({ view }) => view ?? [])
    const drop = (map: Map<string, unknown>, used: ReadonlySet<string>): void => {
      for (const name of map.keys()) if (!used.has(name)) map.delete(name)
    }
    drop(this.#keys, new Set(views.map((view) => this.#idOf(view))))
    drop(this.#keks, new Set(views.map(({ member }) => kekId(member))))
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
    const view = this.view(state, id)
    if (view === null) return null
    const stored = state.keyrings[hex(id)]!.view!
    const keys = await this.#once(stored, () => this.#unlock(state, view))
    await requireName(keys, this.#names.get(hex(id)))
    return { view, keys, head: stored.head }
  }

  /** The keys of a view that is yet to be stored, and need not be read again when it is. Throws the codes of unwrapping. */
  keysOf(stored: StoredView, view: KeyringView, channel: CryptoKey): Promise<Keys> {
    this.#views.set(stored, view)
    return this.#once(stored, () => this.#openKeys(view, channel))
  }

  /** One key-encryption key serves every bundle of its generation. */
  async #openKeys(view: KeyringView, channel: CryptoKey): Promise<Keys> {
    const name = kekId(view.member)
    const kek = this.#keks.get(name) ?? (await unwrapCell(channel, view.member.cell))
    if (this.#keks.size >= MAX_CACHED) this.#keks.clear()
    this.#keks.set(name, kek)
    return openKeys(view, kek)
  }

  #idOf(stored: StoredView): string {
    const id = this.#ids.get(stored) ?? keysId(stored)
    this.#ids.set(stored, id)
    return id
  }

  #once(stored: StoredView, make: () => Promise<Keys>): Promise<Keys> {
    const name = this.#idOf(stored)
    const known = this.#keys.get(name)
    if (known !== undefined) return known
    if (this.#keys.size >= MAX_CACHED) this.#keys.clear()
    const keys = make()
    this.#keys.set(name, keys)
    keys.catch(() => this.#keys.delete(name))
    return keys
  }

  async #unlock({ packages }: StoredState, view: KeyringView): Promise<Keys> {
    const used = packages.find((one) => equal(one.hash, view.member.packageHash))
    if (used === undefined) throw new KeyferryError('ERR_STATE', 'the key package is gone')
    const { key } = await openChannel(this.#config.tenant, used, view)
    return this.#openKeys(view, key)
  }
}
