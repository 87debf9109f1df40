/** The client of test/interop as a process, and whether it can run here. */
import { execFile, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const folder = fileURLToPath(new URL('../interop/', import.meta.url))

/** Debian's own comes first: its packages are those of the name below. */
const CANDIDATES = ['/usr/bin/python3', 'python3']
export const ABSENT =
  'no python3 with `cryptography` here: the second client was not run (Debian: apt install python3 python3-cryptography)'

/** A python3 that has `cryptography`; null for none. */
export async function findPython(): Promise<string | null> {
  for (const name of CANDIDATES) {
    const isThere = await run(name, ['-c', 'import cryptography.x509']).then(
      () => true,
      () => false,
    )
    if (isThere) return name
  }
  return null
}

/** The lines that a program of test/interop prints, parsed. */
export async function runPython(
  python: string,
  file: string,
  ...args: string[]
): Promise<unknown[]> {
  const options = { maxBuffer: 16_777_216 }
  const { stdout } = await run(python, ['-B', `${folder}${file}`, ...args], options)
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)
}

/** A running client. */
export interface PythonClient {
  /** What a command answers; a code where it refuses. */
  ask(command: string, fields: object): Promise<{ ok?: unknown; code?: string }>
  stop(): void
}

/** Starts test/interop/client.py. One command at a time. */
export function spawnPython(python: string): PythonClient {
  const args = ['-B', `${folder}client.py`]
  const child = spawn(python, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const waiting: { resolve: (line: string) => void; reject: (error: Error) => void }[] = []
  createInterface({ input: child.stdout }).on('line', (line) => waiting.shift()?.resolve(line))
  child.once('exit', (code) => {
    for (const one of waiting) one.reject(new Error(`the client ended with ${code}`))
  })
  return {
    async ask(command, fields) {
      const line = await new Promise<string>((resolve, reject) => {
        waiting.push({ resolve, reject })
        child.stdin.write(`${JSON.stringify({ do: command, ...fields })}\n`)
      })
      return JSON.parse(line) as { ok?: unknown; code?: string }
    },
    stop: () => void child.stdin.end(),
  }
}
