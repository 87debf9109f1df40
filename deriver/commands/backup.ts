/** Cards, backups, drills and restores: docs/backup.md. */
import { base64url } from '../../shared/bytes.ts'
import { makeBackup } from '../backup.ts'
import { openBackup, type BackupHeader, type Progress } from '../backup-file.ts'
import { drill } from '../drill.ts'
import { restoreBackup } from '../restore.ts'
import { setName } from '../share-card.ts'
import { makeShares } from '../shares.ts'
import { date } from '../show.ts'
import { newestTrust } from '../trust.ts'
import { openWith } from './cards.ts'
import {
  command,
  FLAG,
  number,
  operand,
  passphraseIfSealed,
  required,
  TEXT,
  TEXTS,
  usage,
  withStore,
  type Command,
} from './command.ts'
import { startProgress } from './progress.ts'

/** Runs what tells of bytes. */
async function showing<T>(
  what: string,
  { options }: { options: { json?: boolean } },
  work: (progress: Progress, hide: () => void) => Promise<T>,
): Promise<T> {
  const shown = startProgress(`MiB ${what}`, options.json)
  const mebibytes = (bytes: number): number => Math.round(bytes / 2 ** 20)
  try {
    return await work((done, of) => shown.tell(mebibytes(done), mebibytes(of)), shown.stop)
  } finally {
    shown.stop()
  }
}

function headerJson(header: BackupHeader): Record<string, unknown> {
  const { tenant, made, incarnation, head, log, trust, catalog, versions, roots, sealing } = header
  return {
    tenant,
    made,
    incarnation,
    head: { version: head.version, hash: base64url(head.hash) },
    log: { size: log.size, root: base64url(log.root) },
    trust,
    catalog,
    versions,
    roots,
    opens:
      sealing.by === 'shares' ? { set: setName(sealing.set), need: sealing.need } : 'passphrase',
  }
}

function headerLines(header: BackupHeader): string[] {
  const { tenant, made, incarnation, head, log, trust, versions, roots, sealing } = header
  return [
    `backup of tenant ${tenant}, ${date(made)}`,
    `head ${incarnation}.${head.version}, trust document ${trust}, ${versions} key versions, log of ${log.size} entries`,
    ...roots.map(({ name, place }) => `root ${name} at ${place}`),
    sealing.by === 'shares'
      ? `opened by ${sealing.need} cards of set ${setName(sealing.set)}`
      : 'opened by its passphrase',
  ]
}

export const backupCommands: Record<string, Command> = {
  'shares make': command({
    summary: 'split the key that opens backups among people, on cards',
    options: { of: TEXT, need: TEXT, holder: TEXTS, out: TEXT, replace: FLAG },
    help: `usage: keyferry shares make --out FOLDER [--of 3] [--need 2] [--holder NAME]… [--replace] [--json]

Makes a key for backups, and a card of it for each holder: any --need of the --of cards open every backup that is made from now on, fewer open
nothing. FOLDER gets card-1.txt and card-1.html (to print) and so on: hand each to its holder, then delete the folder. The key itself stays in
keys/backup-key.json, sealed by the passphrase, so that backups need no card.
--replace  makes another set where there is one; its cards are still needed for the backups before

example: keyferry shares make --of 3 --need 2 --holder Ada --holder Bob --holder Kim --out cards
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { options, directory, out, now } = invocation
        const of = number(options.of, 'of', 'cards', 16) ?? 3
        const need = number(options.need, 'need', 'cards', 16) ?? 2
        const named = options.holder ?? []
        if (named.length > of) usage(`${named.length} holders for ${of} cards`)
        const holders = Array.from({ length: of }, (_, i) => named[i] ?? '____________________')
        const folder = required(options.out, 'out')
        const { tenant } = await newestTrust(store)
        const set = await makeShares(store, {
          directory,
          passphrase: await passphraseIfSealed(invocation),
          need,
          holders,
          tenant,
          out: folder,
          replace: options.replace === true,
          now: now(),
        })
        if (options.json === true) out(JSON.stringify({ set, need, of, folder }))
        else {
          out(`${of} cards of set ${set} in ${folder}, ${need} needed`)
          out(
            `next: print them, hand them out, delete ${folder}; then keyferry backup FILE and keyferry drill FILE`,
          )
        }
        return 0
      }),
  }),
  backup: command({
    summary: 'write everything that a deriver needs into one encrypted file',
    operands: 1,
    options: { by: TEXT },
    help: `usage: keyferry backup FILE [--by shares|passphrase] [--json]

Copies database, keys and trust documents into FILE, which must not exist yet, while 'keyferry run' goes on. It is opened by the cards of
'shares make', or with --by passphrase by the passphrase that is given. Of a root in an HSM or a key service it holds the place alone.

example: keyferry backup /mnt/backup/acme-2026-11-28.keyferry
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { options, directory, out, now, signal } = invocation
        const path = operand(invocation, 'file')
        const by = options.by ?? 'shares'
        if (by !== 'shares' && by !== 'passphrase') usage('--by is shares or passphrase')
        const passphrase = await passphraseIfSealed(invocation)
        const sealWith =
          by === 'passphrase' ? (passphrase ?? (await invocation.passphrase(true))) : null
        const made = { directory, passphrase, sealWith, path, now: now(), signal }
        const header = await showing('written', invocation, (progress) =>
          makeBackup(store, { ...made, progress }),
        )
        out(
          options.json === true
            ? JSON.stringify({ file: path, ...headerJson(header) })
            : [...headerLines(header), `written to ${path}`].join('\n'),
        )
        return 0
      }),
  }),
  'backup show': command({
    summary: 'what a backup says of itself; needs no key',
    operands: 1,
    options: {},
    help: `usage: keyferry backup show FILE [--json]

Prints the header of a backup: whose it is, of when, and what opens it. Only 'keyferry drill' and 'keyferry restore' check that it is true.

example: keyferry backup show acme-2026-11-28.keyferry
`,
    run: (invocation) => {
      const file = openBackup(operand(invocation, 'file'))
      file.close()
      const { options, out } = invocation
      out(
        options.json === true
          ? JSON.stringify(headerJson(file.header))
          : headerLines(file.header).join('\n'),
      )
      return Promise.resolve(0)
    },
  }),
  drill: command({
    summary: 'see that a backup gives every key again, and write nothing',
    operands: Infinity,
    options: { share: TEXTS },
    help: `usage: keyferry drill FILE [NAME | NAME@VERSION]… [--share CARD]… [--json]

Opens a backup in memory, derives the key ids of all versions, or of those named, and compares them with the signed manifests. No key is
printed, and nothing is written. Without --share the cards are typed, or the passphrase is asked for. Exit status 1 if one is another key.
Roots in an HSM or a key service are asked, as the backup names them.

example: keyferry drill acme-2026-11-28.keyferry --share card-1.txt --share card-3.txt
`,
    run: async (invocation) => {
      const { options, operands, directory, out } = invocation
      const [path, ...names] = operands
      if (path === undefined) usage('a file is needed')
      const opener = await openWith(path, invocation)
      const { header, versions } = await showing('read', invocation, (progress) =>
        drill(path, opener, { directory, names, progress }),
      )
      const count = (result: string): number =>
        versions.filter((one) => one.result === result).length
      const isGood = count('wrong') === 0
      if (options.json === true)
        out(JSON.stringify({ ...headerJson(header), isGood, checked: versions }))
      else
        out(
          [
            ...headerLines(header),
            ...versions.map(
              ({ keyring, incarnation, version, keyId, result }) =>
                `${keyring}@${incarnation}.${version}  key id ${keyId.slice(0, 16)}  ${result}`,
            ),
            `${count('reproduced')} reproduced, ${count('unsigned')} not signed yet, ${count('destroyed')} destroyed, ${count('wrong')} WRONG`,
          ].join('\n'),
        )
      return isGood ? 0 : 1
    },
  }),
  restore: command({
    summary: 'make a deriver out of a backup, in an empty directory',
    operands: 1,
    options: { share: TEXTS, tenant: TEXT },
    help: `usage: keyferry restore FILE --dir DIR [--share CARD]… [--tenant ID] [--json]

Opens a backup with cards, typed where --share is not given, or with its passphrase, and writes it to DIR, which must be empty. Every key is
derived and compared with the signed manifests first. Key files that were sealed are sealed again, by a passphrase of your choice
(--passphrase-file, or asked for twice); with a backup that a passphrase opens, by that one.
The deriver signs nothing before 'keyferry catch-up' has asked the relays what happened since, CAs of your own have given a list
(keyferry crl import), and its incarnation was raised: so the lost machine, should it still live, is shut out and no number is used twice.

example: keyferry restore acme-2026-11-28.keyferry --dir keyferry --share card-1.txt --share card-3.txt
`,
    run: async (invocation) => {
      const { options, directory, out, now } = invocation
      const path = operand(invocation, 'file')
      const opener = await openWith(path, invocation)
      const header = await showing('read', invocation, (progress, hide) =>
        restoreBackup({
          path,
          directory,
          opener,
          seal: () => {
            hide()
            return 'passphrase' in opener
              ? Promise.resolve(opener.passphrase)
              : invocation.passphrase(true)
          },
          now: now(),
          progress,
          ...(options.tenant === undefined ? {} : { tenant: options.tenant }),
        }),
      )
      const next = [
        'keyferry catch-up',
        'keyferry crl import FILE, for a CA of your own',
        'keyferry trust propose --raise-incarnation, trust sign, trust publish',
        'keyferry run',
      ]
      out(
        options.json === true
          ? JSON.stringify({ directory, ...headerJson(header), next })
          : [
              ...headerLines(header),
              `restored to ${directory}; it signs nothing before you have done this:`,
              ...next.map((one, i) => `${i + 1}. ${one}`),
            ].join('\n'),
      )
      return 0
    },
  }),
}
