/** What commands on a tenant's directory share: reading files, opening the database. What a command is stands in definition.ts. */
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { type Bytes } from '../../shared/bytes.ts'
import { isKeyferryError, KeyferryError } from '../../shared/errors.ts'
import { decodePem } from '../../shared/pem.ts'
import { needsPassphrase } from '../index.ts'
import { readStatus, type Status } from '../status.ts'
import { openStore, storePath, type Store } from '../store.ts'
import { type Invocation } from './definition.ts'

export * from './definition.ts'

/** A file of at most `most` bytes. Throws `ERR_TOO_LARGE` before it reads a larger one, `ERR_IO`. */
export function readFile(path: string, most = Infinity): Bytes {
  try {
    if (statSync(path).size > most)
      throw new KeyferryError('ERR_TOO_LARGE', `${path} has more than ${most} bytes`)
    return new Uint8Array(readFileSync(path))
  } catch (cause) {
    if (isKeyferryError(cause)) throw cause
    throw new KeyferryError('ERR_IO', `${path} cannot be read`, { cause })
  }
}

/** Writes a file as a whole: what was there stays until the new one is. Throws `ERR_IO`. */
export function writeFileWhole(path: string, bytes: Uint8Array): void {
  const part = `${path}.${process.pid}.part`
  try {
    writeFileSync(part, bytes, { flag: 'wx' })
    renameSync(part, path)
  } catch (cause) {
    rmSync(part, { force: true })
    throw new KeyferryError('ERR_IO', `${path} cannot be written`, { cause })
  }
}

/** What a person is told beside what a command does. */
export function warn(messages: readonly string[]): void {
  for (const message of messages) process.stderr.write(`keyferry: warning: ${message}\n`)
}

export function readText(path: string): string {
  return new TextDecoder().decode(readFile(path))
}

/** DER of a PEM or DER file. */
export function readDer(path: string, label: string): Bytes[] {
  const bytes = readFile(path)
  return bytes[0] === 0x30 ? [bytes] : decodePem(new TextDecoder().decode(bytes), label)
}

export async function withStore<T>(
  { directory }: { directory: string },
  work: (store: Store) => Promise<T>,
): Promise<T> {
  const store = openStore(storePath(directory))
  try {
    return await work(store)
  } finally {
    store.close()
  }
}

export async function passphraseIfSealed({
  directory,
  passphrase,
}: {
  directory: string
  passphrase: () => Promise<string>
}): Promise<string | null> {
  return needsPassphrase(directory) ? passphrase() : null
}

/** Runs a command that shows a part of the status. */
export function show(
  part: 'keyrings' | 'devices',
  lines: (status: Status) => string[],
): (invocation: Invocation<{ json?: boolean }>) => Promise<number> {
  return (invocation) =>
    withStore(invocation, async (store) => {
      const status = await readStatus(store, invocation.now())
      const text = lines(status)
      invocation.out(
        invocation.options.json === true
          ? JSON.stringify(status[part])
          : text.length === 0
            ? `no ${part}`
            : text.join('\n'),
      )
      return 0
    })
}
