// docs/performance.md and its pictures are made of docs/performance.json, and of nothing else.
import { existsSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { chart } from '../bench/chart.ts'
import { pageOf } from '../bench/docs.ts'
import { GOALS } from '../bench/goals.ts'
import { judge } from '../bench/verdict.ts'
import { curvesOf, exponent, lineOf, type Line } from '../bench/measure.ts'
import { pictures, PICTURES } from '../bench/pictures.ts'
import { readResults } from '../bench/results.ts'

const docs = new URL('../../docs/', import.meta.url).pathname

it('the page says what the results say', async () => {
  const results = readResults(`${docs}performance.json`)
  expect(results.quick).toBe(false)
  for (const [path, text] of await pageOf(results)) {
    expect(existsSync(docs + path), path).toBe(true)
    expect(readFileSync(docs + path, 'utf8'), path).toBe(text)
  }
})

it('every goal has a figure in a whole run', () => {
  const verdicts = judge(readResults(`${docs}performance.json`))
  expect(verdicts.map(({ work }) => work)).toEqual(GOALS.map(({ work }) => work))
})

it('a whole run has curves for every picture', () => {
  const made = pictures(readResults(`${docs}performance.json`).lines)
  expect([...made.keys()]).toEqual(PICTURES.map(({ file }) => file))
})

it('a ratio is the median of the rounds, not that of medians, for a line and for a goal over two lines', () => {
  const slow = [10, 10, 90, 20, 10]
  const fast = [1, 5, 9, 10, 2]
  const line = lineOf('', slow, fast, '')
  // By the rounds 10, 2, 10, 2 and 5; the medians are 10 and 5.
  expect([line.ratio, line.spread]).toEqual([5, [2, 10]])
  const page = (name: string, rounds: number[]): Line =>
    lineOf(`chromium: 1000 keys among 1000 clients: ${name}`, rounds, rounds, '')
  const lines = [page('keyferry', slow), page('Ed25519 + SHA-256 of the bundle', fast)]
  const verdicts = judge({ lines, size: { client: 0 } })
  expect(verdicts.find(({ work }) => work.startsWith('client in Chromium'))?.measured).toBe(5)
})

it('the exponent is that of the power law the points are on', () => {
  const points = (power: number) => [1, 10, 100, 1_000].map((x) => ({ x, y: 7 * x ** power }))
  for (const power of [0, 0.5, 1, 2]) expect(exponent(points(power))).toBeCloseTo(power, 10)
})

it('a goal is missed on its wrong side alone, and not judged without a figure', () => {
  const line = (name: string, ratio: number): Line => ({
    name,
    ratio,
    against: '',
    milliseconds: 1,
  })
  const verdict = (ratio: number) =>
    judge({
      lines: [line('seal a welcome (X-Wing)', ratio), line('path, P-256: @peculiar/x509', ratio)],
      size: { client: 0 },
    })
      .filter(({ work }) => !work.startsWith('bytes'))
      .map(({ isMet }) => isMet)
  expect(verdict(1.5)).toEqual([true, false])
  expect(verdict(1.6)).toEqual([false, false])
  expect(verdict(3)).toEqual([false, true])
  expect(judge({ lines: [], size: { client: 40_000 } })).toHaveLength(1)
})

it('what the platform alone takes is told beside a goal, and excuses nobody', () => {
  const at = (name: string, figure: number): Line =>
    lineOf(`chromium: 1000 keys among 1000 clients: ${name}`, [figure], [10], '')
  const age = (of: number, alone: number) =>
    judge({
      lines: [at('age', of), at('what the platform alone takes', alone)],
      size: { client: 0 },
    }).find(({ work }) => work.endsWith('age'))
  // 200 times are asked for.
  expect(age(2_000, 1)).toMatchObject({ isMet: true, alone: 2_000 })
  expect(age(1_000, 6)).toMatchObject({ isMet: false })
  expect(age(1_000, 5)).toMatchObject({ isMet: false, alone: 200 })
})

it('a chart has a line for each curve with its points on a logarithmic scale, and no markup from names', () => {
  const points = [1, 10, 100].map((x) => ({ x, y: x }))
  const lines: Line[] = points.map(({ x, y }) => ({
    name: '',
    ratio: 1,
    against: '',
    milliseconds: y,
    at: [{ curve: '<b>&', x }],
  }))
  const svg = chart(curvesOf(lines), 'title', 'x', 'y')
  expect(svg).toContain('&lt;b>&amp;')
  const places = [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [
    Number(x),
    Number(y),
  ])
  expect(places).toHaveLength(3)
  const [a, b, c] = places as [number[], number[], number[]]
  expect(b[0]! - a[0]!).toBeCloseTo(c[0]! - b[0]!, 0)
  expect(a[1]! - b[1]!).toBeCloseTo(b[1]! - c[1]!, 0)
  expect(a[1]!).toBeGreaterThan(b[1]!)
})
