/** One run's results, as a file: bench/results.json. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, platform, arch } from 'node:os'
import { fileURLToPath } from 'node:url'
import { type Line } from './measure.ts'
import { type Visit } from './phases.ts'

/** Everything that one run measured, and where. */
export interface RunResults {
  machine: { cpu: string; cores: number; system: string; node: string; openssl: string }
  /** Day of the run, as YYYY-MM-DD. */
  date: string
  quick: boolean
  lines: Line[]
  page: Visit[]
  peers: { name: string; minified: number; gzip: number }[]
  proofs: string[]
  size: { client: number; withEnrolment: number; chunks: Record<string, number> }
}

const folder = fileURLToPath(new URL('../../bench/', import.meta.url))

export function thisMachine(): RunResults['machine'] {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    system: `${platform()} ${arch()}`,
    node: process.versions.node,
    openssl: process.versions.openssl,
  }
}

/** Writes the file. Returns its path. */
export function writeResults(results: RunResults): string {
  mkdirSync(folder, { recursive: true })
  const path = `${folder}results.json`
  writeFileSync(path, `${JSON.stringify(results, null, 2)}\n`)
  return path
}

/** Reads results from a file. */
export function readResults(path: string): RunResults {
  return JSON.parse(readFileSync(path, 'utf8')) as RunResults
}
