/**
 * The customer's side of the demo: one tenant with its deriver. Everything secret is in its directory and in this process; the relay
 * gets what the deriver pushes, and the web server asks here for certificates, rotations and revocations.
 */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import {
  appConfig,
  createKeyring,
  initTenant,
  openClientCa,
  openDeriver,
  readStatus,
  revokeClient,
  rotateKeyring,
  type ServiceEvent,
  type Status,
} from '../deriver/index.ts'
import { markChanged, storePath } from '../deriver/store.ts'
import { type AppConfigJson } from '../shared/config.ts'
import { decodePem } from '../shared/pem.ts'
import { createEnrolment, type FindSession } from '../web/enrolment/index.ts'

/** The customer's name and domain. */
export const ORGANIZATION = 'Acme Corporation'
export const DOMAIN = 'acme.example'

/** Keyrings of the demo, both for every client of the tenant. */
export const KEYRINGS = ['notes', 'files'] as const

/** A name that the web app's session decided on, as a certificate carries it. */
export function uriOf(name: string): string {
  return `keyferry://client.${DOMAIN}/${name}`
}

/** One line of the deriver's log as the page shows it. `time` is milliseconds. */
export interface CustomerEvent {
  time: number
  text: string
}

/** A running customer. */
export interface Customer {
  readonly tenant: string
  config(): Promise<AppConfigJson>
  status(): Promise<Status>
  /** The newest events, oldest first. */
  events(): CustomerEvent[]
  /** Gives certificates to the web app's sessions. */
  enrolment(session: FindSession): (request: Request) => Promise<Response>
  /** A certificate for a device without a session: PEM of the request in, PEM out. */
  certify(name: string, csrPem: string): Promise<string>
  /** Makes the next version of every keyring. Returns the versions by name. */
  rotate(): Record<string, number>
  /** Revokes every certificate of a name and tells the deriver. Throws `ERR_NOT_FOUND`. */
  revoke(name: string): number
  isRevoked(name: string): boolean
  /** Has the deriver sign a head, though nothing changed. */
  publish(): void
  stop(): Promise<void>
}

/** What the customer is made of. */
export interface CustomerOptions {
  directory: string
  /** Where the deriver pushes to. */
  relay: string
  /** Where clients fetch: the trust document names it. */
  front: string
  invite: string
  /** The web app's own origin. */
  origin: string
  /** Called when a status or an event is new. */
  onChange?: () => void
}

/**
 * Seconds that a head lives, between heads when nothing changes, and that clocks may differ by: short, so that a visitor sees the end of what a relay
 * can hold back. A trust document gives a head at least a minute; a deriver may sign shorter ones.
 */
const HEAD_LIFETIME = 30
const HEARTBEAT = 10
const SKEW = 5
const LEAST_TRUST_LIFETIME = 60
const KEPT_EVENTS = 60

const now = (): number => Math.floor(Date.now() / 1000)
const nameOf = (uri: string): string => uri.slice(uri.lastIndexOf('/') + 1)

function sentence(event: ServiceEvent): string | null {
  switch (event.type) {
    case 'head':
      return `Signed head ${event.version} and pushed it to the relay`
    case 'granted':
      return `Made ${nameOf(event.uri)} a member of ${event.keyrings.length} keyrings`
    case 'refused':
      return `Refused a keyring to ${nameOf(event.uri)}: ${event.reason}`
    case 'invalid-request':
      return `Dropped a request that was not valid (${event.code})`
    case 'revoked':
      return `Removed ${event.devices} device${event.devices === 1 ? '' : 's'} and re-keyed ${event.keyrings} keyrings`
    case 'unadmitted':
      return `Removed ${event.devices} devices that the trust document no longer admits`
    case 'rotated':
      return `Rotated ${event.keyrings.join(', ')} on schedule`
    case 'uncovered':
      return `Removed ${event.devices} devices that no rule covers any more`
    case 'rekeyed':
      return `Replaced the keys of ${event.uris.map(nameOf).join(', ')}`
    case 'rewelcomed':
      return `Welcomed ${event.devices} devices anew`
    case 'erased':
      return `Erased the salts of ${event.version}`
    case 'destroyed':
      return `Destroyed ${event.version}`
    case 'crl':
      return `Took in revocation list ${event.number}`
    case 'crl-error':
      return `A revocation list could not be had: ${event.message}`
    case 'alarm':
      return `Alarm: ${event.what}${event.state === 'failed' ? '' : ` ${event.state}`}`
    case 'root':
      return event.state === 'back' ? 'The master secret is there again' : event.message
    case 'upload':
    case 'writer':
      return null
    case 'relay-back':
      return 'The relay answers again'
    case 'relay-error':
      return `The relay gave an error: ${event.message} (${event.code})`
  }
}

async function prepare(options: CustomerOptions): Promise<void> {
  const { directory, front, origin } = options
  if (existsSync(storePath(directory))) return
  await initTenant({
    directory,
    organization: ORGANIZATION,
    domain: DOMAIN,
    relays: [front],
    origins: [origin],
    passphrase: null,
    headLifetime: LEAST_TRUST_LIFETIME,
    skew: SKEW,
    now: now(),
  })
}

/** Makes the tenant where there is none, and starts its deriver. */
export async function startCustomer(options: CustomerOptions): Promise<Customer> {
  const { directory, relay, invite, origin, onChange = () => {} } = options
  await prepare(options)
  const events: CustomerEvent[] = []
  let wasHead = false
  const note = (text: string, isHead = false): void => {
    // Heads come all the time: of those that follow one another, the last one stays.
    if (isHead && wasHead) events.pop()
    wasHead = isHead
    events.push({ time: Date.now(), text })
    if (events.length > KEPT_EVENTS) events.shift()
    onChange()
  }
  const deriver = await openDeriver({
    directory,
    passphrase: null,
    relays: [relay],
    invite,
    headLifetime: HEAD_LIFETIME,
    heartbeat: HEARTBEAT,
    report(event) {
      const text = sentence(event)
      if (text !== null) note(text, event.type === 'head')
    },
  })
  const { store, tenant } = deriver
  const has = (name: string): boolean =>
    store.get('SELECT 1 FROM keyrings WHERE name = ?', name) !== undefined
  for (const name of KEYRINGS) {
    if (!has(name)) createKeyring(store, { name, rules: [uriOf('*')] }, now())
  }
  const ca = await openClientCa({ directory, passphrase: null })
  // A page that is opened at once finds a head at the relay.
  await deriver.step()
  const stopping = new AbortController()
  const running = deriver.run(stopping.signal)
  running.catch((error: unknown) => note(`The deriver stopped: ${String(error)}`))

  return {
    tenant,
    config: () => appConfig(store),
    status: () => readStatus(store, now()),
    events: () => [...events],
    enrolment: (session) =>
      createEnrolment({
        ca,
        session,
        secret: new Uint8Array(randomBytes(32)),
        origins: [origin],
        report: ({ type, uri }) =>
          type === 'issued' && note(`Issued a certificate to ${nameOf(uri)}`),
      }),
    async certify(name, csrPem) {
      const [csr] = decodePem(csrPem, 'CERTIFICATE REQUEST')
      note(`Issued a certificate to ${name}`)
      return ca.issue({ csr: csr!, uri: uriOf(name) })
    },
    rotate() {
      const entries = KEYRINGS.map((name) => [name, rotateKeyring(store, name, now())] as const)
      note(`Rotated: ${entries.map(([name, version]) => `${name} to v${version}`).join(', ')}`)
      return Object.fromEntries(entries)
    },
    revoke(name) {
      const { certificates } = revokeClient(store, uriOf(name), now())
      note(`Revoked ${name}: ${certificates} certificate${certificates === 1 ? '' : 's'}`)
      return certificates
    },
    isRevoked: (name) =>
      store.get('SELECT 1 FROM issued WHERE uri = ? AND revoked IS NOT NULL', uriOf(name)) !==
      undefined,
    publish: () => store.transaction(() => markChanged(store)),
    async stop() {
      stopping.abort()
      await running.catch(() => {})
      deriver.close()
      ca.close()
    },
  }
}
