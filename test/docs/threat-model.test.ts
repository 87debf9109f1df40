// docs/THREAT-MODEL.md says what the tests show: links, names of attacks, checks and errors are held against what is there.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { ERROR_CODES } from '../../shared/error-codes.ts'
import { attacks } from '../hostile/attacks/index.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const page = join(root, 'docs/THREAT-MODEL.md')
const text = readFileSync(page, 'utf8')
const protocol = readFileSync(join(root, 'docs/PROTOCOL.md'), 'utf8')

interface Risk {
  /** `3.1 rollback` or `W14`: what the titles of tests begin with. */
  key: string
  name: string
  status: string
  by: string
  codes: string[]
  /** From the root of the repository. */
  files: string[]
}

/** The rows of the tables under "Risks". */
const risks: Risk[] = text
  .slice(text.indexOf('\n## Risks\n'), text.indexOf('\n## What is not protected\n'))
  .split('\n')
  .filter((line) => /^\| (3\.|W\d)/.test(line))
  .map((line) => {
    const [name, status, by, answer, shown] = line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim())
    return {
      key: /^W\d+/.exec(name!)?.[0] ?? name!,
      name: name!,
      status: status!,
      by: by!,
      codes: [...answer!.matchAll(/ERR_[A-Z_]+/g)].map(([code]) => code),
      files: [...shown!.matchAll(/\]\(([^)]+)\)/g)].map(([, link]) =>
        relative(root, join(dirname(page), link!)),
      ),
    }
  })

const read = (file: string): string => readFileSync(join(root, file), 'utf8')
const has = (where: string, key: string): boolean =>
  new RegExp(String.raw`${key.replaceAll(/[.()]/g, String.raw`\$&`)}(?!\w)`).test(where)
/** What stands in quotes of any kind, on one line: titles and rows among it. */
const quoted = (source: string): string =>
  [...source.matchAll(/(['"\x60])(?:\\.|(?!\1)[^\\\n])*\1/g)].map(([found]) => found).join('\n')

const shown = risks.filter(({ status }) => status !== 'open')
const hostile = (file: string): boolean => file.startsWith('test/hostile/')
/** Where tests are about one thing each, and say which. */
const narrow = (file: string): boolean => /^test\/(unit|relay|worker|cli)\//.test(file)

describe('the risks', () => {
  it('are many, each once, with all weaknesses of the first system of this kind', () => {
    const keys = risks.map(({ key }) => key)
    expect(new Set(keys).size).toBe(keys.length)
    expect(keys.filter((key) => key.startsWith('W'))).toEqual(
      Array.from({ length: 28 }, (_, i) => `W${i + 1}`),
    )
    for (const section of ['3.1', '3.2', '3.3', '3.4', '3.5'])
      expect(keys.filter((key) => key.startsWith(section)).length).toBeGreaterThan(4)
  })

  it.each(risks)('$name: has a status, and what goes with it', ({ status, by, files, codes }) => {
    expect(['prevented', 'bounded', 'detected', 'open']).toContain(status)
    expect(by).not.toBe('')
    expect(files.length > 0).toBe(status !== 'open')
    if (status === 'open') expect(codes).toEqual([])
  })

  it.each(shown)('$name: is shown by tests that are there', ({ files }) => {
    expect(files.filter((file) => !file.endsWith('.ts') || !existsSync(join(root, file)))).toEqual(
      [],
    )
  })

  it.each(shown)('$name: is what hostile tests of it are called', ({ key, files }) => {
    const without = files.filter((file) => hostile(file) && !has(quoted(read(file)), key))
    expect(without).toEqual([])
  })

  it.each(shown)('$name: is in the tests of its checks or errors', (risk) => {
    const tags = [...risk.by.matchAll(/\[[a-z]+-\d+\]/g)].map(([tag]) => tag)
    const names = [...tags, ...risk.codes]
    const files = names.length === 0 ? [] : risk.files.filter(narrow)
    const silent = files.filter((file) => !names.some((name) => read(file).includes(name)))
    expect(silent).toEqual([])
  })

  it('have a row for every attack that is played', () => {
    const titles = readdirSync(join(root, 'test/hostile'))
      .filter((name) => name.endsWith('.test.ts'))
      .flatMap((name) =>
        [...quoted(read(`test/hostile/${name}`)).matchAll(/^.(?:3\.\d |W\d).+$/gm)].map(([title]) =>
          title.slice(1, -1),
        ),
      )
    expect(titles.length).toBeGreaterThan(20)
    // `3.1 freeze, W14: …` is of two rows.
    const named = [...attacks.map(({ row }) => row), ...titles].flatMap((row) =>
      row
        .split(': ')[0]!
        .split(/, (?=3\.|W\d|A\d)/)
        .filter((one) => !/^A\d/.test(one)),
    )
    const missing = named.filter(
      (one) => !risks.some(({ key }) => one.startsWith(key) && has(one, key)),
    )
    expect(missing).toEqual([])
  })

  it('are linked to where their attacks are', () => {
    // An attack that bears a key of a row stands in a file that this row links to.
    const folder = 'test/hostile/attacks'
    const unlinked = readdirSync(join(root, folder)).flatMap((name) => {
      const rows = quoted(read(`${folder}/${name}`))
      return shown
        .filter(({ key, files }) => has(rows, key) && !files.includes(`${folder}/${name}`))
        .map(({ key }) => `${key} in ${name}`)
    })
    expect(unlinked).toEqual([])
  })
})

describe('the page', () => {
  it('names checks of docs/PROTOCOL.md only', () => {
    const tags = [...text.matchAll(/\[([a-z]+-\d+)\]/g)].map(([, tag]) => tag!)
    expect(tags.length).toBeGreaterThan(80)
    expect(tags.filter((tag) => !protocol.includes(`. \`[${tag}]\``))).toEqual([])
  })

  it('names errors that there are', () => {
    const codes = [...text.matchAll(/ERR_[A-Z_]+[A-Z]/g)].map(([code]) => code)
    expect(codes.filter((code) => !(code in ERROR_CODES))).toEqual([])
  })

  it('has a row for each of the seventeen actors', () => {
    const actors = [...text.matchAll(/^\| A(\d+) /gm)].map(([, n]) => Number(n))
    expect(actors).toEqual(Array.from({ length: 17 }, (_, i) => i + 1))
  })
})
