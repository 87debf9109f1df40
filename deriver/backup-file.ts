/**
 * The file of a backup: a header that anyone can read, and behind it the files of a deriver's directory, encrypted in chunks (c2sp.org/chunked-encryption, as
 * messages are) with the header's hash as context: nothing of it can be changed, and it opens under one key only. Read and written as a stream.
 */
import { closeSync, fstatSync, fsyncSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { concat, equal, u32, utf8, type Bytes } from '../shared/bytes.ts'
import {
  CHUNK_LENGTH,
  COMMITMENT_LENGTH,
  deriveChunkStep,
  SALT_LENGTH,
  TAG_LENGTH,
} from '../shared/chunk.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { sha256 } from '../shared/hash.ts'
import { decodeJson, encodeJson } from '../shared/json.ts'
import {
  bytes,
  bytesOrEmpty,
  int,
  list,
  object,
  oneOf,
  text,
  type Infer,
} from '../shared/schema.ts'
import { random } from './random.ts'

const MAGIC = utf8('keyferry-backup-1\n')
const MAX_HEADER = 65_536
const SEALED_CHUNK = CHUNK_LENGTH + TAG_LENGTH
const READ_CHUNKS = 64

const headerSchema = object({
  /** Number of the newest catalog, 0 for none. */
  catalog: int(),
  /** In the order in which they stand in the file. A sealed key file stands in it unsealed, and is sealed again when it is restored. */
  files: list(
    object({
      form: oneOf('database', 'key', 'sealed-key', 'public'),
      name: text(128, /^(keys\/)?[a-z0-9][a-z0-9.-]*$/),
      size: int(),
    }),
    1,
    256,
  ),
  head: object({ hash: bytesOrEmpty(32), version: int() }),
  incarnation: int(1, 0xffffffff),
  log: object({ root: bytes(32), size: int() }),
  made: int(),
  roots: list(object({ name: text(64), place: text(1_024) }), 1, 64),
  /** What opens it: a passphrase with these costs, or the cards of a set. */
  sealing: object({
    by: oneOf('passphrase', 'shares'),
    memory: int(0, 4_194_304),
    need: int(0, 16),
    passes: int(0, 1_000),
    salt: bytesOrEmpty(16),
    set: bytesOrEmpty(8),
  }),
  tenant: text(52),
  /** Number of the newest trust document. */
  trust: int(1),
  /** Key versions. */
  versions: int(),
})

/** What a backup says of itself. Times are seconds. */
export type BackupHeader = Infer<typeof headerSchema>

/** Bytes done of all. */
export type Progress = (done: number, of: number) => void

function totalOf({ files }: BackupHeader): number {
  return files.reduce((sum, { size }) => sum + size, 0)
}

function messageKey(key: Bytes) {
  const algorithm = { name: 'HMAC', hash: 'SHA-512', length: 256 }
  return crypto.subtle.importKey('raw', key, algorithm, false, ['sign'])
}

/** Cuts what comes into pieces of a length; the last one is shorter, and may be empty. */
async function* pieces(
  source: AsyncIterable<Uint8Array>,
  length: number,
): AsyncGenerator<Bytes, void, undefined> {
  let rest: Bytes = new Uint8Array()
  for await (const some of source) {
    const all = rest.length === 0 ? new Uint8Array(some) : concat(rest, some)
    let at = 0
    for (; all.length - at >= length; at += length) yield all.slice(at, at + length)
    rest = all.slice(at)
  }
  yield rest
}

function ioError(path: string, what: string, cause: unknown): KeyferryError {
  const { code } = cause as NodeJS.ErrnoException
  if (code === 'EEXIST')
    return new KeyferryError('ERR_EXISTS', `${path} is there already`, { cause })
  const why = code === undefined ? '' : ` (${code})`
  return new KeyferryError('ERR_IO', `${path} cannot be ${what}${why}`, { cause })
}

function writeAll(file: number, part: Uint8Array): void {
  for (let at = 0; at < part.length;) at += writeSync(file, part, at)
}

/** Bytes of a header that can be read again. Throws `ERR_STATE` for one that could not: nobody would notice before the restore. */
function encodeHeader(header: BackupHeader): Bytes {
  const head = encodeJson(header)
  try {
    headerSchema(decodeJson(head, MAX_HEADER), '')
    return head
  } catch (cause) {
    if (!isKeyferryError(cause)) throw cause
    throw new KeyferryError('ERR_STATE', `such a backup could not be opened: ${cause.message}`, {
      cause,
    })
  }
}

/**
 * Writes a backup to a file that must not exist yet; where it cannot be written as a whole, nothing stays. `key` is 32 bytes, `source` gives the files of the header
 * one after another. Throws `ERR_EXISTS`, `ERR_IO`, `ERR_STATE` for a header that could not be read again.
 */
export async function writeBackup(
  path: string,
  key: Bytes,
  header: BackupHeader,
  source: AsyncIterable<Uint8Array>,
  progress: Progress,
  signal?: AbortSignal,
): Promise<void> {
  const head = encodeHeader(header)
  const salt = random(SALT_LENGTH)
  const { commitment, step } = await deriveChunkStep(
    'encrypt',
    await messageKey(key),
    salt,
    sha256(head),
  )
  let file: number
  try {
    file = openSync(path, 'wx', 0o600)
  } catch (cause) {
    throw ioError(path, 'made', cause)
  }
  let isWhole = false
  try {
    writeAll(file, concat(MAGIC, u32(head.length), head, salt, await commitment))
    let index = 0
    let done = 0
    for await (const piece of pieces(source, CHUNK_LENGTH)) {
      if (signal?.aborted === true) throw new KeyferryError('ERR_CLOSED', 'stopped; nothing stays')
      writeAll(file, await step(piece, index++))
      done += piece.length
      progress(done, totalOf(header))
    }
    if (done !== totalOf(header)) throw new KeyferryError('ERR_STATE', 'a file changed its size')
    fsyncSync(file)
    isWhole = true
  } catch (cause) {
    if (isKeyferryError(cause)) throw cause
    throw ioError(path, 'written', cause)
  } finally {
    closeSync(file)
    if (!isWhole) rmSync(path, { force: true })
  }
}

/** A backup that was opened for reading. */
export interface BackupFile {
  header: BackupHeader
  /** Its files one after another, as they are decrypted. Throws `ERR_OPEN` where anything was changed. */
  read(key: Bytes, progress?: Progress): AsyncGenerator<Bytes, void, undefined>
  close(): void
}

function readExactly(file: number, length: number, at: number): Bytes {
  const out = new Uint8Array(length)
  let done = 0
  while (done < length) {
    const count = readSync(file, out, done, length - done, at + done)
    if (count === 0) throw new KeyferryError('ERR_INCOMPLETE', 'the backup is truncated')
    done += count
  }
  return out
}

/** Throws `ERR_MALFORMED` for a file that is no backup. */
function readHeader(file: number): { header: BackupHeader; raw: Bytes; end: number } {
  const start = readExactly(file, MAGIC.length + 4, 0)
  if (!equal(start.subarray(0, MAGIC.length), MAGIC))
    throw new KeyferryError('ERR_MALFORMED', 'not a backup')
  const length = new DataView(start.buffer).getUint32(MAGIC.length)
  if (length > MAX_HEADER) throw new KeyferryError('ERR_TOO_LARGE', 'the header is too large')
  const raw = readExactly(file, length, start.length)
  return { header: headerSchema(decodeJson(raw, MAX_HEADER), ''), raw, end: start.length + length }
}

/**
 * Opens a backup, and reads its header: nothing of it is authentic before something was decrypted. Throws `ERR_IO`, `ERR_MALFORMED`, `ERR_SCHEMA`,
 * `ERR_INCOMPLETE` for a file that is cut off.
 */
export function openBackup(path: string): BackupFile {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch (cause) {
    throw ioError(path, 'read', cause)
  }
  try {
    const { header, raw, end } = readHeader(file)
    const body = end + SALT_LENGTH + COMMITMENT_LENGTH
    const total = totalOf(header)
    const size = body + total + TAG_LENGTH * (Math.floor(total / CHUNK_LENGTH) + 1)
    const there = fstatSync(file).size
    if (there < size)
      throw new KeyferryError(
        'ERR_INCOMPLETE',
        `the backup is truncated: ${there} of ${size} bytes`,
      )
    if (there > size) throw new KeyferryError('ERR_MALFORMED', 'bytes behind the end of the backup')
    return {
      header,
      async *read(key, progress = () => {}) {
        const salt = readExactly(file, SALT_LENGTH, end)
        const { commitment, step } = await deriveChunkStep(
          'decrypt',
          await messageKey(key),
          salt,
          sha256(raw),
        )
        if (!equal(await commitment, readExactly(file, COMMITMENT_LENGTH, end + SALT_LENGTH)))
          throw new KeyferryError('ERR_OPEN', 'the backup opens under another key, or was changed')
        let index = 0
        for (let at = body, done = 0; at < size;) {
          const length = Math.min(READ_CHUNKS * SEALED_CHUNK, size - at)
          const some = readExactly(file, length, at)
          for (let from = 0; from < length; from += SEALED_CHUNK) {
            const chunk = await step(some.slice(from, from + SEALED_CHUNK), index++)
            done += chunk.length
            progress(done, total)
            yield chunk
          }
          at += length
        }
      },
      close: () => closeSync(file),
    }
  } catch (error) {
    closeSync(file)
    if (isKeyferryError(error)) throw error
    throw ioError(path, 'read', error)
  }
}

/** A file out of a backup. */
export type BackupEntry = BackupHeader['files'][number]

/** Takes the stream of a backup apart: `take` gets each file in turn, whole where it is small and in pieces where it is a database. */
export async function* backupFiles(
  file: BackupFile,
  key: Bytes,
  progress?: Progress,
): AsyncGenerator<{ entry: BackupEntry; piece: Bytes; isLast: boolean }, void, undefined> {
  const stream = file.read(key, progress)
  let rest: Bytes = new Uint8Array()
  for (const entry of file.header.files) {
    let left = entry.size
    do {
      if (rest.length === 0 && left > 0) {
        const next = await stream.next()
        if (next.done === true)
          throw new KeyferryError('ERR_INCOMPLETE', 'the backup ends in its middle')
        rest = next.value
      }
      const piece = rest.slice(0, left)
      rest = rest.slice(piece.length)
      left -= piece.length
      yield { entry, piece, isLast: left === 0 }
    } while (left > 0)
  }
  // The last chunk says that nothing is missing, also where it is empty.
  for await (const more of stream) if (more.length > 0) throw new KeyferryError('ERR_OPEN')
}
