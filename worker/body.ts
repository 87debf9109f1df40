/** Reads what a stranger sends, and never more of it than the call may have. */
import { type Bytes } from '../shared/bytes.ts'
import { errorOf } from '../shared/error-codes.ts'
import { KeyferryError } from '../shared/errors.ts'

/** Room for most bodies. */
const FIRST = 65_536
/** Milliseconds until a body has to be there. */
const DEADLINE = 60_000

/** Throws `ERR_MEDIA_TYPE` unless the body is declared as this type, without a content coding. */
export function requireMediaType(request: Request, type: string): void {
  // PROTOCOL [relay-1]
  const [essence = ''] = (request.headers.get('content-type') ?? '').split(';')
  const coding = request.headers.get('content-encoding') ?? 'identity'
  if (essence.trim().toLowerCase() !== type || coding !== 'identity')
    throw errorOf('ERR_MEDIA_TYPE')
}

/** Throws `ERR_TOO_LARGE` where more than that is declared. */
export function requireLength(request: Request, limit: number): void {
  // PROTOCOL [relay-1]
  if (Number(request.headers.get('content-length') ?? 0) > limit)
    throw new KeyferryError('ERR_TOO_LARGE')
}

/** One buffer that grows: parts of a byte each would weigh a hundred times as much as what they hold. */
async function collectParts(
  reader: ReadableStreamDefaultReader<Bytes>,
  limit: number,
): Promise<Bytes> {
  let buffer = new Uint8Array(Math.min(limit, FIRST))
  let length = 0
  for (let part = await reader.read(); part.value !== undefined; part = await reader.read()) {
    const end = length + part.value.length
    // PROTOCOL [relay-1]
    if (end > limit) {
      await reader.cancel()
      throw new KeyferryError('ERR_TOO_LARGE')
    }
    if (end > buffer.length) {
      const larger = new Uint8Array(Math.min(limit, Math.max(end, 2 * buffer.length)))
      larger.set(buffer.subarray(0, length))
      buffer = larger
    }
    buffer.set(part.value, length)
    length = end
  }
  return length === buffer.length ? buffer : buffer.slice(0, length)
}

/**
 * The whole body. Throws `ERR_TOO_LARGE` as soon as it is longer, whatever length was declared, and `ERR_TIMEOUT` if it is not there after so many
 * milliseconds.
 */
export async function readBody(
  request: Request,
  limit: number,
  deadline = DEADLINE,
): Promise<Bytes> {
  requireLength(request, limit)
  const reader = (request.body as ReadableStream<Bytes> | null)?.getReader()
  if (reader === undefined) return new Uint8Array()
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new KeyferryError('ERR_TIMEOUT')), deadline)
  try {
    // PROTOCOL [relay-1]
    return await Promise.race([collectParts(reader, limit), late.promise])
  } catch (error) {
    reader.cancel().catch(() => {})
    throw error
  } finally {
    clearTimeout(timer)
  }
}
