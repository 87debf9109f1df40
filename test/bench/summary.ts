/** The README's table of goals: those that say by themselves what they are of, out of the results of one whole run. */
import { readFileSync } from 'node:fs'
import { format } from 'prettier'
import { judge } from './verdict.ts'
import { digits, table } from './report.ts'
import { type RunResults } from './results.ts'

const README = new URL('../../README.md', import.meta.url)
const BEGIN = '<!-- made by npm run bench -- --docs -->\n'
const END = '<!-- end of what was made -->\n'

/** The README as these results make it. */
export async function readmeOf(results: RunResults): Promise<string> {
  const verdicts = judge(results)
  const rows = verdicts
    .filter(({ work }) => !work.startsWith('the same'))
    .map(({ work, goal, measured, isMet }) => [work, goal, digits(measured), isMet ? '' : 'missed'])
  const missed = verdicts.filter(({ isMet }) => !isMet).length
  const made = `${table(['work', 'goal', 'measured', ''], rows)}

Measured on ${results.date}. Of all ${verdicts.length} goals ${missed} were missed.
`
  const [before, rest] = readFileSync(README, 'utf8').split(BEGIN)
  const text = `${before}${BEGIN}\n${made}\n${END}${rest!.split(END)[1]!}`
  return format(text, { parser: 'markdown', semi: false, singleQuote: true, printWidth: 100 })
}
