/** Measuring: CPU of this process, medians. Compare only figures of one run. */

/** One measured thing: a time or a size. `ratio` is against what `against` says, in the same run. */
export type Line = { name: string; ratio: number; against: string } & (
  { milliseconds: number } | { bytes: number }
)

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
