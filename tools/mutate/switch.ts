/** Inside the tests of an instrumented copy: says which mutant is on, and writes down which ones are reached. */
import { appendFileSync } from 'node:fs'

const active = Number(process.env['KEYFERRY_MUTANT'] ?? -1)
const path = process.env['KEYFERRY_MUTANTS_REACHED']
const seen = new Set<number>()

export function isOn(mutant: number): boolean {
  if (path && !seen.has(mutant)) appendFileSync(path, `${mutant}\n`)
  seen.add(mutant)
  return mutant === active
}
