/** Measuring: CPU of this process, rounds in which every way has its turn, medians of what one round compares. Figures of two runs do not compare. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** One measured thing: a time or a size. `ratio` is against what `against` says, in the same run. `at` are its places on curves of growth. */
export type Line = {
  name: string
  /** The median of the ratios of the rounds, where there were rounds. */
  ratio: number
  against: string
  /** Between these the middle half of the rounds' ratios is. */
  spread?: readonly [number, number]
  /** The figure of each round. */
  rounds?: readonly number[]
  at?: readonly { curve: string; x: number }[]
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
    for (const { curve, x } of line.at ?? [])
      curves.set(curve, [...(curves.get(curve) ?? []), { x, y: figureOf(line) }])
  }
  for (const points of curves.values()) points.sort((a, b) => a.x - b.x)
  return new Map([...curves].filter(([, points]) => points.length > 1))
}

setFlagsFromString('--expose-gc')
// What is compiled stays, whatever is collected.
setFlagsFromString('--no-flush-bytecode')
const collect = runInNewContext('gc') as (options?: { type: 'minor' }) => void
// What runs in pages, too, finds it where Chromium has it under these flags.
Object.assign(globalThis, { gc: collect })

/** For a Chromium in which turns are measured. */
export const COLLECTING = '--js-flags=--expose-gc,--no-flush-bytecode'

/** CPU milliseconds, user and system, of this process so far. */
export function spent(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

/** CPU milliseconds of this process over some work. */
export async function cpu(work: () => Promise<unknown>): Promise<number> {
  const before = spent()
  await work()
  return spent() - before
}

/**
 * Collects what others have left, and waits until the engine's own threads have swept it up: whoever comes next would pay for both. The young garbage alone: with
 * all of it goes what compiled code holds weakly, and the code; to make that again takes whoever is quick longer than the turn.
 */
async function settle(): Promise<void> {
  collect({ type: 'minor' })
  for (let i = 0; i < 50; i++) {
    const before = spent()
    await new Promise((resolve) => setTimeout(resolve, 10))
    if (spent() - before < 1) return
  }
}

/** The same, when nothing of others is left to be done. */
export async function cpuAlone(work: () => Promise<unknown>): Promise<number> {
  await settle()
  return cpu(work)
}

/** CPU milliseconds that a turn takes at least: whoever is quick works several times, as the caches of a processor were left to others meanwhile. */
const TURN = 100

/** CPU milliseconds of some work at its turn: the middle one of as many times as fill the turn, as the first may still pay for others. What `prepare` does does not count. */
export async function turn(
  work: () => unknown,
  least = TURN,
  prepare: () => void = () => {},
): Promise<number> {
  await settle()
  const times: number[] = []
  let total = 0
  while (total < least || (times.length < 3 && total < 2.5 * least)) {
    prepare()
    const before = spent()
    await work()
    const time = spent() - before
    times.push(time)
    total += time
  }
  return median(times)
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!
}

/** The middle one. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** The one below which 99 of 100 are. */
export function p99(values: readonly number[]): number {
  return quantile(values, 0.99)
}

/** What is compared with what: median and middle half of the rounds' ratios. What disturbed a round disturbed both. */
export function compare(
  figures: readonly number[],
  base: readonly number[],
): { ratio: number; spread: [number, number] } {
  const ratios = figures.map((figure, round) => figure / base[round]!)
  return { ratio: median(ratios), spread: [quantile(ratios, 0.25), quantile(ratios, 0.75)] }
}

const short = (value: number): number => Number(value.toPrecision(4))

/** A line of what took turns with `base`, round after round. */
export function lineOf(
  name: string,
  rounds: readonly number[],
  base: readonly number[],
  against: string,
  at?: Line['at'],
): Line {
  const { ratio, spread } = compare(rounds, base)
  return {
    name,
    milliseconds: median(rounds),
    ratio,
    against,
    spread: [short(spread[0]), short(spread[1])],
    rounds: rounds.map(short),
    ...(at && { at }),
  }
}

/** Figures of what takes turns, by name. The rounds before the first one that counts warm up. */
export class Rounds {
  readonly #figures = new Map<string, number[]>()

  note(name: string, figure: number): void {
    this.of(name).push(figure)
  }

  of(name: string): number[] {
    const known = this.#figures.get(name) ?? []
    this.#figures.set(name, known)
    return known
  }

  get names(): string[] {
    return [...this.#figures.keys()]
  }

  /** Forgets what warmed up. */
  clear(): void {
    this.#figures.clear()
  }

  /** A line for each, all against one of them. */
  lines(title: string, base: string, against = base): Line[] {
    return this.names.map((name) =>
      lineOf(`${title}${name}`, this.of(name), this.of(base), against),
    )
  }
}
