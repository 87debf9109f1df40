/**
 * The deriver at work: takes requests out of the mailbox, enforces revocations, rotates what is due, signs heads and pushes them to every relay.
 * All of it is made of steps that may be cut off anywhere and are then taken up from the database.
 */
import { type Bytes } from '../shared/bytes.ts'
import { isKeyferryError, KeyferryError, type ErrorCode } from '../shared/errors.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { readCalendar, takeAlarms } from './calendar.ts'
import { type BuiltInCas } from './ca.ts'
import { pollSources, type CrlEvent } from './crl-sources.ts'
import { watchClock } from './clock.ts'
import { listen } from './events.ts'
import { checkRelay, type RelayReport } from './fsck.ts'
import { keepConditions } from './conditions.ts'
import { catchUpCrls, takeUpIncarnation } from './incarnation.ts'
import { createLease, fenceStore, LEASE_TIME, LONGEST_LEASE } from './lease.ts'
import { openLog } from './log.ts'
import { createMaintenance, type MaintenanceEvent } from './maintain.ts'
import { carryOutOrders, signDueWords, type OrderEvent } from './orders.ts'
import { latestHead } from './heads.ts'
import { noteAuthority } from './catalog.ts'
import { publish, type PublishKeys } from './publish.ts'
import { dropRelays, forgetRelay, pushToRelay } from './push.ts'
import { postAnswers, type RelayAccess } from './relay.ts'
import { requireTakenUp } from './restored.ts'
import { asRootError, isRootError, type Root } from './root.ts'
import { keepSigner, type SignerSource } from './signer.ts'
import { type Store } from './store.ts'
import { takeRequests, type RequestEvent } from './take-requests.ts'
import { isNewestTrust, loadTrust } from './trust.ts'
import { takeOneTurn, takeTurns, type TurnParts, type WriterEvent } from './turn.ts'
import { createWitnesses } from './witness.ts'

/** What the service reports, for a log or a screen. It never holds a key. */
export type ServiceEvent =
  | { type: 'head'; version: number; relay: string }
  | RequestEvent
  | MaintenanceEvent
  | OrderEvent
  | CrlEvent
  | { type: 'alarm'; what: string; state: 'due' | 'overdue' | 'failed'; until: number; by: string }
  | { type: 'root'; state: 'away'; code: ErrorCode; message: string }
  | { type: 'root'; state: 'back' }
  | { type: 'upload'; relay: string; done: number; of: number }
  | WriterEvent
  | { type: 'relay-error'; relay: string; code: ErrorCode; message: string }
  | { type: 'relay-back'; relay: string }

/** What the service is made of. Times are seconds. */
export interface ServiceOptions extends ServiceSettings {
  store: Store
  /** What other services over the same database call this one. */
  name?: string
  root: Root
  /** Opens roots that were added since. Throws what opening one throws. */
  openRoots?: () => Promise<void>
  /** Keys of the authority that this process holds. */
  authority: PublishKeys['authority']
  /** Signs heads. */
  signer: SignerSource
  /** Built-in CAs whose CRLs this service renews. */
  issuers: BuiltInCas
}

/** How a service behaves. */
export interface ServiceSettings {
  /** Addresses in place of the trust document's. */
  relays?: string[]
  /** Admits a new tenant at a relay. */
  invite?: string
  /** Seconds that a head counts; the trust document's by default, and never more. */
  headLifetime?: number
  /** Seconds between heads when nothing changes. */
  heartbeat?: number
  /** Seconds that another service over the same database waits for one that does not stir, at most an hour. */
  lease?: number
  /** Seconds since 1970. */
  now?: () => number
  fetch?: typeof fetch
  report?: (event: ServiceEvent) => void
}

/** Refusals in one call: small enough for its limit of bytes. */
const MAX_REFUSALS = 200

/** A running or steppable deriver. */
export interface Service {
  readonly tenant: string
  /** Everything that is due, once: maintenance, mailbox, head, push. It takes no lease: whoever steps is one process. Throws `ERR_LEASE` where another service over the same database holds it. */
  step(): Promise<void>
  /** The same with the lease, so that no other service starts meanwhile. Throws `ERR_LEASE` where one runs. */
  once(): Promise<void>
  /** Runs until the signal; resolves when the last step is done. Of several over one database one works, and the others wait to take over. */
  run(signal: AbortSignal): Promise<void>
  /** Verifies everything that a relay stores of the tenant; changes nothing. */
  check(url: string, progress?: (objects: number) => void): Promise<RelayReport>
  /** Sends a relay everything once more: objects, then the newest head, as they were. Returns the head's version. Throws what calls throw, and `ERR_LEASE` where a service runs. */
  rebuild(url: string): Promise<number>
}

/** Makes the service. Throws `ERR_STATE` for a database without a trust document, `ERR_USAGE` for a heartbeat that leaves heads to expire. */
export async function createService(options: ServiceOptions): Promise<Service> {
  const { root, report = () => {} } = options
  const now = options.now ?? (() => Math.floor(Date.now() / 1000))
  const leaseTime =
    options.lease === undefined ? LEASE_TIME : Math.min(options.lease * 1000, LONGEST_LEASE)
  const lease = createLease(options.store, options.name ?? 'deriver', leaseTime)
  // PROTOCOL [deriver-12]
  const store = fenceStore(options.store, lease)
  const conditions = keepConditions(store, now)
  const clock = watchClock(now)
  const log = openLog(store)
  const witnesses = createWitnesses(store, conditions)
  let trusts = await loadTrust(store)
  let isAble = true
  /** Relays of which something was reported since they last did all that was asked. */
  const away = new Set<string>()
  /** What this process told a person of. */
  const told = new Set<string>()
  let isRootAway = false
  /** Why a root is not open. */
  let unopened: KeyferryError | null = null

  /** Tells a person what goes on failing, once a day, and when a process begins. */
  function alarm(what: string, by: string): void {
    const until = now()
    const entry = { what, until, renewsAt: until, by, state: 'overdue' as const }
    if (takeAlarms(store, [entry], until).length > 0 || !told.has(what))
      report({ type: 'alarm', what, state: 'failed', until, by })
    told.add(what)
  }
  const signer = keepSigner(store, options.signer, now, alarm)

  const trust = (): TrustDocument => trusts.at(-1)!
  const lifetime = (): number =>
    Math.min(options.headLifetime ?? Infinity, trust().body.headLifetime)
  if (options.heartbeat !== undefined && options.heartbeat > lifetime() / 2) {
    throw new KeyferryError(
      'ERR_USAGE',
      `a heartbeat is at most half of the head's lifetime of ${lifetime()} s`,
    )
  }
  const heartbeat = (): number => options.heartbeat ?? Math.min(600, Math.floor(lifetime() / 6))
  const maintain = createMaintenance(
    store,
    { root, tenant: trust().tenant },
    options.issuers,
    report,
  )
  const relayUrls = (): string[] => options.relays ?? trust().body.relays
  const access = (url: string): RelayAccess => ({
    url,
    tenant: trust().tenant,
    signer: () => signer.current(),
    now,
    // What another one took over since is not for this one to say.
    fetch: (input, init) => {
      // PROTOCOL [deriver-12]
      lease.require()
      return (options.fetch ?? fetch)(input, init)
    },
  })
  const keys = (): PublishKeys => ({ root, authority: options.authority, signer: signer.current() })

  /** One that was added where this process cannot open it ends no service, and keeps no head back that does not need it. */
  async function openRoots(): Promise<void> {
    unopened = null
    try {
      await options.openRoots?.()
    } catch (cause) {
      const error = asRootError(cause)
      if (!isKeyferryError(error) || !isRootError(error)) throw error
      unopened = error
      alarm('a root cannot be opened', error.message)
    }
    conditions.set('roots', unopened)
  }

  async function prepare(): Promise<void> {
    if (!isNewestTrust(store, trust())) trusts = await loadTrust(store)
    await openRoots()
    requireTakenUp(store, trust())
    await takeUpIncarnation(store, { root, tenant: trust().tenant }, trust(), now())
    await catchUpCrls(store, options.issuers, trust())
    await signer.refresh()
    noteAuthority(store, options.authority, trust())
    await maintain(now(), trust())
  }

  /** Says to clients what nobody asked for. */
  async function tell(): Promise<void> {
    const { refusals, isTold } = await signDueWords(store, keys(), trust(), now())
    for (const url of refusals.length === 0 ? [] : relayUrls()) {
      try {
        for (let i = 0; i < refusals.length; i += MAX_REFUSALS)
          await postAnswers(access(url), 0, refusals.slice(i, i + MAX_REFUSALS))
        isTold()
      } catch (error) {
        complain(url)(error)
      }
    }
  }

  function tellAlarms(): void {
    for (const entry of takeAlarms(store, readCalendar(store, trust(), now()), now())) {
      const { what, state, until, by } = entry
      if (state !== 'ok') report({ type: 'alarm', what, state, until, by })
    }
  }

  const lastHead = (): { change: number; issued: number; envelope: Bytes | null } | undefined =>
    store.get('SELECT change, issued, envelope FROM heads ORDER BY version DESC LIMIT 1')

  /** Something changed that no head shows, or the last head is as old as a heartbeat, or of a time that is not yet. */
  function isPublishDue(): boolean {
    const last = lastHead()
    if (last === undefined || last.envelope === null) return true
    const isOld = last.issued + heartbeat() <= now()
    const isAhead = clock.isAhead(last.issued, trust().body.skew)
    return isOld || isAhead || last.change !== store.counter('change')
  }

  async function publishDue(): Promise<void> {
    // Whoever was revoked while a relay kept this step waiting is not in its next head.
    await maintain(now(), trust())
    if (isPublishDue()) await publish(store, keys(), trust(), log, now(), lifetime())
  }

  /** Another process took a newer trust document into force while a relay kept this step waiting: everything is to be taken up again under it. */
  function isOutdated(error: unknown): boolean {
    return isKeyferryError(error, 'ERR_CONFLICT') && !isNewestTrust(store, trust())
  }

  function complain(url: string): (error: unknown) => void {
    return (error) => {
      if (!isKeyferryError(error) || error.code === 'ERR_LEASE') throw error
      if (error.code === 'ERR_CONFLICT') witnesses.askAgain(url)
      conditions.set(`relay ${url}`, error)
      away.add(url)
      report({ type: 'relay-error', relay: url, code: error.code, message: error.message })
    }
  }

  async function push(url: string): Promise<void> {
    const documents = trusts.map((one) => one.envelope)
    const pushed = await pushToRelay(store, access(url), documents, options.invite, (done, of) => {
      report({ type: 'upload', relay: url, done, of })
    })
    if (pushed !== null) report({ type: 'head', version: pushed, relay: url })
  }

  async function step(): Promise<void> {
    lease.require()
    await pollSources(store, trust(), now, report)
    await work()
  }

  async function work(): Promise<void> {
    const wrong = clock.look(lastHead()?.issued ?? 0, trust().body.skew)
    conditions.set('clock', wrong)
    if (wrong !== null) alarm('the clock', wrong.message)
    await prepare()
    for (const url of dropRelays(store, [...relayUrls(), ...trust().body.relays])) {
      for (const what of [`relay ${url}`, `unknown ${url}`]) conditions.set(what, null)
      away.delete(url)
    }
    await witnesses.ask(relayUrls().map(access), trust())
    isAble = await signer.canSign(trust())
    try {
      if (isAble) await publishAndAnswer()
    } catch (error) {
      if (!isOutdated(error)) throw error
      return work()
    }
    tellAlarms()
  }

  async function publishAndAnswer(): Promise<void> {
    await carryOutOrders(store, keys(), trust(), now(), report)
    await publishDue()
    for (const url of relayUrls()) {
      try {
        await push(url)
        const answers = await takeRequests(store, access(url), keys(), trust(), report)
        conditions.reached(url)
        if (away.delete(url)) report({ type: 'relay-back', relay: url })
        if (answers === null) continue
        await publishDue()
        await push(url)
        await postAnswers(access(url), answers.done, answers.refusals)
      } catch (error) {
        if (isOutdated(error) || isRootError(error)) throw error
        complain(url)(error)
      }
    }
    await tell()
  }

  /**
   * What a person has to mend ends no service: an authority below its threshold, a list below the number that the trust document asks for, a
   * database that went back, a root that does not answer. It is tried again with the next look at the mailbox.
   */
  async function workOrAlarm(): Promise<void> {
    try {
      await work()
      conditions.set('root', null)
      conditions.set('heads', null)
      if (isRootAway) report({ type: 'root', state: 'back' })
      isRootAway = false
    } catch (thrown) {
      // A root that is needed and not open: why it is not says more.
      const error = isKeyferryError(thrown, 'ERR_ROOT_KEY') ? (unopened ?? thrown) : thrown
      const known = ['ERR_SIGNATURE', 'ERR_CRL', 'ERR_ROLLBACK'] as const
      if (!isKeyferryError(error)) throw error
      const { code, message } = error
      const isAboutRoot = isRootError(error)
      if (!isAboutRoot && !known.some((one) => one === code)) throw error
      isAble = false
      conditions.set(isAboutRoot ? 'root' : 'heads', error)
      if (isAboutRoot && !isRootAway) report({ type: 'root', state: 'away', code, message })
      isRootAway ||= isAboutRoot
      const by = error.hint === undefined ? message : `${message} (${error.hint})`
      alarm(isAboutRoot ? 'the root of trust' : 'no heads are signed', by)
    }
  }

  const turn: TurnParts = {
    store: options.store,
    lease,
    leaseTime,
    report,
    begin: () => conditions.forget(),
    work: workOrAlarm,
    poll: () => pollSources(store, trust(), now, report),
    listen: (ring, stop) =>
      signer.isThere()
        ? relayUrls().map((url) => listen(access(url), ring, stop, complain(url)))
        : [],
    isDue: () => isAble && isPublishDue(),
  }

  /** Beside a service that works: it reads, and no lease is needed for that, nor for a certificate to read with. */
  async function check(url: string, progress?: (objects: number) => void): Promise<RelayReport> {
    const reader = keepSigner(options.store, options.signer, now, () => {})
    await reader.refresh()
    const { tenant } = trust()
    const calls = { url, tenant, signer: () => reader.current(), now }
    const own = options.fetch === undefined ? calls : { ...calls, fetch: options.fetch }
    return checkRelay(own, trust(), progress)
  }

  async function rebuild(url: string): Promise<number> {
    await prepare()
    await witnesses.ask(relayUrls().map(access), trust())
    forgetRelay(store, url)
    await publishDue()
    await push(url)
    return latestHead(store)!.version
  }

  return {
    tenant: trust().tenant,
    step,
    once: () => takeOneTurn(turn, step),
    run: (signal) => takeTurns(turn, signal),
    check,
    rebuild: (url) => takeOneTurn(turn, () => rebuild(url)),
  }
}
