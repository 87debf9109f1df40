/** One stored file, decrypted and encrypted again beside itself, and moved into its place: in bounded memory, and whole at every moment. */
import { type BigIntStats } from 'node:fs'
import { open, readdir, realpath, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type Bytes } from '../../shared/bytes.ts'
import { isKeyferryError, KeyferryError } from '../../shared/errors.ts'
import { MESSAGE_HEADER_LENGTH, parseMessageHeader } from '../../shared/message.ts'
import { type Keyring } from '../../web/index.ts'
import { streamOf } from './client-files.ts'

/** `due`: it would be encrypted again, were this not a dry run. */
export type Outcome = 'rewrapped' | 'due' | 'kept'

/** How to go about it. */
export interface RewrapOptions {
  keyring: Keyring
  context: string
  minVersion: number
  /** Signs files anew, as this client, that somebody signed. */
  isSigner: boolean
  isDry: boolean
  signal: AbortSignal
  /** Told of bytes that were written. */
  onBytes: (bytes: number) => void
}

/** Bytes that are read at once. */
const PIECE = 262_144

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // It runs, but as somebody else.
    return (error as { code?: unknown }).code === 'EPERM'
  }
}

/** Takes away what a killed run left beside a file. It is ciphertext. */
async function sweep(path: string): Promise<void> {
  const prefix = `${basename(path)}.`
  for (const name of await readdir(dirname(path))) {
    const pid = name.startsWith(prefix) ? /^(\d+)\.rewrap$/.exec(name.slice(prefix.length)) : null
    if (pid !== null && !isRunning(Number(pid[1])))
      await rm(join(dirname(path), name), { force: true })
  }
}

/** A file system's error by name and path; others as they are. */
async function named<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (isKeyferryError(cause) || (cause as { syscall?: unknown }).syscall === undefined)
      throw cause
    throw new KeyferryError('ERR_IO', `${what}: ${(cause as Error).message}`, { cause })
  }
}

async function readHeader(handle: FileHandle): Promise<Bytes> {
  const header = new Uint8Array(MESSAGE_HEADER_LENGTH)
  const { bytesRead } = await handle.read(header, 0, header.length, 0)
  return header.subarray(0, bytesRead)
}

function sameFile(before: BigIntStats, after: BigIntStats): boolean {
  const { dev, ino, size, mtimeNs, ctimeNs } = before
  return (
    dev === after.dev &&
    ino === after.ino &&
    size === after.size &&
    mtimeNs === after.mtimeNs &&
    ctimeNs === after.ctimeNs
  )
}

/** Writes all pieces, with the owner and permissions that the old file has, and has them on the disk when it resolves. */
async function writeBeside(
  beside: string,
  pieces: ReadableStream<Uint8Array>,
  before: BigIntStats,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const output = await open(beside, 'wx', 0o600)
  try {
    for await (const piece of pieces) {
      for (let at = 0; at < piece.length;) {
        const { bytesWritten } = await output.write(piece, at)
        at += bytesWritten
      }
      onBytes(piece.length)
    }
    const made = await output.stat({ bigint: true })
    if (made.uid !== before.uid || made.gid !== before.gid)
      await output.chown(Number(before.uid), Number(before.gid))
    // After the owner, whose change may take bits away.
    await output.chmod(Number(before.mode & 0o7777n))
    await output.sync()
  } finally {
    await output.close()
  }
}

async function syncDirectory(path: string): Promise<void> {
  // Windows has no such thing.
  if (process.platform === 'win32') return
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function replace(
  path: string,
  input: FileHandle,
  sign: boolean,
  options: RewrapOptions,
): Promise<void> {
  const { keyring, context, minVersion, signal, onBytes } = options
  const before = await input.stat({ bigint: true })
  if (before.nlink > 1n)
    throw new KeyferryError('ERR_IO', 'it has several names: the others would stay as they are')
  const beside = `${path}.${process.pid}.rewrap`
  try {
    const read = input.createReadStream({ start: 0, autoClose: false, highWaterMark: PIECE })
    const message = streamOf(read)
    const plaintext = keyring.decryptStream(message, { context, minVersion, signal })
    const pieces = keyring.encryptStream(plaintext, { context, sign, signal })
    await writeBeside(beside, pieces, before, onBytes)
    if (!sameFile(before, await stat(path, { bigint: true })))
      throw new KeyferryError('ERR_IO', 'it was changed meanwhile')
    await rename(beside, path)
  } catch (error) {
    await rm(beside, { force: true })
    throw error
  }
  await syncDirectory(dirname(path))
}

/**
 * Encrypts a file again if its version may not encrypt any more. Throws `ERR_IO`, also for a file that changes meanwhile or has several names;
 * `ERR_SENDER` for a signed one unless `isSigner`; `ERR_MALFORMED`, `ERR_UNKNOWN_KEY`, and what decrypting and encrypting throw; the file is then as it was.
 */
export async function rewrapFile(file: string, options: RewrapOptions): Promise<Outcome> {
  return named(file, async () => {
    // The file that a link leads to, not the link.
    const path = await realpath(file)
    const input = await open(path)
    try {
      if (!(await input.stat()).isFile()) throw new KeyferryError('ERR_IO', 'no file')
      const header = await readHeader(input)
      const isDue = options.keyring.needsRewrap(header)
      if (!options.isDry) await sweep(path)
      if (!isDue) return 'kept'
      const { isSigned } = parseMessageHeader(header)
      // A signature is good in its one message only.
      if (isSigned && !options.isSigner)
        throw new KeyferryError('ERR_SENDER', 'it would be without the sender who signed it')
      if (options.isDry) return 'due'
      await replace(path, input, isSigned, options)
      return 'rewrapped'
    } finally {
      await input.close()
    }
  })
}
