/**
 * Keeps a client's certificate alive: a new one for the same key from two thirds of its life on. A failure is told and tried again; the
 * client goes on with what is still valid. What asks for the new one is loaded when it is time.
 */
import { asKeyferryError, type KeyferryError } from '../shared/errors.ts'
import { lazily } from '../shared/lazy.ts'
import { parseCertificate } from '../shared/x509.ts'
import { type ClientEvents, type Emitter } from './emitter.ts'
import { type Identity } from './identity.ts'
import { type Session } from './session.ts'

/** What it works with. */
export interface RenewalOptions {
  session: Session
  emitter: Emitter<ClientEvents>
  /** Seconds. */
  now: () => number
  renew: (identity: Identity) => Promise<Identity>
}

/** How the last attempts went. */
export interface Attempts {
  /** In a row, until now. */
  failures: number
  /** Seconds, from which on it is tried again. */
  notBefore: number
  failure?: KeyferryError | undefined
}

/** Seconds until what renews is loaded again, where it did not load. */
const LOAD_GAP = 60

export class Renewal {
  readonly #options: RenewalOptions
  /** Part of a certificate's life, so that devices enrolled together do not renew together. */
  readonly #share = 2 / 3 + Math.random() / 10
  #attempts: Attempts = { failures: 0, notBefore: 0 }
  #running: Promise<void> | undefined

  constructor(options: RenewalOptions) {
    this.#options = options
  }

  /** Renews if it is time. Waits for it, and throws why it failed, only when the certificate is over. */
  async check(): Promise<void> {
    const { session, now } = this.#options
    // Another tab may have done it.
    await session.load()
    const [due, notAfter] = this.#times()
    const time = now()
    if (time < due) return
    if (time >= this.#attempts.notBefore)
      this.#running ??= this.#renew().finally(() => (this.#running = undefined))
    if (time <= notAfter) return
    await this.#running
    if (this.#attempts.failure !== undefined) throw this.#attempts.failure
  }

  /** Seconds until there is something to do: a certificate of minutes is over before a client looks that only waits for news. */
  get wait(): number {
    return Math.max(this.#times()[0], this.#attempts.notBefore) - this.#options.now()
  }

  /** When a new one is due, and when the certificate ends. */
  #times(): [number, number] {
    const [certificate] = this.#options.session.identity.certificates
    const { notBefore, notAfter } = parseCertificate(certificate!)
    return [notBefore + (notAfter - notBefore) * this.#share, notAfter]
  }

  async #renew(): Promise<void> {
    try {
      const { attempt } = await lazily(() => import('./renewal-attempt.ts'))
      this.#attempts = await attempt(this.#options, this.#attempts)
    } catch (error) {
      // It did not load: that is no answer of an enrolment.
      const notBefore = this.#options.now() + LOAD_GAP
      this.#attempts = { failures: 0, notBefore, failure: asKeyferryError(error) }
    }
    const { failure } = this.#attempts
    const told = failure && { code: failure.code, message: failure.message }
    this.#options.emitter.emit('renewal', { expiresAt: this.#times()[1], failure: told ?? null })
  }
}
