/** Making a tenant, and looking at it. */
import { initTenant, type InitOptions } from '../tenant.ts'
import { appConfig, readStatus } from '../status.ts'
import { statusLines } from '../show.ts'
import {
  command,
  FLAG,
  readDer,
  headLifetime,
  required,
  TEXT,
  TEXTS,
  usage,
  withStore,
  type Command,
} from './command.ts'

export const tenantCommands: Record<string, Command> = {
  init: command({
    summary: 'make a tenant: master secret, authority key, CAs, trust document',
    options: {
      org: TEXT,
      domain: TEXT,
      relay: TEXTS,
      origin: TEXTS,
      algorithm: TEXT,
      'head-lifetime': TEXT,
      'anchor-clients': TEXT,
      'anchor-derivers': TEXT,
      unsealed: FLAG,
      root: TEXT,
    },
    help: `usage: keyferry init --org NAME --domain DOMAIN [--relay URL]… [--origin URL]… [--algorithm p256|ed25519]
         [--head-lifetime SECONDS] [--anchor-clients PEM] [--anchor-derivers PEM] [--unsealed] [--root PLACE]

Makes a tenant in DIR and prints its id. Asks for a passphrase that seals every key file (Argon2id, AES-256-GCM);
--unsealed leaves them readable to whoever can read the files, and says so.
--relay     address of a relay; may be repeated          --origin  web origin that may call the relay
--anchor-…  certificates of your own CA for a role, in place of a built-in one
--root      where the master secret is, in place of a key file: see keyferry root add --help. In an HSM it is made there and
            never leaves it, and so are the keys of authority and deriver, as OBJECT-authority and OBJECT-deriver

example: keyferry init --org Acme --domain acme.example --relay https://relay.example --origin https://app.acme.example
`,
    run: async (invocation) => {
      const { options, directory, out, now } = invocation
      const algorithm = options.algorithm ?? 'p256'
      if (algorithm !== 'p256' && algorithm !== 'ed25519') usage('--algorithm is p256 or ed25519')
      const passphrase = options.unsealed === true ? null : await invocation.passphrase(true)
      const anchors: NonNullable<InitOptions['anchors']> = {}
      if (options['anchor-clients'] !== undefined)
        anchors.clients = readDer(options['anchor-clients'], 'CERTIFICATE')
      if (options['anchor-derivers'] !== undefined)
        anchors.derivers = readDer(options['anchor-derivers'], 'CERTIFICATE')
      const lifetime = headLifetime(options['head-lifetime'])
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
        ...(options.root === undefined ? {} : { root: options.root }),
        ...(lifetime === undefined ? {} : { headLifetime: lifetime }),
      })
      if (options.json === true)
        out(
          JSON.stringify({
            tenant,
            directory,
            sealed: passphrase !== null,
            root: options.root ?? 'file:master',
          }),
        )
      else {
        out(`tenant ${tenant}`)
        out(
          `keys in ${directory}/keys, ${passphrase === null ? 'UNSEALED: whoever reads the files has every key' : 'sealed by the passphrase'}`,
        )
        if (options.root !== undefined) out(`master secret at ${options.root}`)
        out('next: keyferry keyring create NAME, then keyferry run --invite CODE')
      }
      return 0
    },
  }),
  'app-config': command({
    summary: 'print what an app needs to start: public, no secret',
    operands: Infinity,
    options: { relay: TEXTS },
    help: `usage: keyferry app-config [NAME…] [--relay URL]…

Prints the JSON that an app passes to connect(): tenant id, floor of the trust document, relays, keyrings (all, or those named).

example: keyferry app-config notes > keyferry.json
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { operands, options, out } = invocation
        out(JSON.stringify(await appConfig(store, operands, options.relay ?? []), null, 2))
        return 0
      }),
  }),
  status: command({
    summary: 'what is there, what is due, what is wrong',
    options: {},
    help: `usage: keyferry status [--json]

Shows keyrings, devices, the last head at each relay, how soon a revocation holds, and the calendar: what ends when, and who
renews it. Exit status 1 if something is overdue.

example: keyferry status
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { options, out } = invocation
        const state = await readStatus(store, invocation.now())
        if (options.json === true) out(JSON.stringify(state))
        else {
          out(statusLines(state).join('\n'))
        }
        const isOverdue = state.calendar.some((entry) => entry.state === 'overdue')
        return state.problems.length === 0 && !isOverdue ? 0 : 1
      }),
  }),
}
