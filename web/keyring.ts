/** A keyring in the hands of the app: encrypts and decrypts by the rules of "Using a key" and "Messages" (docs/PROTOCOL.md). */
import { concat, fromUtf8, utf8, type Bytes } from '../shared/bytes.ts'
import { SALT_LENGTH } from '../shared/chunk.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { decryptMessage, encryptMessage, parseMessageHeader } from '../shared/message.ts'
import { createDecryptStream, createEncryptStream } from '../shared/message-stream.ts'
import { type Accepted } from '../shared/open.ts'
import { type MessageKey } from '../shared/unwrap.ts'
import { versionToDecrypt, versionToEncrypt } from '../shared/use.ts'
import { type OpenKeyring } from './unlocked.ts'
import { type KeyringState } from './state.ts'

/** What can be encrypted: bytes, or text as UTF-8. */
export type Data = string | Uint8Array | ArrayBuffer | Blob

/** What a message is bound to: the same context is needed to decrypt. It is not part of the message. Empty by default. */
export interface EncryptOptions {
  context?: string | Uint8Array
}

/** How to decrypt. */
export interface DecryptOptions extends EncryptOptions {
  /** Refuses messages under older versions: a member that was removed can still make such. */
  minVersion?: number
}

/** A keyring's keys and what they stand under; `isCurrent` if that is the accepted head. */
export interface Found {
  open: OpenKeyring
  accepted: Accepted
  isCurrent: boolean
}

/** What a keyring asks of its client. */
export interface KeyringHost {
  /** Throws `ERR_CLOSED`, `ERR_STATE`, `ERR_CLOCK`. */
  open: () => Promise<Found>
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

/** A copy: the caller may go on with its buffer. */
async function bytesOf(data: Data): Promise<Bytes> {
  if (typeof data === 'string') return utf8(data)
  if (data instanceof Uint8Array) return concat(data)
  if (data instanceof Blob) return new Uint8Array(await data.arrayBuffer())
  return new Uint8Array(data.slice(0))
}

/** A stream that begins once it is known how. */
function laterStream(
  starting: Promise<TransformStream<Bytes, Bytes>>,
): TransformStream<Uint8Array, Uint8Array> {
  const input = new TransformStream<Bytes, Bytes>()
  const output = new TransformStream<Bytes, Bytes>()
  const run = async (): Promise<void> => {
    try {
      const stream = await starting
      await input.readable.pipeThrough(stream).pipeTo(output.writable)
    } catch (error) {
      // Whoever reads or writes is told there.
      await Promise.allSettled([
        input.readable.locked ? undefined : input.readable.cancel(error),
        output.writable.locked ? undefined : output.writable.abort(error),
      ])
    }
  }
  void run()
  const { writable } = input
  return { readable: output.readable, writable }
}

/** A keyring of a client; it stays valid through rotations, and does what the newest accepted state allows at each call. */
export class Keyring {
  readonly name: string
  readonly #host: KeyringHost

  /** Made by `keyferry.keyring(name)`. */
  constructor(name: string, host: KeyringHost) {
    this.name = name
    this.#host = host
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

  /** The same as a stream: bytes in, a message out. It fails with what {@link encrypt} throws. */
  encryptStream(options: EncryptOptions = {}): TransformStream<Uint8Array, Uint8Array> {
    const context = contextOf(options)
    const start = async (): Promise<TransformStream<Bytes, Bytes>> => {
      const { key, entry } = await this.#keyToEncrypt()
      return createEncryptStream(key, entry.keyId, context, makeSalt())
    }
    return laterStream(start())
  }

  /**
   * The same as a stream: a message in, bytes out. It fails with what {@link decrypt} throws. Only its end says that the message is whole: what
   * was done with the bytes before must be undone when it fails.
   */
  decryptStream(options: DecryptOptions = {}): TransformStream<Uint8Array, Uint8Array> {
    const find = (keyId: Bytes): Promise<CryptoKey> => this.#keyToDecrypt(keyId, options.minVersion)
    return createDecryptStream(contextOf(options), find)
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
