// What a million calls cost, by hand and by prices.ts; and that docs/OPERATIONS.md has the tables of `npm run cost` by these prices.
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { costOfMillion, OTHERS, PRICES, PRICES_OF } from '../bench/prices.ts'

const page = readFileSync(new URL('../../docs/OPERATIONS.md', import.meta.url), 'utf8')
const tables = page.slice(page.indexOf('--write: begin'), page.indexOf('npm run cost: end'))
const rows = [...tables.matchAll(/^\| *([\d,]+) \| (\w[\w ]+?) +\|(.+)\| *\$([\d.]+) \|$/gm)]
const cellsOf = (text: string): number[] =>
  text.split('|').map((cell) => Number(cell.trim().replaceAll(',', '')))

it('is the sum of what the platform bills', () => {
  const nothing = { requests: 0, objectRequests: 0, cpu: 0, read: 0, written: 0 }
  expect(costOfMillion(nothing)).toBe(0)
  // One request and its share of a line, one of the object, a millisecond of both, two rows read and three written.
  const call = { requests: 1, objectRequests: 1, cpu: 1, read: 2, written: 3 }
  expect(costOfMillion(call)).toBeCloseTo(0.3 + 0.006 + 0.15 + 0.02 + 0.0016 + 0.002 + 3, 9)
})

it('the page has three sizes of tenants, each with the cost of its own figures', () => {
  expect(rows).toHaveLength(12)
  expect(new Set(rows.map(([, members]) => members))).toEqual(new Set(['100', '1,000', '10,000']))
  for (const [, , what, cells, dollars] of rows) {
    const [requests, objectRequests, read, written, cpu] = cellsOf(cells!) as [
      number,
      number,
      number,
      number,
      number,
    ]
    const cost = costOfMillion({ requests, objectRequests, read, written, cpu })
    expect(Math.abs(cost - Number(dollars)), what).toBeLessThan(0.08)
    // A client's calls write nothing, and are far below what others take for one.
    if (what === 'first delivery' || what === 'nothing new') {
      expect(written).toBe(0)
      expect(cost).toBeLessThan(Math.min(...OTHERS.map(({ perMillion }) => perMillion)) / 3)
    }
  }
})

it('the page has these prices and their date', () => {
  expect(tables).toContain(`Prices of ${PRICES_OF}`)
  for (const { price, unit } of Object.values(PRICES)) {
    const escaped = unit.replaceAll('.', String.raw`\.`)
    expect(tables).toMatch(new RegExp(String.raw`\| *\$${price} \| ${escaped} +\|`))
  }
  for (const { name, perMillion } of OTHERS)
    expect(tables).toMatch(new RegExp(String.raw`\| ${name} +\| *\$${perMillion.toFixed(2)} \|`))
})
