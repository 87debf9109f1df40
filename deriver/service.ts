/**
 * The deriver at work: takes requests out of the mailbox, enforces revocations, rotates what is due, signs heads and pushes them to every relay.
 * All of it is made of steps that may be cut off anywhere and are then taken up from the database.
 */
import { type Bytes } from '../shared/bytes.ts'
import { decodeEnvelope, type Envelope } from '../shared/envelope.ts'
import { isKeyferryError, type ErrorCode } from '../shared/errors.ts'
import { type Signer } from '../shared/http-signature.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { type Issuer } from './ca.ts'
import { issueDeriver, renewRoleCrl, revokedDevices } from './certificates.ts'
import { rotateDue, type KeyringRow } from './keyrings.ts'
import { emptyLog } from './log.ts'
import { denyDevices, renewGeneration } from './members.ts'
import { publish, type PublishKeys } from './publish.ts'
import { pushToRelay } from './push.ts'
import { fetchRequests, openEvents, postAnswers, type RelayAccess } from './relay.ts'
import { forgetRequests, handleRequest } from './requests.ts'
import { type Root } from './root.ts'
import { type Store } from './store.ts'
import { loadTrust } from './tenant.ts'

/** What the service reports, for a log or a screen. It never holds a key. */
export type ServiceEvent =
  | { type: 'head'; version: number; relay: string }
  | { type: 'granted'; uri: string; keyrings: string[] }
  | { type: 'refused'; uri: string; keyring: string; reason: string }
  | { type: 'invalid-request'; code: ErrorCode }
  | { type: 'revoked'; devices: number; keyrings: number }
  | { type: 'rotated'; keyrings: string[] }
  | { type: 'upload'; relay: string; done: number; of: number }
  | { type: 'relay-error'; relay: string; code: ErrorCode; message: string }

/** What the service is made of. Times are seconds. */
export interface ServiceOptions {
  store: Store
  root: Root
  /** Keys of the authority that this process holds. */
  authority: PublishKeys['authority']
  /** Signs heads: given, or issued by the built-in CA. */
  signer: Signer | { issuer: Issuer; uri: string }
  /** Built-in CAs whose CRLs this service renews. */
  issuers: { deriver?: Issuer; client?: Issuer }
  /** Addresses in place of the trust document's. */
  relays?: string[]
  invite?: string
  headLifetime?: number
  heartbeat?: number
  now?: () => number
  fetch?: typeof fetch
  report?: (event: ServiceEvent) => void
}

/** Milliseconds: how often the database is looked at for changes of other processes, and the mailbox without a notice. */
const CHANGE_POLL = 250
const MAILBOX_POLL = 15_000
/** Milliseconds that changes are gathered before a head. */
const GATHER = 250

/** A running or steppable deriver. */
export interface Service {
  readonly tenant: string
  /** Everything that is due, once: maintenance, mailbox, head, push. */
  step(): Promise<void>
  /** Runs until the signal; resolves when the last step is done. */
  run(signal: AbortSignal): Promise<void>
}

/** Lets a loop sleep until something happens; a ring while nobody waits is not lost. */
function createBell(): { ring: () => void; wait: (milliseconds: number) => Promise<boolean> } {
  let rung = false
  let wake: () => void = () => {}
  return {
    ring() {
      rung = true
      wake()
    },
    async wait(milliseconds) {
      if (!rung) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, milliseconds)
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
      const was = rung
      rung = false
      return was
    },
  }
}

/** Makes the service. Throws `ERR_STATE` for a database without a trust document. */
export async function createService(options: ServiceOptions): Promise<Service> {
  const { store, root, report = () => {} } = options
  const now = options.now ?? (() => Math.floor(Date.now() / 1000))
  const heartbeat = options.heartbeat ?? 600
  const log = emptyLog()
  let trusts = await loadTrust(store)
  let signer: (Signer & { renewAt?: number }) | null = null
  let crlsSeen = -1

  const trust = (): TrustDocument => trusts.at(-1)!
  const relayUrls = (): string[] => options.relays ?? trust().body.relays
  const access = (url: string): RelayAccess => ({
    url,
    tenant: trust().tenant,
    signer: () => signer!,
    now,
    ...(options.fetch === undefined ? {} : { fetch: options.fetch }),
  })

  async function maintain(): Promise<void> {
    const time = now()
    const numbers = store.get<{ n: number }>('SELECT max(number) AS n FROM trust')!.n
    if (numbers !== trust().body.number) trusts = await loadTrust(store)
    if (!('issuer' in options.signer)) signer = options.signer
    else if (signer === null || time >= signer.renewAt!) {
      signer = await issueDeriver(store, options.signer.issuer, options.signer.uri, time)
    }
    for (const role of ['deriver', 'client'] as const) {
      const issuer = options.issuers[role]
      if (issuer !== undefined) await renewRoleCrl(store, issuer, role, time)
    }
    const change = store.get<{ n: number | null }>('SELECT sum(number) AS n FROM crls')?.n ?? 0
    if (change !== crlsSeen) {
      store.transaction(() => {
        const devices = revokedDevices(store)
        if (devices.length === 0) return
        const keyrings = denyDevices(store, root, trust().tenant, devices, time)
        report({ type: 'revoked', devices: devices.length, keyrings })
      })
      crlsSeen = change
    }
    const rotated = rotateDue(store, time)
    if (rotated.length > 0) report({ type: 'rotated', keyrings: rotated })
    renewOldGenerations(time)
    forgetRequests(store, time)
  }

  function renewOldGenerations(time: number): void {
    const due = store.all<KeyringRow>(
      `SELECT k.* FROM keyrings k JOIN generations g ON g.keyring = k.id AND g.generation = k.generation
       WHERE g.made + k.generation_max_age < ?`,
      time,
    )
    for (const { id } of due) {
      store.transaction(() => {
        renewGeneration(
          store,
          root,
          trust().tenant,
          id,
          time,
          (d) => d.denied === 0 && d.expires >= time,
          false,
        )
      })
    }
  }

  /** Takes requests out of one relay's mailbox. The answers go out only after the head that carries their effect. */
  async function drain(url: string): Promise<{ done: number; refusals: Envelope[] } | null> {
    const refusals: Envelope[] = []
    let done = 0
    const until = Date.now() + GATHER
    for (let more = true; more && Date.now() <= until;) {
      const { next, requests } = await fetchRequests(access(url), done)
      for (const request of requests) {
        try {
          const outcome = await handleRequest(store, keys(), trust(), request, now())
          if (outcome.granted.length > 0)
            report({ type: 'granted', uri: outcome.uri, keyrings: outcome.granted })
          for (const { keyring, reason } of outcome.refused)
            report({ type: 'refused', uri: outcome.uri, keyring, reason })
          refusals.push(...outcome.refusals)
        } catch (error) {
          if (!isKeyferryError(error)) throw error
          report({ type: 'invalid-request', code: error.code })
        }
      }
      more = requests.length > 0 && next > done
      done = Math.max(done, next)
    }
    return done === 0 ? null : { done, refusals }
  }

  const keys = (): PublishKeys => ({ root, authority: options.authority, signer: signer! })

  /** Something changed that no head shows, or the last head is as old as a heartbeat. */
  function isPublishDue(): boolean {
    const last = store.get<{ change: number; issued: number; envelope: Bytes | null }>(
      'SELECT change, issued, envelope FROM heads ORDER BY version DESC LIMIT 1',
    )
    if (last === undefined || last.envelope === null) return true
    return last.change !== store.counter('change') || last.issued + heartbeat <= now()
  }

  async function publishDue(): Promise<void> {
    if (!isPublishDue()) return
    const lifetime = options.headLifetime ?? trust().body.headLifetime
    await publish(store, keys(), trust(), log, now(), lifetime)
  }

  async function guarded(url: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (!isKeyferryError(error)) throw error
      report({ type: 'relay-error', relay: url, code: error.code, message: error.message })
    }
  }

  async function push(url: string): Promise<void> {
    const genesis = trusts.map((one) => one.envelope)
    const pushed = await pushToRelay(store, access(url), genesis, options.invite, (done, of) => {
      report({ type: 'upload', relay: url, done, of })
    })
    if (pushed !== null) report({ type: 'head', version: pushed, relay: url })
  }

  async function step(): Promise<void> {
    await maintain()
    await publishDue()
    for (const url of relayUrls()) {
      await guarded(url, async () => {
        await push(url)
        const answers = await drain(url)
        if (answers === null) return
        await publishDue()
        await push(url)
        await postAnswers(access(url), answers.done, answers.refusals)
      })
    }
  }

  async function run(signal: AbortSignal): Promise<void> {
    const bell = createBell()
    signal.addEventListener('abort', bell.ring)
    const sockets = relayUrls().map((url) => listen(url, bell.ring, signal))
    while (!signal.aborted) {
      await step()
      const quiet = Date.now() + MAILBOX_POLL
      while (!(await bell.wait(CHANGE_POLL)) && !signal.aborted && Date.now() < quiet) {
        if (isPublishDue()) break
      }
    }
    await Promise.all(sockets)
  }

  /** Keeps the event stream of a relay open; every notice is only a reason to look. */
  async function listen(url: string, poke: () => void, signal: AbortSignal): Promise<void> {
    for (let pause = 250; !signal.aborted; pause = Math.min(2 * pause, 15_000)) {
      await guarded(url, async () => {
        if (signer === null) return
        const socket = await openEvents(access(url))
        await new Promise<void>((resolve) => {
          socket.addEventListener('open', () => {
            pause = 250
            poke()
          })
          socket.addEventListener('message', poke)
          socket.addEventListener('close', () => {
            resolve()
          })
          socket.addEventListener('error', () => {
            resolve()
          })
          signal.addEventListener('abort', () => {
            socket.close()
            resolve()
          })
        })
      })
      if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, pause))
    }
  }

  return { tenant: trust().tenant, step, run }
}

/** The newest head in a database, if one was signed. */
export function latestHead(
  store: Store,
): { version: number; hash: Bytes; envelope: Envelope } | undefined {
  const row = store.get<{ version: number; hash: Bytes; envelope: Bytes }>(
    'SELECT version, hash, envelope FROM heads WHERE envelope IS NOT NULL ORDER BY version DESC LIMIT 1',
  )
  return row === undefined
    ? undefined
    : { ...row, envelope: decodeEnvelope(new Uint8Array(row.envelope)) }
}
