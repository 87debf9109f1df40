/** Revocation lists of the clients' CAs, with which senders are verified (docs/PROTOCOL.md [sign-6]): those that the accepted head names, and no other. */
import { equal, hex, type Bytes } from '../shared/bytes.ts'
import { parseCrl, type Crl } from '../shared/crl.ts'
import { decodeEnvelope } from '../shared/envelope.ts'
import { KeyferryError } from '../shared/errors.ts'
import { digest } from '../shared/digest.ts'
import { MAX_CRL } from '../shared/limits.ts'
import { decodeHead, type HeadBody } from '../shared/release.ts'
import { type StoredList, type StoredState } from './store.ts'
import { type Transport } from './transport.ts'

type Named = HeadBody['crls']

/** What the accepted head names of these issuers. */
function namedIn({ head }: StoredState, issuers: readonly Bytes[]): Named {
  const { crls } = decodeHead(decodeEnvelope(head))
  return crls.filter(({ issuer }) => issuers.some((one) => equal(one, issuer)))
}

/** Lists kept with one more for its issuer, in place of the one before. */
function replaceLists(kept: readonly StoredList[], fetched: readonly StoredList[]): StoredList[] {
  const isOther = (one: StoredList): boolean =>
    !fetched.some(({ issuer }) => equal(issuer, one.issuer))
  return [...kept.filter(isOther), ...fetched]
}

/** Fetches lists from whichever relay has them. Throws `ERR_HASH` for other bytes, and what the transport throws. */
async function fetchLists(
  named: Named,
  transport: Transport,
  signal: AbortSignal,
): Promise<StoredList[]> {
  const fetched: StoredList[] = []
  for (const { hash, issuer } of named) {
    const der = await transport.attempt(async (post) => {
      const answer = await post({ call: 'object', hash }, MAX_CRL)
      // Copied before it is looked at: the memory of an answer is that of whoever fetched it.
      const bytes = answer?.slice()
      // PROTOCOL [sign-6]
      if (bytes === undefined || !equal(await digest(bytes), hash))
        throw new KeyferryError('ERR_HASH', 'not the list that the head names')
      return bytes
    }, signal)
    fetched.push({ der, hash, issuer })
  }
  return fetched
}

/** What it works with. */
export interface ListsOptions {
  transport: Transport
  /** What is stored, as far as this session has seen it. */
  state: () => StoredState
  /** Changes what is stored. Throws `ERR_STATE`, `ERR_IO`. */
  update: (change: (state: StoredState) => StoredState) => Promise<void>
}

export class Lists {
  readonly #options: ListsOptions
  /** Parsed, by hash in hex: a long list takes its time. */
  readonly #parsed = new Map<string, Crl | undefined>()
  /** The head whose lists are all here. */
  #renewed: Bytes | undefined

  constructor(options: ListsOptions) {
    this.#options = options
  }

  /**
   * The lists that the accepted head names of these issuers (key ids), kept for the time without network. Throws `ERR_HASH` and what transport and
   * store throw.
   */
  async read(issuers: readonly Bytes[], signal: AbortSignal): Promise<Crl[]> {
    const { state, transport, update } = this.#options
    // Another head may come in between.
    for (let left = 3; left > 0; left--) {
      const missing = namedIn(state(), issuers).filter(
        ({ hash }) => !state().lists.some((one) => equal(one.hash, hash)),
      )
      if (missing.length === 0) break
      const fetched = await fetchLists(missing, transport, signal)
      await update((stored) => {
        // Another tab may have taken a newer head meanwhile, and the lists that it names.
        const used = namedIn(stored, issuers)
        const still = fetched.filter(({ hash }) => used.some((one) => equal(one.hash, hash)))
        return still.length === 0 ? stored : { ...stored, lists: replaceLists(stored.lists, still) }
      })
    }
    return this.#find(issuers)
  }

  /** Who has verified senders can go on without network: what a new head names is fetched at once. Where it fails, `read` does it again. */
  async renew(signal: AbortSignal): Promise<void> {
    const { head, lists } = this.#options.state()
    if (lists.length === 0 || head === this.#renewed) return
    const issuers = lists.map(({ issuer }) => issuer)
    await this.read(issuers, signal).then(
      () => (this.#renewed = head),
      () => {},
    )
  }

  /** Of those, what is kept. One that nobody can read is none: what it should cover is then not covered. */
  #find(issuers: readonly Bytes[]): Crl[] {
    const state = this.#options.state()
    const { lists } = state
    const kept = namedIn(state, issuers).flatMap(({ hash }) =>
      lists.filter((one) => equal(one.hash, hash)),
    )
    const found = kept.map(({ hash, der }) => [hex(hash), this.#parse(hex(hash), der)] as const)
    // Those of earlier heads are used no more.
    this.#parsed.clear()
    for (const [name, crl] of found) this.#parsed.set(name, crl)
    return found.flatMap(([, crl]) => crl ?? [])
  }

  #parse(name: string, der: Bytes): Crl | undefined {
    if (this.#parsed.has(name)) return this.#parsed.get(name)
    try {
      return parseCrl(der)
    } catch {
      return undefined
    }
  }
}
