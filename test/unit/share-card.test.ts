/** Cards: what a person reads from paper, mistypes and mixes up. */
import { describe, expect, it } from 'vitest'
import { cardLines, cardPage, cardText, parseCard, type Share } from '../../deriver/share-card.ts'
import { combineShares, splitKey } from '../../deriver/shares.ts'
import { hex } from '../../shared/bytes.ts'
import { seeded } from '../lib/fixtures-keys.ts'
import { codeOf } from '../lib/deriver.ts'

const key = seeded('key for backups')
const notes = { tenant: 'a'.repeat(52), holder: 'Ada <ada@acme.example>', made: 1_800_000_000 }
const shares = await splitKey(key, 2, 3)
const [first, second, third] = shares as [Share, Share, Share]

const errorOf = (text: string): string => {
  try {
    parseCard(text)
    return 'none'
  } catch (error) {
    return `${(error as { code: string }).code} ${(error as Error).message}`
  }
}

describe('a card', () => {
  it('is read back from its file, and from what is typed: in capitals, without spaces, with the digits that look like letters', () => {
    const lines = cardLines(first)
    const bare = lines.map((line) => line.slice(3)).join('\n')
    const alike = bare.replaceAll('o', '0').replaceAll('l', '1').replaceAll('b', '8')
    for (const text of [
      cardText(first, notes),
      cardText(first, notes).replaceAll('\n', '\r\n'),
      lines.join('\n'),
      lines.join('\n').toUpperCase(),
      lines.map((line) => line.replace('.', '')).join('\n'),
      bare,
      bare.replaceAll(/\s/g, ''),
      bare.replaceAll(' ', '-'),
      alike,
    ])
      expect(parseCard(text)).toEqual(first)
  })

  it('says whose it is, of which set, and how many are needed; its page loads nothing', () => {
    const page = cardPage(second, notes)
    for (const said of [
      'card 2 of 3, 2 needed',
      notes.tenant,
      '2027-01-15',
      ...cardLines(second),
    ]) {
      expect(cardText(second, notes)).toContain(said)
      expect(page).toContain(said)
    }
    expect(page).toContain('Ada &#60;ada@acme.example&#62;')
    expect(page).not.toMatch(/<script|src=|href=|https?:/)
  })

  const wrongLine = (lines: string[], at: number, wrong: string): void =>
    expect([wrong, errorOf(lines.with(at, wrong).join('\n'))]).toEqual([
      wrong,
      `ERR_MALFORMED line ${at + 1} of the card is mistyped`,
    ])

  it('names the line in which any one character is any other one', () => {
    const lines = cardLines(first)
    for (const [at, line] of lines.entries())
      for (let i = 4; i < line.length; i++)
        for (const other of line[i] === ' ' ? '' : 'abcdefghijklmnopqrstuvwxyz234567')
          if (other !== line[i]) wrongLine(lines, at, line.slice(0, i) + other + line.slice(i + 1))
  })

  it('names the line in which two neighbours changed places', () => {
    const lines = cardLines(first)
    for (const [at, line] of lines.entries()) {
      const typed = line.slice(4).replaceAll(' ', '')
      for (let i = 1; i < typed.length; i++)
        if (typed[i] !== typed[i - 1])
          wrongLine(
            lines,
            at,
            `${line.slice(0, 4)}${typed.slice(0, i - 1)}${typed[i]}${typed[i - 1]}${typed.slice(i + 1)}`,
          )
    }
  })

  it('refuses lines of two cards, in another order, left out, or of a later version', () => {
    const lines = cardLines(first)
    expect(errorOf([...lines.slice(0, 3), ...cardLines(second).slice(3)].join('\n'))).toBe(
      'ERR_MALFORMED the lines are not of one card',
    )
    const swapped = [lines[1]!, lines[0]!, ...lines.slice(2)]
      .map((line) => line.slice(3))
      .join('\n')
    expect(errorOf(swapped)).toBe('ERR_MALFORMED line 1 of the card is mistyped')
    expect(errorOf(lines.slice(1).join('\n'))).toMatch(/^ERR_MALFORMED a card has 90 characters/)
    expect(errorOf('')).toMatch(/^ERR_MALFORMED/)
  })
})

describe('cards together', () => {
  it('any two give the key, and all three', async () => {
    for (const some of [[first, second], [third, first], [second, third], shares])
      expect(hex(await combineShares(some))).toBe(hex(key))
  })

  it('too few, one twice, of two sets: each is named', async () => {
    const other = await splitKey(seeded('another key'), 2, 3)
    expect(await codeOf(combineShares([]))).toBe('ERR_INCOMPLETE')
    expect(await codeOf(combineShares([third]))).toBe('ERR_INCOMPLETE')
    expect(await codeOf(combineShares([first, first]))).toBe('ERR_EXISTS')
    expect(await codeOf(combineShares([first, other[1]!]))).toBe('ERR_DOCUMENT_MISMATCH')
    const more = await splitKey(key, 3, 3)
    expect(await codeOf(combineShares([first, more[1]!]))).toBe('ERR_DOCUMENT_MISMATCH')
  })

  it('a card that was made up gives no key, whatever it says of itself', async () => {
    const { value } = second
    const forged = { ...second, value: value.map((byte, i) => (i === 0 ? byte ^ 1 : byte)) }
    expect(await codeOf(combineShares([first, forged]))).toBe('ERR_OPEN')
    expect(await codeOf(combineShares([first, { ...second, value: first.value }]))).toBe('ERR_OPEN')
  })

  it('fewer than needed say nothing: each first card fits every key', async () => {
    // The same card, completed by a second one of every possible first byte, gives every first byte of a key.
    const { combine } = await import('shamir-secret-sharing')
    const seen = new Set<number>()
    for (let byte = 0; byte < 256; byte++) {
      const made = second.value.slice()
      made[0] = byte
      seen.add((await combine([first.value, made]))[0]!)
    }
    expect(seen.size).toBe(256)
  })

  it('are 2 to 16, of which 2 or more are needed', async () => {
    for (const [need, of] of [
      [1, 3],
      [4, 3],
      [2, 17],
      [0, 0],
    ] as const)
      expect(await codeOf(splitKey(key, need, of))).toBe('ERR_USAGE')
    expect(await combineShares(await splitKey(key, 16, 16))).toEqual(key)
  })
})
