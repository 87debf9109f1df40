/** The commands of the command line, by name. */
import { approvalCommands } from './approvals.ts'
import { auditCommands } from './audit.ts'
import { auditAskCommands } from './audit-ask.ts'
import { backupCommands } from './backup.ts'
import { byokCommands } from './byok.ts'
import { caCommands } from './ca.ts'
import { catalogCommands } from './catalog.ts'
import { catchUpCommands } from './catch-up.ts'
import { clientCommands } from './clients.ts'
import { type Command } from './command.ts'
import { configCommands } from './config.ts'
import { consoleCommands } from './console.ts'
import { crlCommands } from './crls.ts'
import { fsckCommands } from './fsck.ts'
import { inspectCommands } from './inspect.ts'
import { keyringCommands } from './keyrings.ts'
import { messageCommands } from './messages.ts'
import { relayCommands } from './relay.ts'
import { rekeyCommands } from './rekey.ts'
import { rootCommands } from './roots.ts'
import { ruleCommands } from './rules.ts'
import { serviceCommands } from './service.ts'
import { tenantCommands } from './tenant.ts'
import { trustProposeCommands } from './trust-propose.ts'
import { trustCommands } from './trust.ts'
import { versionCommands } from './versions.ts'

/** Commands by name, in the order of the usage text. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  ...tenantCommands,
  ...keyringCommands,
  ...versionCommands,
  ...ruleCommands,
  ...byokCommands,
  ...serviceCommands,
  ...configCommands,
  ...consoleCommands,
  ...rootCommands,
  ...clientCommands,
  ...rekeyCommands,
  ...approvalCommands,
  ...caCommands,
  ...crlCommands,
  ...trustCommands,
  ...trustProposeCommands,
  ...fsckCommands,
  ...relayCommands,
  ...catalogCommands,
  ...backupCommands,
  ...catchUpCommands,
  ...auditCommands,
  ...auditAskCommands,
  ...inspectCommands,
  ...messageCommands,
}

function summaries(names: readonly string[]): string {
  return names.map((name) => `  ${name.padEnd(19)} ${COMMANDS[name]!.summary}`).join('\n')
}

/** The usage text of all commands. */
export const USAGE = `usage: keyferry COMMAND [options]

Runs the customer's side of Keyferry: the master secret, its keyrings, and the service that answers clients through a relay. encrypt, decrypt, rewrap,
sign and verify are a client's: they need no tenant.

${summaries(Object.keys(COMMANDS))}

Every command takes --dir DIR (default: $KEYFERRY_DIR or ./keyferry), --json where it prints, and --help.
Sealed keys open with --passphrase-file FILE, $KEYFERRY_PASSPHRASE, or a prompt.
Exit status: 0 done, 1 no, 2 wrong usage, 3 could not check.

example:
  keyferry init --org Acme --domain acme.example --relay https://relay.example
  keyferry keyring create notes
  keyferry run --invite CODE
`

/** The usage text of a group, such as `keyring`; undefined when there is none. */
export function groupUsage(group: string): string | undefined {
  const names = Object.keys(COMMANDS).filter((name) => name.startsWith(`${group} `))
  if (names.length === 0) return undefined
  return `usage: keyferry ${group} COMMAND [options]

${summaries(names)}

example: keyferry ${names[0]} --help
`
}
