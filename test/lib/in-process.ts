/** Commands of the command line without a process of their own: what they say and return is the same. */
import { COMMANDS } from '../../deriver/commands/index.ts'

/** Runs a command on a directory with unsealed keys. Throws what it throws. */
export async function runCommand(
  directory: string,
  name: string,
  options: Record<string, unknown> = {},
  ...operands: string[]
): Promise<{ status: number; stdout: string }> {
  let stdout = ''
  const status = await COMMANDS[name]!.run({
    options,
    operands,
    directory,
    now: () => Math.floor(Date.now() / 1000),
    passphrase: () => Promise.reject(new Error('nothing is sealed')),
    out: (text) => {
      stdout += `${text}\n`
    },
    signal: new AbortController().signal,
  })
  return { status, stdout }
}
