/** The commands of the command line, by name. Each returns the exit status. */
import { readFileSync } from 'node:fs'
import { type Bytes } from '../shared/bytes.ts'
import { encodeEnvelope } from '../shared/envelope.ts'
import { KeyferryError } from '../shared/errors.ts'
import { decodePem, encodePem } from '../shared/pem.ts'
import { type Invocation } from './cli.ts'
import { importCrl, issueClient, revokeClient } from './certificates.ts'
import { describe, inspect } from './inspect.ts'
import { needsPassphrase, openDeriver } from './index.ts'
import { date, deviceLines, eventLine, keyringLines, statusLines } from './show.ts'
import { type ServiceEvent } from './service.ts'
import { createKeyring, rotateKeyring, type KeyringOptions } from './keyrings.ts'
import { appConfig, readStatus, type Status } from './status.ts'
import { openStore, type Store } from './store.ts'
import {
  importPrivateKey,
  initTenant,
  newestTrust,
  readCa,
  storePath,
  type InitOptions,
} from './tenant.ts'

type Command = (invocation: Invocation) => Promise<number>

function usage(message: string): never {
  throw new KeyferryError('ERR_USAGE', message)
}

function required(value: string | undefined, name: string): string {
  return value ?? usage(`--${name} is needed`)
}

function operand({ operands }: Invocation, what: string): string {
  if (operands.length !== 1) usage(`one ${what} is needed`)
  return operands[0]!
}

function number(
  value: string | undefined,
  name: string,
  unit: string,
  most: number,
): number | undefined {
  if (value === undefined) return undefined
  if (!/^\d{1,10}$/.test(value) || Number(value) > most)
    usage(`--${name} is a number of ${unit}, at most ${most}`)
  return Number(value)
}

function seconds(value: string | undefined, name: string): number | undefined {
  return number(value, name, 'seconds', 3_155_760_000)
}

function readFile(path: string): Bytes {
  try {
    return new Uint8Array(readFileSync(path))
  } catch (cause) {
    throw new KeyferryError('ERR_IO', `${path} cannot be read`, { cause })
  }
}

function readText(path: string): string {
  return new TextDecoder().decode(readFile(path))
}

/** DER of a PEM or DER file. */
function readDer(path: string, label: string): Bytes[] {
  const bytes = readFile(path)
  return bytes[0] === 0x30 ? [bytes] : decodePem(new TextDecoder().decode(bytes), label)
}

async function withStore<T>(
  { directory }: Invocation,
  work: (store: Store) => Promise<T>,
): Promise<T> {
  const store = openStore(storePath(directory))
  try {
    return await work(store)
  } finally {
    store.close()
  }
}

async function passphraseIfSealed({ directory, passphrase }: Invocation): Promise<string | null> {
  return needsPassphrase(directory) ? passphrase() : null
}

const init: Command = async (invocation) => {
  const { options, directory, out, now } = invocation
  const algorithm = options.algorithm ?? 'p256'
  if (algorithm !== 'p256' && algorithm !== 'ed25519') usage('--algorithm is p256 or ed25519')
  const passphrase = options.unsealed === true ? null : await invocation.passphrase(true)
  const anchors: NonNullable<InitOptions['anchors']> = {}
  if (options['anchor-clients'] !== undefined)
    anchors.clients = readDer(options['anchor-clients'], 'CERTIFICATE')
  if (options['anchor-derivers'] !== undefined)
    anchors.derivers = readDer(options['anchor-derivers'], 'CERTIFICATE')
  const headLifetime = seconds(options['head-lifetime'], 'head-lifetime')
  const tenant = await initTenant({
    directory,
    organization: required(options.org, 'org'),
    domain: required(options.domain, 'domain'),
    relays: options.relay ?? [],
    origins: options.origin ?? [],
    passphrase,
    algorithm: algorithm === 'p256' ? 'ES256' : 'Ed25519',
    anchors,
    now: now(),
    ...(headLifetime === undefined ? {} : { headLifetime }),
  })
  if (options.json === true) out(JSON.stringify({ tenant, directory, sealed: passphrase !== null }))
  else {
    out(`tenant ${tenant}`)
    out(
      `keys in ${directory}/keys, ${passphrase === null ? 'UNSEALED: whoever reads the files has every key' : 'sealed by the passphrase'}`,
    )
    out('next: keyferry keyring create NAME, then keyferry run --invite CODE')
  }
  return 0
}

const keyringCreate: Command = (invocation) =>
  withStore(invocation, async (store) => {
    const { options, out, now } = invocation
    const { kind = 'recoverable' } = options
    if (kind !== 'recoverable' && kind !== 'erasable') usage('--kind is recoverable or erasable')
    const settings: KeyringOptions = {
      name: operand(invocation, 'name'),
      rules: options.rule ?? (await newestTrust(store)).body.clients.sans,
      kind,
    }
    const offline = seconds(options.offline, 'offline')
    const cryptoperiod = seconds(options.cryptoperiod, 'cryptoperiod')
    if (offline !== undefined) settings.offline = offline
    if (cryptoperiod !== undefined) settings.cryptoperiod = cryptoperiod
    const { id, name } = createKeyring(store, settings, now())
    const idText = Buffer.from(id).toString('base64url')
    if (options.json === true) out(JSON.stringify({ name, id: idText, rules: settings.rules }))
    else out(`keyring ${name} (${idText}) for ${settings.rules.join(', ')}`)
    return 0
  })

/** A command that shows a part of the status. */
function show(part: 'keyrings' | 'devices', lines: (status: Status) => string[]): Command {
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

const rotate: Command = (invocation) =>
  withStore(invocation, (store) => {
    const name = operand(invocation, 'keyring')
    const version = rotateKeyring(store, name, invocation.now())
    const earlier = version > 1 ? `, version ${version - 1} decrypt-only` : ''
    invocation.out(
      invocation.options.json === true
        ? JSON.stringify({ name, version })
        : `${name} version ${version} active${earlier}`,
    )
    return Promise.resolve(0)
  })

const config: Command = (invocation) =>
  withStore(invocation, async (store) => {
    const { operands, options, out } = invocation
    out(JSON.stringify(await appConfig(store, operands, options.relay ?? []), null, 2))
    return 0
  })

const run: Command = async (invocation) => {
  const { options, directory, out, signal } = invocation
  const foreign = options.relay?.find((url) => !/^https?:\/\/[^/]+$/.test(url))
  if (foreign !== undefined) usage(`not the address of a relay: ${foreign}`)
  let failed = false
  const report = (event: ServiceEvent): void => {
    failed ||= event.type === 'relay-error'
    out(
      options.json === true
        ? JSON.stringify({ time: invocation.now(), ...event })
        : `${date(invocation.now())}  ${eventLine(event)}`,
    )
  }
  const heartbeat = seconds(options.heartbeat, 'heartbeat')
  if ((options.certificate === undefined) !== (options.key === undefined))
    usage('--certificate and --key go together')
  const signer =
    options.certificate === undefined
      ? undefined
      : {
          key: await importPrivateKey(readDer(options.key!, 'PRIVATE KEY')[0]!),
          certificates: readDer(options.certificate, 'CERTIFICATE'),
        }
  const deriver = await openDeriver({
    directory,
    passphrase: await passphraseIfSealed(invocation),
    report,
    ...(options.relay === undefined ? {} : { relays: options.relay }),
    ...(options.invite === undefined ? {} : { invite: options.invite }),
    ...(options.instance === undefined ? {} : { instance: options.instance }),
    ...(heartbeat === undefined ? {} : { heartbeat }),
    ...(signer === undefined ? {} : { signer }),
  })
  try {
    if (options.once === true) await deriver.step()
    else {
      out(
        options.json === true
          ? JSON.stringify({ type: 'running', tenant: deriver.tenant })
          : `deriver of tenant ${deriver.tenant} is running`,
      )
      await deriver.run(signal)
    }
  } finally {
    deriver.close()
  }
  return options.once === true && failed ? 3 : 0
}

const status: Command = (invocation) =>
  withStore(invocation, async (store) => {
    const { options, out } = invocation
    const state = await readStatus(store, invocation.now())
    if (options.json === true) out(JSON.stringify(state))
    else {
      out(statusLines(state).join('\n'))
    }
    return state.problems.length === 0 ? 0 : 1
  })

const clientIssue: Command = (invocation) =>
  withStore(invocation, async (store) => {
    const { options, directory, out, now } = invocation
    const [csr] = decodePem(readText(required(options.csr, 'csr')), 'CERTIFICATE REQUEST')
    const uri = required(options.uri, 'uri')
    const days = number(options.days, 'days', 'days', 3_650) ?? 30
    const issuer = await readCa(directory, 'ca-client', await passphraseIfSealed(invocation))
    const pem = encodePem(
      'CERTIFICATE',
      await issueClient(
        store,
        issuer,
        csr ?? usage('no CSR in the file'),
        uri,
        now(),
        days * 86_400,
      ),
    )
    out(options.json === true ? JSON.stringify({ uri, certificate: pem }) : pem.trimEnd())
    return 0
  })

const clientRevoke: Command = (invocation) =>
  withStore(invocation, (store) => {
    const uri = operand(invocation, 'URI')
    const revoked = revokeClient(store, uri, invocation.now())
    invocation.out(
      invocation.options.json === true
        ? JSON.stringify({ uri, ...revoked })
        : `revoked ${revoked.certificates} certificates and denied ${revoked.keys} keys of ${uri}`,
    )
    return Promise.resolve(0)
  })

const crlImport: Command = (invocation) =>
  withStore(invocation, async (store) => {
    if (invocation.operands.length === 0) usage('at least one file is needed')
    const { clients, derivers } = (await newestTrust(store)).body
    const issuers = [
      ...clients.anchors,
      ...derivers.anchors,
      ...(invocation.options.certificate === undefined
        ? []
        : readDer(invocation.options.certificate, 'CERTIFICATE')),
    ]
    for (const path of invocation.operands) {
      for (const der of readDer(path, 'X509 CRL')) {
        const isNew = await importCrl(store, der, issuers, invocation.now())
        invocation.out(
          invocation.options.json === true
            ? JSON.stringify({ path, isNew })
            : `${path}: ${isNew ? 'in force' : 'was in force already'}`,
        )
      }
    }
    return 0
  })

const trustShow: Command = (invocation) =>
  withStore(invocation, async (store) => {
    const trust = await newestTrust(store)
    const shown = inspect(encodeEnvelope(trust.envelope))
    invocation.out(
      invocation.options.json === true ? JSON.stringify(shown.claims) : describe(shown),
    )
    return 0
  })

const inspectFile: Command = async (invocation) => {
  const shown = inspect(readFile(operand(invocation, 'file')))
  invocation.out(invocation.options.json === true ? JSON.stringify(shown) : describe(shown))
  return 0
}

/** Commands by name; `HELP` has a text for each. */
export const commands: Record<string, Command> = {
  init,
  'keyring create': keyringCreate,
  'keyring list': show('keyrings', keyringLines),
  rotate,
  'app-config': config,
  run,
  status,
  'client issue': clientIssue,
  'client list': show('devices', deviceLines),
  'client revoke': clientRevoke,
  'crl import': crlImport,
  'trust show': trustShow,
  inspect: inspectFile,
}
