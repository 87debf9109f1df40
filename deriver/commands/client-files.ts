/** What a client's commands on one file or pipe share. Nothing of a deriver is loaded. */
import { createWriteStream } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { isKeyferryError, KeyferryError } from '../../shared/errors.ts'
import { type Keyring, type Sender } from '../../web/index.ts'
import { openClient, type ClientOptions } from './client.ts'
import { type Invocation } from './definition.ts'

export const COMMON_HELP = `Reads FILE, or standard input. Needs no tenant and no passphrase. Exit status: 0 done, 1 refused, 2 wrong usage, 3 nothing is known: a file
or relay cannot be reached.`

export async function openInput(path: string | undefined): Promise<Readable> {
  if (path === undefined) return process.stdin
  try {
    return (await open(path)).createReadStream()
  } catch (cause) {
    throw new KeyferryError('ERR_IO', `${path} cannot be read`, { cause })
  }
}

/** The same for a client. Node's own adapter throws, past everybody, where there is more data of what was cancelled. */
export function streamOf(input: Readable): ReadableStream<Uint8Array> {
  // Whoever reads hears of it, also where it fails before that.
  input.on('error', () => {})
  const parts = input[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await parts.next()
        if (done === true) controller.close()
        else controller.enqueue(value)
      },
      // At once: what was asked for may never come.
      cancel: () => void input.destroy(),
    },
    { highWaterMark: 0 },
  )
}

/** Writes all of it to a file, or none; or to standard output. Returns the number of bytes. Throws `ERR_IO` and what the stream throws. */
export async function write(
  stream: ReadableStream<Uint8Array>,
  path: string | undefined,
): Promise<number> {
  let bytes = 0
  const counted = async function* (parts: AsyncIterable<Uint8Array>) {
    for await (const part of parts) {
      bytes += part.length
      yield part
    }
  }
  const part = `${path}.${process.pid}.part`
  const output: Writable =
    path === undefined ? process.stdout : createWriteStream(part, { flags: 'wx' })
  try {
    // Standard output is not ours to end: where it is a socket, that would shut it for every process that has it.
    await pipeline(Readable.fromWeb(stream as never), counted, output, { end: path !== undefined })
    if (path !== undefined) await rename(part, path)
  } catch (cause) {
    if (path !== undefined) await rm(part, { force: true })
    const isOwn = isKeyferryError(cause) || (cause as Error).name === 'AbortError'
    throw isOwn ? cause : new KeyferryError('ERR_IO', (cause as Error).message, { cause })
  }
  return bytes
}

/** Who signed, in words. */
export function senderLine({ uri, device, signedAt, status }: Sender): string {
  const time = new Date(signedAt * 1000).toISOString().replace('.000Z', 'Z')
  return `signed by ${uri}, device ${device.slice(0, 16)}, who says at ${time}: ${status}`
}

/** Opens the client, works with its keyring, and closes it. Throws as `openClient`. */
export async function withKeyring<T>(
  { options, signal }: Invocation<ClientOptions>,
  work: (notes: Keyring) => Promise<T>,
): Promise<T> {
  const { client, keyring } = await openClient(options, signal)
  try {
    return await work(keyring)
  } finally {
    client.close()
  }
}
