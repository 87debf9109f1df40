/** Places where CRLs of the customer's CAs are found, as the database keeps them, and polling them. The last good list stays whatever a place gives. */
import { type Bytes } from '../shared/bytes.ts'
import { isKeyferryError, KeyferryError, type ErrorCode } from '../shared/errors.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { CRL_SIGN, parseAnchor } from '../shared/x509.ts'
import { checkPlace, readCrls } from './crl-fetch.ts'
import { takeCrl } from './crls.ts'
import { type Store } from './store.ts'

/** Seconds until a place that failed is looked at again, if it is not due earlier. */
const RETRY = 60
const LEAST_EVERY = 60
const MAX_SOURCES = 32

/** What polling reports. */
export type CrlEvent =
  | { type: 'crl'; place: string; number: number }
  | { type: 'crl-error'; place: string; code: ErrorCode; message: string }

/** A source as it stands. Times are seconds. */
export interface CrlSource {
  place: string
  every: number
  added: number
  /** When it is looked at next. */
  due: number
  /** When it last gave a list that holds; `null` for never. */
  succeeded: number | null
  /** What was wrong at the last attempt; `null` for nothing. */
  error: string | null
}

interface Row extends CrlSource {
  issuer: Bytes | null
}

/** DER anchors of both roles. */
export function anchorsOf({ body }: TrustDocument): Bytes[] {
  return [...body.clients.anchors, ...body.derivers.anchors]
}

/** Adds a place, or changes its settings. Throws `ERR_USAGE` for one that is not polled, `ERR_CERT_PROFILE` for an issuer that has no lists. */
export function addSource(
  store: Store,
  { place, issuer, every }: { place: string; issuer: Bytes | null; every: number },
  now: number,
): void {
  checkPlace(place)
  if (every < LEAST_EVERY || every > 86_400)
    throw new KeyferryError('ERR_USAGE', `a source is polled every ${LEAST_EVERY} to 86400 seconds`)
  // Every list would be refused, long after this was typed.
  if (issuer !== null && (parseAnchor(issuer).keyUsage & CRL_SIGN) === 0)
    throw new KeyferryError('ERR_CERT_PROFILE', 'the issuer may sign no revocation lists')
  store.transaction(() => {
    const { n } = store.get<{ n: number }>(
      'SELECT count(*) AS n FROM crl_sources WHERE place <> ?',
      place,
    )!
    if (n >= MAX_SOURCES) throw new KeyferryError('ERR_USAGE', `at most ${MAX_SOURCES} sources`)
    store.run(
      `INSERT INTO crl_sources VALUES (?1, ?2, ?3, ?4, ?4, NULL, NULL, NULL)
       ON CONFLICT (place) DO UPDATE SET issuer = ?2, every = ?3, due = ?4`,
      place,
      issuer,
      every,
      now,
    )
  })
}

/** Takes a place out. Throws `ERR_NOT_FOUND`. */
export function removeSource(store: Store, place: string): void {
  store.transaction(() => {
    if (store.get('SELECT 1 FROM crl_sources WHERE place = ?', place) === undefined)
      throw new KeyferryError('ERR_NOT_FOUND', `${place} is not polled`)
    store.run('DELETE FROM crl_sources WHERE place = ?', place)
  })
}

/** The places, by name. */
export function listSources(store: Store): CrlSource[] {
  return store
    .all<CrlSource>(
      'SELECT place, every, added, due, succeeded, error FROM crl_sources ORDER BY place',
    )
    .map((row) => ({ ...row }))
}

async function pollOne(
  store: Store,
  row: Row,
  trust: TrustDocument,
  now: () => number,
  report: (event: CrlEvent) => void,
): Promise<void> {
  const { place, every } = row
  const issuers = [
    ...anchorsOf(trust),
    ...(row.issuer === null ? [] : [new Uint8Array(row.issuer)]),
  ]
  try {
    let issuer: Bytes | null = null
    for (const der of await readCrls(place)) {
      const taken = await takeCrl(store, der, issuers, now())
      if (taken.isNew) report({ type: 'crl', place, number: taken.number })
      issuer = taken.issuer
    }
    // Not all at once: a tenth earlier or later.
    const due = now() + Math.floor(every * (0.9 + 0.2 * Math.random()))
    store.run(
      'UPDATE crl_sources SET due = ?, succeeded = ?, error = NULL, crl_issuer = ? WHERE place = ?',
      due,
      now(),
      issuer,
      place,
    )
  } catch (error) {
    if (!isKeyferryError(error)) throw error
    const text = `${error.message} (${error.code})`
    store.run(
      'UPDATE crl_sources SET due = ?, error = ? WHERE place = ?',
      now() + Math.min(every, RETRY),
      text,
      place,
    )
    if (text !== row.error)
      report({ type: 'crl-error', place, code: error.code, message: error.message })
  }
}

/** Looks at every place that is due. A place that fails is noted, reported when the problem is a new one, and tried again. */
export async function pollSources(
  store: Store,
  trust: TrustDocument,
  now: () => number,
  report: (event: CrlEvent) => void,
): Promise<void> {
  const due = store.all<Row>('SELECT * FROM crl_sources WHERE due <= ?', now())
  await Promise.all(due.map((row) => pollOne(store, row, trust, now, report)))
}
