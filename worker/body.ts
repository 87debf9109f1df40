/** Reads what a stranger sends, and never more of it than the call may have. */
import { concat, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'

/** Throws `ERR_MEDIA_TYPE` unless the body is declared as this type, without a content coding. */
export function requireMediaType(request: Request, type: string): void {
  // PROTOCOL [relay-1]
  const [essence = ''] = (request.headers.get('content-type') ?? '').split(';')
  const coding = request.headers.get('content-encoding') ?? 'identity'
  if (essence.trim().toLowerCase() !== type || coding !== 'identity')
    throw new KeyferryError('ERR_MEDIA_TYPE')
}

/** The whole body. Throws `ERR_TOO_LARGE` as soon as it is longer, whatever length was declared. */
export async function readBody(request: Request, limit: number): Promise<Bytes> {
  // PROTOCOL [relay-1]
  const declared = Number(request.headers.get('content-length') ?? 0)
  if (declared > limit) throw new KeyferryError('ERR_TOO_LARGE')
  const chunks: Bytes[] = []
  let length = 0
  const reader = (request.body as ReadableStream<Bytes> | null)?.getReader()
  for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
    length += part.value.length
    if (length > limit) {
      await reader?.cancel()
      throw new KeyferryError('ERR_TOO_LARGE')
    }
    chunks.push(part.value)
  }
  return chunks.length === 1 ? chunks[0]! : concat(...chunks)
}
