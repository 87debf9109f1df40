/** A keyring in the hands of the app: encrypts and decrypts by the rules of "Using a key" and "Messages" (docs/PROTOCOL.md). */
import { concat, fromUtf8, utf8, type Bytes } from '../shared/bytes.ts'
import { requirePiece, SALT_LENGTH } from '../shared/chunk.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { lazily } from '../shared/lazy.ts'
import type { MessageSource } from '../shared/message-range.ts'
import { createDecryptStream, createStartedStream } from '../shared/message-stream.ts'
import {
  decryptMessage,
  encryptMessage,
  MESSAGE_HEADER_LENGTH,
  parseMessageHeader,
  startMessage,
} from '../shared/message.ts'
import type { Sender } from '../shared/sender.ts'
import { createFrameStream } from '../shared/frame-stream.ts'
import { type MessageKey } from '../shared/unwrap.ts'
import { needsRewrap, versionToDecrypt, versionToEncrypt } from '../shared/use.ts'
import {
  bytesOf,
  isData,
  optionsOf,
  ownOf,
  pipe,
  sourceOf,
  type Data,
  type StreamData,
} from './data.ts'
import { type KeyringHost } from './keyring-host.ts'
import {
  type ContextOptions,
  type DecryptOptions,
  type EncryptOptions,
  type RangeOptions,
  type ReadOptions,
  type StreamOptions,
  type VerifyOptions,
} from './keyring-options.ts'
import { Senders } from './senders.ts'
import { type KeyringState } from './state.ts'

const REFUSED: Partial<Record<KeyringState, 'ERR_DENIED' | 'ERR_REMOVED'>> = {
  denied: 'ERR_DENIED',
  removed: 'ERR_REMOVED',
}

/** Throws `TypeError` for what is neither text nor bytes: it would bind to nothing. */
function contextOf({ context = '' }: ContextOptions): Bytes {
  if (typeof context === 'string') return utf8(context)
  requirePiece(context)
  return concat(context)
}

/** A keyring of a client; it stays valid through rotations, and does what the newest accepted state allows at each call. */
export class Keyring {
  readonly name: string
  readonly #host: KeyringHost
  readonly #senders: Senders

  private constructor(name: string, host: KeyringHost) {
    this.name = name
    this.#host = host
    const known = async () => {
      const { accepted, open } = await host.open()
      return { accepted, view: open.view }
    }
    this.#senders = new Senders({ ...host.sender, known, now: host.now })
  }

  /**
   * For `keyferry.keyring(name)`.
   * @internal
   */
  static of(name: string, host: KeyringHost): Keyring {
    return new Keyring(name, host)
  }

  /** Number of the version that the newest accepted release encrypts under; 0 before there is one. It stays when the keyring is left out: whether it may encrypt says `state`. */
  get version(): number {
    return this.#host.version()
  }

  /** How the keyring stands now; see {@link KeyringState}. */
  get state(): KeyringState {
    return this.#host.state()
  }

  /** Why it is denied, pending or removed, in the words that the deriver signed; empty otherwise. */
  get reason(): string {
    return this.#host.reason()
  }

  /**
   * Encrypts under the newest version; with `sign`, as this client, which only members can see. Throws `ERR_STALE` when the signed state is too old, `ERR_KEY_VERSION` when no version is active,
   * `ERR_DENIED`, `ERR_REMOVED` or `ERR_UNPROVEN` when the newest head does not show this client in the keyring, `ERR_CERT_REVOKED` when the CA revoked its certificate, `ERR_CLOSED`; to sign, `ERR_CERT_EXPIRED` when
   * this client's certificate is over, and `ERR_TOO_LARGE` when its path has more than 16 kB.
   *
   * @example
   * const message = await notes.encrypt('Hello', { context: 'note/17' })
   */
  async encrypt(data: Data, options: EncryptOptions = {}): Promise<Bytes> {
    const context = contextOf(options)
    const { sign = false } = options
    const salt = makeSalt()
    const [own, { key, entry }] = await Promise.all([bytesOf(data), this.#keyToEncrypt()])
    if (!sign) return encryptMessage(key, entry.keyId, context, salt, own)
    const framed = await (await this.#senders.work()).frame(entry.keyId, salt, context, own)
    return encryptMessage(key, entry.keyId, context, salt, framed, true)
  }

  /** Decrypts a message of this keyring into a text. Throws as the other overload, and `ERR_MALFORMED` if it is no UTF-8. */
  decrypt(message: Uint8Array, options: DecryptOptions & { as: 'text' }): Promise<string>
  /**
   * Decrypts a message of this keyring. Throws `ERR_MALFORMED` for what is no message, `ERR_UNKNOWN_KEY` for one of another keyring or of a version
   * not delivered yet, `ERR_KEY_VERSION` below `minVersion` or outside the version's time, `ERR_STALE` after too long offline, and one
   * `ERR_OPEN` for everything that is wrong inside, the context included.
   *
   * A signature inside is verified too, unless `from` is false. `ERR_UNSIGNED` if there is none where `from` asks for one, `ERR_SENDER` for another sender
   * than `from` or one whom the keyring's rules do not cover, `ERR_CERT_REVOKED` for a revoked one, `ERR_SIGNATURE`, and the codes of certification paths.
   *
   * @example
   * const text = await notes.decrypt(message, { as: 'text', from: 'keyferry://client.acme.example/kim' })
   */
  decrypt(message: Uint8Array, options?: DecryptOptions & { as?: 'bytes' }): Promise<Bytes>
  async decrypt(
    message: Uint8Array,
    options: DecryptOptions & { as?: 'bytes' | 'text' } = {},
  ): Promise<Bytes | string> {
    const context = contextOf(options)
    const copy = concat(message)
    const { keyId } = parseMessageHeader(copy)
    const key = await this.#keyToDecrypt(keyId, options.minVersion)
    const plaintext = await decryptMessage(key, copy, context)
    const { data, sender } = await this.#senders.open(copy, plaintext, context, options)
    const out = options.as === 'text' ? fromUtf8(data) : data
    if (sender !== null) options.onSender?.(sender)
    return out
  }

  /**
   * {@link encrypt} as a stream, for data of any length in bounded memory: a stream of the message or, without data, a transform of bytes into a
   * message. It goes only as fast as it is read, and fails with what {@link encrypt} throws, `ERR_TOO_LARGE` from 2^46 bytes on, and
   * `TypeError` for pieces that are no `Uint8Array`, or in memory that is shared, can be resized or was given away.
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
    ...given: [data?: StreamData | EncryptOptions, options?: EncryptOptions & StreamOptions]
  ): ReadableStream<Uint8Array> | TransformStream<Uint8Array, Uint8Array> {
    const [data, options = {}] = given
    if (isData(data)) return pipe(data, this.encryptStream(options), options.signal)
    const { sign = false, signal, ...bound }: EncryptOptions & StreamOptions = optionsOf(given)
    const context = contextOf(bound)
    const salt = makeSalt()
    const ready = this.#keyToEncrypt()
    const start = async (): ReturnType<typeof startMessage> => {
      const { key, entry } = await ready
      // Where a sender signs there is one pipe more, and what was stopped before it began must not begin.
      signal?.throwIfAborted()
      return startMessage(key, entry.keyId, context, salt, sign)
    }
    const chunks = createStartedStream(start())
    if (!sign) return chunks
    const frame = createFrameStream(
      ready.then(async ({ entry }) =>
        (await this.#senders.work()).writer(entry.keyId, salt, context),
      ),
    )
    return { writable: frame.writable, readable: frame.readable.pipeThrough(chunks) }
  }

  /**
   * {@link decrypt} as a stream, for a message of any length in bounded memory: a stream of the plaintext or, without a message, a transform of one
   * into bytes. It goes only as fast as it is read, and fails with what {@link decrypt} throws, and for such pieces as {@link encryptStream} does. Only its end says that the message is whole, and signed:
   * what was done with the bytes before must be undone when it fails. A sender that is not taken is refused before the first byte.
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
    ...given: [message?: StreamData | DecryptOptions, options?: DecryptOptions & StreamOptions]
  ): ReadableStream<Uint8Array> | TransformStream<Uint8Array, Uint8Array> {
    const [message, options = {}] = given
    if (isData(message)) return pipe(message, this.decryptStream(options), options.signal)
    const bound: DecryptOptions = optionsOf(given)
    const context = contextOf(bound)
    return createDecryptStream(context, this.#finder(bound), (prefix) =>
      this.#senders.reader(prefix, context, bound),
    )
  }

  /**
   * A range of a message's plaintext, of which only the chunks that hold it and the last one are read: of a file, or of an object store by
   * requests for ranges. Cut off at the plaintext's end, as `slice` does. Throws as {@link decrypt}, `RangeError` for no such range or size,
   * `ERR_IO` when `read` gives more or fewer bytes than asked for, and what `read` throws. It proves that the message has the `size` that its
   * source claims and that every byte stands at its place; it proves nothing of the chunks that were not read, and ranges of two calls are of
   * one message only if the source has not changed between them. Of a signed message it gives the data, and proves nothing of the sender: `from` is
   * refused (`ERR_UNSUPPORTED`).
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
    const { start = 0, end = Infinity, from } = options as RangeOptions & DecryptOptions
    if (from !== undefined && from !== false)
      throw new KeyferryError('ERR_UNSUPPORTED', 'a range does not say who signed')
    const context = contextOf(options)
    const { decryptMessageRange } = await lazily(() => import('../shared/message-range.ts'))
    return decryptMessageRange(sourceOf(source), context, this.#finder(options), start, end)
  }

  /**
   * Signs data as this client, for this keyring and context: a signature to be kept beside them, which everyone can read and members can verify. It names
   * the data by their SHA-256. Needs neither a key nor the network. Throws `ERR_CERT_EXPIRED` and `ERR_CERT_REVOKED` when this client's certificate is over or revoked, `TypeError` for
   * pieces of a stream that are no `Uint8Array`, `ERR_CLOSED`.
   *
   * @example
   * const signature = await notes.sign(file, { context: 'contract/7' })
   */
  async sign(data: StreamData, options: ContextOptions & StreamOptions = {}): Promise<Bytes> {
    this.#host.view()
    const [own, context] = [ownOf(data), contextOf(options)]
    // What another tab has learned of this certificate counts here, too.
    await this.#host.sync()
    this.#host.requireUnrevoked()
    return (await this.#senders.work()).sign(own, context, options.signal)
  }

  /**
   * Who signed data, verified to the customer's CA. Throws `ERR_HASH` for other data or another context, `ERR_KEYRING` and `ERR_TENANT` for a signature of
   * another one, `ERR_FUTURE`, `ERR_SENDER` for another signer than `from` or one whom the keyring's rules do not cover, `ERR_CERT_REVOKED`,
   * `ERR_SIGNATURE`, the codes of certification paths and of decoding, and those of relays where a revocation list has to be fetched.
   *
   * The time is the signer's word. `status` says how the certificate stands now: who needs proof of a time needs `current`, or a witness.
   *
   * @example
   * const { uri, status } = await notes.verify(signature, file, { context: 'contract/7' })
   */
  async verify(
    signature: Uint8Array,
    data: StreamData,
    options: VerifyOptions = {},
  ): Promise<Sender> {
    const [copy, own, context] = [concat(signature), ownOf(data), contextOf(options)]
    return (await this.#senders.work()).verify(copy, own, context, options)
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

  #finder({ minVersion }: ReadOptions): (keyId: Bytes) => Promise<CryptoKey> {
    return (keyId) => this.#keyToDecrypt(keyId, minVersion)
  }

  async #keyToEncrypt(): Promise<MessageKey> {
    // Not under what another tab has replaced.
    await this.#host.sync()
    this.#host.requireUnrevoked()
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
      // Somebody else may have heard of a rotation first: another tab, a fetch on its way, or the message's sender.
      await this.#host.sync()
      if (!(await this.#isKnown(keyId))) await this.#host.settled()
      if (!(await this.#isKnown(keyId))) await this.#host.catchUp()
      return this.#knownKey(keyId, minVersion)
    }
  }

  async #isKnown(keyId: Bytes): Promise<boolean> {
    const { open } = await this.#host.open()
    return open.view.manifest.versions.findKey(keyId) !== undefined
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
