/** A client's commands: files and pipes through a keyring. What they need is loaded when they run, and is nothing of a deriver. */
import { createWriteStream } from 'node:fs'
import { open, readFile, rename, rm } from 'node:fs/promises'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { isKeyferryError, KeyferryError } from '../../shared/errors.ts'
import { type Keyring } from '../../web/index.ts'
import {
  command,
  number,
  required,
  TEXT,
  usage,
  type Command,
  type Invocation,
} from './definition.ts'

const OPTIONS = {
  config: TEXT,
  keyring: TEXT,
  context: TEXT,
  state: TEXT,
  key: TEXT,
  certificate: TEXT,
  out: TEXT,
} as const

type Options = { [K in keyof typeof OPTIONS]?: string } & { json?: boolean }
type Pipe = (notes: Keyring, input: ReadableStream<Uint8Array>) => ReadableStream<Uint8Array>

const OPTIONS_HELP = `  --config FILE       app config, as keyferry app-config prints it (default: keyferry.json)
  --keyring NAME      a keyring of it; needed where it names several
  --context TEXT      what the message is bound to: the same is needed to decrypt
  --state FILE        what this client keeps from one time to the next, its private keys too (default: keyferry-state.json)
  --key FILE          PKCS#8 in PEM, and
  --certificate FILE  its certificates in PEM; without both, the identity in the state file
  --out FILE          written as a whole or not at all (default: standard output)
  --json              with --out: what was done, as JSON`

const COMMON_HELP = `Reads FILE, or standard input. Needs no tenant and no passphrase. Exit status: 0 done, 1 refused, 2 wrong usage, 3 nothing is known: a file
or relay cannot be reached.`

const HINTS = {
  ERR_KEYRING: 'which keyrings does --config name?',
  ERR_MALFORMED: 'is the input a message as it was written, and are key and certificate PEM?',
  ERR_OPEN: 'is --context the same as when it was encrypted, and the message whole?',
  ERR_IO: 'are the paths right?',
  ERR_SCHEMA: 'is --config what keyferry app-config printed?',
  ERR_STATE: 'is --state the file of this client, or are --key and --certificate missing?',
  ERR_TIMEOUT: 'are relay and deriver up, and does the deriver know this client?',
  ERR_UNAUTHORIZED: 'is the clock right, and the certificate in its time?',
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new KeyferryError('ERR_IO', `${path} cannot be read`, { cause })
  }
}

async function openInput(path: string | undefined): Promise<Readable> {
  if (path === undefined) return process.stdin
  try {
    return (await open(path)).createReadStream()
  } catch (cause) {
    throw new KeyferryError('ERR_IO', `${path} cannot be read`, { cause })
  }
}

/** Writes all of it to a file, or none; or to standard output. Returns the number of bytes. Throws `ERR_IO` and what the stream throws. */
async function write(
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

/** Opens the client, sends the input through its keyring, and closes it. */
async function run(
  { options, operands, out, signal }: Invocation<Options>,
  pipe: Pipe,
): Promise<number> {
  const { config = 'keyferry.json', state = 'keyferry-state.json', key, certificate } = options
  if (operands.length > 1) usage('one file is needed, or none')
  if ((key === undefined) !== (certificate === undefined))
    usage('--key and --certificate go together')
  if (options.json === true && options.out === undefined) usage('--json needs --out')
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
    const notes = await client.keyring(required(name, 'keyring'), { signal })
    const input = await openInput(operands[0])
    const bytes = await write(pipe(notes, Readable.toWeb(input) as never), options.out)
    const done = { bytes, file: options.out, keyring: notes.name }
    if (options.json === true) out(JSON.stringify(done))
    else if (options.out !== undefined) out(`${options.out}: ${bytes} bytes`)
    return 0
  } finally {
    client.close()
  }
}

export const messageCommands: Readonly<Record<string, Command>> = {
  encrypt: command({
    summary: 'a client: encrypt a file or a pipe under a keyring',
    options: OPTIONS,
    hints: HINTS,
    help: `usage: keyferry encrypt [FILE] [--out FILE] [--config FILE] [--keyring NAME] [options]

Encrypts as a client of a keyring, under its newest version, data of any length. The key comes from the
deriver through the relay the first time, and out of the state file as long as that is fresh.

${OPTIONS_HELP}

${COMMON_HELP}

example: keyferry encrypt notes.tar --key me.key --certificate me.pem --context backup/7 --out notes.kf
example: tar c notes | keyferry encrypt --keyring notes > notes.kf
`,
    run: (invocation) => {
      const { context = '' } = invocation.options
      const { signal } = invocation
      return run(invocation, (notes, input) => notes.encryptStream(input, { context, signal }))
    },
  }),
  decrypt: command({
    summary: 'a client: decrypt a file or a pipe',
    options: { ...OPTIONS, 'min-version': TEXT },
    hints: HINTS,
    help: `usage: keyferry decrypt [FILE] [--out FILE] [--config FILE] [--keyring NAME] [--min-version N] [options]

Decrypts as a client of a keyring. What comes out was authenticated, but only exit status 0 says that it is whole: into a pipe, what was done with
it before must be undone otherwise.

${OPTIONS_HELP}
  --min-version N     refuses messages under older versions, which removed members can still make

${COMMON_HELP}

example: keyferry decrypt notes.kf --key me.key --certificate me.pem --context backup/7 --out notes.tar
`,
    run: (invocation) => {
      const { context = '' } = invocation.options
      const { signal } = invocation
      const text = invocation.options['min-version']
      const minVersion = number(text, 'min-version', 'a version', 2 ** 32 - 1) ?? 0
      const options = { context, minVersion, signal }
      return run(invocation, (notes, input) => notes.decryptStream(input, options))
    },
  }),
}
