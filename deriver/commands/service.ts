/** The service. */
import { openDeriver } from '../index.ts'
import { signerFromFiles } from '../signer-files.ts'
import { date, eventLine } from '../show.ts'
import { type ServiceEvent } from '../service.ts'
import {
  command,
  FLAG,
  passphraseIfSealed,
  readDer,
  seconds,
  TEXT,
  TEXTS,
  usage,
  type Command,
} from './command.ts'

/** The deriver's certificate and key from files, where they are given. */
export function ownSigner({
  certificate,
  key,
}: {
  certificate?: string
  key?: string
}): ReturnType<typeof signerFromFiles> | undefined {
  if ((certificate === undefined) !== (key === undefined))
    usage('--certificate and --key go together')
  return certificate === undefined ? undefined : signerFromFiles(certificate, key!, readDer)
}

export const serviceCommands: Record<string, Command> = {
  run: command({
    summary: 'answer clients and keep relays up to date',
    options: {
      relay: TEXTS,
      invite: TEXT,
      heartbeat: TEXT,
      instance: TEXT,
      lease: TEXT,
      console: TEXT,
      'console-url': TEXT,
      once: FLAG,
      certificate: TEXT,
      key: TEXT,
    },
    help: `usage: keyferry run [--relay URL]… [--invite CODE] [--heartbeat SECONDS] [--instance NAME] [--lease SECONDS] [--once] [--json]
         [--certificate PEM --key PEM]

Connects out to the relays, verifies and answers requests, enforces revocations, rotates what is due, signs heads.
Needs no open port. Stops on SIGINT or SIGTERM and goes on where it was. --once does what is due and ends.
--instance     name of this deriver in the certificate of the built-in CA, deriver-1 unless given
--lease        of several on one directory one works and the others stand by; they take over at once from one that ended, and from one that
               hangs after so many seconds (15)
--invite       enrols the tenant at a relay that does not know it; the relay's operator gives the code (its INVITES)
--certificate  the deriver's certificate path from your own CA, with --key, its private key (PKCS#8);
               read again when the files change

example: keyferry run --invite CODE
`,
    run: async (invocation) => {
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
      const lease = seconds(options.lease, 'lease')
      const signer = ownSigner(options)
      const deriver = await openDeriver({
        directory,
        passphrase: await passphraseIfSealed(invocation),
        report,
        ...(options.relay === undefined ? {} : { relays: options.relay }),
        ...(options.invite === undefined ? {} : { invite: options.invite }),
        ...(options.instance === undefined ? {} : { instance: options.instance }),
        ...(heartbeat === undefined ? {} : { heartbeat }),
        ...(lease === undefined ? {} : { lease }),
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
    },
  }),
}
