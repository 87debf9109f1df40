/** Clients: certificates of the built-in CA, and the end of them. */
import { decodePem, encodePem } from '../../shared/pem.ts'
import { issueClient } from '../ca.ts'
import { revokeClient } from '../revocation.ts'
import { readCa } from '../key-files.ts'
import { deviceLines } from '../show.ts'
import {
  command,
  number,
  operand,
  passphraseIfSealed,
  readText,
  required,
  show,
  TEXT,
  usage,
  withStore,
  type Command,
} from './command.ts'

/** Issuing, under each of its two names. */
export const issueCommand = (name: 'client issue' | 'ca issue'): Command =>
  command({
    summary: 'issue a certificate for a CSR',
    options: { csr: TEXT, uri: TEXT, days: TEXT },
    help: `usage: keyferry ${name} --csr FILE --uri URI [--days N]

Issues a client certificate of the built-in CA for a CSR (PEM) and prints it. The URI is yours to decide, never the CSR's; it has the host that
the CA is constrained to. \`client issue\` and \`ca issue\` are the same.

example: keyferry ${name} --csr alice.csr --uri keyferry://client.acme.example/alice
`,
    run: (invocation) =>
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
      }),
  })

export const clientCommands: Record<string, Command> = {
  'client issue': issueCommand('client issue'),
  'client list': command({
    summary: 'list devices that were given keys',
    options: {},
    help: `usage: keyferry client list [--json]

Lists devices that were given keys, and their keyrings.

example: keyferry client list
`,
    run: show('devices', deviceLines),
  }),
  'client revoke': command({
    summary: 'end a client: certificates, keys, memberships',
    options: {},
    help: `usage: keyferry client revoke URI

Revokes every certificate in force of a client's URI and denies every key that ever had it, for good. The running service lists them in
the next CRL and re-keys every keyring the client was in.

example: keyferry client revoke keyferry://client.acme.example/alice
`,
    run: (invocation) =>
      withStore(invocation, (store) => {
        const uri = operand(invocation, 'URI')
        const revoked = revokeClient(store, uri, invocation.now())
        invocation.out(
          invocation.options.json === true
            ? JSON.stringify({ uri, ...revoked })
            : `revoked ${revoked.certificates} certificates and denied ${revoked.keys} keys of ${uri}`,
        )
        return Promise.resolve(0)
      }),
  }),
}
