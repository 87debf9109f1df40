/** What the commands of this checkout have in common: options, `--help`, and what is said when something is wrong. */
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'

type Values<O extends ParseArgsOptionsConfig> = ReturnType<
  typeof parseArgs<{ options: O }>
>['values']

export interface Command<O extends ParseArgsOptionsConfig> {
  /** Stands before what goes to stderr. */
  name: string
  usage: string
  options: O
  /** Does it, and says with which status it ends. */
  run: (this: void, values: Values<O>) => number | Promise<number>
}

/** Wrong use: it ends with status 2. */
export class UsageError extends Error {}

/** Runs a command. Its status: what `run` says, 0 after `--help`, 2 for wrong use, 3 for anything else that is thrown. */
export async function runCommand<const O extends ParseArgsOptionsConfig>(
  { name, usage, options, run }: Command<O>,
  args: string[] = process.argv.slice(2),
): Promise<number> {
  const fail = (error: unknown, status: number): number => {
    process.stderr.write(`${name}: error: ${(error as Error).message}\n`)
    return status
  }
  let values
  try {
    const all = { ...options, help: { type: 'boolean', short: 'h' } } as const
    ;({ values } = parseArgs({ args, options: all }))
  } catch (error) {
    return fail(error, 2)
  }
  if ((values as { help?: boolean }).help === true) {
    process.stdout.write(usage)
    return 0
  }
  try {
    return await run(values)
  } catch (error) {
    return fail(error, error instanceof UsageError ? 2 : 3)
  }
}
