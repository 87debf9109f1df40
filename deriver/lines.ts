/** Files of lines that do not fit into memory. */
import { closeSync, openSync, readSync } from 'node:fs'
import { type Bytes } from '../shared/bytes.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'

const CHUNK = 65_536

/** Lines of a file, one at a time. Throws `ERR_IO`, `ERR_TOO_LARGE` for one of more than `most` bytes, and `ERR_MALFORMED` for a last line without an end. */
export function* readLines(path: string, most: number): Generator<Bytes, void, undefined> {
  let file: number | undefined
  try {
    file = openSync(path, 'r')
    const chunk = new Uint8Array(CHUNK)
    let rest = new Uint8Array()
    const more = (from: number): number => readSync(from, chunk, 0, CHUNK, null)
    for (let read = more(file); read > 0; read = more(file)) {
      const data = new Uint8Array(rest.length + read)
      data.set(rest)
      data.set(chunk.subarray(0, read), rest.length)
      let from = 0
      for (let end = data.indexOf(10); end >= 0; end = data.indexOf(10, from)) {
        if (end - from > most) throw new KeyferryError('ERR_TOO_LARGE', 'a line is too long')
        yield data.slice(from, end)
        from = end + 1
      }
      rest = data.slice(from)
      if (rest.length > most) throw new KeyferryError('ERR_TOO_LARGE', 'a line is too long')
    }
    if (rest.length > 0) throw new KeyferryError('ERR_MALFORMED', 'the file ends within a line')
  } catch (cause) {
    if (isKeyferryError(cause)) throw cause
    throw new KeyferryError('ERR_IO', `${path} cannot be read`, { cause })
  } finally {
    if (file !== undefined) closeSync(file)
  }
}
