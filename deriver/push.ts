/** One relay brought up to the newest head: objects first, then the head that names them; safe to repeat from any point. */
import { setTimeout } from 'node:timers/promises'
import { base64url, equal, type Bytes } from '../shared/bytes.ts'
import { decodeEnvelope, type Envelope } from '../shared/envelope.ts'
import { documentHash } from '../shared/document-hash.ts'
import { isKeyferryError, KeyferryError } from '../shared/errors.ts'
import { decodeJson } from '../shared/json.ts'
import { MAX_ENVELOPE } from '../shared/limits.ts'
import { isOwnHead } from './heads.ts'
import { currentCrls } from './publish.ts'
import {
  enrolTenant,
  postTrust,
  pushHead,
  RelayProblem,
  uploadObjects,
  type RelayAccess,
} from './relay.ts'
import { type Store } from './store.ts'

interface RelayRow {
  url: string
  head: Bytes | null
  head_version: number
  uploaded: number
  trust: number
}

interface HeadRow {
  version: number
  incarnation: number
  hash: Bytes
  envelope: Bytes
  catalog: number
}

/** How many objects go into memory at once, and of how many bytes beside the first. */
const UPLOAD_ROWS = 256
const UPLOAD_BYTES = 8_388_608
/** Milliseconds. */
const ENROLMENT_PAUSE = 500

/** The last of the objects after `serial` that go into memory at once. */
function lastOfBatch(store: Store, serial: number): number {
  const rows = store.all<{ serial: number; size: number }>(
    'SELECT serial, length(body) AS size FROM objects WHERE serial > ? ORDER BY serial LIMIT ?',
    serial,
    UPLOAD_ROWS,
  )
  let bytes = 0
  const end = rows.findIndex(({ size }, i) => (bytes += size) > UPLOAD_BYTES && i > 0)
  return rows.at(end === -1 ? -1 : end - 1)?.serial ?? serial
}

async function upload(
  store: Store,
  access: RelayAccess,
  from: number,
  progress: (done: number, of: number) => void,
): Promise<void> {
  const { total } = store.get<{ total: number }>(
    'SELECT count(*) AS total FROM objects WHERE serial > ?',
    from,
  )!
  for (let serial = from, done = 0; ;) {
    const rows = store.all<{ serial: number; body: Bytes }>(
      'SELECT serial, body FROM objects WHERE serial > ? AND serial <= ? ORDER BY serial',
      serial,
      lastOfBatch(store, serial),
    )
    const last = rows.at(-1)
    if (last === undefined) return
    await uploadObjects(
      access,
      rows.map((row) => new Uint8Array(row.body)),
    )
    serial = last.serial
    done += rows.length
    store.run('UPDATE relays SET uploaded = ? WHERE url = ?', serial, access.url)
    if (total > UPLOAD_ROWS) progress(done, total)
  }
}

/** Where a stored head stands, by the relay's word: only used to name it in `If-Match`. */
function standing(head: Envelope): { incarnation: number; version: number } {
  const { incarnation, version } = decodeJson(head.payload, MAX_ENVELOPE) as Record<string, unknown>
  return { incarnation: Number(incarnation), version: Number(version) }
}

async function enrol(
  store: Store,
  access: RelayAccess,
  trust: readonly Envelope[],
  invite: string,
): Promise<void> {
  const crls = currentCrls(store).map((crl) => new Uint8Array(crl.der))
  try {
    await enrolTenant(access, trust[0]!, crls, invite)
  } catch (cause) {
    if (!isKeyferryError(cause, 'ERR_UNAUTHORIZED')) throw cause
    const message = 'the relay does not know this tenant, and the invite is none of its INVITES'
    throw new KeyferryError('ERR_UNAUTHORIZED', message, { cause })
  }
  for (const next of trust.slice(1)) await postTrust(access, next)
}

/** What goes to the relay with a head; `null` if a CRL that it names was replaced: then the next head is due. */
function readPush(store: Store, row: HeadRow): Parameters<typeof pushHead>[1] | null {
  const head = decodeEnvelope(new Uint8Array(row.envelope))
  const { crls } = decodeJson(head.payload, MAX_ENVELOPE) as { crls: { hash: string }[] }
  const current = new Map(
    currentCrls(store).map(({ hash, der }) => [base64url(hash), new Uint8Array(der)]),
  )
  const named = crls.flatMap(({ hash }) => current.get(hash) ?? [])
  const catalog = store.get<{ envelope: Bytes }>(
    'SELECT envelope FROM catalogs WHERE number = ?',
    row.catalog,
  )!
  return named.length < crls.length
    ? null
    : { catalog: decodeEnvelope(new Uint8Array(catalog.envelope)), crls: named, head }
}

/** Lets everything go to a relay once more. One that is on the way goes on where it was. */
export function forgetRelay(store: Store, url: string): void {
  store.run(
    'UPDATE relays SET head = NULL, head_version = 0, uploaded = 0 WHERE url = ? AND head_version > 0',
    url,
  )
}

/** Forgets relays that are none of this tenant any more: nobody is told that one of them is behind. Returns their addresses. */
export function dropRelays(store: Store, present: readonly string[]): string[] {
  const gone = store
    .all<{ url: string }>('SELECT url FROM relays')
    .flatMap(({ url }) => (present.includes(url) ? [] : [url]))
  for (const url of gone) store.run('DELETE FROM relays WHERE url = ?', url)
  return gone
}

/**
 * Brings a relay to the newest head. Returns its version, or `null` if it was there already. Enrols the tenant where the relay does not know it and
 * there is an invite. Throws `ERR_CONFLICT` if the relay holds a head that is not below ours, or not of this database: another deriver is at work.
 */
export async function pushToRelay(
  store: Store,
  access: RelayAccess,
  trust: readonly Envelope[],
  invite: string | undefined,
  progress: (done: number, of: number) => void,
): Promise<number | null> {
  const { url } = access
  store.run(
    'INSERT OR IGNORE INTO relays (url, head, head_version, uploaded) VALUES (?, NULL, 0, 0)',
    url,
  )
  const head = store.get<HeadRow>(
    'SELECT * FROM heads WHERE envelope IS NOT NULL ORDER BY version DESC LIMIT 1',
  )
  if (head === undefined) return null
  const row = (): RelayRow => store.get<RelayRow>('SELECT * FROM relays WHERE url = ?', url)!
  if (row().head_version === head.version) return null
  let enrolled = false
  let complete = false
  let told = false
  let match = row().head
  for (let tries = 0; tries < 5; tries++) {
    try {
      // First of all: it may be what admits this deriver's certificate.
      for (const [i, next] of trust.entries()) {
        if (i + 1 <= row().trust) continue
        await postTrust(access, next)
        store.run('UPDATE relays SET trust = ? WHERE url = ?', i + 1, url)
      }
      await upload(store, access, row().uploaded, progress)
      const push = readPush(store, head)
      if (push === null) return null
      await pushHead(access, push, match)
      store.run(
        'UPDATE relays SET head = ?, head_version = ? WHERE url = ?',
        head.hash,
        head.version,
        url,
      )
      return head.version
    } catch (error) {
      const isBehind = isKeyferryError(error, 'ERR_HASH') || isKeyferryError(error, 'ERR_NOT_FOUND')
      if (isBehind && !told && trust.length > 1 && row().trust > 1) {
        // The relay was set back: it does not know the trust document that the head names, or that admits this certificate. Number 1 it has from
        // its enrolment; if not, the next round enrols.
        store.run('UPDATE relays SET trust = 1 WHERE url = ?', url)
        told = true
      } else if (isKeyferryError(error, 'ERR_NOT_FOUND') && invite !== undefined && !enrolled) {
        await enrol(store, access, trust, invite)
        store.run(
          'UPDATE relays SET head = NULL, head_version = 0, uploaded = 0, trust = ? WHERE url = ?',
          trust.length,
          url,
        )
        enrolled = true
        match = null
      } else if (isKeyferryError(error, 'ERR_NOT_FOUND') && enrolled) {
        // Where a relay runs in several places, those that were asked before remember for a second that there is no such tenant.
        await setTimeout(ENROLMENT_PAUSE)
      } else if (isKeyferryError(error, 'ERR_INCOMPLETE') && !complete) {
        // The relay lost objects, or was set back: everything goes there once more.
        store.run('UPDATE relays SET uploaded = 0 WHERE url = ?', url)
        complete = true
      } else if (error instanceof RelayProblem && error.code === 'ERR_CONFLICT') {
        if (error.head === null) {
          match = null
          continue
        }
        const there = standing(error.head)
        match = documentHash(error.head)
        if (equal(match, head.hash)) {
          store.run(
            'UPDATE relays SET head = ?, head_version = ? WHERE url = ?',
            head.hash,
            head.version,
            url,
          )
          return null
        }
        // PROTOCOL [deriver-7]: of this incarnation only a head of this database is replaced
        const isBelow =
          there.incarnation < head.incarnation ||
          (there.incarnation === head.incarnation &&
            there.version < head.version &&
            isOwnHead(store, there, match))
        if (!isBelow)
          throw new KeyferryError(
            'ERR_CONFLICT',
            `the relay holds head ${there.version}, which is not an earlier one of ours: is another deriver at work?`,
            {
              cause: error,
              hint: 'look for it, then keyferry audit verify: it asks the relay for its heads',
            },
          )
      } else {
        throw error
      }
    }
  }
  throw new KeyferryError('ERR_RELAY', 'the relay accepts no head')
}
