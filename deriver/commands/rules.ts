/** Rules of keyrings: whom they cover, and how that changes. */
import { fromHex, base64url, hex } from '../../shared/bytes.ts'
import { changedRules, changeRules, warningsOf, whoIsCovered, type Covered } from '../rules.ts'
import { findKeyring } from '../rows.ts'
import { date } from '../show.ts'
import { type Store } from '../store.ts'
import { newestTrust } from '../trust.ts'
import { parseAnchor } from '../../shared/x509.ts'
import { keyId } from '../../shared/signature.ts'
import { isAuthorityAway } from '../versions.ts'
import {
  command,
  FLAG,
  operand,
  TEXT,
  usage,
  warn,
  withStore,
  type Command,
  type Invocation,
} from './command.ts'

const coveredLine = ({ uri, keyId: key, until, isMember, rule, isAllowed }: Covered): string =>
  `${uri}  key ${key.slice(0, 16)}  until ${date(until)}  ${rule === null ? 'not covered' : `by ${rule}${isAllowed ? '' : ' (not allowed yet)'}`}${isMember ? '  member' : ''}`

/** The key id, in base64url, of an anchor of the clients that begins with these digits (hex). */
async function anchorId(store: Store, prefix: string): Promise<string> {
  const { anchors } = (await newestTrust(store)).body.clients
  const ids = await Promise.all(anchors.map((der) => keyId(parseAnchor(der).spki)))
  const found = ids.map(hex).filter((id) => id.startsWith(prefix.toLowerCase()))
  if (!/^[0-9a-f]{8,64}$/i.test(prefix) || found.length !== 1)
    usage(
      '--anchor is 8 or more digits of the key id of one anchor of clients, as trust show has it',
    )
  return base64url(fromHex(found[0]!))
}

/** Keyring and rule: the two operands. */
function ruleOperands({ operands }: Invocation): [string, string] {
  if (operands.length !== 2) usage('a keyring and a rule are needed')
  return [operands[0]!, operands[1]!]
}

/** What a change of rules does to the clients that are known here. */
function differences(before: readonly Covered[], after: readonly Covered[]): string[] {
  const isIn = (one: Covered): boolean => one.rule !== null && one.isAllowed
  const names = (list: readonly Covered[], other: readonly Covered[]): Covered[] => {
    const others = new Set(other.filter(isIn).map((one) => `${one.keyId} ${one.uri}`))
    return list.filter((one) => isIn(one) && !others.has(`${one.keyId} ${one.uri}`))
  }
  return [
    ...names(after, before).map((one) => `+ ${one.uri}  key ${one.keyId.slice(0, 16)}`),
    ...names(before, after).map(
      (one) =>
        `- ${one.uri}  key ${one.keyId.slice(0, 16)}${one.isMember ? '  leaves: the keyring is re-keyed' : ''}`,
    ),
  ]
}

function ruleCommand(verb: 'add' | 'remove' | 'allow', summary: string, says: string): Command {
  return command({
    summary,
    operands: 2,
    options: { preview: FLAG, allow: FLAG, anchor: TEXT },
    help: `usage: keyferry keyring rule ${verb} NAME RULE ${verb === 'add' ? '[--allow] ' : ''}[--anchor KEYID] [--preview] [--json]

${says}
--preview  changes nothing, and lists the clients known here that it gives the keyring to or takes it from
--anchor   the rule covers only clients of this anchor of the trust document: those of one of several organisations
${verb === 'add' ? "--allow    allows it at once, as 'keyring rule allow' does\n" : ''}
example: keyferry keyring rule ${verb} notes 'keyferry://client.acme.example/web/*' --preview
`,
    run: (invocation) =>
      withStore(invocation, async (store) => {
        const { options, out } = invocation
        const [name, text] = ruleOperands(invocation)
        if (options.allow === true && verb !== 'add') usage('--allow goes with add')
        const rule =
          options.anchor === undefined ? text : `${text}#${await anchorId(store, options.anchor)}`
        const now = invocation.now()
        const change = {
          ...(verb === 'add' ? { add: [rule] } : {}),
          ...(verb === 'remove' ? { remove: [rule] } : {}),
          ...(verb === 'allow' || options.allow === true ? { allow: [rule] } : {}),
        }
        const ring = findKeyring(store, name)
        const { rules, policy } = changedRules(ring, change)
        const before = whoIsCovered(store, ring, JSON.parse(ring.rules) as string[], now)
        const next = { ...ring, policy: JSON.stringify(policy) }
        const changes = differences(before, whoIsCovered(store, next, rules, now))
        const isPreview = options.preview === true
        if (verb === 'add') warn(warningsOf([rule], (await newestTrust(store)).body.clients.sans))
        if (!isPreview)
          store.transaction(() => changeRules(store, findKeyring(store, name), change, now))
        if (options.json === true) {
          out(JSON.stringify({ name, rules, allowed: policy, changes, isPreview }))
          return 0
        }
        for (const line of changes) out(line)
        if (changes.length === 0) out('no client known here gets or loses it')
        if (isPreview) out('nothing was changed')
        else if (!policy.includes(rule) && rules.includes(rule))
          out(`it waits for: keyferry keyring rule allow ${name} '${rule}'`)
        else if (isAuthorityAway(store) && verb !== 'remove')
          out('it waits for the next catalog of the authority: catalog propose')
        return 0
      }),
  })
}

export const ruleCommands: Record<string, Command> = {
  'keyring who': command({
    summary: 'list the clients that the rules of a keyring cover',
    operands: 1,
    options: {},
    help: `usage: keyferry keyring who NAME [--json]

Lists the clients known here, those with key packages or certificates of the built-in CA, by the rule that covers them, and whether they are
members. Clients of your own CA are known once they have asked. When a client last fetched, only the relay knows.

example: keyferry keyring who notes
`,
    run: (invocation) =>
      withStore(invocation, (store) => {
        const { options, out, now } = invocation
        const ring = findKeyring(store, operand(invocation, 'keyring'))
        const all = whoIsCovered(store, ring, JSON.parse(ring.rules) as string[], now())
        const shown = all.filter((one) => one.rule !== null || one.isMember)
        out(
          options.json === true
            ? JSON.stringify(shown)
            : shown.map(coveredLine).join('\n') || 'no client known here is covered',
        )
        return Promise.resolve(0)
      }),
  }),
  'keyring rule add': ruleCommand(
    'add',
    'add a rule to a keyring; it waits to be allowed',
    "Adds a rule to a keyring's manifest. It gives nobody the keyring before the administrator of the deriver allows it and, where the authority's\nkeys are elsewhere, the authority signed the next catalog.",
  ),
  'keyring rule remove': ruleCommand(
    'remove',
    'take a rule from a keyring',
    'Takes a rule from a keyring, at once. Members whom no other rule covers leave, and the keyring is re-keyed.',
  ),
  'keyring rule allow': ruleCommand(
    'allow',
    "allow a rule of a keyring's manifest",
    "Allows a rule of a keyring's manifest: the deriver's own word, without which a rule that somebody widened gives nobody the keyring.",
  ),
}
