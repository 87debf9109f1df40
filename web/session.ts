/**
 * One client's state and the three things that move it on: a delivery, a key package, a key request. Each is read, verified and written under the
 * store's lock, so that no tab takes another one back.
 */
import { equal, hex, type Bytes } from '../shared/bytes.ts'
import type { AppConfig } from '../shared/config.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { rememberSignatures, type CaVerifier } from '../shared/certificate-signature.ts'
import { decodeDelivery } from '../shared/delivery.ts'
import { digestOnce } from '../shared/digest.ts'
import { lazily } from '../shared/lazy.ts'
import { MAX_DELIVERY, MAX_KEYRINGS_PER_REQUEST } from '../shared/limits.ts'
import { type KeyringView } from '../shared/open.ts'
import { parseCertificate } from '../shared/x509.ts'
import { acceptDelivery } from './accept.ts'
import { checkIdentity, type Identity } from './identity.ts'
import {
  completeState,
  deliveryRequest,
  isCurrent,
  keptPackages,
  keyringState,
  needsPackage,
  packagesOf,
  withoutEnded,
} from './state.ts'
import { createShared, emptyState, type Store, type StoredState } from './store.ts'
import { rememberPath } from './path-memory.ts'
import { listIn, type Post, type Transport } from './transport.ts'
import type { Refused } from './evidence.ts'
import type { Lists, ListsOptions } from './lists.ts'
import { Unlocked, type OpenKeyring } from './unlocked.ts'

/** What a session works with. */
export interface SessionOptions {
  config: AppConfig
  identity: Identity
  store: Store
  transport: Transport
  /** Seconds. */
  now: () => number
  /** Told of what is refused without failing the operation. */
  warn: (error: KeyferryError) => void
}

const OWN_CERTIFICATE = 'a list of the CA names this certificate'

/** Loads what the first answers will need while they are on their way: it then costs a page no time of its own. Who needs it says what failed. */
function loadFirst(): void {
  const parts = [
    import('../shared/trust.ts'),
    import('./package.ts'),
    import('./offered.ts'),
    import('../shared/welcome.ts'),
    import('../shared/catalog.ts'),
    import('../shared/ca-signature.ts'),
    import('../shared/name-forms.ts'),
    import('../shared/ml-kem.ts').then(({ prepareMlKem }) => prepareMlKem()),
  ]
  for (const part of parts) part.catch(() => {})
}

/** The package in use, or the one that is to replace it. */
type Which = 'current' | 'next'

export class Session {
  readonly #options: SessionOptions
  readonly #unlocked: Unlocked
  /** Checks signatures of CAs and paths, and remembers them. */
  readonly verify: CaVerifier = Object.assign(rememberSignatures(), { path: rememberPath() })
  #lists: Promise<Lists> | undefined
  /** Keyrings that the last complete answer did not have, by id in hex. */
  #absent = new Set<string>()
  /** The head at the end of the last refresh; at first, the one that was stored. */
  #refreshed: string | undefined
  #state: StoredState = emptyState()
  /** Body of a delivery that a relay sent without being asked. */
  #offered: Bytes | undefined

  constructor(options: SessionOptions) {
    this.#options = options
    this.#unlocked = new Unlocked(options.config)
  }

  /** Revocation lists with which senders are verified: loaded with the first of them. Throws `ERR_IO`. */
  lists(): Promise<Lists> {
    const update: ListsOptions['update'] = (change) => this.#update(change)
    const load = async (): Promise<Lists> => {
      const { Lists } = await lazily(() => import('./lists.ts'))
      return new Lists({ ...this.#options, state: () => this.#state, update })
    }
    this.#lists ??= load()
    this.#lists.catch(() => (this.#lists = undefined))
    return this.#lists
  }

  /** The next refresh takes this in place of a relay's first answer, and asks all the same where it does not verify or not all is in it. */
  offer(delivery: Bytes): void {
    this.#offered = delivery
  }

  /** What is stored, as far as this session has seen it. */
  get state(): StoredState {
    return this.#state
  }

  /** Whether a package waits for the memberships to move to it. */
  get isRotating(): boolean {
    return packagesOf(this.#state).next !== undefined
  }

  /** Takes over what is stored, also what another tab wrote. Throws `ERR_STATE` for the state of another tenant, `ERR_IO`. */
  async load(): Promise<void> {
    // What is read may be older than what was written here meanwhile.
    const { revision } = this.#state
    this.#adopt(completeState(await this.#options.store.read()), revision)
    if (this.#withoutEnded(this.#state) !== this.#state)
      await this.#update((state) => this.#withoutEnded(state))
    this.#refreshed ??= this.#headName()
  }

  #withoutEnded(state: StoredState): StoredState {
    return withoutEnded(state, this.#options.now())
  }

  /** The accepted head in a word. */
  #headName(): string {
    const head = this.#state.accepted?.head
    return head === undefined ? '' : hex(head.hash)
  }

  /** Takes over what another tab has written meanwhile, where the store tells at little cost. True if there was something. Throws as `load`. */
  readonly sync: () => Promise<boolean> = createShared(async () => {
    const { revision } = this.#state
    if ((await this.#options.store.hasNewer?.(revision)) !== true) return false
    await this.load()
    return this.#state.revision > revision
  })

  #adopt(stored: StoredState, least = this.#state.revision): void {
    // Somebody emptied the store or put an old one in its place.
    if (stored.revision < least) throw new KeyferryError('ERR_STATE', 'the stored state is older')
    if (stored.tenant !== '' && stored.tenant !== this.#options.config.tenant)
      throw new KeyferryError('ERR_STATE', 'the store is of another tenant')
    if (stored.revision > this.#state.revision) {
      this.#state = stored
      this.#unlocked.keep(stored)
    }
    this.#takeRenewed(stored.identity)
  }

  /** Another tab may have renewed the certificate; whoever signs here does it with this object. */
  #takeRenewed(other: Identity | null): void {
    const { identity } = this.#options
    if (other === null || !equal(other.key.spki, identity.key.spki)) return
    if (equal(other.certificates[0]!, identity.certificates[0]!)) return
    const [end, own] = [other, identity].map(
      (one) => parseCertificate(one.certificates[0]!).notAfter,
    )
    // Of two of one second the stored one counts for everybody.
    if (end! >= own!) identity.certificates = other.certificates
  }

  /** The identity, with the newest certificate. */
  get identity(): Identity {
    return this.#options.identity
  }

  /** Takes a new certificate for the same key, stored first. Throws `ERR_CERT_PROFILE`, `ERR_STATE`, `ERR_IO`. */
  async renewed(renewed: Identity): Promise<void> {
    const { identity } = this.#options
    await checkIdentity({ key: identity.key, certificates: renewed.certificates })
    await this.#update((state) => {
      const isStored = state.identity !== null && equal(state.identity.key.spki, identity.key.spki)
      return isStored || state.identity === null
        ? { ...state, identity: { ...renewed, key: identity.key } }
        : state
    })
    identity.certificates = renewed.certificates
  }

  /** Reads, changes and writes the state with nobody in between. What `change` returns is used only once it is stored. */
  async #update(change: (state: StoredState) => Promise<StoredState> | StoredState): Promise<void> {
    const { store, config } = this.#options
    await store.lock(async () => {
      const stored = completeState(await store.read())
      this.#adopt(stored)
      const next = await change(stored)
      if (next === stored) return
      const packages = keptPackages(next)
      const written = {
        ...next,
        packages,
        tenant: config.tenant,
        revision: stored.revision + 1,
      }
      // PROTOCOL [open-21]
      await store.write(written)
      this.#state = written
      this.#unlocked.keep(written)
    })
  }

  /**
   * Brings the state up to date for these keyrings: trust, package, deliveries. With `mayShare`, what another tab has brought since the last
   * refresh is enough. Throws what transport, verification and store throw; the state is then what it was.
   */
  async refresh(wanted: readonly Bytes[], signal: AbortSignal, mayShare = false): Promise<void> {
    const { store } = this.#options
    const refresh = async (): Promise<void> => {
      await this.load()
      if (!mayShare || !this.#isServed(wanted)) await this.#refresh(wanted, signal)
      this.#refreshed = this.#headName()
    }
    try {
      await (store.turn === undefined ? refresh() : store.turn(refresh, signal))
    } finally {
      this.#offered = undefined
    }
  }

  /** Whether another tab has fetched since this one did, and left nothing to wish. */
  #isServed(wanted: readonly Bytes[]): boolean {
    return (
      this.#refreshed !== this.#headName() &&
      wanted.every((id) => isCurrent(this.#state, id)) &&
      this.#isEnough(wanted)
    )
  }

  async #refresh(wanted: readonly Bytes[], signal: AbortSignal): Promise<void> {
    const keyrings = this.#withHeld(wanted)
    // Which suites a package may have stands in the trust document: that comes first.
    const { accepted, packages } = this.#state
    if (packages.every(({ channel }) => channel === null)) loadFirst()
    if (accepted === null || packages.length === 0 || keyrings.length === 0)
      await this.#fetchAll([], 'current', signal)
    if (keyrings.length === 0) return
    if (this.#state.accepted === null) throw new KeyferryError('ERR_RELAY', 'the relay has no head')
    // Of a package that is yet to be made nobody knows anything.
    if (this.#state.packages.length === 0) return this.#preparePackage()
    await this.#preparePackage()
    await this.#fetchAll(keyrings, 'current', signal)
    // The deriver may want another package.
    await this.#preparePackage()
    const missing = keyrings.filter((id) => !isCurrent(this.#state, id))
    if (missing.length > 0 && this.isRotating) await this.#fetchAll(missing, 'next', signal)
    this.#absent = new Set(keyrings.filter((id) => !isCurrent(this.#state, id)).map(hex))
    // Nobody waits for them: a relay that hangs must not hold up a head.
    if (this.#state.lists.length > 0)
      void this.lists().then(
        (lists) => lists.renew(signal),
        () => {},
      )
  }

  /** Those that the store holds go along: a new head without them would take them away from other tabs. */
  #withHeld(wanted: readonly Bytes[]): Bytes[] {
    const held = Object.entries(this.#state.keyrings).flatMap(([id, one]): [string, Bytes][] =>
      one.view !== null && this.#unlocked.isNamed(id) ? [[id, one.id]] : [],
    )
    const own = wanted.map((id): [string, Bytes] => [hex(id), id])
    return [...new Map([...own, ...held]).values()]
  }

  /** Makes a package where one is due. Its version is stored before it leaves. */
  async #preparePackage(): Promise<void> {
    const { identity, now, store } = this.#options
    if (!(await needsPackage(this.#state, identity, now()))) return
    const { withPackage } = await lazily(() => import('./package.ts'))
    await this.#update((state) => withPackage(state, identity, now(), store.exportsKeys))
  }

  /** Asks until every keyring was answered for under one head: an answer may have no room for all, or another head than the one before. */
  async #fetchAll(keyrings: readonly Bytes[], which: Which, signal: AbortSignal): Promise<void> {
    const asked = new Map<string, number>()
    const times = (id: Bytes): number => asked.get(hex(id)) ?? 0
    let ask = keyrings.slice(0, MAX_KEYRINGS_PER_REQUEST)
    for (let left = keyrings.length + 4; left > 0; left--) {
      const before = this.#state
      const isDone = await this.#fetch(ask, which, signal)
      for (const id of ask) asked.set(hex(id), times(id) + 1)
      const missing = keyrings.filter((id) => !isCurrent(this.#state, id))
      const isOther = before.accepted?.head.version !== this.#state.accepted?.head.version
      // Something else was written meanwhile, such as a list: the answer was not taken, and is asked for again.
      if (!isDone && !isOther) continue
      const isNew = ask.some(
        (id) => isCurrent(this.#state, id) && (isOther || !isCurrent(before, id)),
      )
      const isLeft = missing.some((id) => times(id) === 0)
      const isComplete = missing.length === 0 && keyrings.length > 0
      if (isComplete || (isDone && !isNew && !isLeft)) return
      ask = missing.toSorted((a, b) => times(a) - times(b)).slice(0, MAX_KEYRINGS_PER_REQUEST)
    }
  }

  /**
   * Whether what is known for these keyrings is all that a relay which keeps nothing back would have: no keyring is missing without a deriver's
   * word, and the head is as young as derivers keep it, who sign the next one by half of its life.
   */
  #isEnough(keyrings: readonly Bytes[]): boolean {
    const { accepted } = this.#state
    if (accepted === null) return false
    const { issuedAt, expiresAt } = accepted.head
    const now = this.#options.now()
    const isYoung = now <= issuedAt + (expiresAt - issuedAt) * 0.75
    const isMissing = (id: Bytes): boolean =>
      keyringState(this.#state, id, now, 'ready') === 'unproven'
    return isYoung && !keyrings.some(isMissing)
  }

  /** Whether the CA revoked the certificate in use. */
  get isRevoked(): boolean {
    const { revoked } = this.#state
    return revoked !== null && equal(revoked.certificate, this.identity.certificates[0]!)
  }

  /** Throws `ERR_CERT_REVOKED` for a client with a revoked certificate. */
  requireUnrevoked(): void {
    // PROTOCOL [client-2]
    if (this.isRevoked) throw new KeyferryError('ERR_CERT_REVOKED', OWN_CERTIFICATE)
  }

  /** What a relay failed with; or, where it shows the list that proves it, that this client is revoked: stored first. */
  async #judge(error: unknown): Promise<unknown> {
    const list = listIn(error)
    const { accepted } = this.#state
    if (list === undefined || accepted === null) return error
    try {
      const { readRevocationList } = await lazily(() => import('./revoked.ts'))
      const { certificates } = this.identity
      const looking = { certificates, now: this.#options.now(), verify: this.verify }
      const revoked = await readRevocationList(list, this.#state, accepted, looking)
      if (revoked === null) return error
      if (!this.isRevoked) await this.#update((state) => ({ ...state, revoked }))
      return new KeyferryError('ERR_CERT_REVOKED', OWN_CERTIFICATE, { cause: error })
    } catch (failure) {
      // A list that proves nothing takes nothing away.
      if (isKeyferryError(failure)) this.#options.warn(failure)
      return error
    }
  }

  /** One delivery. False when another tab has moved the state on meanwhile: ask again. */
  #fetch(keyrings: readonly Bytes[], which: Which, signal: AbortSignal): Promise<boolean> {
    const fetchFrom = async (post: Post): Promise<boolean> => {
      try {
        return await this.#fetchFrom(post, keyrings, which)
      } catch (error) {
        throw await this.#judge(error)
      }
    }
    return this.#options.transport.attempt(fetchFrom, signal, () => this.#isEnough(keyrings))
  }

  async #fetchFrom(post: Post, keyrings: readonly Bytes[], which: Which): Promise<boolean> {
    const offered = this.#offered
    this.#offered = undefined
    if (offered !== undefined) {
      // Without it the relay is asked.
      const part = await import('./offered.ts').catch(() => null)
      const take = (base: StoredState): Promise<boolean> =>
        this.#take(offered, base, keyrings, which)
      const isTaken = await part?.takeOffered(offered, this.#state, take, this.#options.warn)
      if (isTaken && keyrings.every((id) => isCurrent(this.#state, id))) return true
    }
    const base = this.#state
    const used = packagesOf(base)[which]
    const call = deliveryRequest(base, keyrings, used?.hash, this.#absent)
    // Whatever comes of it, the answer is verified.
    const lookAhead = (): void =>
      void import('./ahead.ts').then((part) => part.lookAhead(base, this.verify)).catch(() => {})
    const answer = await post(call, MAX_DELIVERY, lookAhead)
    return answer === null || this.#take(answer, base, keyrings, which)
  }

  /** Verifies and stores a delivery. False when the state is no longer the one it was asked for with. */
  async #take(
    body: Bytes,
    base: StoredState,
    keyrings: readonly Bytes[],
    which: Which,
  ): Promise<boolean> {
    const used = packagesOf(base)[which]
    const delivery = decodeDelivery(body)
    let isBase = true
    let failure: unknown
    await this.#update(async (state) => {
      isBase = state.revision === base.revision
      if (!isBase) return state
      const context = {
        ...this.#options,
        fingerprint: await digestOnce(this.identity.certificates[0]!),
        keyrings,
        used,
        now: this.#options.now(),
        verify: this.verify,
        keysOf: this.#unlocked.keysOf.bind(this.#unlocked),
      }
      try {
        return await acceptDelivery(delivery, state, context)
      } catch (error) {
        failure = error
        return isKeyferryError(error)
          ? this.#withEvidence(state, { ...context, delivery, error })
          : state
      }
    })
    if (failure !== undefined) throw failure as Error
    return isBase
  }

  /** The state with a proof, where a refused head contradicts the accepted one. */
  async #withEvidence(state: StoredState, refused: Refused): Promise<StoredState> {
    if (state.accepted === null) return state
    try {
      const { withEvidence } = await lazily(() => import('./evidence.ts'))
      return await withEvidence(state, refused)
    } catch (error) {
      // Refused it is all the same; whoever shows it again gets it recorded.
      if (isKeyferryError(error)) refused.warn(error)
      return state
    }
  }

  /** A keyring as it was last shown; `null` if it never was. */
  view(id: Bytes): KeyringView | null {
    return this.#unlocked.view(this.#state, id)
  }

  /** A keyring with its keys; `null` without a view. Throws the codes of unwrapping. */
  open(id: Bytes): Promise<OpenKeyring | null> {
    return this.#unlocked.open(this.#state, id)
  }

  /** Asks the deriver for keyrings, at most 64, in one request with the newest package. Throws what transport and store throw. */
  async request(keyrings: readonly Bytes[], signal: AbortSignal): Promise<void> {
    const { identity, transport, config, now } = this.#options
    const { askKeyrings, signRequest } = await lazily(() => import('./package.ts'))
    const nonce = crypto.getRandomValues(new Uint8Array(16))
    // Stored first, so that an answer counts also after a reload.
    await this.#update((state) => askKeyrings(state, keyrings, nonce))
    const { current, next } = packagesOf(this.#state)
    const used = (next ?? current)!
    const request = await signRequest(identity, config.tenant, keyrings, used.hash, nonce, now())
    const call = { call: 'request', package: used.envelope, request } as const
    await transport.attempt((post) => post(call, 0), signal)
  }
}
