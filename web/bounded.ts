/** Reading from a stranger: never more bytes than agreed, never longer than agreed. */
import { type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'

/** What `promise` brings, unless the signal is aborted first: then its reason is thrown. */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  // Nobody is left to hear of its failure once the signal was first.
  promise.catch(() => {})
  signal.throwIfAborted()
  let stop = (): void => {}
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason as Error)
    signal.addEventListener('abort', stop)
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** Resolves after so many milliseconds; rejects with the signal's reason when that comes first. */
export async function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  try {
    await abortable(
      new Promise<void>((resolve) => (timer = setTimeout(resolve, milliseconds))),
      signal,
    )
  } finally {
    clearTimeout(timer)
  }
}

/** Runs `work` with a signal that is aborted with `ERR_TIMEOUT` after so many milliseconds, or with `outer`. */
export async function withDeadline<T>(
  milliseconds: number,
  outer: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  outer.throwIfAborted()
  const controller = new AbortController()
  const stop = (): void => controller.abort(outer.reason)
  outer.addEventListener('abort', stop)
  const timer = setTimeout(() => controller.abort(new KeyferryError('ERR_TIMEOUT')), milliseconds)
  try {
    return await work(controller.signal)
  } finally {
    clearTimeout(timer)
    outer.removeEventListener('abort', stop)
  }
}

/**
 * The body of an answer, a view of memory that may be longer: whoever keeps it copies it. Throws `ERR_TOO_LARGE` as soon as it has more than `limit` bytes, and
 * the signal's reason.
 */
export async function readBounded(
  response: Response,
  limit: number,
  signal: AbortSignal,
): Promise<Bytes> {
  if (response.body === null) return new Uint8Array()
  const reader = (response.body as ReadableStream<Bytes>).getReader()
  const read = async (): Promise<Bytes> => {
    // One buffer that grows: a body in many small parts costs what it holds, not what its parts cost. One in a single part is that part.
    let buffer = new Uint8Array()
    let length = 0
    for (;;) {
      const { done, value } = await reader.read()
      signal.throwIfAborted()
      if (done) return buffer.subarray(0, length)
      const end = length + value.length
      // PROTOCOL [dec-1]
      if (end > limit) throw new KeyferryError('ERR_TOO_LARGE', `more than ${limit} bytes`)
      if (length === 0) buffer = new Uint8Array(value.buffer, value.byteOffset, end)
      else {
        if (end > buffer.length) {
          const larger = new Uint8Array(Math.min(limit, 2 * end))
          larger.set(buffer)
          buffer = larger
        }
        buffer.set(value, length)
      }
      length = end
    }
  }
  try {
    return await abortable(read(), signal)
  } finally {
    // Stops what is still coming; nobody waits for a stranger to agree.
    reader.cancel().catch(() => {})
  }
}
