/** One calendar of everything that ends: until when it holds, when it is renewed, and by whom. Needs no key. */
import { hex, type Bytes } from '../shared/bytes.ts'
import { decodeEnvelope } from '../shared/envelope.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { parseAnchor, parseCertificate } from '../shared/x509.ts'
import { listSources } from './crl-sources.ts'
import { crlsByIssuer } from './crls.ts'
import { rotationOf } from './schedule.ts'
import { type Store } from './store.ts'
import { isAuthorityAway } from './versions.ts'

const DAY = 86_400
/** What a running service renews is not due before it had this much time. Seconds. */
const GRACE = 3_600

/** `due`: the time to renew has come; `overdue`: it does not hold any more. */
export type CalendarState = 'ok' | 'due' | 'overdue'

/** One line of the calendar. Times are seconds. */
export interface CalendarEntry {
  what: string
  until: number
  renewsAt: number
  /** Who or what renews it. */
  by: string
  state: CalendarState
}

type Line = Omit<CalendarEntry, 'state'>

const SERVICE = 'keyferry run'

function certificateLines(store: Store, { body }: TrustDocument): Line[] {
  const anchors = new Map(
    [...body.derivers.anchors, ...body.clients.anchors].map((d) => [hex(d), d]),
  )
  const lines = [...anchors.values()].map((der): Line => {
    const { notBefore, notAfter, spki } = parseAnchor(der)
    const lead = Math.min(365 * DAY, Math.floor((notAfter - notBefore) / 2))
    const what = `CA certificate ${hex(spki).slice(-8)}`
    return { what, until: notAfter, renewsAt: notAfter - lead, by: 'you, in a new trust document' }
  })
  const head = store.get<{ envelope: Bytes }>(
    'SELECT envelope FROM heads WHERE envelope IS NOT NULL ORDER BY version DESC LIMIT 1',
  )
  if (head === undefined) return lines
  const path = decodeEnvelope(new Uint8Array(head.envelope)).certificates.map(parseCertificate)
  const until = Math.min(...path.map((one) => one.notAfter))
  const { notBefore, serial } = path[0]!
  const isOwn = store.get('SELECT 1 FROM issued WHERE serial = ?', hex(serial)) !== undefined
  const by = isOwn ? SERVICE : 'your CA, in the files of run --certificate'
  const half = Math.floor((notBefore + until) / 2)
  return [...lines, { what: 'deriver certificate', until, renewsAt: half, by }]
}

function crlLines(store: Store): Line[] {
  const lists = [...crlsByIssuer(store)].map(([issuer, { thisUpdate, nextUpdate }]): Line => {
    const id = new Uint8Array(Buffer.from(issuer, 'hex'))
    const what = `CRL of ${issuer.slice(0, 16)}`
    if (store.get('SELECT 1 FROM own_issuers WHERE key_id = ?', id) !== undefined)
      return { what, until: nextUpdate, renewsAt: thisUpdate + DAY, by: SERVICE }
    const source = store.get<{ place: string }>(
      'SELECT place FROM crl_sources WHERE crl_issuer = ?',
      id,
    )
    const by = source === undefined ? 'you, by crl import or crl source add' : source.place
    return { what, until: nextUpdate, renewsAt: Math.floor((thisUpdate + nextUpdate) / 2), by }
  })
  const sources = listSources(store).map(({ place, added, succeeded, error }): Line => {
    const last = succeeded ?? added
    // One that fails is due now, and overdue when it gave nothing for a day.
    const renewsAt = error === null ? last + DAY : last
    return { what: `CRL source ${place}`, until: last + DAY, renewsAt, by: SERVICE }
  })
  return [...lists, ...sources]
}

function keyringLines(store: Store): Line[] {
  const rows = store.all<{
    name: string
    until: number
    period: number
    activated: number
    made: number
    age: number
    planned: number | null
  }>(
    `SELECT k.name, k.rotate_at AS planned, v.encrypt_until AS until, k.cryptoperiod AS period, v.activated, g.made, k.generation_max_age AS age FROM keyrings k
     JOIN versions v ON v.keyring = k.id AND v.incarnation = k.encrypt_incarnation AND v.version = k.encrypt_version
     JOIN generations g ON g.keyring = k.id AND g.generation = k.generation ORDER BY k.name`,
  )
  return rows.flatMap(({ name, until, period, activated, made, age, planned }): Line[] => [
    {
      what: `version of ${name}`,
      until,
      renewsAt: rotationOf(
        { cryptoperiod: period, rotate_at: planned },
        { encrypt_until: until, activated },
      ),
      by: SERVICE,
    },
    { what: `generation of ${name}`, until: made + age + DAY, renewsAt: made + age, by: SERVICE },
  ])
}

/** Clients renew themselves; one that stays away only loses its own keys. So this is never overdue. */
function packageLines(store: Store, now: number): CalendarEntry[] {
  const row = store.get<{ n: number; first: number | null; uri: string | null }>(
    'SELECT count(*) AS n, min(expires) AS first, uri FROM devices WHERE key_id IN (SELECT device FROM members)',
  )!
  if (row.first === null) return []
  const what = `key packages and certificates of ${row.n} devices, first ${row.uri}`
  const renewsAt = row.first - 10 * DAY
  const state = now > renewsAt + DAY ? 'due' : 'ok'
  return [{ what, until: row.first, renewsAt, by: 'the client', state }]
}

/** The calendar, soonest end first. */
export function readCalendar(store: Store, trust: TrustDocument, now: number): CalendarEntry[] {
  const { expiresAt } = trust.body
  const by = 'you, by keyferry trust'
  const lines: Line[] = [
    { what: 'trust document', until: expiresAt, renewsAt: expiresAt - 30 * DAY, by },
    ...certificateLines(store, trust),
    ...crlLines(store),
    ...keyringLines(store),
  ]
  const catalog = store.get<{ expires: number }>(
    'SELECT expires FROM catalogs ORDER BY number DESC LIMIT 1',
  )
  if (catalog !== undefined) {
    const { expires } = catalog
    lines.push(
      isAuthorityAway(store)
        ? {
            what: 'catalog',
            until: expires,
            renewsAt: expires - 30 * DAY,
            by: 'you and the authority, by catalog propose',
          }
        : { what: 'catalog', until: expires, renewsAt: expires - 6 * DAY, by: SERVICE },
    )
  }
  const head = store.get<{ issued: number; expires: number }>(
    'SELECT issued, expires FROM heads WHERE envelope IS NOT NULL ORDER BY version DESC LIMIT 1',
  )
  if (head !== undefined) {
    const renewsAt = Math.floor((head.issued + head.expires) / 2)
    lines.push({ what: 'head', until: head.expires, renewsAt, by: SERVICE })
  }
  const entries = lines.map((line): CalendarEntry => {
    const grace = line.by === SERVICE && line.until - line.renewsAt > 2 * GRACE ? GRACE : 0
    const state = now > line.until ? 'overdue' : now > line.renewsAt + grace ? 'due' : 'ok'
    return { ...line, state }
  })
  return [...entries, ...packageLines(store, now)].toSorted((a, b) => a.until - b.until)
}

/** What a person has to hear of, once per day and item. Marks it as told. */
export function takeAlarms(
  store: Store,
  entries: readonly CalendarEntry[],
  now: number,
): CalendarEntry[] {
  return store.transaction(() =>
    entries.filter((entry) => {
      if (entry.state === 'ok' || entry.by === 'the client') return false
      const name = `${entry.what} ${entry.state}`
      const told = store.get<{ at: number }>('SELECT at FROM alarms WHERE what = ?', name)
      if (told !== undefined && now < told.at + DAY) return false
      store.run('INSERT OR REPLACE INTO alarms VALUES (?, ?)', name, now)
      return true
    }),
  )
}
