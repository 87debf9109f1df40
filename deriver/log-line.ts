/**
 * Events of the service as lines of JSON for a log. A line names a client or keyrings, never both: whoever collects logs learns who is there and what there is, and
 * not who has what. The audit log, which says it, is signed and stays here.
 */
import { type ServiceEvent } from './service.ts'

/** How much a line matters. */
type Level = 'info' | 'warn' | 'error'

function levelOf(event: ServiceEvent): Level {
  switch (event.type) {
    case 'alarm':
      return event.state === 'due' ? 'warn' : 'error'
    case 'root':
      return event.state === 'away' ? 'error' : 'info'
    case 'writer':
      return event.state === 'lost' ? 'warn' : 'info'
    case 'relay-error':
    case 'crl-error':
    case 'invalid-request':
      return 'warn'
    default:
      return 'info'
  }
}

/** Fields of an event with client or keyrings, not both. */
function fieldsOf(event: ServiceEvent): Record<string, unknown> {
  switch (event.type) {
    case 'granted':
      return { client: event.uri, keyrings: event.keyrings.length }
    case 'refused':
      return { client: event.uri, kind: event.kind, reason: event.reason }
    case 'rekeyed':
      return { clients: event.uris.length, keyrings: event.keyrings }
    default: {
      const { type: _, ...fields } = event
      return fields
    }
  }
}

/** One line, without its end. `now` in seconds. */
export function logLine(event: ServiceEvent, now: number): string {
  const time = new Date(now * 1000).toISOString()
  return JSON.stringify({ time, level: levelOf(event), event: event.type, ...fieldsOf(event) })
}
