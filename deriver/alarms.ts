/** What a person has to look after now, by name, for the console, health checks and metrics. Needs no key. */
import { readConditions, type Condition } from './conditions.ts'
import { FEW_VERSIONS } from './schedule.ts'
import { type Status } from './status.ts'
import { type Store } from './store.ts'

/** Every kind of alarm, with what to do. */
export const ALARMS = {
  fork: 'A relay holds a head that is not below the newest one here: another deriver signs, or a copy of this one. Look for it, then keyferry audit verify.',
  'unknown-delivery':
    'A relay delivers a head of this tenant that this database never signed: it was restored, or a signing key was stolen. docs/trust.md: raise the incarnation.',
  'stale-head':
    'Clients stop encrypting when the newest head that they are given ends. Is keyferry run up, and does the relay answer?',
  'no-heads': 'No heads are signed until this is mended.',
  'root-away': 'The root of trust does not answer: nothing new is derived. keyferry root check',
  'root-closed':
    'A root that was added cannot be opened here. Heads go on for as long as nothing comes from it. keyferry root check',
  clock:
    'The clock of this machine went back: it is wrong now, or was ahead before. Clients and relays go by their own. Set it, by NTP.',
  relay: 'A relay does not answer as it should. The others go on; it is tried again by itself.',
  crl: 'Heads are not taken under a revocation list that has ended. keyferry crl list',
  catalog: 'Under an ended catalog clients do not encrypt. keyferry catalog propose',
  versions: 'Few unused versions are committed: call the authority. keyferry catalog propose',
  renewal: 'Something ends and was not renewed in its time. keyferry status has the calendar.',
  logins: 'Somebody tries tokens at the console.',
} as const

/** A kind of alarm. */
export type AlarmKind = keyof typeof ALARMS

/** An alarm. `since` is seconds, 0 where it is not known. */
export interface Alarm {
  kind: AlarmKind
  what: string
  help: string
  isUrgent: boolean
  since: number
}

const URGENT: readonly AlarmKind[] = [
  'fork',
  'unknown-delivery',
  'stale-head',
  'no-heads',
  'root-away',
  'catalog',
]

function ofCondition({ what, code, message, since }: Condition): Omit<Alarm, 'help' | 'isUrgent'> {
  const said = `${message} (${code})`
  const [kind, place] = what.split(' ', 2) as [string, string | undefined]
  switch (kind) {
    case 'root':
      return { kind: 'root-away', what: said, since }
    case 'roots':
      return { kind: 'root-closed', what: said, since }
    case 'heads':
      return { kind: 'no-heads', what: said, since }
    case 'clock':
      return { kind: 'clock', what: message, since }
    case 'logins':
      return { kind: 'logins', what: message, since }
    case 'unknown':
      return { kind: 'unknown-delivery', what: said, since }
    default: {
      const named = place === undefined || said.includes(place) ? said : `${place}: ${said}`
      return { kind: code === 'ERR_CONFLICT' ? 'fork' : 'relay', what: named, since }
    }
  }
}

/** How much of a head's lifetime may be over before somebody has to look: a running service signs one in a sixth of it. */
const OLD = 0.5

/** The alarms by the state of a database, urgent ones first. `now` in seconds. */
export function readAlarms(store: Store, status: Status, now: number): Alarm[] {
  const found = readConditions(store).map(ofCondition)
  const say = (kind: AlarmKind, what: string, since = 0): void =>
    void found.push({ kind, what, since })
  const { head } = status
  if (head === null) say('stale-head', 'no head was ever signed')
  else if (head.expiresAt < now)
    say('stale-head', `head ${head.version} is expired`, head.expiresAt)
  else {
    const halfLife = head.issuedAt + OLD * (head.expiresAt - head.issuedAt)
    if (halfLife < now)
      say('stale-head', `head ${head.version} is past half of its lifetime`, Math.floor(halfLife))
    for (const { url, version } of status.relays)
      if (version < head.version) say('stale-head', `${url} has head ${version} of ${head.version}`)
  }
  for (const { what, state, until, renewsAt, by } of status.calendar) {
    if (state === 'ok' || what === 'head' || by === 'the client') continue
    const kind = what.startsWith('CRL') ? 'crl' : what === 'catalog' ? 'catalog' : 'renewal'
    const isOver = state === 'overdue'
    say(
      kind,
      `${what} ${isOver ? 'has ended' : 'is due for renewal'}: ${by}`,
      isOver ? until : renewsAt,
    )
  }
  if (status.authorityAway)
    for (const { name, unused } of status.keyrings)
      if (unused < FEW_VERSIONS) say('versions', `${unused} unused versions of ${name} are left`)
  return found
    .map((one) => ({
      ...one,
      help: ALARMS[one.kind],
      isUrgent: URGENT.includes(one.kind) && !/ is past half | is due for /.test(one.what),
    }))
    .toSorted((a, b) => Number(b.isUrgent) - Number(a.isUrgent) || a.since - b.since)
}
