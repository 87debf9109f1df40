/** Keyrings: making, listing, rotating. */
import { createKeyring, rotateKeyring, type KeyringOptions } from '../keyrings.ts'
import { warningsOf } from '../rules.ts'
import { planRotation } from '../schedule.ts'
import { date, keyringLines } from '../show.ts'
import { newestTrust } from '../trust.ts'
import {
  command,
  duration,
  FLAG,
  operand,
  show,
  TEXT,
  TEXTS,
  usage,
  warn,
  withStore,
  type Command,
} from './command.ts'

/** Seconds of a time in ISO 8601 with its zone; `null` for never. */
function timeOf(text: string): number | null {
  if (text === 'never') return null
  const isFit = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)$/.test(text)
  const time = isFit ? Date.parse(text) : NaN
  if (Number.isNaN(time)) usage('--at is a time such as 2027-01-31T02:00Z, or never')
  return Math.floor(time / 1000)
}

export const keyringCommands: Record<string, Command> = {
  'keyring create': command({
    summary: 'make a keyring',
    operands: 1,
    options: {
      rule: TEXTS,
      kind: TEXT,
      offline: TEXT,
      'rotate-every': TEXT,
      'decrypt-for': TEXT,
      'generation-max-age': TEXT,
      approvals: FLAG,
      cryptoperiod: TEXT,
    },
    help: `usage: keyferry keyring create NAME [--rule URI]… [--kind recoverable|erasable] [--rotate-every TIME] [--decrypt-for TIME]
         [--offline TIME] [--generation-max-age TIME] [--approvals] [--json]

Makes a keyring that clients whose certificate URI matches a rule may have. A rule is a URI or ends in /*;
without one, every client of the tenant may. It reaches clients when 'keyferry run' is up. A TIME is such as 90d, 12h or 5y.
--kind                recoverable (as long as there is the master secret, no version is lost, and none can be destroyed) or erasable
--rotate-every        how long a version encrypts (90d): 'keyferry run' rotates in the last tenth of it
--decrypt-for         how long a version decrypts after that (5y)
--offline             how long clients decrypt without a fresh head (1d)
--generation-max-age  after which the key-encryption key is replaced by itself (30d)
--approvals           requests that no rule covers wait for you (request list), instead of being denied

example: keyferry keyring create notes --rule 'keyferry://client.acme.example/web/*' --rotate-every 90d --decrypt-for 5y
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { options, out, now } = invocation
        const { kind = 'recoverable' } = options
        if (kind !== 'recoverable' && kind !== 'erasable')
          usage('--kind is recoverable or erasable')
        const { sans } = (await newestTrust(store)).body.clients
        const settings: KeyringOptions = {
          name: operand(invocation, 'name'),
          rules: options.rule ?? sans,
          kind,
        }
        const offline = duration(options.offline, 'offline')
        const cryptoperiod = duration(
          options['rotate-every'] ?? options.cryptoperiod,
          'rotate-every',
        )
        const decryptPeriod = duration(options['decrypt-for'], 'decrypt-for')
        const generationMaxAge = duration(options['generation-max-age'], 'generation-max-age')
        if (offline !== undefined) settings.offline = offline
        if (cryptoperiod !== undefined) settings.cryptoperiod = cryptoperiod
        if (decryptPeriod !== undefined) settings.decryptPeriod = decryptPeriod
        if (generationMaxAge !== undefined) settings.generationMaxAge = generationMaxAge
        if (options.approvals === true) settings.approvals = true
        const { id, name } = createKeyring(store, settings, now())
        warn(warningsOf(settings.rules, sans))
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
    summary: 'give a keyring a new version to encrypt with, now or at a time',
    operands: 1,
    options: { at: TEXT },
    help: `usage: keyferry rotate NAME [--at TIME|never] [--json]

Makes a new version of a keyring the one to encrypt with. Earlier versions go on decrypting.
--at  'keyferry run' does it then, and gives clients the version shortly before: a time in ISO 8601 before the keyring rotates by itself, such
      as 2027-01-31T02:00Z; never takes a plan back

example: keyferry rotate notes
         keyferry rotate notes --at 2027-01-31T02:00Z
`,
    run: (invocation) =>
      withStore(invocation, (store) => {
        const name = operand(invocation, 'keyring')
        const { at, json } = invocation.options
        if (at !== undefined) {
          const time = planRotation(store, name, timeOf(at), invocation.now())
          const by = at === 'never' ? 'by itself' : 'as planned'
          invocation.out(
            json === true
              ? JSON.stringify({ name, at: time })
              : `${name} rotates on ${date(time)} UTC, ${by}`,
          )
          return Promise.resolve(0)
        }
        const version = rotateKeyring(store, name, invocation.now())
        const earlier = version > 1 ? `, version ${version - 1} decrypt-only` : ''
        invocation.out(
          json === true
            ? JSON.stringify({ name, version })
            : `${name} version ${version} active${earlier}`,
        )
        return Promise.resolve(0)
      }),
  }),
}
