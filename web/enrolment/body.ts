/** A JSON body of a stranger, bounded while it is read. */
import { concat, type Bytes } from '../../shared/bytes.ts'
import { KeyferryError } from '../../shared/errors.ts'
import { parseJson } from '../../shared/json.ts'

/** Parses a body of at most `limit` bytes. Throws `ERR_TOO_LARGE`, `ERR_MALFORMED`. */
export async function readJsonBody(request: Request, limit: number): Promise<unknown> {
  const parts: Bytes[] = []
  let length = 0
  const reader = request.body?.getReader()
  for (;;) {
    const part = await reader?.read()
    if (part === undefined || part.done) break
    length += part.value.length
    // PROTOCOL [enrol-1]
    if (length > limit) {
      void reader?.cancel().catch(() => {})
      throw new KeyferryError('ERR_TOO_LARGE')
    }
    parts.push(part.value)
  }
  return parseJson(concat(...parts), limit)
}
