/** The check of a relay by the deriver of a tenant, and its rebuilding. */
import { checkExport } from '../fsck-file.ts'
import { type RelayReport } from '../fsck.ts'
import { openDeriver } from '../index.ts'
import { openStore, storePath } from '../store.ts'
import { loadTrust } from '../trust.ts'
import {
  command,
  operand,
  passphraseIfSealed,
  TEXT,
  usage,
  type Command,
  type Invocation,
} from './command.ts'
import { startProgress } from './progress.ts'
import { ownSigner } from './service.ts'

function relayOf(invocation: { operands: string[] }): string {
  const url = operand(invocation, 'relay')
  if (!/^https?:\/\/[^/]+$/.test(url)) usage(`not the address of a relay: ${url}`)
  return url
}

function show({ out, options }: Invocation<{ json?: boolean }>, report: RelayReport): number {
  const { head, problems } = report
  if (options.json === true) out(JSON.stringify(report))
  else {
    const version = head === null ? 'no head' : `head ${head.version}`
    out(`${report.relay}: trust document ${report.trust}, ${version}, ${report.crls} lists`)
    out(
      `${report.objects} objects (${report.unreferenced} not named by the head), ${report.bytes} bytes, ${report.requests} open requests`,
    )
    for (const problem of problems) out(`WRONG  ${problem}`)
    if (problems.length === 0) out('all of it verifies')
  }
  return problems.length === 0 ? 0 : 1
}

async function checkFile(
  invocation: Invocation<{ json?: boolean }>,
  progress: (objects: number) => void,
): Promise<RelayReport> {
  const store = openStore(storePath(invocation.directory))
  try {
    return await checkExport(operand(invocation, 'file'), await loadTrust(store), progress)
  } finally {
    store.close()
  }
}

async function checkAt(
  invocation: Invocation<{ json?: boolean; certificate?: string; key?: string }>,
  progress: (objects: number) => void,
): Promise<RelayReport> {
  const url = relayOf(invocation)
  const signer = ownSigner(invocation.options)
  const deriver = await openDeriver({
    directory: invocation.directory,
    passphrase: await passphraseIfSealed(invocation),
    ...(signer === undefined ? {} : { signer }),
  })
  try {
    return await deriver.check(url, progress)
  } finally {
    deriver.close()
  }
}

async function check(
  invocation: Invocation<{ json?: boolean; certificate?: string; key?: string }>,
): Promise<number> {
  const isFile = !operand(invocation, 'relay or file').includes('://')
  const progress = startProgress('objects', invocation.options.json)
  const work = isFile ? checkFile : checkAt
  return show(invocation, await work(invocation, progress.tell).finally(progress.stop))
}

export const fsckCommands: Record<string, Command> = {
  fsck: command({
    summary: 'verify everything that a relay stores of this tenant, or that its operator exported',
    operands: 1,
    options: { certificate: TEXT, key: TEXT },
    help: `usage: keyferry fsck RELAY [--certificate PEM --key PEM] [--json]
       keyferry fsck FILE [--json]

Reads everything that the relay stores of this tenant, by signed calls of the deriver, and verifies it again: trust documents, head, lists, catalog, every
tree and object below it, open requests. Of a FILE, which the relay's operator wrote with 'relay export', the same but for requests, as of the time of its
head. Changes nothing. Exit status 1 if something is wrong, 3 if it could not be read.
--certificate, --key  as for run, where the deriver has a certificate of your own CA

example: keyferry fsck https://relay.example
         keyferry fsck tenant.jsonl
`,
    run: check,
  }),
  rebuild: command({
    summary: 'send a relay that lost its data everything once more',
    operands: 1,
    options: { invite: TEXT, certificate: TEXT, key: TEXT },
    help: `usage: keyferry rebuild RELAY [--invite CODE] [--certificate PEM --key PEM] [--json]

Enrols the tenant anew where the relay does not know it, and sends it every object and the newest head, as they were signed: clients notice
nothing. What was cut off goes on where it was with the next call. A relay needs no backup. Stop 'keyferry run' first: it writes here (ERR_LEASE).
--invite  the code of the relay's operator, where the relay does not know the tenant any more

example: keyferry rebuild https://relay.example --invite CODE
`,
    run: async (invocation) => {
      const { options, directory, out } = invocation
      const url = relayOf(invocation)
      const signer = ownSigner(options)
      const progress = startProgress('objects', options.json)
      const deriver = await openDeriver({
        directory,
        passphrase: await passphraseIfSealed(invocation),
        report: (event) => {
          if (event.type === 'upload') progress.tell(event.done, event.of)
        },
        ...(options.invite === undefined ? {} : { invite: options.invite }),
        ...(signer === undefined ? {} : { signer }),
      })
      try {
        const version = await deriver.rebuild(url).finally(progress.stop)
        out(
          options.json === true
            ? JSON.stringify({ relay: url, version })
            : `${url} has head ${version}`,
        )
        return 0
      } finally {
        deriver.close()
      }
    },
  }),
}
