/** What the command line shows a person. */
import { type ServiceEvent } from './service.ts'
import { type Status } from './status.ts'

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

export function eventLine(event: ServiceEvent): string {
  switch (event.type) {
    case 'head':
      return `head ${event.version} at ${event.relay}`
    case 'granted':
      return `granted ${event.keyrings.join(', ')} to ${event.uri}`
    case 'refused':
      return `refused ${event.keyring} to ${event.uri}: ${event.reason}`
    case 'invalid-request':
      return `a request was not valid (${event.code})`
    case 'revoked':
      return `revoked ${event.devices} devices, re-keyed ${event.keyrings} keyrings`
    case 'rotated':
      return `rotated ${event.keyrings.join(', ')}`
    case 'upload':
      return `uploaded ${event.done} of ${event.of} objects to ${event.relay}`
    case 'relay-error':
      return `${event.relay}: ${event.message} (${event.code})`
  }
}

export function statusLines(status: Status): string[] {
  const { head, catalog, trust } = status
  return [
    `tenant ${status.tenant}`,
    `trust document ${trust.number} until ${date(trust.expiresAt)}`,
    catalog === null ? 'no catalog' : `catalog ${catalog.number} until ${date(catalog.expiresAt)}`,
    head === null
      ? 'no head'
      : `head ${head.version} (incarnation ${head.incarnation}) until ${date(head.expiresAt)}`,
    ...status.relays.map((relay) => `relay ${relay.url} at head ${relay.version}`),
    ...keyringLines(status),
    ...deviceLines(status),
    ...status.problems.map((problem) => `! ${problem}`),
  ]
}
