/** What the console shows, out of the database. Never a key, a salt or a token: nothing here opens a key file. */
import { base64url, hex, type Bytes } from '../../shared/bytes.ts'
import { decodeBatch } from '../../shared/deriver-calls.ts'
import { parseCertificate } from '../../shared/x509.ts'
import { readAlarms } from '../alarms.ts'
import { readConditions } from '../conditions.ts'
import { isDenied, lastPackage, type DeviceRow } from '../devices.ts'
import { logSize } from '../log.ts'
import { keyringsOf } from '../members.ts'
import { listRequests } from '../pending.ts'
import { keyringRow, type KeyringRow, type VersionRow } from '../rows.ts'
import { countUnused, rotationOf } from '../schedule.ts'
import { readStatus } from '../status.ts'
import { type Store } from '../store.ts'
import { newestTrust } from '../trust.ts'
import { versionStatuses } from '../version-status.ts'
import {
  type ClientView,
  type KeyringView,
  type Overview,
  type RelayView,
  type RequestView,
} from './types.ts'

/** Relays with the head that each was last given. */
function relayViews(store: Store): RelayView[] {
  const problems = new Map(
    readConditions(store).map(({ what, code, message }) => [what, `${message} (${code})`]),
  )
  return store
    .all<{
      url: string
      version: number
      reached: number | null
      issued: number | null
      expires: number | null
    }>(
      'SELECT r.url, r.head_version AS version, r.reached, h.issued, h.expires FROM relays r LEFT JOIN heads h ON h.version = r.head_version ORDER BY r.url',
    )
    .map(({ url, version, reached, issued, expires }) => ({
      url,
      version,
      issuedAt: issued ?? 0,
      expiresAt: expires ?? 0,
      reached,
      problem: problems.get(`relay ${url}`) ?? problems.get(`unknown ${url}`) ?? null,
    }))
}

/** The state of everything, in short. */
export async function overview(store: Store, now: number): Promise<Overview> {
  const status = await readStatus(store, now)
  const { tenant, head, writer, trust, catalog, bound, calendar, keyrings, devices, waiting } =
    status
  return {
    now,
    tenant,
    alarms: readAlarms(store, status, now),
    head,
    relays: relayViews(store),
    writer: writer && { holder: writer.holder, fence: writer.fence, since: writer.since },
    trust,
    catalog,
    roots: status.roots.map(({ name, place, isPresent }) => ({ name, place, isPresent })),
    bound: { direct: bound.direct, total: bound.total },
    calendar,
    counts: {
      keyrings: keyrings.length,
      devices: devices.filter((one) => !one.denied).length,
      waiting,
      entries: logSize(store),
    },
  }
}

function versionViews(
  store: Store,
  ring: KeyringRow,
  skew: number,
  now: number,
): KeyringView['versions'] {
  const activated = new Map(
    store
      .all<VersionRow>('SELECT * FROM versions WHERE keyring = ?', ring.id)
      .map((row) => [`${row.incarnation}.${row.version}`, row.activated]),
  )
  return versionStatuses(store, ring, skew, now).map((one) => ({
    ...one,
    activated: activated.get(`${one.incarnation}.${one.version}`) ?? 0,
  }))
}

/** Keyrings with all their versions. */
export async function keyringViews(store: Store, now: number): Promise<KeyringView[]> {
  const { skew } = (await newestTrust(store)).body
  return store.all<KeyringRow>('SELECT * FROM keyrings ORDER BY name').map((row) => {
    const rules = JSON.parse(row.rules) as string[]
    const policy = JSON.parse(row.policy) as string[]
    const present = store.get<VersionRow>(
      'SELECT * FROM versions WHERE keyring = ? AND incarnation = ? AND version = ?',
      row.id,
      row.encrypt_incarnation,
      row.encrypt_version,
    )
    return {
      name: row.name,
      id: base64url(new Uint8Array(row.id)),
      kind: row.kind,
      generation: row.generation,
      members: row.members_size,
      rules,
      waiting: rules.filter((one) => !policy.includes(one)),
      unused: countUnused(store, row, now),
      rotatesAt: present === undefined ? 0 : rotationOf(row, present),
      isPlanned: row.rotate_at !== null,
      isPublished: row.dirty === 0 && row.release !== null,
      versions: versionViews(store, row, skew, now),
    }
  })
}

/** Devices that were given keys, or are members no more. */
export function clientViews(store: Store): ClientView[] {
  return store.all<DeviceRow>('SELECT * FROM devices ORDER BY uri, key_id').map((row) => {
    const [leaf] = decodeBatch(new Uint8Array(row.certificates))
    const heard = store.get<{ at: number }>('SELECT at FROM heard WHERE device = ?', row.key_id)
    return {
      uri: row.uri,
      keyId: hex(new Uint8Array(row.key_id)),
      certificateUntil: leaf === undefined ? 0 : parseCertificate(leaf).notAfter,
      until: row.expires,
      packageVersion: lastPackage(store, row.key_id)?.version ?? 0,
      heard: heard?.at ?? null,
      isDenied: isDenied(store, row.key_id),
      keyrings: keyringsOf(store, row.key_id)
        .map((id: Bytes) => keyringRow(store, id).name)
        .toSorted(),
    }
  })
}

export function requestViews(store: Store): RequestView[] {
  return listRequests(store).map((one) => ({ ...one, keyId: hex(one.keyId) }))
}
