/** Reads what a stranger sends, and never more of it than the call may have. */
import { concat, type Bytes } from '../shared/bytes.ts'
import { relayError } from '../shared/relay-codes.ts'

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
    throw relayError('ERR_MEDIA_TYPE')
}

/** Throws `ERR_TOO_LARGE` where more than that is declared. */
export function requireLength(request: Request, limit: number): void {
  // PROTOCOL [relay-1]
  if (Number(request.headers.get('content-length') ?? 0) > limit) throw relayError('ERR_TOO_LARGE')
}

/** In buffers that are filled, each twice as long as the one before: as many steps as a long body has doublings, not one for each packet, and never much more room than what came. */
async function collectParts(
  reader: ReadableStreamBYOBReader,
  limit: number,
  first: number,
): Promise<Bytes> {
  const parts: Bytes[] = []
  let length = 0
  for (let room = first; ; room *= 2) {
    // One more than may come, so that it is seen.
    const most = Math.min(room, limit + 1 - length)
    const { value } = await reader.readAtLeast(most, new Uint8Array(most))
    const part = value ?? new Uint8Array()
    parts.push(part)
    length += part.length
    // PROTOCOL [relay-1]
    if (length > limit) {
      await reader.cancel()
      throw relayError('ERR_TOO_LARGE')
    }
    if (part.length < most) return parts.length === 1 ? part.slice() : concat(...parts)
  }
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
  const reader = request.body?.getReader({ mode: 'byob' })
  if (reader === undefined) return new Uint8Array()
  const declared = Number(request.headers.get('content-length') ?? FIRST)
  // One more than comes: then the first read is the last. What is no length says nothing.
  const first = declared >= 0 ? Math.min(FIRST, declared + 1) : FIRST
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(relayError('ERR_TIMEOUT')), deadline)
  try {
    // PROTOCOL [relay-1]
    return await Promise.race([collectParts(reader, limit, first), late.promise])
  } catch (error) {
    reader.cancel().catch(() => {})
    throw error
  } finally {
    clearTimeout(timer)
  }
}
