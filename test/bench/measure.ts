/** Measuring: CPU of this process, medians. Compare only figures of one run. */

/** One measured thing. `ratio` is against what `against` says, in the same run. */
export interface Line {
  name: string
  milliseconds: number
  ratio: number
  against: string
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
