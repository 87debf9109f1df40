/** A keyring in the hands of the app: encrypts and decrypts by the rules of "Using a key" and "Messages" (docs/PROTOCOL.md). */
import { concat, fromUtf8, utf8, type Bytes } from '../shared/bytes.ts'
import { SALT_LENGTH } from '../shared/chunk.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { decryptMessageRange, type MessageSource } from '../shared/message-range.ts'
import { createDecryptStream, createStartedStream } from '../shared/message-stream.ts'
import {
  decryptMessage,
  encryptMessage,
  MESSAGE_HEADER_LENGTH,
  parseMessageHeader,
  startMessage,
} from '../shared/message.ts'
import { type Accepted, type KeyringView } from '../shared/open.ts'
import { type MessageKey } from '../shared/unwrap.ts'
import { needsRewrap, versionToDecrypt, versionToEncrypt } from '../shared/use.ts'
import { bytesOf, isData, pipe, sourceOf, type Data, type StreamData } from './data.ts'
import { type OpenKeyring } from './unlocked.ts'
import { type KeyringState } from './state.ts'

/** What a message is bound to: the same context is needed to decrypt. It is not part of the message. Empty by default. */
export interface EncryptOptions {
  context?: string | Uint8Array
}

/** How to decrypt. */
export interface DecryptOptions extends EncryptOptions {
  /** Refuses messages under older versions: a member that was removed can still make such. */
  minVersion?: number
}

/** What stops a stream of given data: both of its ends fail with the signal's reason. A transform is stopped by `pipeThrough(transform, { signal })`. */
export interface StreamOptions {
  signal?: AbortSignal
}

/** Bytes of the plaintext: from `start`, 0 by default, up to, but not including, `end`, by default its end. */
export interface RangeOptions extends DecryptOptions {
  start?: number
  end?: number
}

/**
 * A keyring's keys and what they stand under; `isCurrent` if that is the accepted head.
 * @internal
 */
export interface Found {
  open: OpenKeyring
  accepted: Accepted
  isCurrent: boolean
}

/**
 * What a keyring asks of its client.
 * @internal
 */
export interface KeyringHost {
  /** Throws `ERR_CLOSED`, `ERR_STATE`, `ERR_CLOCK`. */
  open: () => Promise<Found>
  /** The keyring as it was last shown. Throws `ERR_CLOSED`, `ERR_STATE`. */
  view: () => KeyringView
  /** Resolves when no fetch is on its way. */
  settled: () => Promise<void>
  /** Fetches once more, if that was not done just now. */
  catchUp: () => Promise<void>
  state: () => KeyringState
  /** The version to encrypt with; 0 for none. */
  version: () => number
  /** Seconds. */
  now: () => number
}

const REFUSED: Partial<Record<KeyringState, 'ERR_DENIED' | 'ERR_REMOVED'>> = {
  denied: 'ERR_DENIED',
  removed: 'ERR_REMOVED',
}

function contextOf({ context = '' }: EncryptOptions): Bytes {
  return typeof context === 'string' ? utf8(context) : concat(context)
}

/** A keyring of a client; it stays valid through rotations, and does what the newest accepted state allows at each call. */
export class Keyring {
  readonly name: string
  readonly #host: KeyringHost

  private constructor(name: string, host: KeyringHost) {
    this.name = name
    this.#host = host
  }

  /**
   * For `keyferry.keyring(name)`.
   * @internal
   */
  static of(name: string, host: KeyringHost): Keyring {
    return new Keyring(name, host)
  }

  /** Number of the version that is encrypted under now; 0 where there is none. */
  get version(): number {
    return this.#host.version()
  }

  /** How the keyring stands now; see {@link KeyringState}. */
  get state(): KeyringState {
    return this.#host.state()
  }

  /**
   * Encrypts under the newest version. Throws `ERR_STALE` when the signed state is too old, `ERR_KEY_VERSION` when no version is active,
   * `ERR_DENIED`, `ERR_REMOVED` or `ERR_UNPROVEN` when the newest head does not show this client in the keyring, `ERR_CLOSED`.
   *
   * @example
   * const message = await notes.encrypt('Hello', { context: 'note/17' })
   */
  async encrypt(data: Data, options: EncryptOptions = {}): Promise<Bytes> {
    const context = contextOf(options)
    const [plaintext, { key, entry }] = await Promise.all([bytesOf(data), this.#keyToEncrypt()])
    return encryptMessage(key, entry.keyId, context, makeSalt(), plaintext)
  }

  /** Decrypts a message of this keyring into a text. Throws as the other overload, and `ERR_MALFORMED` if it is no UTF-8. */
  decrypt(message: Uint8Array, options: DecryptOptions & { as: 'text' }): Promise<string>
  /**
   * Decrypts a message of this keyring. Throws `ERR_MALFORMED` for what is no message, `ERR_UNKNOWN_KEY` for one of another keyring or of a version
   * not delivered yet, `ERR_KEY_VERSION` below `minVersion` or outside the version's time, `ERR_STALE` after too long offline, and one
   * `ERR_OPEN` for everything that is wrong inside, the context included.
   */
  decrypt(message: Uint8Array, options?: DecryptOptions & { as?: 'bytes' }): Promise<Bytes>
  async decrypt(
    message: Uint8Array,
    options: DecryptOptions & { as?: 'bytes' | 'text' } = {},
  ): Promise<Bytes | string> {
    const context = contextOf(options)
    const copy = concat(message)
    const { keyId } = parseMessageHeader(copy)
    const plaintext = await decryptMessage(
      await this.#keyToDecrypt(keyId, options.minVersion),
      copy,
      context,
    )
    return options.as === 'text' ? fromUtf8(plaintext) : plaintext
  }

  /**
   * {@link encrypt} as a stream, for data of any length in bounded memory: a stream of the message or, without data, a transform of bytes into a
   * message. It goes only as fast as it is read, and fails with what {@link encrypt} throws, `ERR_TOO_LARGE` from 2^46 bytes on, and
   * `TypeError` for pieces that are no `Uint8Array`.
   *
   * @example
   * await notes.encryptStream(file, { context: 'file/7', signal }).pipeTo(destination)
   */
  encryptStream(
    data: StreamData,
    options?: EncryptOptions & StreamOptions,
  ): ReadableStream<Uint8Array>
  encryptStream(options?: EncryptOptions): TransformStream<Uint8Array, Uint8Array>
  encryptStream(
    data?: StreamData | EncryptOptions,
    options: EncryptOptions & StreamOptions = {},
  ): ReadableStream<Uint8Array> | TransformStream<Uint8Array, Uint8Array> {
    if (isData(data)) return pipe(data, this.encryptStream(options), options.signal)
    const context = contextOf(data ?? {})
    const start = async (): ReturnType<typeof startMessage> => {
      const { key, entry } = await this.#keyToEncrypt()
      return startMessage(key, entry.keyId, context, makeSalt())
    }
    return createStartedStream(start())
  }

  /**
   * {@link decrypt} as a stream, for a message of any length in bounded memory: a stream of the plaintext or, without a message, a transform of one
   * into bytes. It goes only as fast as it is read, and fails with what {@link decrypt} throws. Only its end says that the message is whole: what
   * was done with the bytes before must be undone when it fails.
   *
   * @example
   * await notes.decryptStream(response.body, { context: 'file/7', signal }).pipeTo(destination)
   */
  decryptStream(
    message: Exclude<StreamData, string>,
    options?: DecryptOptions & StreamOptions,
  ): ReadableStream<Uint8Array>
  decryptStream(options?: DecryptOptions): TransformStream<Uint8Array, Uint8Array>
  decryptStream(
    message?: StreamData | DecryptOptions,
    options: DecryptOptions & StreamOptions = {},
  ): ReadableStream<Uint8Array> | TransformStream<Uint8Array, Uint8Array> {
    if (isData(message)) return pipe(message, this.decryptStream(options), options.signal)
    return createDecryptStream(contextOf(message ?? {}), this.#finder(message ?? {}))
  }

  /**
   * A range of a message's plaintext, of which only the chunks that hold it and the last one are read: of a file, or of an object store by
   * requests for ranges. Cut off at the plaintext's end, as `slice` does. Throws as {@link decrypt}, `RangeError` for no such range or size,
   * `ERR_IO` when `read` gives more or fewer bytes than asked for, and what `read` throws. It proves that the message has the `size` that its
   * source claims and that every byte stands at its place; it proves nothing of the chunks that were not read, and ranges of two calls are of
   * one message only if the source has not changed between them.
   *
   * @example
   * const read = async (start: number, end: number) =>
   *   (await fetch(url, { headers: { range: `bytes=${start}-${end - 1}` } })).bytes()
   * const middle = await notes.decryptRange({ size, read }, { start: 1_000_000, end: 1_065_536 })
   */
  async decryptRange(
    source: Uint8Array | Blob | MessageSource,
    options: RangeOptions = {},
  ): Promise<Bytes> {
    const { start = 0, end = Infinity } = options
    const context = contextOf(options)
    return decryptMessageRange(sourceOf(source), context, this.#finder(options), start, end)
  }

  /**
   * Whether a message should be decrypted and encrypted again, because its version may not encrypt any more under the newest state that was
   * accepted: it is compromised, deactivated or skipped, older than the version that is encrypted under now, or past its time. Needs no key and
   * no network; the first 40 bytes of the message are enough, and a hint until it is decrypted. Throws `ERR_MALFORMED` for what is no message,
   * `ERR_UNKNOWN_KEY` for one of another keyring or of a version not delivered yet, `ERR_CLOSED`.
   *
   * @example
   * const old = rows.filter(({ message }) => notes.needsRewrap(message))
   */
  needsRewrap(message: Uint8Array): boolean {
    const { keyId } = parseMessageHeader(concat(message.subarray(0, MESSAGE_HEADER_LENGTH)))
    return needsRewrap(this.#host.view(), keyId, this.#host.now())
  }

  #finder({ minVersion }: DecryptOptions): (keyId: Bytes) => Promise<CryptoKey> {
    return (keyId) => this.#keyToDecrypt(keyId, minVersion)
  }

  async #keyToEncrypt(): Promise<MessageKey> {
    let found = await this.#host.open()
    if (!found.isCurrent) {
      // In the middle of a fetch, what is missing may just be on its way.
      await this.#host.settled()
      found = await this.#host.open()
    }
    const { open, accepted, isCurrent } = found
    if (!isCurrent) throw new KeyferryError(REFUSED[this.state] ?? 'ERR_UNPROVEN')
    return open.keys.version(versionToEncrypt(open.view, accepted, this.#host.now()))
  }

  async #keyToDecrypt(keyId: Bytes, minVersion: number | undefined): Promise<CryptoKey> {
    try {
      return await this.#knownKey(keyId, minVersion)
    } catch (error) {
      if (!isKeyferryError(error, 'ERR_UNKNOWN_KEY')) throw error
      // Somebody else may have heard of a rotation first.
      await this.#host.catchUp()
      return this.#knownKey(keyId, minVersion)
    }
  }

  async #knownKey(keyId: Bytes, minVersion: number | undefined): Promise<CryptoKey> {
    const { open, accepted } = await this.#host.open()
    // A keyring that is left out lives on under the last head that had it.
    const head = { ...accepted.head, expiresAt: open.head.expiresAt }
    const now = this.#host.now()
    const entry = versionToDecrypt(open.view, { ...accepted, head }, keyId, now, minVersion)
    return (await open.keys.version(entry)).key
  }
}

function makeSalt(): Bytes {
  return crypto.getRandomValues(new Uint8Array(SALT_LENGTH))
}
