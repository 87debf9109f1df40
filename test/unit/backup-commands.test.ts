/** The commands of backups, in process: what they read, print and return. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { COMMANDS } from '../../deriver/commands/index.ts'
import { COMMON } from '../../deriver/commands/definition.ts'
import { isKeyferryError } from '../../shared/errors.ts'

let directory: string
const path = (name: string): string => join(directory, name)
const cards = ['--share', '1', '--share', '3'].map((word) =>
  word.startsWith('-') ? word : `cards/card-${word}.txt`,
)

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
  const made = ['--org', 'Acme', '--domain', 'acme.example', '--unsealed']
  expect((await run('init', ...made)).status).toBe(0)
  await run('keyring create', 'notes')
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

interface Said {
  status: number | string
  lines: string[]
}

/** Runs a command as the command line does. Files are named as in the directory. */
async function run(name: string, ...words: string[]): Promise<Said> {
  const lines: string[] = []
  const args = words.map((word) => (/keyferry$|^cards/.test(word) ? path(word) : word))
  const options = { ...COMMANDS[name]!.options, ...COMMON }
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
  try {
    const status = await COMMANDS[name]!.run({
      options: values,
      operands: positionals,
      directory: path((values as { dir?: string }).dir ?? 'tenant'),
      now: () => Math.floor(Date.now() / 1000),
      passphrase: () => Promise.resolve('correct horse'),
      out: (text) => void lines.push(...text.split('\n')),
      signal: new AbortController().signal,
    })
    return { status, lines }
  } catch (error) {
    if (!isKeyferryError(error)) throw error
    return { status: error.code, lines: [error.message] }
  }
}

it('shares make: a card for each holder, and a set only once', async () => {
  const holders = ['--holder', 'Ada', '--holder', 'Bob']
  const { status, lines } = await run('shares make', '--out', 'cards', ...holders, '--json')
  expect([status, JSON.parse(lines[0]!)]).toEqual([
    0,
    {
      set: expect.stringMatching(/^[a-z2-7]{13}$/) as string,
      need: 2,
      of: 3,
      folder: path('cards'),
    },
  ])
  expect(readFileSync(path('cards/card-2.html'), 'utf8')).toContain('Bob')
  expect((await run('shares make', '--out', 'cards-2')).status).toBe('ERR_EXISTS')
  for (const wrong of [
    ['--need', '1'],
    ['--of', '17'],
    ['--of', '1', ...holders],
  ])
    expect((await run('shares make', '--out', 'cards-2', '--replace', ...wrong)).status).toBe(
      'ERR_USAGE',
    )
})

it('backup, backup show and drill', async () => {
  const made = await run('backup', 'one.keyferry', '--json')
  expect([made.status, JSON.parse(made.lines[0]!)]).toMatchObject([
    0,
    { file: path('one.keyferry'), opens: { need: 2 }, versions: 1 },
  ])
  expect((await run('backup', 'one.keyferry')).status).toBe('ERR_EXISTS')
  expect((await run('backup', 'two.keyferry', '--by', 'luck')).status).toBe('ERR_USAGE')
  expect((await run('backup show', 'one.keyferry')).lines.at(-1)).toMatch(/^opened by 2 cards/)
  const drilled = await run('drill', 'one.keyferry', ...cards, '--json')
  expect([drilled.status, JSON.parse(drilled.lines[0]!)]).toMatchObject([0, { isGood: true }])
  expect((await run('drill', 'one.keyferry', 'mail', ...cards)).status).toBe('ERR_NOT_FOUND')
})

it('restore says what is next, and catch-up without a relay needs to be told so', async () => {
  const { status, lines } = await run('restore', 'one.keyferry', '--dir', 'new', ...cards)
  expect([status, lines.at(-4)]).toEqual([0, '1. keyferry catch-up'])
  expect((await run('restore', 'one.keyferry', '--dir', 'new', ...cards)).status).toBe('ERR_EXISTS')
  const problem = async (): Promise<string | undefined> =>
    (await run('status', '--dir', 'new')).lines.find((line) => line.startsWith('! restored'))
  const fence = '! restored from a backup: signs nothing before'
  expect(await problem()).toBe(`${fence} keyferry catch-up`)
  expect((await run('catch-up', '--dir', 'new')).status).toBe(3)
  expect((await run('catch-up', '--dir', 'new', '--accept')).status).toBe(3)
  const looked = await run('catch-up', '--dir', 'new', '--without-relays')
  expect([looked.status, looked.lines.at(-1)]).toEqual([
    1,
    'nothing was changed: --accept takes it in',
  ])
  expect((await run('rotate', 'notes', '--dir', 'new')).status).toBe('ERR_ROLLBACK')
  // [restore-2] Another trust document 2 may have been signed since the backup.
  const proposed = await run('trust propose', '--raise-incarnation')
  writeFileSync(path('next.json'), proposed.lines.join('\n'))
  for (const what of ['trust sign', 'trust publish'])
    expect((await run(what, path('next.json'), '--dir', 'new')).status).toBe('ERR_ROLLBACK')
  expect((await run('trust propose', '--raise-incarnation', '--dir', 'new')).status).toBe(
    'ERR_ROLLBACK',
  )
  // [restore-2] Nor a list of a number that another one has.
  const list = () => run('ca crl', 'client', '--new', '--dir', 'new')
  expect((await list()).status).toBe('ERR_ROLLBACK')
  expect((await run('deriver revoke', '--all', '--dir', 'new')).status).toBe('ERR_ROLLBACK')
  expect((await run('ca crl', 'client', '--dir', 'new')).status).toBe(0)
  expect((await run('catch-up', '--dir', 'new', '--without-relays', '--accept')).status).toBe(0)
  expect((await list()).status).toBe(0)
  expect(await problem()).toContain(`${fence} its incarnation is raised`)
  expect((await run('catch-up', '--accept')).status).toBe('ERR_CONFLICT')
  // [restore-1] Nor another catalog of a number that was signed.
  const propose = () => run('catalog propose', '--out', path('catalog.json'), '--dir', 'new')
  expect((await propose()).status).toBe('ERR_ROLLBACK')
  for (const what of ['trust sign', 'trust publish'])
    expect((await run(what, path('next.json'), '--dir', 'new')).status).toBe(0)
})

it('a backup by passphrase is opened by that one', async () => {
  await run('backup', 'two.keyferry', '--by', 'passphrase')
  expect((await run('drill', 'two.keyferry')).status).toBe(0)
  expect((await run('drill', 'two.keyferry', ...cards)).status).toBe('ERR_USAGE')
})
