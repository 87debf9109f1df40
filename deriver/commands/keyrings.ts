/** Keyrings: making, listing, rotating. */
import { createKeyring, rotateKeyring, type KeyringOptions } from '../keyrings.ts'
import { keyringLines } from '../show.ts'
import { newestTrust } from '../trust.ts'
import {
  command,
  operand,
  seconds,
  show,
  TEXT,
  TEXTS,
  usage,
  withStore,
  type Command,
} from './command.ts'

export const keyringCommands: Record<string, Command> = {
  'keyring create': command({
    summary: 'make a keyring',
    options: { rule: TEXTS, kind: TEXT, offline: TEXT, cryptoperiod: TEXT },
    help: `usage: keyferry keyring create NAME [--rule URI]… [--kind recoverable|erasable] [--offline SECONDS] [--cryptoperiod SECONDS]

Makes a keyring that clients whose certificate URI matches a rule may have. A rule is a URI or ends in /*;
without one, every client of the tenant may. It reaches clients when 'keyferry run' is up.

example: keyferry keyring create notes --rule 'keyferry://client.acme.example/web/*'
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { options, out, now } = invocation
        const { kind = 'recoverable' } = options
        if (kind !== 'recoverable' && kind !== 'erasable')
          usage('--kind is recoverable or erasable')
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
      }),
  }),
  'keyring list': command({
    summary: 'list keyrings with their members',
    options: {},
    help: `usage: keyferry keyring list [--json]

Lists keyrings with their version, generation and members.

example: keyferry keyring list
`,
    run: show('keyrings', keyringLines),
  }),
  rotate: command({
    summary: 'give a keyring a new version to encrypt with',
    options: {},
    help: `usage: keyferry rotate NAME

Makes a new version of a keyring the one to encrypt with. Earlier versions go on decrypting.

example: keyferry rotate notes
`,
    run: (invocation) =>
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
      }),
  }),
}
