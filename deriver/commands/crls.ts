/** Revocation lists of the customer's own CAs. */
import { importCrl } from '../crls.ts'
import { newestTrust } from '../trust.ts'
import { command, readDer, TEXT, usage, withStore, type Command } from './command.ts'

export const crlCommands: Record<string, Command> = {
  'crl import': command({
    summary: 'take in a revocation list of your own CA',
    options: { certificate: TEXT },
    help: `usage: keyferry crl import FILE… [--certificate PEM]

Takes in CRLs (PEM or DER) of a CA that the trust document anchors, or of an intermediate CA whose certificate --certificate names.
Their number must rise.

example: keyferry crl import root.crl issuing.crl --certificate issuing.pem
`,
    run: (invocation) =>
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
      }),
  }),
}
