/** Rules of keyrings: whom they cover, and how they change (docs/PROTOCOL.md [request-4]). What widens waits for the deriver's administrator. */
import { hex, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { decodeManifest } from '../shared/manifest.ts'
import { overlaps } from '../shared/trust.ts'
import { isDenied, type DeviceRow } from './devices.ts'
import { appendLog } from './log.ts'
import { covers, decide, sortedRules } from './policy.ts'
import { type KeyringRow } from './rows.ts'
import { markChanged, type Store } from './store.ts'
import { isAuthorityAway } from './versions.ts'

const read = (list: string): string[] => JSON.parse(list) as string[]

/** The rules of the manifest that is in force: those of the rows, or what the authority signed last where it is elsewhere. */
export function manifestRules(store: Store, row: KeyringRow): readonly string[] {
  if (!isAuthorityAway(store)) return read(row.rules)
  const object =
    row.manifest === null
      ? undefined
      : store.get<{ body: Bytes }>('SELECT body FROM objects WHERE hash = ?', row.manifest)
  return object === undefined ? [] : decodeManifest(new Uint8Array(object.body)).rules
}

/** Key id of the anchor of a device's path: the last of its issuers. */
function anchorOf({ issuers }: Pick<DeviceRow, 'issuers'>): Bytes {
  return new Uint8Array(issuers.slice(-32))
}

/** Whether the rules in force give a device the keyring. */
export function isGranted(store: Store, row: KeyringRow, device: DeviceRow): boolean {
  return decide({
    uri: device.uri,
    anchor: anchorOf(device),
    denied: isDenied(store, device.key_id),
    rules: manifestRules(store, row),
    policy: read(row.policy),
  }).granted
}

/** A client that the deriver knows of, and what the rules say of it. */
export interface Covered {
  uri: string
  /** Hex. */
  keyId: string
  /** Seconds: until when its package, or without one its certificate, is good. */
  until: number
  isMember: boolean
  /** The first rule that covers it; `null` for none. */
  rule: string | null
  /** Whether the deriver's administrator allowed it. */
  isAllowed: boolean
}

interface Known {
  uri: string
  key_id: Bytes
  until: number
  anchor: Bytes
}

/** Clients of key packages, and those that the built-in CA has issued a certificate to. */
function knownClients(store: Store, now: number): Known[] {
  const own = store.get<{ key_id: Bytes }>("SELECT key_id FROM own_issuers WHERE role = 'client'")
  const issued = store
    .all<Omit<Known, 'anchor'>>(
      "SELECT uri, key_id, max(not_after) AS until FROM issued WHERE role = 'client' AND revoked IS NULL AND not_after >= ? GROUP BY key_id, uri",
      now,
    )
    .map((one) => ({ ...one, anchor: new Uint8Array(own?.key_id ?? []) }))
  const devices = store
    .all<DeviceRow>('SELECT * FROM devices WHERE expires >= ?', now)
    .map((one) => ({ ...one, until: one.expires, anchor: anchorOf(one) }))
  const all = new Map([...issued, ...devices].map((one) => [`${hex(one.key_id)} ${one.uri}`, one]))
  return [...all.values()].filter((one) => !isDenied(store, one.key_id))
}

/** The clients that the deriver knows of, as these rules cover them. When they last fetched, only relays know. */
export function whoIsCovered(
  store: Store,
  row: KeyringRow,
  rules: readonly string[],
  now: number,
): Covered[] {
  const members = new Set(
    store
      .all<{ device: Bytes }>('SELECT device FROM members WHERE keyring = ?', row.id)
      .map(({ device }) => hex(device)),
  )
  const policy = read(row.policy)
  return knownClients(store, now)
    .map(({ uri, key_id, until, anchor }) => ({
      uri,
      keyId: hex(key_id),
      until,
      isMember: members.has(hex(key_id)),
      rule: rules.find((one) => covers(one, uri, anchor)) ?? null,
      isAllowed: policy.some((one) => covers(one, uri, anchor)),
    }))
    .toSorted((a, b) => (a.uri < b.uri ? -1 : a.uri > b.uri ? 1 : 0))
}

/** What to say of rules that no certificate under the trust document's SAN rules can come under. */
export function warningsOf(rules: readonly string[], sans: readonly string[]): string[] {
  const isIdle = (rule: string): boolean => !sans.some((san) => overlaps(rule.split('#')[0]!, san))
  return rules
    .filter(isIdle)
    .map((rule) => `no client can come under ${rule}: the tenant's are of ${sans.join(', ')}`)
}

/** Rules to add to and take from the manifest, and those of it that the administrator allows. */
export interface RuleChange {
  add?: readonly string[]
  remove?: readonly string[]
  allow?: readonly string[]
}

/** What a keyring's rules become. Throws `ERR_USAGE`, `ERR_NOT_FOUND` for one that is not there. */
export function changedRules(
  row: KeyringRow,
  { add = [], remove = [], allow = [] }: RuleChange,
): { rules: string[]; policy: string[] } {
  const before = read(row.rules)
  const gone = remove.find((one) => !before.includes(one))
  if (gone !== undefined)
    throw new KeyferryError('ERR_NOT_FOUND', `${row.name} has no rule ${gone}`)
  const keep = (list: readonly string[]): string[] => list.filter((one) => !remove.includes(one))
  const rules = sortedRules([...keep(before), ...add])
  const strange = allow.find((one) => !rules.includes(one))
  if (strange !== undefined)
    throw new KeyferryError('ERR_NOT_FOUND', `${row.name} has no rule ${strange} to be allowed`)
  return { rules, policy: sortedRules([...keep(read(row.policy)), ...allow]) }
}

/**
 * Changes the rules of a keyring. What is taken away holds at once, and members that nothing covers any more leave; what is added covers somebody once it is in
 * the manifest and allowed. Call it in a transaction. Throws `ERR_USAGE`, `ERR_NOT_FOUND`.
 */
export function changeRules(store: Store, row: KeyringRow, change: RuleChange, now: number): void {
  const { rules, policy } = changedRules(row, change)
  const isOther = JSON.stringify(rules) !== row.rules
  const of = (list: readonly string[] = []): string => list.join(' ')
  if (isOther)
    appendLog(store, 'rules-changed', now, {
      keyring: row.id,
      added: of(change.add),
      removed: of(change.remove),
    })
  if (change.allow !== undefined)
    appendLog(store, 'rule-allowed', now, { keyring: row.id, rules: of(change.allow) })
  store.run(
    'UPDATE keyrings SET rules = ?, policy = ?, number = number + ?, rules_checked = min(rules_checked, ?) WHERE id = ?',
    JSON.stringify(rules),
    JSON.stringify(policy),
    isOther ? 1 : 0,
    change.remove === undefined ? 1 : 0,
    row.id,
  )
  markChanged(store, row.id)
}
