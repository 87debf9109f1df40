/** What commands that act as a client share: their options, and how the client is opened. Nothing of a deriver is loaded. */
import { readFile } from 'node:fs/promises'
import { isKeyferryError, KeyferryError } from '../../shared/errors.ts'
import { type Keyferry, type Keyring } from '../../web/index.ts'
import { required, TEXT, usage } from './definition.ts'

export const CLIENT_OPTIONS = {
  config: TEXT,
  keyring: TEXT,
  context: TEXT,
  state: TEXT,
  key: TEXT,
  certificate: TEXT,
} as const

export type ClientOptions = { [K in keyof typeof CLIENT_OPTIONS]?: string } & { json?: boolean }

export const CLIENT_HELP = `  --config FILE       app config, as keyferry app-config prints it (default: keyferry.json)
  --keyring NAME      a keyring of it; needed where it names several
  --context TEXT      what the message is bound to: the same is needed to decrypt
  --state FILE        what this client keeps from one time to the next, its private keys too (default: keyferry-state.json)
  --key FILE          PKCS#8 in PEM, and
  --certificate FILE  its certificates in PEM; without both, the identity in the state file`

export const CLIENT_HINTS = {
  ERR_KEYRING: 'which keyrings does --config name?',
  ERR_MALFORMED: 'is the input a message as it was written, and are key and certificate PEM?',
  ERR_OPEN: 'is --context the same as when it was encrypted, and the message whole?',
  ERR_CERT_REVOKED:
    'is it this client, it needs a new key and certificate; is it a sender, decrypt and verify report it with --allow-revoked, but nobody knows who signed, and when',
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
async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new KeyferryError('ERR_IO', `${path} cannot be read`, { cause })
  }
}

/** Opens the client and the keyring that the options name; whoever calls closes the client. Throws `ERR_USAGE` and what connecting throws. */
export async function openClient(
  options: ClientOptions,
  signal: AbortSignal,
): Promise<{ client: Keyferry; keyring: Keyring }> {
  const { config = 'keyferry.json', state = 'keyferry-state.json', key, certificate } = options
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
    if (options.keyring === undefined && more.length > 0)
      usage(`--keyring is needed, one of ${client.keyrings.join(', ')}`)
    const name = required(options.keyring ?? only, 'keyring')
    return { client, keyring: await client.keyring(name, { signal }) }
  } catch (error) {
    client.close()
    throw error
  }
}
