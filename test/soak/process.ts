/** What a process has taken of the machine, by /proc; and whether it takes more and more. */
import { readdirSync, readFileSync } from 'node:fs'

export interface Sample {
  /** Megabytes that are resident. */
  memory: number
  files: number
  /** CPU, user and system, since its start; seconds. */
  cpu: number
}

/** Jiffies of a second on Linux. */
const HZ = 100

/** Throws where there is no /proc, or no such process. */
export function sample(pid: number): Sample {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return {
    memory: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) / 1_024,
    files: readdirSync(`/proc/${pid}/fd`).length,
    cpu: (Number(fields[11]) + Number(fields[12])) / HZ,
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

/** Median of the second and of the last quarter: the first one warms up. */
export function trend(samples: readonly Sample[], what: 'memory' | 'files'): [number, number] {
  const quarter = Math.max(1, Math.floor(samples.length / 4))
  const part = (from: number): number =>
    median(samples.slice(from, from + quarter).map((one) => one[what]))
  return [part(quarter), part(samples.length - quarter)]
}

/** What grew further than a load that stays the same explains. An isolate has up to 128 MB, and what it holds is collected late. */
export function findGrowth(samples: readonly Sample[]): string[] {
  const [memory, memoryLater] = trend(samples, 'memory')
  const [files, filesLater] = trend(samples, 'files')
  return [
    ...(memoryLater > 1.5 * memory + 64
      ? [`memory of workerd grew from ${memory.toFixed(0)} to ${memoryLater.toFixed(0)} MB`]
      : []),
    ...(filesLater > 1.5 * files + 64 ? [`open files grew from ${files} to ${filesLater}`] : []),
  ]
}
