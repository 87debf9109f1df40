/**
 * The loop of a client: fetch, ask for what is missing, tell those who wait, sleep until something may be new. One of it runs per client, and
 * whoever needs a fetch shares it. What is accepted is decided in session.ts.
 */
import { type Event } from '../shared/events.ts'
import { equal, hex, type Bytes } from '../shared/bytes.ts'
import {
  asKeyferryError,
  isKeyferryError,
  KeyferryError,
  type ErrorCode,
} from '../shared/errors.ts'
import { MAX_KEYRINGS_PER_REQUEST } from '../shared/limits.ts'
import { type ClientEvents, type Emitter } from './emitter.ts'
import { type Keyring } from './keyring.ts'
import { nextPoll } from './pace.ts'
import { Pause } from './pause.ts'
import { type Renewal } from './renewal.ts'
import { type Session } from './session.ts'
import { isCurrent, isUsable, keyringState, type KeyringState, type Reach } from './state.ts'
import { isTransportError, isUnadmitted } from './transport.ts'
import { Waiting, type Verdict, type WaitOptions } from './waiting.ts'
import { ASK_AGAIN, refusalOf, type Wanted } from './wanted.ts'

/** What the loop works with. */
export interface AgentOptions {
  session: Session
  emitter: Emitter<ClientEvents>
  /** Seconds. */
  now: () => number
  signal: AbortSignal
  /** Keeps the certificate alive, where the app said how. */
  renewal: Renewal | undefined
  /** Told of what nobody waits for. */
  warn: (error: KeyferryError) => void
}

const NOT_ADMITTED = 'no relay admits this certificate: it may be revoked, or the tenant unknown'
const REFUSALS = { denied: 'ERR_DENIED', pending: 'ERR_PENDING', removed: 'ERR_REMOVED' } as const

export class Agent {
  readonly #options: AgentOptions
  readonly #waiting = new Waiting()
  readonly #pause = new Pause()
  /** By id in hex. */
  readonly #wanted = new Map<string, Wanted>()
  #isRunning = false
  #refreshing: Promise<void> | undefined
  #following: Promise<void> | undefined
  #hasBegun = false
  /** Somebody knows of news that no fetch of another tab may have brought. */
  #isNewsDue = false
  /** What the newest fetch asked for. */
  #asked: ReadonlySet<string> = new Set()
  /** Why the last fetch failed. */
  #failure: KeyferryError | undefined
  #head: Bytes | undefined
  /** What the store failed with when it was last looked at. */
  #storeFailure: ErrorCode | undefined
  #polls = 0
  #rotationUntil = 0

  constructor(options: AgentOptions) {
    this.#options = options
    this.#head = options.session.state.accepted?.head.hash
  }

  /** How a keyring stands now. */
  stateOf(id: Bytes): KeyringState {
    if (this.#options.session.isRevoked) return 'revoked'
    return keyringState(this.#options.session.state, id, this.#options.now(), this.#reach())
  }

  #reach(): Reach {
    if (isUnadmitted(this.#failure)) return 'unadmitted'
    return isTransportError(this.#failure) ? 'offline' : 'ready'
  }

  /** What the deriver says to the state that a keyring is in, by its signed word; empty where it says nothing. */
  reasonOf(id: Bytes): string {
    return refusalOf(this.#options.session.state, id, this.stateOf(id))?.reason ?? ''
  }

  /** Version to encrypt with, by the newest release that was accepted; 0 for none. It does not fall when a relay leaves the keyring out. */
  versionOf(id: Bytes): number {
    return this.#options.session.view(id)?.release.encrypt.version ?? 0
  }

  /** The keyring of this id, from now on kept up to date. */
  want(id: Bytes, make: () => Keyring): Wanted {
    const wanted = this.#wanted.get(hex(id)) ?? {
      id,
      keyring: make(),
      state: this.stateOf(id),
      version: this.versionOf(id),
      askedUntil: 0,
      askAnew: false,
    }
    this.#wanted.set(hex(id), wanted)
    return wanted
  }

  /** Resolves when a wanted keyring can be used. Rejects as `keyferry.keyring` says. */
  async wait(wanted: Wanted, options: WaitOptions): Promise<void> {
    wanted.askAnew = this.stateOf(wanted.id) === 'denied'
    this.#polls = 0
    const ready = this.#waiting.wait(wanted.id, options, () => this.#timedOut(wanted.id))
    this.#pause.wake()
    this.run()
    await ready
  }

  /** What no relay brings up to date still decrypts. */
  #isReadable(id: Bytes, state: KeyringState): boolean {
    return state === 'stale' || (state === 'revoked' && this.#options.session.view(id) !== null)
  }

  #timedOut(id: Bytes): 'ready' | KeyferryError {
    const state = this.stateOf(id)
    if (this.#isReadable(id, state)) return 'ready'
    const code = state === 'unproven' ? 'ERR_UNPROVEN' : 'ERR_TIMEOUT'
    const message = this.#reach() === 'unadmitted' ? NOT_ADMITTED : undefined
    return new KeyferryError(code, message, { cause: this.#failure })
  }

  /** Tells those who wait that it is over. */
  close(reason: KeyferryError): void {
    this.#waiting.settle(() => reason)
  }

  /** One fetch for all wanted keyrings, shared with whoever else asks before it begins; one that is on its way may be too old. */
  refresh(): Promise<void> {
    this.#isNewsDue = true
    return this.#share()
  }

  /** A fetch, or what another tab has brought meanwhile. */
  #share(): Promise<void> {
    if (this.#refreshing !== undefined && this.#hasBegun)
      return (this.#following ??= this.settled().then(() => this.#share()))
    this.#refreshing ??= this.#refresh().finally(() => (this.#refreshing = undefined))
    return this.#refreshing
  }

  /** Takes over what another tab has stored. A store that fails stops nobody who has the keys. */
  async sync(): Promise<boolean> {
    const { session, warn } = this.#options
    try {
      const isNew = await session.sync()
      this.#storeFailure = undefined
      if (isNew) this.#notify()
      return isNew
    } catch (error) {
      const failure = asKeyferryError(error)
      // Told once, and not at every message.
      if (failure.code !== this.#storeFailure) warn(failure)
      this.#storeFailure = failure.code
      return false
    }
  }

  /** Resolves when no fetch is on its way, however it ended. */
  async settled(): Promise<void> {
    await this.#refreshing?.catch(() => {})
  }

  async #refresh(): Promise<void> {
    const { session, signal } = this.#options
    this.#hasBegun = false
    this.#following = undefined
    // Whoever asks in the same turn is in.
    await Promise.resolve()
    signal.throwIfAborted()
    this.#asked = new Set(this.#wanted.keys())
    this.#pause.begin()
    this.#hasBegun = true
    const mayShare = !this.#isNewsDue
    this.#isNewsDue = false
    try {
      await session.refresh(
        [...this.#wanted.values()].map(({ id }) => id),
        signal,
        mayShare,
      )
      this.#failure = undefined
    } catch (error) {
      if (isKeyferryError(error)) this.#failure = error
      throw error
    } finally {
      this.#notify()
    }
  }

  /** Starts the loop if it does not run. */
  run(): void {
    if (this.#isRunning) return
    this.#isRunning = true
    void this.#loop()
  }

  async #loop(): Promise<void> {
    const { signal, warn } = this.#options
    while (!signal.aborted) {
      let failure: KeyferryError | undefined
      try {
        this.#asked = new Set(this.#wanted.keys())
        await this.#options.renewal?.check()
        await this.#share()
        await this.#request()
      } catch (error) {
        failure = asKeyferryError(error)
      }
      if (signal.aborted) return
      if (failure !== undefined) warn(failure)
      this.#waiting.settle((id) => this.#verdict(id, failure))
      this.#notify()
      await this.#pause.sleep(this.#delay(), signal)
    }
  }

  /** Asks the deriver for the wanted keyrings that the accepted head does not give, and for a move to a new package. */
  async #request(): Promise<void> {
    const { session, now, signal } = this.#options
    const time = now()
    const wanted = [...this.#wanted.values()]
    const isDue = ({ id, askedUntil, askAnew }: Wanted): boolean => {
      const isRefused = refusalOf(session.state, id, this.stateOf(id)) !== null
      return askAnew || (!isCurrent(session.state, id) && !isRefused && askedUntil < time)
    }
    const isRotationDue = session.isRotating && this.#rotationUntil < time
    const due = isRotationDue ? wanted : wanted.filter(isDue)
    for (let i = 0; i < due.length; i += MAX_KEYRINGS_PER_REQUEST) {
      const some = due.slice(i, i + MAX_KEYRINGS_PER_REQUEST)
      await session.request(
        some.map(({ id }) => id),
        signal,
      )
      for (const one of some) {
        one.askedUntil = time + ASK_AGAIN
        one.askAnew = false
      }
    }
    if (isRotationDue) this.#rotationUntil = time + ASK_AGAIN
  }

  #verdict(id: Bytes, failure: KeyferryError | undefined): Verdict {
    // It came while the fetch was on its way.
    if (!this.#asked.has(hex(id))) return undefined
    const { session } = this.#options
    const state = this.stateOf(id)
    if (isUsable(state) || this.#isReadable(id, state)) return 'ready'
    if (state === 'revoked') return new KeyferryError('ERR_CERT_REVOKED', failure?.message)
    const refusal = refusalOf(session.state, id, state)
    if (refusal !== null)
      return new KeyferryError(REFUSALS[refusal.kind], refusal.reason || undefined)
    if (failure === undefined) return undefined
    // Another attempt may help against a bad network, but not against this.
    const isHopeful = isTransportError(failure) && failure.code !== 'ERR_UNAUTHORIZED'
    return isHopeful || failure.code === 'ERR_ENROLMENT' ? undefined : failure
  }

  /** Something may be new. */
  hint(event: Event | null): void {
    if (event !== null && 'hash' in event) {
      if (this.#head !== undefined && equal(event.hash, this.#head)) return
      if (event.type === 'delivery') this.#options.session.offer(event.delivery)
    }
    this.#isNewsDue = true
    this.#pause.wake()
  }

  #delay(): number {
    const { session, now, renewal } = this.#options
    const isWaiting = this.#waiting.size > 0
    const wanted = [...this.#wanted.values()]
    return nextPoll({
      accepted: session.state.accepted,
      now: now(),
      polls: isWaiting ? this.#polls++ : undefined,
      isComplete: wanted.every(({ id }) => isCurrent(session.state, id)),
      failure: session.isRevoked ? 'ERR_CERT_REVOKED' : this.#failure?.code,
      renewal: renewal?.wait ?? Infinity,
    })
  }

  #notify(): void {
    const { session, emitter } = this.#options
    const head = session.state.accepted?.head
    if (head !== undefined && (this.#head === undefined || !equal(head.hash, this.#head))) {
      this.#head = head.hash
      const { incarnation, version, expiresAt } = head
      emitter.emit('change', { incarnation, version, expiresAt })
    }
    for (const wanted of this.#wanted.values()) {
      const { name } = wanted.keyring
      const state = this.stateOf(wanted.id)
      const version = this.versionOf(wanted.id)
      const [isOther, isNew] = [state !== wanted.state, version > 0 && version !== wanted.version]
      wanted.state = state
      if (isNew) wanted.version = version
      if (isOther) emitter.emit('state', { keyring: name, state, reason: this.reasonOf(wanted.id) })
      if (isNew) emitter.emit('key', { keyring: name, version })
    }
  }
}
