/**
 * Messages as streams (docs/PROTOCOL.md, "Message"): the same bytes as in message.ts, for data of any length in bounded
 * memory. Pieces may have any size; at most {@link CHUNKS_IN_FLIGHT} chunks are being worked on or wait to be read.
 */
import type { Bytes } from './bytes.ts'
import { CHUNKS_IN_FLIGHT, CHUNK_LENGTH, TAG_LENGTH, type ChunkStep } from './chunk.ts'
import { MESSAGE_PREFIX_LENGTH, openMessage, parseMessageHeader, startMessage } from './message.ts'
import type { FrameReader } from './signed-message.ts'

/**
 * Encrypts what is written to it; the parameters are those of `encryptMessage`. The stream fails with `RangeError` or
 * `TypeError` for wrong ones, and with `ERR_TOO_LARGE` from 2^46 bytes on.
 */
export function createEncryptStream(
  key: CryptoKey,
  keyId: Bytes,
  context: Bytes,
  salt: Bytes,
): TransformStream<Bytes, Bytes> {
  return createStartedStream(startMessage(key, keyId, context, salt))
}

/** The same for a message that is being started; the stream fails at once with what `started` rejects with. */
export function createStartedStream(
  started: ReturnType<typeof startMessage>,
): TransformStream<Bytes, Bytes> {
  const start: Start = async (_prefix, release) => {
    const { prefix, step } = await started
    release(await prefix)
    return { step }
  }
  return createChunkStream(CHUNK_LENGTH, 0, start, started)
}

/**
 * Decrypts the message written to it with the key that `findKey` gives for its key id (not authenticated yet). Fails
 * with `ERR_MALFORMED` when it does not begin with the header of a message, with what `findKey` throws, and with the
 * same `ERR_OPEN` for everything else, a stream that ends early included.
 *
 * No byte of a chunk comes out before its tag was checked, but the chunks before a bad or missing one may be out
 * already: whoever acts on a part must be able to undo it when the stream fails. Only the end of the stream, without an
 * error, says that the message is whole.
 *
 * `openFrame` is given the first 96 bytes once the commitment is right, and says what takes the plaintext of a signed message apart; whatever it and
 * its reader throw, the stream fails with.
 */
export function createDecryptStream(
  context: Bytes,
  findKey: (keyId: Bytes) => Promise<CryptoKey>,
  openFrame?: (prefix: Bytes) => Promise<FrameReader | undefined>,
): TransformStream<Bytes, Bytes> {
  const ownContext = context.slice()
  return createChunkStream(CHUNK_LENGTH + TAG_LENGTH, MESSAGE_PREFIX_LENGTH, async (prefix) => {
    const { keyId } = parseMessageHeader(prefix)
    const own = prefix.slice()
    const step = await openMessage(await findKey(keyId), own, ownContext)
    return { step, frame: await openFrame?.(own) }
  })
}

type Start = (
  prefix: Bytes,
  release: (bytes: Bytes) => void,
) => Promise<{ step: ChunkStep; frame?: FrameReader | undefined }>

/**
 * Gathers a prefix of `prefixLength` bytes (fewer when the stream ends in it), gives it to `start`, cuts the rest into
 * chunks of `size` bytes and runs the step on them: several at once, released in order. What is left at the end, also
 * nothing, is the last chunk. Fails as soon as `started` does. Not a `TransformStream` object, because its transformer
 * cannot wait for the reader in the middle of a large piece.
 */
function createChunkStream(
  size: number,
  prefixLength: number,
  start: Start,
  started?: Promise<unknown>,
): TransformStream<Bytes, Bytes> {
  let input!: WritableStreamDefaultController
  let output!: ReadableStreamDefaultController<Bytes>
  const stopped = new AbortController()
  let wake = (): void => {}
  let step: ChunkStep | undefined
  let frame: FrameReader | undefined
  let buffer = new Uint8Array(prefixLength)
  let filled = 0
  let count = 0
  /** Chunks in flight, in their order. */
  const queue: Promise<Bytes>[] = []
  let released: Promise<void> | undefined

  const fail = (reason: unknown): void => {
    stopped.abort(reason)
    input.error(reason)
    output.error(reason)
    wake()
  }
  const guard = async (work: Promise<void>): Promise<void> => {
    try {
      await work
    } catch (error) {
      fail(error)
      throw error
    }
  }
  const release = (bytes: Bytes): void => {
    // A reader that went away takes nothing; what is written then fails with the reader's reason.
    if (!stopped.signal.aborted && bytes.length > 0) output.enqueue(bytes)
  }

  const begin = async (): Promise<void> => {
    ;({ step, frame } = await start(buffer.subarray(0, filled), release))
    buffer = new Uint8Array(size)
    filled = 0
  }
  const releaseAll = async (): Promise<void> => {
    for (let made; (made = queue[0]); wake()) {
      const bytes = await made
      release(frame === undefined ? bytes : await frame.take(bytes))
      void queue.shift()
    }
  }
  const submit = async (chunk: Bytes): Promise<void> => {
    // The reader's free places, less those that the chunks in flight will take.
    while (!stopped.signal.aborted && output.desiredSize! <= queue.length)
      await new Promise<void>((resolve) => (wake = resolve))
    stopped.signal.throwIfAborted()
    const made = step!(chunk, count++)
    // Whichever fails first, also if it is not its turn yet.
    made.catch(fail)
    if (queue.push(made) === 1) (released = releaseAll()).catch(fail)
  }
  const write = async (piece: Bytes): Promise<void> => {
    // Anything else has another length, or none, and would be lost without a word.
    if (!(piece instanceof Uint8Array)) throw new TypeError('a piece of a stream is a Uint8Array')
    for (let at = 0; at < piece.length;) {
      const part = piece.subarray(at, at + buffer.length - filled)
      at += part.length
      let chunk = part
      // A whole chunk is not copied first.
      if (part.length !== size) {
        buffer.set(part, filled)
        filled += part.length
        if (filled < buffer.length) continue
        chunk = buffer
      }
      if (step) await submit(chunk)
      else await begin()
      filled = 0
    }
  }
  const close = async (): Promise<void> => {
    if (!step) await begin()
    await submit(buffer.subarray(0, filled))
    await released
    await frame?.end()
    stopped.signal.throwIfAborted()
    output.close()
  }

  const readable = new ReadableStream<Bytes>(
    {
      start: (controller) => void (output = controller),
      pull: () => wake(),
      cancel(reason) {
        stopped.abort(reason)
        input.error(reason)
        wake()
      },
    },
    { highWaterMark: CHUNKS_IN_FLIGHT },
  )
  const writable = new WritableStream<Bytes>({
    start(controller) {
      input = controller
      controller.signal.addEventListener('abort', () => fail(controller.signal.reason))
      // Wrong parameters are told at once, also where nobody writes.
      return prefixLength === 0 ? guard(begin()) : undefined
    },
    write: (piece) => guard(write(piece)),
    close: () => guard(close()),
  })
  started?.catch(fail)
  return { readable, writable }
}
