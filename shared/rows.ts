/**
 * Entries of a manifest or bundle, read where they stand: a client gets thousands of them and needs a few, and making an object of each would take longer than
 * every signature of a delivery.
 */
import { Reader, viewOf, type Bytes } from './bytes.ts'
import { KeyferryError } from './errors.ts'
import type { VersionId } from './manifest.ts'

/** Entries, made when they are asked for. */
export interface Rows<T> {
  all(): T[]
  /** The one of a version. */
  find(id: VersionId): T | undefined
}

/**
 * Rows that begin at these places with the id of their version, each of which `read` makes an entry of; `search` looks at the places. Throws `ERR_SCHEMA` unless
 * the ids rise strictly.
 */
export function rowsOf<T>(
  bytes: Bytes,
  starts: readonly number[],
  read: (reader: Reader) => T,
): Rows<T> & { search: (test: (start: number) => boolean) => T | undefined } {
  const view = viewOf(bytes)
  let last = -1
  let number = 0
  for (const start of starts) {
    const incarnation = view.getUint32(start)
    const version = view.getUint32(start + 4)
    if (incarnation < last || (incarnation === last && version <= number))
      throw new KeyferryError('ERR_SCHEMA', 'versions do not rise')
    last = incarnation
    number = version
  }
  const make = (start: number | undefined): T | undefined =>
    start === undefined ? undefined : read(new Reader(bytes.subarray(start)))
  return {
    all: () => starts.map((start) => make(start) as T),
    find({ incarnation, version }) {
      let low = 0
      let high = starts.length
      while (low < high) {
        const middle = (low + high) >>> 1
        const start = starts[middle]!
        const order = view.getUint32(start) - incarnation || view.getUint32(start + 4) - version
        if (order === 0) return make(start)
        if (order < 0) low = middle + 1
        else high = middle
      }
      return undefined
    },
    search: (test) => make(starts.find(test)),
  }
}
