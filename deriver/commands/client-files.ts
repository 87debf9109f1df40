/** What a client's commands share: options, files and pipes, and the client itself. Nothing of a deriver is loaded. */
import { createWriteStream } from 'node:fs'
import { open, readFile, rename, rm } from 'node:fs/promises'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { isKeyferryError, KeyferryError } from '../../shared/errors.ts'
import { type Keyring, type Sender } from '../../web/index.ts'
import { required, TEXT, usage, type Invocation } from './definition.ts'

export const OPTIONS = {
  config: TEXT,
  keyring: TEXT,
  context: TEXT,
  state: TEXT,
  key: TEXT,
  certificate: TEXT,
} as const

/** What every client command takes. */
export type Options = { [K in keyof typeof OPTIONS]?: string } & { json?: boolean }

export const OPTIONS_HELP = `  --config FILE       app config, as keyferry app-config prints it (default: keyferry.json)
  --keyring NAME      a keyring of it; needed where it names several
  --context TEXT      what the message is bound to: the same is needed to decrypt
  --state FILE        what this client keeps from one time to the next, its private keys too (default: keyferry-state.json)
  --key FILE          PKCS#8 in PEM, and
  --certificate FILE  its certificates in PEM; without both, the identity in the state file`

export const COMMON_HELP = `Reads FILE, or standard input. Needs no tenant and no passphrase. Exit status: 0 done, 1 refused, 2 wrong usage, 3 nothing is known: a file
or relay cannot be reached.`

export const HINTS = {
  ERR_KEYRING: 'which keyrings does --config name?',
  ERR_MALFORMED: 'is the input a message as it was written, and are key and certificate PEM?',
  ERR_OPEN: 'is --context the same as when it was encrypted, and the message whole?',
  ERR_CERT_REVOKED: 'with --allow-revoked it is reported, but nobody knows who signed, and when',
  ERR_HASH: 'are data and --context the same as when they were signed?',
  ERR_IO: 'are the paths right?',
  ERR_SCHEMA: 'is --config what keyferry app-config printed?',
  ERR_STATE: 'is --state the file of this client, or are --key and --certificate missing?',
  ERR_SENDER: 'is --from the URI of the sender, and may it use this keyring?',
  ERR_TIMEOUT: 'are relay and deriver up, and does the deriver know this client?',
  ERR_UNSIGNED: 'was it encrypted with --sign?',
  ERR_UNAUTHORIZED: 'is the clock right, and the certificate in its time?',
}

/** Throws `ERR_IO`. */
export async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new KeyferryError('ERR_IO', `${path} cannot be read`, { cause })
  }
}

export async function openInput(path: string | undefined): Promise<Readable> {
  if (path === undefined) return process.stdin
  try {
    return (await open(path)).createReadStream()
  } catch (cause) {
    throw new KeyferryError('ERR_IO', `${path} cannot be read`, { cause })
  }
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
    await pipeline(Readable.fromWeb(stream as never), counted, output)
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

/** Opens the client, works with its keyring, and closes it. */
export async function withKeyring<T>(
  { options, operands, signal }: Invocation<Options>,
  work: (notes: Keyring) => Promise<T>,
): Promise<T> {
  const { config = 'keyferry.json', state = 'keyferry-state.json', key, certificate } = options
  if (operands.length > 1) usage('one file is needed, or none')
  if ((key === undefined) !== (certificate === undefined))
    usage('--key and --certificate go together')
  const { connect } = await import('../../web/index.ts')
  const { createFileStore, identityFromPem } = await import('../../web/node.ts')
  const store = createFileStore(state)
  let json
  try {
    json = JSON.parse(await readText(config)) as Parameters<typeof connect>[0]['config']
  } catch (cause) {
    if (isKeyferryError(cause)) throw cause
    throw new KeyferryError('ERR_SCHEMA', `${config} is no JSON`, { cause })
  }
  const given =
    key !== undefined && certificate !== undefined
      ? { identity: await identityFromPem(await readText(key), await readText(certificate)) }
      : {}
  const client = await connect({ config: json, store, signal, WebSocket: null, ...given })
  try {
    const [only, ...more] = client.keyrings
    const name = options.keyring ?? (more.length === 0 ? only : undefined)
    return await work(await client.keyring(required(name, 'keyring'), { signal }))
  } finally {
    client.close()
  }
}
