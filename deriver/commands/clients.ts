/** Clients: certificates of the built-in CA, and the end of them. */
import { CRL_REASONS } from '../../shared/issue.ts'
import { decodePem, encodePem } from '../../shared/pem.ts'
import { issueClient } from '../ca.ts'
import { revocationBound } from '../bound.ts'
import { preview } from '../preview.ts'
import { revokeCertificate, revokeClient, revokeDevice, type Revoked } from '../revocation.ts'
import { type Store } from '../store.ts'
import { readCa } from '../key-files.ts'
import { deviceLines, revokedLines } from '../show.ts'
import { newestTrust } from '../trust.ts'
import {
  command,
  FLAG,
  number,
  operand,
  passphraseIfSealed,
  readDer,
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
    operands: 1,
    options: { device: TEXT, certificate: TEXT, reason: TEXT, preview: FLAG },
    help: `usage: keyferry client revoke URI [--reason REASON] [--preview] [--json]
       keyferry client revoke --device KEYID | --certificate FILE [--reason REASON] [--preview] [--json]

Denies the keys of a client for good, here and at enrolment, and puts every certificate in force of them on the next CRL of the built-in CA.
The running service re-keys every keyring that the client was in. Certificates of your own CA are printed: that CA must list them.
URI            every device that ever had this URI
--device       one device, by the first 8 or more digits of its key id, as 'client list' shows it
--certificate  the device of a certificate (PEM or DER), known here or not
--preview      changes nothing, and says what it would do; not with --certificate
--reason       ${Object.keys(CRL_REASONS).join(', ')}

example: keyferry client revoke keyferry://client.acme.example/alice --reason keyCompromise
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { operands, options, out } = invocation
        const { device, certificate, reason } = options
        const isReason = (text: string): text is keyof typeof CRL_REASONS =>
          Object.hasOwn(CRL_REASONS, text)
        if (reason !== undefined && !isReason(reason))
          usage(`--reason is one of ${Object.keys(CRL_REASONS).join(', ')}`)
        if (operands.length + [device, certificate].filter((one) => one !== undefined).length !== 1)
          usage('one URI, --device or --certificate is needed')
        const now = invocation.now()
        const isPreview = options.preview === true
        if (isPreview && certificate !== undefined) usage('--preview goes with a URI or --device')
        const revokeKnown = (on: Store): Revoked =>
          device !== undefined
            ? revokeDevice(on, device.toLowerCase(), now, reason)
            : revokeClient(on, operand(invocation, 'URI'), now, reason)
        const revoked = isPreview
          ? preview(store, revokeKnown)
          : certificate !== undefined
            ? await revokeCertificate(
                store,
                readDer(certificate, 'CERTIFICATE')[0] ?? usage('no certificate in the file'),
                now,
                reason,
              )
            : revokeKnown(store)
        const bound = revocationBound(store, await newestTrust(store), now)
        const json = { ...revoked, bound: bound.direct, until: now + bound.direct }
        if (options.json === true) out(JSON.stringify(isPreview ? { ...json, isPreview } : json))
        else out(revokedLines(revoked, json).join('\n'))
        if (isPreview && options.json !== true) out('nothing was changed: this is what it would do')
        return 0
      }),
  }),
}
