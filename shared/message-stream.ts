/**
 * Messages as streams (docs/PROTOCOL.md, "Message"): the same bytes as in message.ts, for data of any length in bounded
 * memory. Pieces may have any size; at most {@link CHUNKS_IN_FLIGHT} chunks are being worked on or wait to be read.
 */
import type { Bytes } from './bytes.ts'
import {
  CHUNKS_IN_FLIGHT,
  CHUNK_LENGTH,
  requirePiece,
  TAG_LENGTH,
  type ChunkStep,
} from './chunk.ts'
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
  return createChunkStream(CHUNK_LENGTH, 0, start)
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

/** Chunks that are waited for together: one look in place of four, and what networks bring at a time. */
const TOGETHER = 4

type Feed = (source: ReadableStream<Uint8Array>, signal: AbortSignal | undefined) => void

/**
 * As `source.pipeThrough(transform, { signal })`. The source of a stream of this module, which has a `feed`, is read without a `WritableStream` between, which saves a browser a tenth of
 * the time.
 */
export function pipeThrough(
  source: ReadableStream<Uint8Array>,
  transform: TransformStream<Uint8Array, Uint8Array>,
  signal: AbortSignal | undefined,
): ReadableStream<Uint8Array> {
  const { feed } = transform as { feed?: Feed }
  if (!feed) return source.pipeThrough(transform, signal && { signal })
  feed(source, signal)
  return transform.readable
}

/**
 * Gathers a prefix of `prefixLength` bytes (fewer when the stream ends in it), gives it to `start`, cuts the rest into
 * chunks of `size` bytes and runs the step on them: several at once, released in order. What is left at the end, also
 * nothing, is the last chunk. Without a prefix it starts, and fails, at once. Not a `TransformStream` object, because its transformer
 * cannot wait for the reader in the middle of a large piece.
 */
function createChunkStream(
  size: number,
  prefixLength: number,
  start: Start,
): TransformStream<Bytes, Bytes> {
  let input!: WritableStreamDefaultController
  let output!: ReadableStreamDefaultController<Bytes>
  /** Why nothing more is taken or made. */
  let stopped: { reason: unknown } | undefined
  let letGo: ((reason: unknown) => void) | undefined
  let wake = (): void => {}
  let step: ChunkStep | undefined
  let frame: FrameReader | undefined
  let buffer = new Uint8Array(prefixLength)
  let filled = 0
  let count = 0
  /** Chunks that began and are waited for together next; those that are in flight, in their order; how many all of these are. */
  let together: Promise<Bytes>[] = []
  const queue: Promise<Bytes[]>[] = []
  let pending = 0
  let released: Promise<void> | undefined

  const stop = (reason: unknown): void => {
    stopped ??= { reason }
    input.error(reason)
    letGo?.(reason)
    wake()
  }
  const fail = (reason: unknown): void => {
    stop(reason)
    output.error(reason)
  }
  const guard = (work: Promise<void>): Promise<void> =>
    work.catch((error: unknown) => {
      fail(error)
      throw error
    })
  const release = (bytes: Bytes): void => {
    // A reader that went away takes nothing; what is written then fails with the reader's reason.
    if (!stopped && bytes.length > 0) output.enqueue(bytes)
  }

  const begin = async (): Promise<void> => {
    ;({ step, frame } = await start(buffer.subarray(0, filled), release))
    buffer = new Uint8Array(size)
    filled = 0
  }
  const releaseAll = async (): Promise<void> => {
    for (let made; (made = queue[0]); wake()) {
      for (const bytes of await made) {
        pending--
        release(frame ? await frame.take(bytes) : bytes)
      }
      void queue.shift()
    }
  }
  const depart = (): void => {
    if (together.length === 0) return
    const made = Promise.all(together)
    together = []
    // Whichever fails first, also if it is not its turn yet.
    made.catch(fail)
    if (queue.push(made) === 1) (released = releaseAll()).catch(fail)
  }
  /** The reader's free places, less those that the chunks in flight will take. */
  const isFull = (): boolean => !stopped && output.desiredSize! <= pending
  const room = async (): Promise<void> => {
    depart()
    while (isFull()) await new Promise<void>((resolve) => (wake = resolve))
  }
  const goOn = (): void => {
    if (stopped) throw stopped.reason
  }
  const submit = (chunk: Bytes): void => {
    goOn()
    pending++
    if (together.push(step!(chunk, count++)) === TOGETHER) depart()
  }
  const write = async (piece: Bytes): Promise<void> => {
    try {
      for (let at = 0; ;) {
        requirePiece(piece)
        if (at === piece.length) return
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
        if (step) {
          if (isFull()) await room()
          // Its owner may have given the memory away meanwhile.
          requirePiece(piece)
          submit(chunk)
        } else await begin()
        filled = 0
      }
    } finally {
      depart()
    }
  }
  const close = async (): Promise<void> => {
    // What was stopped looks for no key.
    goOn()
    if (!step) await begin()
    if (isFull()) await room()
    submit(buffer.subarray(0, filled))
    depart()
    await released
    await frame?.end()
    goOn()
    output.close()
  }

  const readable = new ReadableStream<Bytes>(
    {
      start: (controller) => void (output = controller),
      pull: () => wake(),
      cancel: stop,
    },
    { highWaterMark: CHUNKS_IN_FLIGHT },
  )
  let begun: Promise<void> | undefined
  const writable = new WritableStream<Bytes>({
    start(controller) {
      input = controller
      controller.signal.addEventListener('abort', () => fail(controller.signal.reason))
      // Wrong parameters are told at once, also where nobody writes.
      if (prefixLength === 0) begun = guard(begin())
      return begun
    },
    write: (piece) => guard(write(piece)),
    close: () => guard(close()),
  })
  const feed: Feed = (source, signal) => {
    const reader = source.getReader()
    letGo = (reason) => void reader.cancel(reason).catch(() => {})
    const abort = (): void => fail(signal!.reason)
    const run = async (): Promise<void> => {
      await begun
      for (let one; !(one = await reader.read()).done;) await write(one.value as Bytes)
      await close()
    }
    signal?.addEventListener('abort', abort)
    if (signal?.aborted) abort()
    run()
      .catch(fail)
      .finally(() => {
        reader.releaseLock()
        signal?.removeEventListener('abort', abort)
      })
  }
  return { readable, writable, feed } as TransformStream<Bytes, Bytes>
}
