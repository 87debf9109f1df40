/** Cards of shares as a person gives them: as files, or typed. */
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { isKeyferryError, KeyferryError } from '../../shared/errors.ts'
import { openBackup, type BackupFile } from '../backup-file.ts'
import { type Opener } from '../open-backup.ts'
import { parseCard, setName, type Share } from '../share-card.ts'
import { readFile, type Invocation } from './command.ts'

/** Bytes of a card's file at most. */
const MOST = 65_536
const CARD_LINES = 5
/** Characters of a card, spaces not counted: it may be typed as one line. */
const CARD_LENGTH = 90

function isWhole(lines: readonly string[]): boolean {
  return lines.length === CARD_LINES || lines.join('').replace(/[\s-]/g, '').length >= CARD_LENGTH
}

/** Reads `need` cards from the terminal, which does not show them, or from what is piped in. A card that was mistyped is asked for again on a terminal. */
async function typedCards(need: number): Promise<Share[]> {
  const isTerminal = process.stdin.isTTY
  const nothing = new Writable({ write: (_chunk, _encoding, done) => done() })
  const reader = createInterface({
    input: process.stdin,
    ...(isTerminal && { output: nothing, terminal: true }),
  })
  const shares: Share[] = []
  let lines: string[] = []
  const ask = (): void => {
    process.stderr.write(`card ${shares.length + 1} of ${need}: its five lines (not shown)\n`)
  }
  try {
    if (isTerminal) ask()
    for await (const line of reader) {
      if (line.trim() === '') continue
      lines.push(line)
      if (!isWhole(lines)) continue
      try {
        shares.push(parseCard(lines.join('\n')))
      } catch (error) {
        if (!isTerminal || !isKeyferryError(error)) throw error
        process.stderr.write(`${error.message}\n`)
      }
      lines = []
      if (shares.length === need) return shares
      if (isTerminal) ask()
    }
    if (lines.length > 0) shares.push(parseCard(lines.join('\n')))
    return shares
  } finally {
    reader.close()
  }
}

/** Reads a card's file. Throws `ERR_MALFORMED` with the file's name. */
function readCard(path: string): Share {
  try {
    return parseCard(new TextDecoder().decode(readFile(path, MOST)))
  } catch (cause) {
    if (!isKeyferryError(cause, 'ERR_MALFORMED')) throw cause
    throw new KeyferryError('ERR_MALFORMED', `${path}: ${cause.message}`, { cause })
  }
}

/** What opens a backup, as it says itself: cards out of files or typed, or the passphrase. */
async function openerOf(
  { header }: Pick<BackupFile, 'header'>,
  invocation: Invocation<{ share?: string[] }>,
): Promise<Opener> {
  const { share } = invocation.options
  if (share !== undefined) return { shares: share.map(readCard) }
  if (header.sealing.by === 'passphrase') return { passphrase: await invocation.passphrase() }
  process.stderr.write(`cards of set ${setName(header.sealing.set)} open this backup\n`)
  return { shares: await typedCards(header.sealing.need) }
}

/** Opens the header of a backup, and finds what opens the rest. */
export async function openWith(
  path: string,
  invocation: Invocation<{ share?: string[] }>,
): Promise<Opener> {
  const file = openBackup(path)
  try {
    return await openerOf(file, invocation)
  } finally {
    file.close()
  }
}
