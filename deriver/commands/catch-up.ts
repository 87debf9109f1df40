/** What relays know of the time since a backup. */
import { isKeyferryError } from '../../shared/errors.ts'
import { catchUp, newestOf, type CaughtUp } from '../catch-up.ts'
import { readHeld, type Held } from '../held.ts'
import { openRoots } from '../roots.ts'
import { date } from '../show.ts'
import { newestTrust } from '../trust.ts'
import { ownSigner } from './audit.ts'
import {
  command,
  duration,
  FLAG,
  passphraseIfSealed,
  TEXT,
  TEXTS,
  usage,
  withStore,
  type Command,
} from './command.ts'
import { startProgress } from './progress.ts'

function lines(found: CaughtUp, failed: readonly string[]): string[] {
  const { head, backup, lost, trust, lists, changes } = found
  return [
    ...failed.map((what) => `could not be asked: ${what}`),
    head === null
      ? 'NO RELAY HOLDS A HEAD: nothing is known of the time since the backup'
      : `${head.relay} holds head ${head.incarnation}.${head.version} of ${date(head.issuedAt)}, the backup head ${backup}`,
    ...(head !== null && head.version < backup
      ? ['THAT IS OLDER THAN THE BACKUP: nothing is known of the time since']
      : []),
    ...(lost > 0 ? [`${lost} entries of the log are lost`] : []),
    ...trust.map(
      ({ number, hash }) =>
        `trust document ${number} ${hash}: published since; compare it with what trust publish printed`,
    ),
    ...lists.map(
      ({ issuer, number, revoked }) =>
        `list ${number} of ${issuer}: ${revoked} certificates revoked since`,
    ),
    ...changes.map(({ keyring, what }) => `${keyring}: ${what}`),
    'A relay can show less than it was given. Remember what was done since the backup: revoked, taken away, withdrawn, destroyed. What is not',
    'above, do again before keyferry run.',
  ]
}

export const catchUpCommands: Record<string, Command> = {
  'catch-up': command({
    summary: 'after a restore: take in what relays know of the time since the backup',
    options: {
      relay: TEXTS,
      accept: FLAG,
      'without-relays': FLAG,
      'backup-retention': TEXT,
      key: TEXT,
      certificate: TEXT,
    },
    help: `usage: keyferry catch-up [--accept] [--relay URL]… [--backup-retention TIME] [--without-relays] [--key FILE --certificate FILE] [--json]

Asks the relays of the trust document what they hold, verifies it, and shows what happened since the backup: trust documents, revocations,
members and rules that are gone, versions that were made, withdrawn or destroyed. --accept takes it in, and says that you know of nothing more;
without it nothing changes, and the exit status is 1. A relay that does not answer, or holds nothing, ends it with 3.
--without-relays    goes on where no relay can be asked: what happened since is then what you remember
--backup-retention  how long backups are kept, such as 90d, for versions that are destroyed again; 0 unless given
--key, --certificate  of a deriver, from your own CA

example: keyferry catch-up --accept --backup-retention 90d
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { options, directory, out, now } = invocation
        const accept = options.accept === true
        const isAlone = options['without-relays'] === true
        const { tenant, body } = await newestTrust(store)
        const passphrase = await passphraseIfSealed(invocation)
        const { root } = await openRoots(store, tenant, { directory, passphrase })
        const held: Held[] = []
        const failed: string[] = []
        const urls = isAlone ? [] : (options.relay ?? body.relays)
        if (isAlone && options.relay !== undefined) usage('--without-relays asks no --relay')
        const signer = urls.length === 0 ? null : await ownSigner(invocation, store)
        const progress = startProgress('objects', options.json)
        for (const url of urls) {
          try {
            const access = { url, tenant, signer: () => signer!, now }
            held.push(await readHeld(access, progress.tell).finally(progress.stop))
          } catch (error) {
            if (!isKeyferryError(error)) throw error
            failed.push(`${url}: ${error.message} (${error.code})`)
          }
        }
        const isKnown = isAlone || (failed.length === 0 && newestOf(held) !== undefined)
        const retention = duration(options['backup-retention'], 'backup-retention') ?? 0
        const isTaken = accept && isKnown
        const found = await catchUp(store, root, held, { accept: isTaken, retention }, now())
        if (options.json === true) out(JSON.stringify({ ...found, failed, accepted: isTaken }))
        else {
          out(lines(found, failed).join('\n'))
          out(
            isTaken
              ? 'taken in\nnext: keyferry trust propose --raise-incarnation'
              : isKnown
                ? 'nothing was changed: --accept takes it in'
                : 'nothing was changed: ask the relay again, or say --without-relays',
          )
        }
        return isTaken ? 0 : isKnown ? 1 : 3
      }),
  }),
}
