// docs/comparison.md: each system has cells for each question and sources that are listed; the README's table is taken from it.
import { expect, it } from 'vitest'
import { PAGES } from '../lib/markdown.ts'

const page = PAGES.get('docs/comparison.md')!
const cells = (line: string): string[] => line.split('|').slice(1, -1).map((cell) => cell.trim()) // prettier-ignore
/** The tables of a page whose first column is "system", without the line below the head. */
const tablesOf = (text: string): string[][][] =>
  [...text.matchAll(/^\| system [^]*?(?=\n\n)/gm)].map(([table]) =>
    table
      .split('\n')
      .filter((_, i) => i !== 1)
      .map(cells),
  )

const tables = tablesOf(page)
const sources = [...page.matchAll(/^(\d+)\. \[[^\]]+\]\(https:\/\/[^)]+\)/gm)].map(([, n]) => n!)

it('both tables have the same systems, with no empty cell', () => {
  const [first, second] = tables.map((table) => table.map(([name]) => name))
  expect(first!.length).toBe(12)
  expect(second).toEqual(first)
  expect(tables.flat(2).filter((cell) => cell === '')).toEqual([])
})

it('every system but Keyferry names a source, and every source is named', () => {
  for (const [name, ...row] of tables[0]!.slice(2)) expect(row.join(), name).toMatch(/\[\d+\]/)
  const named = [
    ...tables
      .flat(2)
      .join()
      .matchAll(/\[(\d+)\]/g),
  ].map(([, n]) => n!)
  expect([...new Set(named)].toSorted()).toEqual(sources.toSorted())
})

it('the README has the same cells', () => {
  const plain = (cell: string): string => cell.replaceAll(/( ?\[\d+\])+/g, '').trim()
  const short = tables[0]!.map(([name, , ...rest]) => [name!, ...rest].map(plain))
  expect(tablesOf(PAGES.get('README.md')!)).toEqual([short])
})
