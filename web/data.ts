/** What an app gives to a keyring and what it becomes: bytes, streams, or a source to read parts of. */
import { utf8, type Bytes } from '../shared/bytes.ts'
import type { MessageSource } from '../shared/message-range.ts'
import { pipeThrough } from '../shared/message-stream.ts'

/** What can be encrypted: bytes, or text as UTF-8. */
export type Data = string | Uint8Array | ArrayBuffer | Blob

/** What can be encrypted as a stream. */
export type StreamData = Data | ReadableStream<Uint8Array>

/** What the caller cannot change any more: a copy of its buffer, or what has no buffer. Throws `TypeError` for memory that was given away. */
export function ownOf(data: StreamData): StreamData {
  if (data instanceof Uint8Array) return new Uint8Array(data)
  return data instanceof ArrayBuffer ? data.slice(0) : data
}

/** A copy: the caller may go on with its buffer. Throws `TypeError` for memory that was given away, and for what is no data. */
export async function bytesOf(data: Data): Promise<Bytes> {
  if (typeof data === 'string') return utf8(data)
  if (data instanceof Uint8Array) return new Uint8Array(data)
  if (data instanceof ArrayBuffer) return new Uint8Array(data.slice(0))
  // Throws for anything else: of other arrays it would not be the bytes. A file may have a way of its own.
  return new Uint8Array(await data.arrayBuffer())
}

/** The options where no data are given. Throws `TypeError` for what is neither: it would be lost without a word. */
export function optionsOf<T>([options = {}, more]: readonly unknown[]): T {
  // Of another realm, or another kind of bytes or stream. Throws for what is no object, too.
  const isOther = ['byteLength', Symbol.iterator, Symbol.asyncIterator]
  if (more !== undefined || isOther.some((name) => name in (options as object)))
    throw new TypeError('not data')
  return options as T
}

/** Where the parts of a message are read. */
export function sourceOf(source: Uint8Array | Blob | MessageSource): MessageSource {
  if (source instanceof Uint8Array)
    return { size: source.length, read: (start, end) => source.subarray(start, end) }
  if (source instanceof Blob)
    return { size: source.size, read: (start, end) => bytesOf(source.slice(start, end)) }
  return source
}

/** Whether this is data and no options. */
export function isData(value: unknown): value is StreamData {
  return (
    typeof value === 'string' ||
    [Uint8Array, ArrayBuffer, Blob, ReadableStream].some((kind) => value instanceof kind)
  )
}

/** Data through a transform, until the signal stops both. */
export function pipe(
  data: StreamData,
  transform: TransformStream<Uint8Array, Uint8Array>,
  signal: AbortSignal | undefined,
): ReadableStream<Uint8Array> {
  // All kinds of data are a body of a response; what is no stream is copied. Bytes in shared memory are none, and Node takes their digits for a text.
  return pipeThrough(new Response(ownOf(data) as BodyInit).body!, transform, signal)
}
