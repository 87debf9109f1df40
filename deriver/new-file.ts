/** A file that must not exist yet, readable by its owner only, and on the disk when it returns. */
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'

/** Throws `ERR_EXISTS`, `ERR_IO`. */
export function writeNewFile(path: string, bytes: Bytes): void {
  let file: number
  try {
    file = openSync(path, 'wx', 0o600)
  } catch (cause) {
    const exists = (cause as NodeJS.ErrnoException).code === 'EEXIST'
    throw new KeyferryError(exists ? 'ERR_EXISTS' : 'ERR_IO', `${path} cannot be made`, { cause })
  }
  try {
    writeSync(file, bytes)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
