/** What a deriver's database says of itself: app config and status. */
import { base64url, hex, type Bytes } from '../shared/bytes.ts'
import { type AppConfigJson } from '../shared/config.ts'
import { revocationBound, type RevocationBound } from './bound.ts'
import { readCalendar, type CalendarEntry } from './calendar.ts'
import { readConditions, type Condition } from './conditions.ts'
import { listSources, type CrlSource } from './crl-sources.ts'
import { keyringIds, type KeyringRow } from './keyrings.ts'
import { readWriter, type Writer } from './lease.ts'
import { listRequests } from './pending.ts'
import { listRekeys, type Rekey } from './rekey.ts'
import { countUnused, FEW_VERSIONS } from './schedule.ts'
import { isDenied, lastPackage, type DeviceRow } from './devices.ts'
import { listRoots, presentRoot, useOf, type RootUse } from './roots.ts'
import { fenceProblem } from './restored.ts'
import { type Store } from './store.ts'
import { newestTrust } from './trust.ts'
import { destructionStatuses, type DestructionStatus } from './version-status.ts'
import { isAuthorityAway } from './versions.ts'

/** The JSON of an app config: all keyrings, or those named. Throws `ERR_NOT_FOUND`. */
export async function appConfig(
  store: Store,
  names: readonly string[] = [],
  relays: readonly string[] = [],
): Promise<AppConfigJson> {
  const trust = await newestTrust(store)
  const all = store
    .all<{ name: string }>('SELECT name FROM keyrings ORDER BY name')
    .map((row) => row.name)
  return {
    floor: { hash: base64url(trust.hash), number: trust.body.number },
    keyrings: keyringIds(store, names.length > 0 ? names : all),
    relays: relays.length > 0 ? [...relays] : trust.body.relays,
    tenant: trust.tenant,
  }
}

/** A deriver's state. Times are seconds. */
export interface Status {
  tenant: string
  trust: { number: number; expiresAt: number }
  /** Where the master secrets are, which one is in use, and what comes from each. */
  roots: ({ name: string; place: string; isPresent: boolean } & RootUse)[]
  catalog: { number: number; expiresAt: number } | null
  head: { incarnation: number; version: number; issuedAt: number; expiresAt: number } | null
  /** The service that works on this store; `null` where none does. */
  writer: Writer | null
  relays: { url: string; version: number }[]
  crls: { issuer: string; number: number; nextUpdate: number }[]
  sources: CrlSource[]
  /** Seconds until a revocation holds everywhere. */
  bound: RevocationBound
  calendar: CalendarEntry[]
  keyrings: {
    name: string
    id: string
    kind: string
    version: number
    generation: number
    members: number
    encryptUntil: number
    published: boolean
    /** Versions that are committed to and unknown to everyone. */
    unused: number
  }[]
  /** Whether the authority's keys are elsewhere. */
  authorityAway: boolean
  destructions: DestructionStatus[]
  /** Devices that are to replace their keys. */
  rekeys: Rekey[]
  /** Requests that wait for an administrator. */
  waiting: number
  devices: {
    uri: string
    keyId: string
    packageVersion: number
    expires: number
    denied: boolean
    keyrings: string[]
  }[]
  /** What is overdue, in words; empty if all is well. */
  problems: string[]
}

function problems(
  status: Omit<Status, 'problems'>,
  now: number,
  change: number,
  headChange: number,
  conditions: readonly Condition[],
): string[] {
  const out: string[] = []
  const { head, catalog, crls, relays, keyrings } = status
  if (head === null) out.push('no head was ever signed: run keyferry run')
  else if (head.expiresAt < now) out.push('the last head is expired: is keyferry run up?')
  if (head !== null && change !== headChange) out.push('changes are waiting for keyferry run')
  if (catalog !== null && catalog.expiresAt < now) out.push('the catalog is expired')
  if (status.trust.expiresAt < now + 30 * 86_400)
    out.push('the trust document expires within 30 days')
  for (const { issuer, nextUpdate } of crls)
    if (nextUpdate < now) out.push(`the CRL of ${issuer} is past its next update`)
  for (const relay of relays)
    if (head !== null && relay.version < head.version)
      out.push(`${relay.url} has head ${relay.version} of ${head.version}`)
  for (const ring of keyrings) {
    if (ring.encryptUntil < now) out.push(`no version of ${ring.name} may be encrypted under`)
    if (status.authorityAway && ring.unused < FEW_VERSIONS)
      out.push(
        `${ring.unused} unused versions of ${ring.name} are left: call the authority (catalog propose)`,
      )
  }
  for (const { uri, ordered } of status.rekeys)
    if (ordered < now - 86_400) out.push(`${uri} has not replaced its keys since a day`)
  out.push(...conditions.map(({ message, code }) => `${message} (${code})`))
  if (status.waiting > 0) out.push(`${status.waiting} requests wait for you: request list`)
  return out
}

/** Reads a deriver's state; needs no key. */
export async function readStatus(store: Store, now: number): Promise<Status> {
  const trust = await newestTrust(store)
  const head = store.get<{
    version: number
    incarnation: number
    issued: number
    expires: number
    change: number
  }>(
    'SELECT version, incarnation, issued, expires, change FROM heads WHERE envelope IS NOT NULL ORDER BY version DESC LIMIT 1',
  )
  const catalog = store.get<{ number: number; expires: number }>(
    'SELECT number, expires FROM catalogs ORDER BY number DESC LIMIT 1',
  )
  const keyrings = store.all<KeyringRow>('SELECT * FROM keyrings ORDER BY name')
  const until = (row: KeyringRow): number =>
    store.get<{ encrypt_until: number }>(
      'SELECT encrypt_until FROM versions WHERE keyring = ? AND incarnation = ? AND version = ?',
      row.id,
      row.encrypt_incarnation,
      row.encrypt_version,
    )?.encrypt_until ?? 0
  const names = (device: Bytes): string[] =>
    store
      .all<{ name: string }>(
        'SELECT k.name FROM members m JOIN keyrings k ON k.id = m.keyring WHERE m.device = ? ORDER BY k.name',
        device,
      )
      .map((row) => row.name)
  const status = {
    tenant: trust.tenant,
    trust: { number: trust.body.number, expiresAt: trust.body.expiresAt },
    roots: listRoots(store).map(({ number, name, place }) => ({
      name,
      place,
      isPresent: number === presentRoot(store),
      ...useOf(store, number, now),
    })),
    catalog: catalog === undefined ? null : { number: catalog.number, expiresAt: catalog.expires },
    head:
      head === undefined
        ? null
        : {
            incarnation: head.incarnation,
            version: head.version,
            issuedAt: head.issued,
            expiresAt: head.expires,
          },
    writer: readWriter(store),
    relays: store.all<{ url: string; version: number }>(
      'SELECT url, head_version AS version FROM relays ORDER BY url',
    ),
    crls: store
      .all<{ issuer: Bytes; number: number; next_update: number }>(
        'SELECT issuer, number, next_update FROM crls',
      )
      .map((row) => ({
        issuer: hex(row.issuer).slice(0, 16),
        number: row.number,
        nextUpdate: row.next_update,
      })),
    sources: listSources(store),
    bound: revocationBound(store, trust, now),
    calendar: readCalendar(store, trust, now),
    keyrings: keyrings.map((row) => ({
      name: row.name,
      id: base64url(row.id),
      kind: row.kind,
      version: row.encrypt_version,
      generation: row.generation,
      members: row.members_size,
      encryptUntil: until(row),
      published: row.dirty === 0 && row.release !== null,
      unused: countUnused(store, row, now),
    })),
    authorityAway: isAuthorityAway(store),
    destructions: destructionStatuses(store, trust.body.skew, now),
    rekeys: listRekeys(store),
    waiting: listRequests(store).filter(({ state }) => state === 'waiting').length,
    devices: store.all<DeviceRow>('SELECT * FROM devices ORDER BY uri').map((row) => ({
      uri: row.uri,
      keyId: hex(row.key_id).slice(0, 16),
      packageVersion: lastPackage(store, row.key_id)?.version ?? 0,
      expires: row.expires,
      denied: isDenied(store, row.key_id),
      keyrings: names(row.key_id),
    })),
  }
  // What a service found says nothing while none runs.
  const conditions = status.writer === null ? [] : readConditions(store)
  const change = store.counter('change')
  const fence = fenceProblem(store)
  const others = problems(status, now, change, head?.change ?? 0, conditions)
  return { ...status, problems: [...(fence === null ? [] : [fence]), ...others] }
}
