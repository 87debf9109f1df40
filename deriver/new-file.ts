/**
 * A file that must not exist yet, readable by its owner only, and on the disk when it returns. It gets its name when all of it is there: what a full disk or a
 * kill stops leaves no file that is cut off.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'

function writePart(part: string, bytes: Bytes): void {
  // Of a process with this number that was killed.
  if (existsSync(part)) rmSync(part)
  const file = openSync(part, 'wx', 0o600)
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** Gives a file its name, which must be free. */
function nameFile(part: string, path: string): void {
  try {
    linkSync(part, path)
    rmSync(part)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST' || existsSync(path))
      throw new KeyferryError('ERR_EXISTS', `${path} is there already`, { cause })
    // Sticks, to which cards may go, often have a file system without links.
    renameSync(part, path)
  }
}

/** Puts the names in a folder on the disk, where the system can do that: Windows and some network disks cannot, and do it by themselves. */
function syncFolder(path: string): void {
  try {
    const folder = openSync(path, 'r')
    try {
      fsyncSync(folder)
    } finally {
      closeSync(folder)
    }
  } catch {
    // What is in the file is on the disk, and a name that is not there yet is an earlier state, not a damaged one.
  }
}

/** Throws `ERR_EXISTS`, `ERR_IO`; then it made nothing. */
export function writeNewFile(path: string, bytes: Bytes): void {
  const part = `${path}.${process.pid}.part`
  try {
    writePart(part, bytes)
    nameFile(part, path)
  } catch (cause) {
    if (existsSync(part)) rmSync(part)
    if (cause instanceof KeyferryError) throw cause
    const { message } = cause as Error
    throw new KeyferryError('ERR_IO', `${path} cannot be made: ${message}`, { cause })
  }
  syncFolder(dirname(path))
}
