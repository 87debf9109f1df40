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
  const timer = setTimeout(
    () => controller.abort(new KeyferryError('ERR_TIMEOUT')),
    Math.max(0, milliseconds),
  )
  try {
    return await work(controller.signal)
  } finally {
    clearTimeout(timer)
    outer.removeEventListener('abort', stop)
  }
}

const FIRST_BUFFER = 65_536

/** The body of an answer. Throws `ERR_TOO_LARGE` as soon as it has more than `limit` bytes, and the signal's reason. */
export async function readBounded(
  response: Response,
  limit: number,
  signal: AbortSignal,
): Promise<Bytes> {
  if (response.body === null) return new Uint8Array()
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  // One buffer that grows: a body in many small parts costs what it holds, not what its parts cost.
  let buffer = new Uint8Array(Math.min(limit, FIRST_BUFFER))
  let length = 0
  try {
    for (;;) {
      const { done, value } = await abortable(reader.read(), signal)
      if (done) return buffer.slice(0, length)
      // PROTOCOL [dec-1]
      if (length + value.length > limit)
        throw new KeyferryError('ERR_TOO_LARGE', `more than ${limit} bytes`)
      if (length + value.length > buffer.length) {
        const larger = new Uint8Array(Math.min(limit, 2 * (length + value.length)))
        larger.set(buffer.subarray(0, length))
        buffer = larger
      }
      buffer.set(value, length)
      length += value.length
    }
  } finally {
    // Stops what is still coming; nobody waits for a stranger to agree.
    reader.cancel().catch(() => {})
  }
}
