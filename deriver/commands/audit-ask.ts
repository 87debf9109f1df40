/** Questions to the audit log: who could ever read a version, and what a client could ever read. One pass over the entries. */
import { base64url, fromHex, hex } from '../../shared/bytes.ts'
import { follow, type Follower, type Reading } from '../audit-entries.ts'
import { type DestructionSaid } from '../audit-versions.ts'
import { auditStore, readAudit, type AuditSource } from '../audit-file.ts'
import { findKeyring } from '../keyrings.ts'
import { date } from '../show.ts'
import { openStore, storePath } from '../store.ts'
import { command, operand, TEXT, usage, type Command, type Invocation } from './command.ts'

/** A log with the names that its keyrings have; a file knows no names. */
interface Named {
  source: AuditSource
  /** Id in hex of a name. Throws `ERR_NOT_FOUND`. */
  idOf: (name: string) => string
  nameOf: (id: string) => string
}

/** An id as the log has it, base64url or hex; `null` for other text. */
function idFrom(text: string): string | null {
  if (/^[0-9a-f]{32}$/.test(text)) return text
  return /^[A-Za-z0-9_-]{22}$/.test(text) ? Buffer.from(text, 'base64url').toString('hex') : null
}

async function withLog(
  invocation: Invocation<{ file?: string; json?: boolean }>,
  work: (log: Named) => number,
): Promise<number> {
  const { file } = invocation.options
  if (file !== undefined) {
    const idOf = (name: string): string =>
      idFrom(name) ?? usage('in a file keyrings have no names: give the id')
    return work({ source: readAudit(file), idOf, nameOf: (id) => base64url(fromHex(id)) })
  }
  const store = openStore(storePath(invocation.directory))
  try {
    const names = new Map(
      store
        .all<{ id: Uint8Array; name: string }>('SELECT id, name FROM keyrings')
        .map(({ id, name }) => [hex(new Uint8Array(id)), name]),
    )
    const idOf = (name: string): string => {
      const id = idFrom(name)
      return id !== null && names.has(id) ? id : hex(new Uint8Array(findKeyring(store, name).id))
    }
    const nameOf = (id: string): string => names.get(id) ?? base64url(fromHex(id))
    return work({ source: await auditStore(store), idOf, nameOf })
  } finally {
    store.close()
  }
}

const period = ({ from, removed }: Reading): string =>
  `from ${date(from)}${removed === null ? '' : `, removed ${date(removed)}`}`

function destruction({ ordered, completes, destroyed }: DestructionSaid): string {
  if (destroyed !== null) return `destroyed ${date(destroyed)}`
  const until = completes === null ? 'its salts are not erased yet' : `complete ${date(completes)}`
  return `to be destroyed since ${date(ordered)}, ${until}`
}

function whoHadLines({ readings, exports, destructions }: Follower): string[] {
  const devices = readings.map((one) => `${one.uri}  ${period(one)}  device ${one.device}`)
  return [
    ...(devices.length === 0 ? ['nobody'] : devices),
    ...exports.map(
      ({ at, targets, record }) => `exported ${date(at)}  ${targets}  record ${record}`,
    ),
    ...destructions.map((one) => destruction(one)),
  ]
}

export const auditAskCommands: Record<string, Command> = {
  'audit who-had': command({
    summary: 'which devices could ever read a version of a keyring, and where copies of it went',
    operands: 1,
    options: { file: TEXT },
    help: `usage: keyferry audit who-had KEYRING@VERSION [--file EXPORT] [--json]

Every device that was ever a member in a generation whose bundles had this version: it could read it, and may have kept it. VERSION is its number, or
INCARNATION.VERSION. Then where the version was exported to, and its destruction. With --json: devices, exports, destructions. Answers from the deriver's log, or
from an export, where KEYRING is the id (one that begins with a hyphen stands after --). Check the log first: audit verify.

example: keyferry audit who-had notes@2
`,
    run: (invocation) =>
      withLog(invocation, ({ source, idOf }) => {
        const { options, out } = invocation
        const match = /^(.+)@(\d+(?:\.\d+)?)$/.exec(operand(invocation, 'KEYRING@VERSION'))
        const [, name, version] = match ?? usage('a keyring and a version are needed: notes@2')
        const found = follow(source.leaves(), { keyring: idOf(name!), version: version! })
        const { readings: devices, exports, destructions } = found
        if (options.json === true) out(JSON.stringify({ devices, exports, destructions }))
        else for (const line of whoHadLines(found)) out(line)
        return 0
      }),
  }),
  'audit what-had': command({
    summary: 'which versions of which keyrings a client could ever read',
    operands: 1,
    options: { file: TEXT },
    help: `usage: keyferry audit what-had URI [--file EXPORT] [--json]

Every version of every keyring that a device with this URI could ever read, and may have kept. Answers from the deriver's log, or from an export.

example: keyferry audit what-had keyferry://client.acme.example/me
`,
    run: (invocation) =>
      withLog(invocation, ({ source, nameOf }) => {
        const { options, out } = invocation
        const found = follow(source.leaves(), { uri: operand(invocation, 'URI') }).readings
        if (options.json === true)
          out(JSON.stringify(found.map((one) => ({ ...one, name: nameOf(one.keyring) }))))
        else if (found.length === 0) out('nothing')
        else
          for (const one of found) {
            const gone = one.destroyed === null ? '' : `, destroyed ${date(one.destroyed)}`
            out(
              `${nameOf(one.keyring)}@${one.version}  ${period(one)}${gone}  device ${one.device}`,
            )
          }
        return 0
      }),
  }),
}
