/** docs/performance.md and a table of the README: their text is written by hand, their figures are made of docs/performance.json, the results of one whole run. */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { format } from 'prettier'
import { asMarkdown, asSummary, pictures } from './report.ts'
import { type RunResults } from './results.ts'

const docs = fileURLToPath(new URL('../../docs/', import.meta.url))
const BEGIN = '<!-- made by npm run bench -- --docs -->\n'
const END = '<!-- end of what was made -->\n'

/** A page with what was made between its two marks. */
async function between(path: string, made: string): Promise<string> {
  const [before, rest] = readFileSync(`${docs}${path}`, 'utf8').split(BEGIN)
  const after = rest!.split(END)[1]!
  const text = `${before}${BEGIN}\n${made}\n${END}${after}`
  return format(text, { parser: 'markdown', semi: false, singleQuote: true, printWidth: 100 })
}

/** Files as these results make them, by path from docs/. */
export async function pageOf(results: RunResults): Promise<Map<string, string>> {
  const images = [...pictures(results)].map(([name, svg]) => [`images/${name}`, svg] as const)
  return new Map([
    ['performance.md', await between('performance.md', asMarkdown(results))],
    ['../README.md', await between('../README.md', asSummary(results))],
    ...images,
  ])
}

/** Writes the results, the page and its pictures. */
export async function writePage(results: RunResults): Promise<void> {
  writeFileSync(`${docs}performance.json`, `${JSON.stringify(results, null, 2)}\n`)
  for (const [path, text] of await pageOf(results)) writeFileSync(`${docs}${path}`, text)
}
