/** Looking at any file. */
import { describe, inspect } from '../inspect.ts'
import { command, operand, readFile, type Command } from './command.ts'

export const inspectCommands: Record<string, Command> = {
  inspect: command({
    summary: 'say what any Keyferry file is, without any secret',
    options: {},
    help: `usage: keyferry inspect FILE [--json]

Says what a file is: signed document, bundle, manifest, welcome, tree object, certificate, CRL, app config or message, and what it
says. Needs no secret and checks no signature; what it prints is what the file claims.

example: keyferry inspect message.kf
`,
    run: async (invocation) => {
      const shown = inspect(readFile(operand(invocation, 'file')))
      invocation.out(invocation.options.json === true ? JSON.stringify(shown) : describe(shown))
      return 0
    },
  }),
}
