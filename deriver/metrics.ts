/** Numbers for Prometheus, in its text format 0.0.4. No name of a keyring and no client is in them. */
import { readAlarms } from './alarms.ts'
import { logSize } from './log.ts'
import { readStatus } from './status.ts'
import { readWriter } from './lease.ts'
import { type ServiceEvent } from './service.ts'
import { type Store } from './store.ts'

type Labels = Record<string, string>
type Sample = readonly [value: number, labels?: Labels]

const escape = (text: string): string =>
  text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')

function family(
  name: string,
  type: 'gauge' | 'counter',
  help: string,
  samples: readonly Sample[],
): string {
  const lines = samples.map(([value, labels = {}]) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escape(text)}"`)
    return `keyferry_${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}\n`
  })
  return `# HELP keyferry_${name} ${help}\n# TYPE keyferry_${name} ${type}\n${lines.join('')}`
}

/** Counts the events of a service. */
export class EventCounts {
  readonly #counts = new Map<string, number>()

  add({ type }: ServiceEvent): void {
    this.#counts.set(type, (this.#counts.get(type) ?? 0) + 1)
  }

  get samples(): Sample[] {
    const types = [...this.#counts.keys()].toSorted()
    return types.map((type) => [this.#counts.get(type)!, { type }] as const)
  }
}

/** The whole text. `now` in seconds; `isStandby` says whether this process waits for the lease. */
export async function metricsText(
  store: Store,
  counts: EventCounts,
  isStandby: boolean,
  now: number,
): Promise<string> {
  const status = await readStatus(store, now)
  const alarms = readAlarms(store, status, now)
  const kinds = [...new Set(alarms.map(({ kind }) => kind))].toSorted()
  const { head, catalog, trust, crls, relays, keyrings, devices } = status
  const members = keyrings.reduce((sum, one) => sum + one.members, 0)
  const reached = store.all<{ url: string; reached: number | null }>(
    'SELECT url, reached FROM relays ORDER BY url',
  )
  return [
    family('up', 'gauge', 'This process: 1 where it works, 0 where it stands by.', [
      [isStandby ? 0 : 1],
    ]),
    family(
      'lease_fence',
      'gauge',
      'Number of the lease of whoever writes to the store; 0 for nobody.',
      [[readWriter(store)?.fence ?? 0]],
    ),
    family('head_version', 'gauge', 'Version of the newest head.', [[head?.version ?? 0]]),
    family('head_issued_timestamp_seconds', 'gauge', 'When the newest head was signed.', [
      [head?.issuedAt ?? 0],
    ]),
    family('head_expires_timestamp_seconds', 'gauge', 'When the newest head ends.', [
      [head?.expiresAt ?? 0],
    ]),
    family(
      'relay_head_version',
      'gauge',
      'Version of the head that a relay has.',
      relays.map(({ url, version }) => [version, { relay: url }]),
    ),
    family(
      'relay_reached_timestamp_seconds',
      'gauge',
      'When a relay last answered.',
      reached.map(({ url, reached: at }) => [at ?? 0, { relay: url }]),
    ),
    family('catalog_expires_timestamp_seconds', 'gauge', 'When the newest catalog ends.', [
      [catalog?.expiresAt ?? 0],
    ]),
    family('trust_expires_timestamp_seconds', 'gauge', 'When the trust document ends.', [
      [trust.expiresAt],
    ]),
    family(
      'crl_next_update_timestamp_seconds',
      'gauge',
      'When a revocation list ends.',
      crls.map(({ issuer, nextUpdate }) => [nextUpdate, { issuer }]),
    ),
    family('keyrings', 'gauge', 'Keyrings.', [[keyrings.length]]),
    family('members', 'gauge', 'Memberships of devices in keyrings.', [[members]]),
    family('devices', 'gauge', 'Devices that were given keys, without those that are denied.', [
      [devices.filter((one) => !one.denied).length],
    ]),
    family('requests_waiting', 'gauge', 'Requests that wait for an administrator.', [
      [status.waiting],
    ]),
    family('log_entries', 'gauge', 'Entries of the audit log.', [[logSize(store)]]),
    family(
      'alarms',
      'gauge',
      'Alarms that stand, by kind.',
      kinds.map((kind) => [alarms.filter((one) => one.kind === kind).length, { kind }]),
    ),
    family('events_total', 'counter', 'Events of this process, by type.', counts.samples),
  ].join('')
}
