/** docs/performance.md: its text is written by hand, its figures are made of docs/performance.json, the results of one whole run. */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { format } from 'prettier'
import { pictures } from './pictures.ts'
import { asMarkdown } from './report.ts'
import { readResults, type RunResults } from './results.ts'
import { readmeOf } from './summary.ts'

const docs = fileURLToPath(new URL('../../docs/', import.meta.url))
const BEGIN = '<!-- made by npm run bench -- --docs -->\n'
const END = '<!-- end of what was made -->\n'

/** Files below docs/ as these results make them, by path. */
export async function pageOf(results: RunResults): Promise<Map<string, string>> {
  const page = readFileSync(`${docs}performance.md`, 'utf8')
  const [before, rest] = page.split(BEGIN)
  const after = rest!.split(END)[1]!
  const text = `${before}${BEGIN}\n${asMarkdown(results)}\n${END}${after}`
  const made = await format(text, { parser: 'markdown', semi: false })
  const images = [...pictures(results.lines)].map(([name, svg]) => [`images/${name}`, svg] as const)
  return new Map([['performance.md', made], ...images])
}

/** The results that the page shows now. */
export const readPublished = (): RunResults => readResults(`${docs}performance.json`)

/** Writes the results, the page and its pictures, and the table of the README. */
export async function writePage(results: RunResults): Promise<void> {
  writeFileSync(`${docs}performance.json`, `${JSON.stringify(results, null, 2)}\n`)
  for (const [path, text] of await pageOf(results)) writeFileSync(`${docs}${path}`, text)
  writeFileSync(`${docs}../README.md`, await readmeOf(results))
}
