/** Measuring: CPU of this process, medians. Compare only figures of one run. */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** One measured thing: a time or a size. `ratio` is against what `against` says, in the same run. `at` is its place on a curve of growth. */
export type Line = {
  name: string
  ratio: number
  against: string
  at?: { curve: string; x: number }
} & ({ milliseconds: number } | { bytes: number })

/** What was measured, in milliseconds or bytes. */
export function figureOf(line: Line): number {
  return 'bytes' in line ? line.bytes : line.milliseconds
}

/** The exponent of growth: the slope of the best straight line through the logarithms. 0 does not grow, 1 grows as its size does. */
export function exponent(points: readonly { x: number; y: number }[]): number {
  const logs = points.map(({ x, y }) => ({ x: Math.log(x), y: Math.log(y) }))
  const mean = (axis: 'x' | 'y'): number =>
    logs.reduce((sum, one) => sum + one[axis], 0) / logs.length
  const [x, y] = [mean('x'), mean('y')]
  const over = logs.reduce((sum, one) => sum + (one.x - x) * (one.y - y), 0)
  return over / logs.reduce((sum, one) => sum + (one.x - x) ** 2, 0)
}

/** Curves of growth by name, each with its points from left to right. */
export function curvesOf(lines: readonly Line[]): Map<string, { x: number; y: number }[]> {
  const curves = new Map<string, { x: number; y: number }[]>()
  for (const line of lines) {
    if (line.at === undefined) continue
    const point = { x: line.at.x, y: figureOf(line) }
    curves.set(line.at.curve, [...(curves.get(line.at.curve) ?? []), point])
  }
  return new Map([...curves].filter(([, points]) => points.length > 1))
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as (options: { type: 'minor' }) => void

/** The same, after what others have just left is collected: else it is paid for by whoever comes next. All of it would take compiled code away, too. */
export function cpuAlone(work: () => Promise<unknown>): Promise<number> {
  collect({ type: 'minor' })
  return cpu(work)
}

/** CPU milliseconds, user and system, of this process over some work. */
export async function cpu(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1_000
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]!
}
