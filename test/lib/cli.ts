/** The command line as a process. */
import { execFile } from 'node:child_process'

/** What a command said. */
export interface Result {
  status: number
  stdout: string
  stderr: string
}

/** Runs commands on a tenant's directory. */
export function keyferryIn(directory: string): (...args: string[]) => Promise<Result> {
  const cli = new URL('../../deriver/cli.ts', import.meta.url).pathname
  const options = { env: { ...process.env, KEYFERRY_DIR: directory } }
  return (...args) =>
    new Promise((resolve) => {
      const child = execFile(
        process.execPath,
        [cli, ...args],
        options,
        (_error, stdout, stderr) => {
          resolve({ status: child.exitCode ?? -1, stdout, stderr })
        },
      )
      child.stdin?.end()
    })
}
