/** Versions of keyrings: how they stand, and their ends. */
import { createInterface } from 'node:readline/promises'
import { destructionEnd } from '../../shared/destruction.ts'
import { orderDestruction, priceOf, requireDestructible, type Price } from '../destroy.ts'
import { findKeyring } from '../rows.ts'
import { date } from '../show.ts'
import { newestTrust } from '../trust.ts'
import { destructionStatuses, versionStatuses, type VersionStatus } from '../version-status.ts'
import { findVersion, withdrawVersion } from '../versions.ts'
import {
  command,
  duration,
  FLAG,
  operand,
  required,
  TEXT,
  usage,
  withStore,
  writeFileWhole,
  type Command,
  type Invocation,
} from './command.ts'

function versionLine(one: VersionStatus): string {
  const { incarnation, version, state, encryptUntil, decryptUntil, keyId, note, destroyedFrom } =
    one
  const flags = [
    ...(one.isCommitted ? [] : ['not committed to yet']),
    ...(state === 'pre-active' && one.isBundled ? ['with clients already'] : []),
    ...(note === '' ? [] : [note]),
    ...(destroyedFrom === null
      ? []
      : [`being destroyed, for certain on ${date(destroyedFrom)} UTC`]),
  ]
  const name = incarnation === 1 ? `${version}` : `${incarnation}.${version}`
  const does = [
    ...(state === 'active' || state === 'pre-active'
      ? [`encrypts until ${date(encryptUntil)}`]
      : []),
    ...(state === 'destroyed' ? [] : [`decrypts until ${date(decryptUntil)}`]),
  ]
  return `version ${name}  ${[state, ...(does.length === 0 ? [] : [does.join(', ')])].join('  ')}  key id ${keyId.slice(0, 16)}${flags.length === 0 ? '' : `  (${flags.join('; ')})`}`
}

const withdraw = (
  name: 'retire' | 'compromise',
  state: 'deactivated' | 'compromised',
  summary: string,
  says: string,
): Command =>
  command({
    summary,
    operands: 1,
    options: {},
    help: `usage: keyferry keyring ${name} NAME@VERSION [--json]

${says}
Where it was the version to encrypt with, the next one takes its place.

example: keyferry keyring ${name} notes@3
`,
    run: (invocation) =>
      withStore(invocation, (store) => {
        const text = operand(invocation, 'version')
        const encrypt = withdrawVersion(store, text, state, invocation.now())
        invocation.out(
          invocation.options.json === true
            ? JSON.stringify({ version: text, state, encrypt })
            : `${text} ${state}, ${encrypt === 0 ? 'no version to encrypt with is left' : `version ${encrypt} active`}`,
        )
        return Promise.resolve(0)
      }),
  })

function priceLines(versions: readonly string[], price: Price, completes: number): string[] {
  return [
    `destroying ${versions.join(', ')}: no message under ${versions.length === 1 ? 'it' : 'them'} can ever be read again, by anyone`,
    `price: ${price.devices} devices are welcomed anew (${price.welcomes} bytes of welcomes), with ${price.cells} cells in ${price.keyrings} keyrings`,
    `complete not before ${date(completes)} UTC, if keyferry run is up now: until then clients that are offline, and backups, may still have it`,
  ]
}

/** Asks a person; a program has to say --yes. */
async function isConfirmed(lines: readonly string[], { signal }: Invocation): Promise<boolean> {
  process.stderr.write(`${lines.join('\n')}\n`)
  if (!process.stdin.isTTY) return false
  const prompt = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return (await prompt.question('Destroy? Type yes: ', { signal })) === 'yes'
  } finally {
    prompt.close()
  }
}

export const versionCommands: Record<string, Command> = {
  'keyring show': command({
    summary: 'show the versions of a keyring and their states',
    operands: 1,
    options: { record: TEXT, out: TEXT },
    help: `usage: keyferry keyring show NAME [--json]
       keyferry keyring show NAME --record VERSION [--out FILE]

Shows a keyring's settings, rules and versions: pre-active, active, deactivated (decrypts only), compromised, destroyed (SP 800-57).
--record  prints the signed record of a destroyed version; keyferry inspect shows what it says

example: keyferry keyring show notes
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { options, out, now } = invocation
        const name = operand(invocation, 'keyring')
        const ring = findKeyring(store, name)
        const { skew } = (await newestTrust(store)).body
        if (options.record !== undefined) {
          const text = `${name}@${options.record}`
          const found = destructionStatuses(store, skew, now()).find((one) => one.version === text)
          if (found?.record == null) {
            process.stderr.write(`keyferry: error: ${text} is not destroyed\n`)
            return 1
          }
          if (options.out === undefined) out(found.record)
          else writeFileWhole(options.out, new TextEncoder().encode(found.record))
          return 0
        }
        const versions = versionStatuses(store, ring, skew, now())
        const rules = JSON.parse(ring.rules) as string[]
        const policy = JSON.parse(ring.policy) as string[]
        const waiting = rules.filter((one) => !policy.includes(one))
        if (options.json === true) {
          const { kind, generation } = ring
          const members = ring.members_size
          out(JSON.stringify({ name, kind, generation, members, rules, waiting, versions }))
          return 0
        }
        out(`${name}  ${ring.kind}  generation ${ring.generation}  ${ring.members_size} members`)
        for (const rule of rules)
          out(`rule ${rule}${waiting.includes(rule) ? '  (waits for keyring rule allow)' : ''}`)
        for (const one of versions) out(versionLine(one))
        return 0
      }),
  }),
  'keyring retire': withdraw(
    'retire',
    'deactivated',
    'deactivate a version: it only decrypts',
    'Deactivates a version. It goes on decrypting and never encrypts again.',
  ),
  'keyring compromise': withdraw(
    'compromise',
    'compromised',
    'mark a version compromised',
    'Marks a version compromised: it never encrypts again, and clients say that messages under it are to be rewrapped.',
  ),
  'keyring destroy': command({
    summary: 'destroy versions of an erasable keyring, for good',
    operands: Infinity,
    options: { 'backup-retention': TEXT, yes: FLAG },
    help: `usage: keyferry keyring destroy NAME@VERSION… --backup-retention TIME [--yes] [--json]

Destroys versions of an erasable keyring: no message under them can ever be read again. States the price first, and asks; without a terminal,
--yes pays it. Every device that could open an archived copy is welcomed anew, in all its keyrings. A running service does it, and may be
stopped meanwhile. It is complete 30 days later, when the key packages of today have ended, and not before your backups of today are gone:
'status' shows the date. After a restore of an older backup, 'keyferry catch-up' destroys again.
--backup-retention  how long a backup of the deriver's directory is kept, such as 90d; 0 if there is none

example: keyferry keyring destroy mail@3 --backup-retention 90d
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { operands, options, out, now } = invocation
        if (operands.length === 0) usage('a version is needed, such as notes@3')
        const versions = [...new Set(operands)]
        const text = required(options['backup-retention'], 'backup-retention')
        const retention = duration(text, 'backup-retention')!
        const found = versions.map((one) => {
          const { ring, row } = findVersion(store, one)
          requireDestructible(one, ring, row)
          return ring.id
        })
        const rings = [
          ...new Map(found.map((id) => [Buffer.from(id).toString('hex'), id])).values(),
        ]
        const price = priceOf(store, rings)
        const { skew } = (await newestTrust(store)).body
        const completes = destructionEnd(now(), retention, skew)
        const lines = priceLines(versions, price, completes)
        const isAgreed = options.yes === true || (await isConfirmed(lines, invocation))
        const json = { versions, price, completes, isOrdered: isAgreed }
        if (isAgreed) orderDestruction(store, versions, retention, now())
        if (options.json === true) out(JSON.stringify(json))
        else if (isAgreed) out([...lines, 'ordered: keyferry run carries it out'].join('\n'))
        else out('nothing was done: --yes pays the price')
        return isAgreed ? 0 : 1
      }),
  }),
}
