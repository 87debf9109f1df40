/**
 * `keyferry rewrap`: stored files away from key versions that may not encrypt any more. Each file is replaced as a whole or not at all, and no
 * plaintext is ever written; a run that was stopped is run again, and does what is left.
 */
import { isKeyferryError, type ErrorCode } from '../../shared/errors.ts'
import { CLIENT_HELP, CLIENT_HINTS, CLIENT_OPTIONS, openClient } from './client.ts'
import { command, FLAG, number, TEXT, usage, type Command } from './definition.ts'
import { startProgress } from './progress.ts'
import { rewrapFile, type Outcome } from './rewrap-file.ts'

/** What became of one file. */
interface Report {
  file: string
  result: Outcome | 'failed'
  code?: ErrorCode
  message?: string
}

function line({ file, result, code, message }: Report): string {
  return result === 'failed' ? `${file}: failed: ${message} (${code})` : `${file}: ${result}`
}

const ANOTHER_TRY: readonly ErrorCode[] = ['ERR_IO', 'ERR_RELAY', 'ERR_TIMEOUT']

/** The worst of them: 1 where a file was refused, else 3 where one could not be read or written, else 0. */
function statusOf(codes: readonly ErrorCode[]): number {
  if (codes.length === 0) return 0
  return codes.every((code) => ANOTHER_TRY.includes(code)) ? 3 : 1
}

export const rewrapCommand: Command = command({
  summary: 'a client: encrypt stored files again that are under an old or compromised version',
  operands: Infinity,
  options: { ...CLIENT_OPTIONS, 'dry-run': FLAG, 'min-version': TEXT, sign: FLAG },
  hints: { ...CLIENT_HINTS, ERR_SENDER: 'with --sign this client signs it in place of its sender' },
  help: `usage: keyferry rewrap FILE… [--dry-run] [--config FILE] [--keyring NAME] [--min-version N] [options]

Encrypts files again, in place, that are under a version which may not encrypt any more: compromised, deactivated, or older than the one that is
encrypted under now. Others stay as they are. Each file is replaced as a whole, with its permissions and owner, and only once the new one is on
the disk; stopped or killed, the command is run again and does what is left. The relay is asked first what is current.

A file under a compromised version may be a forgery by whoever has that version, and is under a good one afterwards: keep such files apart.

${CLIENT_HELP}
  --dry-run           only says which files would be encrypted again
  --sign              signs files anew, as this client, that somebody signed; without it they are refused, since they would lose their sender
  --min-version N     refuses files under versions before this one
  --json              a line of JSON per file, and one for all of them

Needs no tenant and no passphrase. A file that is refused or fails is left as it is, and the others are done. Exit status: 0 all is done, 1 a file
was refused, 2 wrong usage, 3 a file or relay cannot be reached.

example: keyferry rewrap --keyring notes --context backup/7 --dry-run notes.kf
example: find . -name '*.kf' -print0 | xargs -0 keyferry rewrap --keyring notes --json
`,
  run: async ({ options, operands, out, signal }) => {
    const { context = '', json = false } = options
    const isDry = options['dry-run'] === true
    const isSigner = options.sign === true
    if (operands.length === 0) usage('files are needed')
    const minVersion = number(options['min-version'], 'min-version', 'a version', 2 ** 32 - 1) ?? 0
    const { client, keyring } = await openClient(options, signal)
    const progress = startProgress('files', json)
    let encrypted = 0
    const tell = (): void =>
      progress.tell(
        reports.length,
        operands.length,
        `${(encrypted / 2 ** 20).toFixed(1)} MiB encrypted again`,
      )
    const reports: Report[] = []
    try {
      // By what is known here a file may look current that no longer is.
      await client.refresh()
      for (const file of operands) {
        const onBytes = (bytes: number): void => {
          encrypted += bytes
          tell()
        }
        const report: Report = { file, result: 'failed' }
        try {
          const how = { keyring, context, minVersion, isSigner, isDry, signal, onBytes }
          report.result = await rewrapFile(file, how)
        } catch (error) {
          if (signal.aborted || !isKeyferryError(error)) throw error
          report.code = error.code
          report.message = error.message
        }
        reports.push(report)
        progress.stop()
        out(json ? JSON.stringify(report) : line(report))
        tell()
      }
    } finally {
      progress.stop()
      client.close()
    }
    const count = (result: Report['result']): number =>
      reports.filter((one) => one.result === result).length
    const failed = count('failed')
    const [again, due, kept] = [count('rewrapped'), count('due'), count('kept')]
    const total = { due, failed, kept, rewrapped: again, version: keyring.version }
    if (json) out(JSON.stringify(total))
    else if (isDry) out(`${due} due, ${kept} kept, ${failed} failed`)
    else out(`${again} rewrapped to version ${keyring.version}, ${kept} kept, ${failed} failed`)
    return statusOf(reports.flatMap(({ code }) => code ?? []))
  },
})
