/** A relay's operator and its tenants. */
import { closeSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { KeyferryError } from '../../shared/errors.ts'
import { TENANT_ID } from '../../shared/trust-following.ts'
import {
  deleteTenant,
  exportTenant,
  listTenants,
  setQuota,
  showTenant,
  suspendTenant,
  type OperatorAccess,
  type TenantUsage,
} from '../operator.ts'
import { date } from '../show.ts'
import {
  command,
  operand,
  readText,
  required,
  TEXT,
  usage,
  type Command,
  type Invocation,
} from './command.ts'
import { startProgress } from './progress.ts'

const ACCESS = { relay: TEXT, 'secret-file': TEXT } as const
const QUOTAS = ['bytes', 'objects', 'mailbox', 'sockets', 'calls'] as const
const NOTE = `--relay        address of the relay
--secret-file  file with the operator's secret, in place of $KEYFERRY_OPERATOR_SECRET; it goes only to https, or to this machine`

const HINTS = {
  ERR_NOT_FOUND:
    'does the relay have this tenant, and an OPERATOR_SECRET of at least 32 characters?',
  ERR_UNAUTHORIZED: 'is it the OPERATOR_SECRET of this relay?',
  ERR_RELAY: 'is the relay up, and is its address right?',
}

function accessOf(options: { relay?: string; 'secret-file'?: string }): OperatorAccess {
  const url = required(options.relay, 'relay')
  if (!/^https?:\/\/[^/]+\/?$/.test(url)) usage(`not the address of a relay: ${url}`)
  const file = options['secret-file']
  const secret =
    file === undefined ? process.env['KEYFERRY_OPERATOR_SECRET'] : readText(file).trim()
  if (secret === undefined || secret === '')
    usage('no secret: set KEYFERRY_OPERATOR_SECRET or use --secret-file')
  return { url, secret }
}

function tenantOf(invocation: { operands: string[] }): string {
  const tenant = operand(invocation, 'tenant id')
  if (!TENANT_ID.test(tenant)) usage(`not a tenant id: ${tenant}`)
  return tenant
}

function usageLines({ tenant, suspended, quota, usage: used, head, trust }: TenantUsage): string[] {
  return [
    `tenant ${tenant}${suspended ? ', SUSPENDED' : ''}`,
    head === null
      ? `trust document ${trust}, no head yet`
      : `trust document ${trust}, head ${head.version} of incarnation ${head.incarnation}`,
    ...(['bytes', 'objects', 'mailbox', 'sockets'] as const).map(
      (name) => `${name.padEnd(8)} ${used[name]} of ${quota[name]}`,
    ),
    `calls    at most ${quota.calls} in a minute`,
  ]
}

type Options = { json?: boolean; relay?: string; 'secret-file'?: string }

/** Runs something that ends in a tenant's usage, and prints that. */
function showing(
  work: (access: OperatorAccess, tenant: string) => Promise<TenantUsage>,
): (invocation: Invocation<Options>) => Promise<number> {
  return async (invocation) => {
    const found = await work(accessOf(invocation.options), tenantOf(invocation))
    const isJson = invocation.options.json === true
    invocation.out(isJson ? JSON.stringify(found) : usageLines(found).join('\n'))
    return 0
  }
}

/** Writes lines to a file that is there as a whole or not at all. */
async function writeLines(path: string, lines: AsyncIterable<string>): Promise<void> {
  const part = `${path}.${process.pid}.part`
  let file
  try {
    file = openSync(part, 'wx', 0o600)
  } catch (cause) {
    throw new KeyferryError('ERR_IO', `${path} cannot be written`, { cause })
  }
  try {
    for await (const line of lines) writeSync(file, `${line}\n`)
    closeSync(file)
    renameSync(part, path)
  } catch (error) {
    rmSync(part, { force: true })
    throw error
  }
}

function quotaOf(value: string, name: string): number | null {
  if (value === 'default') return null
  if (!/^\d{1,15}$/.test(value)) usage(`--${name} is a number, or default`)
  return Number(value)
}

export const relayCommands: Record<string, Command> = {
  'relay list': command({
    summary: "list a relay's tenants (its operator)",
    options: ACCESS,
    hints: HINTS,
    help: `usage: keyferry relay list --relay URL [--secret-file FILE] [--json]

Lists the tenants of a relay, with the day of their enrolment.
${NOTE}

example: keyferry relay list --relay https://relay.example
`,
    run: async ({ options, out }) => {
      for await (const one of listTenants(accessOf(options)))
        out(options.json === true ? JSON.stringify(one) : `${one.tenant}  ${date(one.enrolledAt)}`)
      return 0
    },
  }),
  'relay show': command({
    summary: 'show what a tenant has at a relay, and may have',
    operands: 1,
    options: ACCESS,
    hints: HINTS,
    help: `usage: keyferry relay show TENANT --relay URL [--secret-file FILE] [--json]

Shows usage and quotas of a tenant, and whether it is suspended.
${NOTE}

example: keyferry relay show TENANT_ID --relay https://relay.example
`,
    run: showing(showTenant),
  }),
  'relay suspend': command({
    summary: 'stop serving a tenant; nothing of it is lost',
    operands: 1,
    options: ACCESS,
    hints: HINTS,
    help: `usage: keyferry relay suspend TENANT --relay URL [--secret-file FILE] [--json]

Every call of the tenant is answered by 403 ERR_SUSPENDED, and its sockets are closed. Its clients go on with the keys they have until their head is stale.
${NOTE}

example: keyferry relay suspend TENANT_ID --relay https://relay.example
`,
    run: showing((access, tenant) => suspendTenant(access, tenant, true)),
  }),
  'relay resume': command({
    summary: 'serve a suspended tenant again',
    operands: 1,
    options: ACCESS,
    hints: HINTS,
    help: `usage: keyferry relay resume TENANT --relay URL [--secret-file FILE] [--json]

Serves a suspended tenant again.
${NOTE}

example: keyferry relay resume TENANT_ID --relay https://relay.example
`,
    run: showing((access, tenant) => suspendTenant(access, tenant, false)),
  }),
  'relay quota': command({
    summary: 'set how much a tenant may have',
    operands: 1,
    options: { ...ACCESS, bytes: TEXT, objects: TEXT, mailbox: TEXT, sockets: TEXT, calls: TEXT },
    hints: HINTS,
    help: `usage: keyferry relay quota TENANT --relay URL [--bytes N] [--objects N] [--mailbox N] [--sockets N] [--calls N]
         [--secret-file FILE] [--json]

Sets quotas; those that are not named stay as they are, and "default" is the relay's own again. Calls are counted by the minute. What is there already above a
new quota stays.
${NOTE}

example: keyferry relay quota TENANT_ID --relay https://relay.example --bytes 1000000000 --sockets default
`,
    run: showingQuota,
  }),
  'relay export': command({
    summary: 'write all that a relay stores of a tenant to a file',
    operands: 1,
    options: { ...ACCESS, out: TEXT },
    hints: HINTS,
    help: `usage: keyferry relay export TENANT --out FILE --relay URL [--secret-file FILE]

Writes trust documents, lists, head, catalog and objects as lines of JSON: ciphertext and signed statements, no key. Requests and refusals, which live for minutes, are not in it.
The file is there as a whole or not at all.
${NOTE}

example: keyferry relay export TENANT_ID --out tenant.jsonl --relay https://relay.example
`,
    run: async (invocation) => {
      const { options, out } = invocation
      const path = required(options.out, 'out')
      let objects = 0
      const progress = startProgress('objects', options.json)
      const lines = exportTenant(accessOf(options), tenantOf(invocation), (count) => {
        objects = count
        progress.tell(count)
      })
      await writeLines(path, lines).finally(progress.stop)
      out(
        options.json === true
          ? JSON.stringify({ objects, file: path })
          : `${path}: ${objects} objects`,
      )
      return 0
    },
  }),
  'relay delete': command({
    summary: 'delete all that a relay stores of a tenant',
    operands: 1,
    options: { ...ACCESS, yes: { type: 'boolean' } },
    hints: HINTS,
    help: `usage: keyferry relay delete TENANT --yes --relay URL [--secret-file FILE]

Deletes a tenant: its deriver can bring everything back, by an invite, from its own database. Clients go on with the keys they have until their head is stale.
${NOTE}

example: keyferry relay delete TENANT_ID --yes --relay https://relay.example
`,
    run: async (invocation) => {
      const { options, out } = invocation
      const tenant = tenantOf(invocation)
      if (options.yes !== true) usage('deleting a tenant takes --yes')
      await deleteTenant(accessOf(options), tenant)
      out(options.json === true ? JSON.stringify({ deleted: tenant }) : `deleted ${tenant}`)
      return 0
    },
  }),
}

async function showingQuota(
  invocation: Invocation<Options & { [K in (typeof QUOTAS)[number]]?: string }>,
): Promise<number> {
  const { options } = invocation
  const change: Partial<Record<(typeof QUOTAS)[number], number | null>> = {}
  for (const name of QUOTAS) {
    const value = options[name]
    if (value !== undefined) change[name] = quotaOf(value, name)
  }
  if (Object.keys(change).length === 0) usage('no quota is named')
  return showing((access, tenant) => setQuota(access, tenant, change))(invocation)
}
