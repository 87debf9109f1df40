/**
 * A share of a key as it stands on paper: five lines of letters and digits (RFC 4648 base32), each with two of its own to check it by, so that a line that was
 * mistyped is named. A card is read back from its file, or from what a person types.
 */
import { base32, concat, equal, fromBase32, utf8, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { sha256 } from '../shared/hash.ts'

/** One share. `value` is Shamir's: one byte more than the key. */
export interface Share {
  /** 8 bytes: which cards belong together. */
  set: Bytes
  /** How many are needed, of how many. */
  need: number
  of: number
  /** From 1. */
  number: number
  /** 33 bytes. */
  value: Bytes
}

/** What stands on a card for its holder. */
export interface CardNotes {
  tenant: string
  holder: string
  /** Seconds. */
  made: number
}

const FORMAT = 1
const LINES = 5
const LINE_BYTES = 10
const LINE_LENGTH = 18
/** A card in characters, without spaces. */
const CARD_LENGTH = LINES * LINE_LENGTH
/** Bytes of the check over all lines. */
const CHECK = 5

/** The name of a set, as cards and backups show it. */
export function setName(set: Uint8Array): string {
  return base32(set)
}

function checkOf(body: Bytes): Bytes {
  return sha256(concat(utf8('keyferry/v1/card\0'), body)).slice(0, CHECK)
}

/**
 * Two characters for a line, counted from 0: the line as a number by a prime, as the pure systems of ISO/IEC 7064 do it. Of two characters' 1024 values the largest
 * prime, so that every single wrong character, two that changed places, and a line in another one's place are found for certain, where part of a hash misses one in 1024.
 */
function lineCheck(line: Bytes, at: number): string {
  const rest = [at, ...line].reduce((sum, byte) => (sum * 256 + byte) % 1021, 0)
  return base32(Uint8Array.of(rest >> 2, (rest << 6) & 0xff)).slice(0, 2)
}

function malformed(message: string): KeyferryError {
  return new KeyferryError('ERR_MALFORMED', message, {
    hint: 'compare what was typed with the card, line by line',
  })
}

/** The five lines of a card, in groups of four. */
export function cardLines({ set, need, of, number, value }: Share): string[] {
  const body = concat(Uint8Array.of(FORMAT, need, of, number), set, value)
  const bytes = concat(body, checkOf(body))
  return Array.from({ length: LINES }, (_, at) => {
    const line = bytes.slice(at * LINE_BYTES, (at + 1) * LINE_BYTES)
    const groups = base32(line).match(/.{4}/g)!
    return `${at + 1}.  ${groups.join(' ')}  ${lineCheck(line, at)}`
  })
}

/** Digits that are no letters of base32 are those they look like. */
function normal(text: string): string {
  return text
    .toLowerCase()
    .replace(/[\s·-]/g, '')
    .replace(/0/g, 'o')
    .replace(/1/g, 'l')
    .replace(/8/g, 'b')
}

/** The characters of a card out of its file, or out of what was typed: with or without numbers before the lines. */
function charactersOf(text: string): string {
  const numbered = [...text.matchAll(/^\s*([1-5])(?:[.:)]\s*|\s+)(.*)$/gm)]
  const isWhole = numbered.map(([, at]) => at).join('') === '12345'
  return normal(isWhole ? numbered.map(([, , line]) => line).join('') : text)
}

/** Reads a card; case, spaces and hyphens are nothing. Throws `ERR_MALFORMED`, which names the line that is wrong. */
export function parseCard(text: string): Share {
  const characters = charactersOf(text)
  if (characters.length !== CARD_LENGTH)
    throw malformed(`a card has ${CARD_LENGTH} characters, and these are ${characters.length}`)
  const lines = Array.from({ length: LINES }, (_, at) => {
    const line = characters.slice(at * LINE_LENGTH, (at + 1) * LINE_LENGTH)
    let bytes: Bytes
    try {
      bytes = fromBase32(line.slice(0, -2))
    } catch (cause) {
      throw new KeyferryError('ERR_MALFORMED', `line ${at + 1} of the card is mistyped`, { cause })
    }
    if (lineCheck(bytes, at) !== line.slice(-2))
      throw malformed(`line ${at + 1} of the card is mistyped`)
    return bytes
  })
  const bytes = concat(...lines)
  const body = bytes.slice(0, -CHECK)
  if (!equal(checkOf(body), bytes.slice(-CHECK))) throw malformed('the lines are not of one card')
  const [format, need, of, number] = body
  if (format !== FORMAT)
    throw new KeyferryError('ERR_UNSUPPORTED', `a card of a later version (${format})`)
  return { set: body.slice(4, 12), need: need!, of: of!, number: number!, value: body.slice(12) }
}

const day = (seconds: number): string => new Date(seconds * 1000).toISOString().slice(0, 10)

const USE = (need: number): string[] => [
  `Any ${need} of these cards together open every backup of this tenant made since, and with it all its keys.`,
  `${need === 2 ? 'One card alone opens' : `Fewer than ${need} open`} nothing, and say${need === 2 ? 's' : ''} nothing of any key. Keep it where nobody keeps another one;`,
  'show it to nobody but at a restore or a drill, and say at once if it is lost.',
  'To use it: keyferry restore FILE --share CARD … or keyferry drill FILE --share CARD …, with this file,',
  'or without --share, typing the five lines below. Capitals and spaces do not matter.',
]

/** A card as text. */
export function cardText(share: Share, { tenant, holder, made }: CardNotes): string {
  return [
    `Keyferry card ${share.number} of ${share.of}, ${share.need} needed`,
    '',
    `holder  ${holder}`,
    `tenant  ${tenant}`,
    `set     ${setName(share.set)}`,
    `made    ${day(made)}`,
    '',
    ...cardLines(share),
    '',
    ...USE(share.need),
    '',
  ].join('\n')
}

const escape = (text: string): string =>
  text.replace(/[&<>"]/g, (one) => `&#${one.codePointAt(0)};`)

/** A card as a page to print: no script, nothing from elsewhere. */
export function cardPage(share: Share, notes: CardNotes): string {
  const row = (name: string, value: string): string =>
    `<tr><th>${name}</th><td>${escape(value)}</td></tr>`
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="content-security-policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Keyferry card ${share.number} of ${share.of}</title>
<style>
  @page { size: A6 landscape; margin: 6mm }
  body { font: 8pt/1.35 sans-serif; margin: 0 }
  h1 { font-size: 11pt; margin: 0 0 2mm }
  th { text-align: left; padding-right: 4mm; font-weight: normal }
  td, pre { font-family: monospace }
  pre { font-size: 11.5pt; line-height: 1.5; margin: 2mm 0 }
</style>
<h1>Keyferry card ${share.number} of ${share.of}, ${share.need} needed</h1>
<table>
${row('holder', notes.holder)}
${row('tenant', notes.tenant)}
${row('set', setName(share.set))}
${row('made', day(notes.made))}
</table>
<pre>${cardLines(share).join('\n')}</pre>
<p>${USE(share.need).map(escape).join(' ')}</p>
</html>
`
}
