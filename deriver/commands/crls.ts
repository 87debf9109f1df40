/** Revocation lists of the customer's own CAs. */
import { resolve } from 'node:path'
import { addSource, anchorsOf, listSources, removeSource } from '../crl-sources.ts'
import { sourceLine } from '../show.ts'
import { readStatus } from '../status.ts'
import { importCrl } from '../crls.ts'
import { newestTrust } from '../trust.ts'
import { date } from '../show.ts'
import {
  command,
  number,
  operand,
  readDer,
  required,
  TEXT,
  usage,
  withStore,
  type Command,
} from './command.ts'

export const crlCommands: Record<string, Command> = {
  'crl import': command({
    summary: 'take in a revocation list of your own CA',
    operands: Infinity,
    options: { certificate: TEXT },
    help: `usage: keyferry crl import FILE… [--certificate PEM]

Takes in CRLs (PEM or DER) of a CA that the trust document anchors, or of an intermediate CA whose certificate --certificate names.
Their number must rise.

example: keyferry crl import root.crl issuing.crl --certificate issuing.pem
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        if (invocation.operands.length === 0) usage('at least one file is needed')
        const { certificate } = invocation.options
        const issuers = [
          ...anchorsOf(await newestTrust(store)),
          ...(certificate === undefined ? [] : readDer(certificate, 'CERTIFICATE')),
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
      }),
  }),
  'crl list': command({
    summary: 'list the revocation lists in force',
    options: {},
    help: `usage: keyferry crl list [--json]

Lists the CRLs in force: key id of the CA, number, and until when each holds.

example: keyferry crl list
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { crls } = await readStatus(store, invocation.now())
        const lines = crls.map(
          (crl) => `${crl.issuer}  number ${crl.number}  until ${date(crl.nextUpdate)}`,
        )
        if (invocation.options.json === true) invocation.out(JSON.stringify(crls))
        else invocation.out(lines.length === 0 ? 'no lists' : lines.join('\n'))
        return 0
      }),
  }),
  'crl source add': command({
    summary: 'poll a place for the revocation list of your own CA',
    options: { file: TEXT, url: TEXT, issuer: TEXT, every: TEXT },
    help: `usage: keyferry crl source add --file PATH | --url URL [--issuer CERT] [--every SECONDS]

'keyferry run' looks there every 600 seconds, or as --every says (60 to 86400), and takes a newer list into force. A list that cannot be had,
is not signed by the CA or is older than the last one changes nothing: the last good list stays. Lists are PEM or DER of at most 1 MiB.
--url     https, or http on this machine; redirects are not followed
--issuer  certificate of an intermediate CA; anchors of the trust document need none

example: keyferry crl source add --url https://pki.acme.example/issuing.crl --issuer issuing.pem
`,
    run: (invocation) =>
      withStore(invocation, (store) => {
        const { file, url, issuer, every } = invocation.options
        if ((file === undefined) === (url === undefined)) usage('one of --file and --url is needed')
        const place = url ?? resolve(required(file, 'file'))
        const certificates = issuer === undefined ? [] : readDer(issuer, 'CERTIFICATE')
        if (issuer !== undefined && certificates.length !== 1)
          usage('--issuer holds one certificate')
        const settings = {
          place,
          issuer: certificates[0] ?? null,
          every: number(every, 'every', 'seconds', 86_400) ?? 600,
        }
        addSource(store, settings, invocation.now())
        invocation.out(
          invocation.options.json === true
            ? JSON.stringify({ place, every: settings.every })
            : `${place} every ${settings.every} s, by keyferry run`,
        )
        return Promise.resolve(0)
      }),
  }),
  'crl source list': command({
    summary: 'list the places that are polled',
    options: {},
    help: `usage: keyferry crl source list [--json]

Lists the places that are polled for CRLs, when each was last good, and what was wrong at the last attempt.

example: keyferry crl source list
`,
    run: (invocation) =>
      withStore(invocation, (store) => {
        const sources = listSources(store)
        if (invocation.options.json === true) invocation.out(JSON.stringify(sources))
        else
          invocation.out(sources.length === 0 ? 'no sources' : sources.map(sourceLine).join('\n'))
        return Promise.resolve(0)
      }),
  }),
  'crl source remove': command({
    summary: 'poll a place no more',
    operands: 1,
    options: {},
    help: `usage: keyferry crl source remove PLACE

Polls a file or URL no more. The list that it gave stays in force.

example: keyferry crl source remove https://pki.acme.example/issuing.crl
`,
    run: (invocation) =>
      withStore(invocation, (store) => {
        const place = operand(invocation, 'place')
        removeSource(store, place)
        invocation.out(
          invocation.options.json === true
            ? JSON.stringify({ place, removed: true })
            : `${place} is not polled any more`,
        )
        return Promise.resolve(0)
      }),
  }),
}
