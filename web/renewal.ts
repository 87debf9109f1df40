/**
 * Keeps a client's certificate alive: a new one for the same key from two thirds of its life on. A failure is told and tried again; the
 * client goes on with what is still valid.
 */
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { parseCertificate } from '../shared/x509.ts'
import { type ClientEvents, type Emitter } from './emitter.ts'
import { type Identity } from './identity.ts'
import { type Session } from './session.ts'

/** Seconds between attempts: longer each time, while the certificate lives; often, when it does not. */
const FIRST_GAP = 60
const LONGEST_GAP = 3_600
const EXPIRED_GAP = 5

/** What it works with. */
export interface RenewalOptions {
  session: Session
  emitter: Emitter<ClientEvents>
  /** Seconds. */
  now: () => number
  renew: (identity: Identity) => Promise<Identity>
}

export class Renewal {
  readonly #options: RenewalOptions
  /** Part of a certificate's life, so that devices enrolled together do not renew together. */
  readonly #share = 2 / 3 + Math.random() / 10
  #failures = 0
  #notBefore = 0
  #failure: KeyferryError | undefined
  #running: Promise<void> | undefined

  constructor(options: RenewalOptions) {
    this.#options = options
  }

  /** Renews if it is time. Waits for it, and throws why it failed, only when the certificate is over. */
  async check(): Promise<void> {
    const { session, now } = this.#options
    // Another tab may have done it.
    await session.load()
    const { notBefore, notAfter } = parseCertificate(session.identity.certificates[0]!)
    const time = now()
    if (time < this.#due(notBefore, notAfter)) return
    const isOver = time > notAfter
    const isTime = time >= this.#notBefore || this.#failure === undefined
    if (isTime) this.#running ??= this.#renew().finally(() => (this.#running = undefined))
    if (!isOver) return
    await this.#running
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Seconds until there is something to do: a certificate of minutes is over before a client looks that only waits for news. */
  get wait(): number {
    const { session, now } = this.#options
    const { notBefore, notAfter } = parseCertificate(session.identity.certificates[0]!)
    return Math.max(this.#due(notBefore, notAfter), this.#notBefore) - now()
  }

  #due(notBefore: number, notAfter: number): number {
    return notBefore + (notAfter - notBefore) * this.#share
  }

  async #renew(): Promise<void> {
    const { session, emitter, now, renew } = this.#options
    try {
      await session.renewed(await renew(session.identity))
      this.#failures = 0
      this.#failure = undefined
    } catch (cause) {
      this.#failure = isKeyferryError(cause)
        ? cause
        : new KeyferryError('ERR_ENROLMENT', undefined, { cause })
    }
    const expiresAt = parseCertificate(session.identity.certificates[0]!).notAfter
    if (this.#failure !== undefined) {
      const gap = Math.min(FIRST_GAP * 2 ** this.#failures++, LONGEST_GAP)
      const isOver = now() > expiresAt
      this.#notBefore = now() + (isOver ? EXPIRED_GAP : gap * (0.75 + Math.random() / 4))
    }
    const failure = this.#failure && { code: this.#failure.code, message: this.#failure.message }
    emitter.emit('renewal', { expiresAt, failure: failure ?? null })
  }
}
