/** The trust document. */
import { encodeEnvelope } from '../../shared/envelope.ts'
import { describe, inspect } from '../inspect.ts'
import { newestTrust } from '../trust.ts'
import { command, withStore, type Command } from './command.ts'

export const trustCommands: Record<string, Command> = {
  'trust show': command({
    summary: 'show the trust document in force',
    options: {},
    help: `usage: keyferry trust show [--json]

Shows the trust document in force: number, hash, authority, anchors and rules per role.

example: keyferry trust show
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const trust = await newestTrust(store)
        const shown = inspect(encodeEnvelope(trust.envelope))
        invocation.out(
          invocation.options.json === true ? JSON.stringify(shown.claims) : describe(shown),
        )
        return 0
      }),
  }),
}
