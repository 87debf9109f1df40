/** What the command line shows a person. */
import { type RevocationBound } from './bound.ts'
import { type CrlSource } from './crl-sources.ts'
import { type Revoked } from './revocation.ts'
import { type ServiceEvent } from './service.ts'
import { type Status } from './status.ts'
import { type DestructionStatus } from './version-status.ts'

/** Minutes, UTC. */
export const date = (time: number): string =>
  new Date(time * 1000).toISOString().slice(0, 16).replace('T', ' ')

export function keyringLines({ keyrings }: Status): string[] {
  return keyrings.map(
    (ring) =>
      `${ring.name}  version ${ring.version} until ${date(ring.encryptUntil)}  generation ${ring.generation}  ${ring.members} members${ring.published ? '' : '  (not published yet)'}`,
  )
}

export function deviceLines({ devices }: Status): string[] {
  return devices.map(
    (device) =>
      `${device.uri}  key ${device.keyId}  package ${device.packageVersion} until ${date(device.expires)}  ${device.denied ? 'DENIED' : device.keyrings.join(', ')}`,
  )
}

function writerLine(event: Extract<ServiceEvent, { type: 'writer' }>): string {
  switch (event.state) {
    case 'waiting':
      return `standing by: ${event.holder} writes to this store`
    case 'taken':
      return 'this deriver writes to the store now'
    case 'lost':
      return 'another deriver has taken over: standing by'
  }
}

export function eventLine(event: ServiceEvent): string {
  switch (event.type) {
    case 'head':
      return `head ${event.version} at ${event.relay}`
    case 'granted':
      return `granted ${event.keyrings.join(', ')} to ${event.uri}`
    case 'refused':
      return `${event.kind === 'pending' ? 'kept a request for' : 'refused'} ${event.keyring} ${event.kind === 'pending' ? 'of' : 'to'} ${event.uri}: ${event.reason}`
    case 'invalid-request':
      return `a request was not valid (${event.code})`
    case 'revoked':
      return `revoked ${event.devices} devices, re-keyed ${event.keyrings} keyrings`
    case 'unadmitted':
      return `removed ${event.devices} devices that the trust document no longer admits, re-keyed ${event.keyrings} keyrings`
    case 'rotated':
      return `rotated ${event.keyrings.join(', ')}`
    case 'uncovered':
      return `removed ${event.devices} devices that no rule covers any more, re-keyed ${event.keyring}`
    case 'rekeyed':
      return `re-keyed ${event.uris.join(', ')}: new package, then new generations of ${event.keyrings.join(', ')}`
    case 'rewelcomed':
      return `welcomed ${event.devices} devices anew`
    case 'erased':
      return `erased the salts of ${event.version}: destroyed on ${date(event.completes)}`
    case 'destroyed':
      return `destroyed ${event.version}`
    case 'crl':
      return `CRL ${event.number} from ${event.place} is in force`
    case 'crl-error':
      return `CRL source ${event.place}: ${event.message} (${event.code})`
    case 'alarm':
      return event.state === 'failed'
        ? `ALARM ${event.what}: ${event.by}`
        : `ALARM ${event.what} ${event.state}, until ${date(event.until)}: ${event.by}`
    case 'root':
      return event.state === 'back'
        ? 'the root of trust answers again'
        : `the root of trust does not answer: ${event.message} (${event.code})`
    case 'upload':
      return `uploaded ${event.done} of ${event.of} objects to ${event.relay}`
    case 'writer':
      return writerLine(event)
    case 'relay-back':
      return `${event.relay} answers again`
    case 'relay-error':
      return `${event.relay}: ${event.message} (${event.code})`
  }
}

export function sourceLine({ place, every, succeeded, error }: CrlSource): string {
  const last = succeeded === null ? 'never good' : `good at ${date(succeeded)}`
  return `${place}  every ${every} s  ${last}${error === null ? '' : `  last attempt: ${error}`}`
}

function boundLine({ total, direct }: RevocationBound): string {
  return `a revoked client sees nothing new ${direct} s after client revoke, ${total} s after a list at its source`
}

/** What, until, renews at, by, state. */
function calendarLines({ calendar }: Status): string[] {
  const width = Math.max(0, ...calendar.map(({ what }) => what.length))
  return calendar.map(
    ({ what, until, renewsAt, by, state }) =>
      `${what.padEnd(width)}  until ${date(until)}  renewed from ${date(renewsAt)} by ${by}  ${state}`,
  )
}

/** What a revocation did, what comes next and until when. */
export function revokedLines(revoked: Revoked, { until }: { until: number }): string[] {
  const { certificates, keys, keyrings, foreign, uris } = revoked
  return [
    `revoked ${certificates} certificates and denied ${keys} keys of ${uris.join(', ')}`,
    `next: keyferry run lists them and re-keys ${keyrings.length === 0 ? 'nothing: no keyring was held' : keyrings.join(', ')}`,
    `from ${date(until)} UTC on nobody encrypts under a key that was held, whether keyferry run is up or not`,
    ...foreign.map(
      ({ issuer, serial, uri }) =>
        `! your CA ${issuer.slice(0, 16)} must list serial ${serial} of ${uri}: relays admit it until then`,
    ),
  ]
}

export function rootLines({ roots }: Pick<Status, 'roots'>): string[] {
  return roots.map(
    (one) =>
      `root ${one.name}  ${one.place}  ${one.versions} versions, ${one.generations} generations, ${one.devices} devices${one.isPresent ? '  (in use)' : ''}`,
  )
}

/** A destruction: a date, and the word destroyed only when it is so. */
function destructionLine({ version, phase, completes, ordered }: DestructionStatus): string {
  switch (phase) {
    case 'ordered':
      return `${version} is to be destroyed since ${date(ordered)}: keyferry run erases its salts, then not before ${date(completes)}`
    case 'erased':
      return `${version} is being destroyed: its salts are erased, and nobody can have it from ${date(completes)} on`
    case 'destroyed':
      return `${version} is destroyed since ${date(completes)}`
  }
}

export function statusLines(status: Status): string[] {
  const { head, catalog, trust } = status
  return [
    `tenant ${status.tenant}  (times in UTC)`,
    `trust document ${trust.number} until ${date(trust.expiresAt)}`,
    ...rootLines(status),
    catalog === null ? 'no catalog' : `catalog ${catalog.number} until ${date(catalog.expiresAt)}`,
    head === null
      ? 'no head'
      : `head ${head.version} (incarnation ${head.incarnation}) until ${date(head.expiresAt)}`,
    status.writer === null
      ? 'no deriver runs'
      : `run by ${status.writer.holder} since ${date(status.writer.since)} (fence ${status.writer.fence})`,
    ...status.relays.map((relay) => `relay ${relay.url} at head ${relay.version}`),
    ...keyringLines(status),
    ...status.destructions.map(destructionLine),
    ...status.rekeys.map(
      ({ uri, ordered }) => `${uri} is to replace its keys since ${date(ordered)}`,
    ),
    ...deviceLines(status),
    boundLine(status.bound),
    ...calendarLines(status),
    ...status.problems.map((problem) => `! ${problem}`),
  ]
}
