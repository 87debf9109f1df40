// The README's figures are made of docs/performance.json, and of nothing else.
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { readResults } from '../bench/results.ts'
import { readmeOf } from '../bench/summary.ts'

const root = new URL('../../', import.meta.url).pathname

it('its table says what the results say', async () => {
  const results = readResults(`${root}docs/performance.json`)
  const readme = readFileSync(`${root}README.md`, 'utf8')
  expect(await readmeOf(results)).toBe(readme)
  const other = { ...results, size: { ...results.size, client: 1 } }
  expect(await readmeOf(other)).not.toBe(readme)
})
