/** Tokens and nonces of a session: HMACs, so that nothing is stored before somebody uses one. */
import {
  base64url,
  concat,
  equal,
  fromBase64url,
  Reader,
  u64,
  utf8,
  type Bytes,
} from '../../shared/bytes.ts'
import { ENROL_NONCE_LIFETIME } from '../../shared/enrol.ts'
import { errorOf } from '../../shared/error-codes.ts'
import { subtle } from '../../shared/platform.ts'
import { labelInfo } from '../../shared/kdf.ts'
import { type EnrolSession } from './session.ts'

/** Remembers what was used. */
export interface Once {
  /** True the first time, false after it, until `expiresAt` (seconds): one atomic step. */
  use(id: string, expiresAt: number): Promise<boolean>
}

/** For one process. Several instances need one that they share. */
export function createMemoryOnce(now: () => number = () => Date.now() / 1000): Once {
  const used = new Map<string, number>()
  return {
    use(id, expiresAt) {
      const time = now()
      // In the order of their expiry, since all live equally long.
      for (const [old, end] of used) {
        if (end >= time) break
        used.delete(old)
      }
      const isFirst = !used.has(id)
      if (isFirst) used.set(id, expiresAt)
      return Promise.resolve(isFirst)
    },
  }
}

export class Tokens {
  readonly #key: Promise<CryptoKey>

  /** `secret` has at least 32 bytes. */
  constructor(secret: Bytes) {
    if (secret.length < 32) throw new RangeError('secret has at least 32 bytes')
    const algorithm = { name: 'HMAC', hash: 'SHA-256' }
    this.#key = subtle().importKey('raw', secret.slice(), algorithm, false, ['sign'])
  }

  async #mac(info: Bytes): Promise<Bytes> {
    return new Uint8Array(await subtle().sign('HMAC', await this.#key, info))
  }

  /** The MACs of both are compared, so that time tells nothing. */
  async #isSame(one: Bytes, other: Bytes): Promise<boolean> {
    return equal(await this.#mac(one), await this.#mac(other))
  }

  async csrf({ id }: EnrolSession): Promise<string> {
    return base64url(await this.#mac(labelInfo('enrol-csrf', utf8(id))))
  }

  async isCsrf(given: string | null, session: EnrolSession): Promise<boolean> {
    return given !== null && this.#isSame(utf8(given), utf8(await this.csrf(session)))
  }

  #nonceMac({ id, uri }: EnrolSession, body: Bytes): Promise<Bytes> {
    return this.#mac(labelInfo('enrol-nonce', utf8(id), utf8(uri), body))
  }

  async nonce(session: EnrolSession, now: number): Promise<{ nonce: string; expiresAt: number }> {
    const expiresAt = now + ENROL_NONCE_LIFETIME
    const body = concat(u64(expiresAt), crypto.getRandomValues(new Uint8Array(16)))
    return { nonce: base64url(concat(body, await this.#nonceMac(session, body))), expiresAt }
  }

  /** Returns when the nonce ends. Throws `ERR_SESSION`, `ERR_REQUEST_EXPIRED`. */
  async readNonce(nonce: string, session: EnrolSession, now: number): Promise<number> {
    const bytes = fromBase64url(nonce)
    // PROTOCOL [enrol-5]
    const body = bytes.slice(0, 24)
    if (
      bytes.length !== 56 ||
      !(await this.#isSame(bytes.slice(24), await this.#nonceMac(session, body)))
    )
      throw errorOf('ERR_SESSION')
    const expiresAt = new Reader(body).u64()
    if (now > expiresAt) throw errorOf('ERR_REQUEST_EXPIRED')
    return expiresAt
  }
}
