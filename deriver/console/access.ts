/**
 * Who is let into the console: one-time links, the sessions that they open, and tokens for scripts. Of each secret the database holds the SHA-256 alone, which
 * opens nothing; secrets are 32 random bytes, so that there is nothing to guess.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { base64url, hex, utf8, type Bytes } from '../../shared/bytes.ts'
import { KeyferryError } from '../../shared/errors.ts'
import { sha256 } from '../../shared/hash.ts'
import { appendLog } from '../log.ts'
import { type Store } from '../store.ts'

/** Seconds: that a link waits to be opened, that a session goes on without an action, and that it goes on at most. */
export const LINK_TIME = 600
export const IDLE_TIME = 1_800
export const SESSION_TIME = 8 * 3_600
/** Seconds: a token for scripts. */
const MAX_TOKEN_TIME = 366 * 86_400
const MAX_ACCESS = 256

/** What one may do: a reader sees everything that the console shows, and changes nothing. */
export type AccessKind = 'link' | 'session' | 'token' | 'reader'

/** Somebody who is let in. Times are seconds. */
export interface Access {
  /** First digits of the hash, in hex: what `console revoke` takes. */
  id: string
  kind: AccessKind
  /** Who it was made for: what the log says. */
  name: string
  made: number
  used: number
  ends: number
}

interface Row extends Omit<Access, 'id'> {
  hash: Bytes
  proof: Bytes
}

const secretText = (): string => base64url(new Uint8Array(randomBytes(32)))
const hashOf = (secret: string): Bytes => sha256(utf8(secret))

function checkName(name: string): string {
  if (name.length > 64 || !/^[\p{L}\p{N}][\p{L}\p{N} ._@+-]*$/u.test(name))
    throw new KeyferryError('ERR_USAGE', 'a name has 1 to 64 letters, digits, spaces and . _ @ + -')
  return name
}

function insert(store: Store, row: Row): void {
  const { n } = store.get<{ n: number }>('SELECT count(*) AS n FROM console_access')!
  if (n >= MAX_ACCESS)
    throw new KeyferryError('ERR_QUOTA', `at most ${MAX_ACCESS} links, sessions and tokens`)
  store.run(
    'INSERT INTO console_access VALUES (?, ?, ?, ?, ?, ?, ?)',
    row.hash,
    row.kind,
    row.name,
    row.proof,
    row.made,
    row.used,
    row.ends,
  )
}

function forgetEnded(store: Store, now: number): void {
  store.run(
    "DELETE FROM console_access WHERE ends < ?1 OR (kind = 'session' AND used + ?2 < ?1)",
    now,
    IDLE_TIME,
  )
}

/** Makes a one-time link's token for somebody. Returns the secret, which is nowhere else. */
export function makeLink(store: Store, name: string, now: number): string {
  const secret = secretText()
  const times = { made: now, used: now, ends: now + LINK_TIME }
  const row = { hash: hashOf(secret), proof: new Uint8Array(), name: checkName(name) }
  store.transaction(() => {
    forgetEnded(store, now)
    insert(store, { ...row, ...times, kind: 'link' })
  })
  return secret
}

/** Makes a token for scripts that ends after `lifetime` seconds. It is an entry of the log. Returns the secret. */
export function makeToken(
  store: Store,
  name: string,
  kind: 'token' | 'reader',
  lifetime: number,
  now: number,
): string {
  if (lifetime < 60 || lifetime > MAX_TOKEN_TIME)
    throw new KeyferryError('ERR_USAGE', 'a token lives for a minute to 366 days')
  const secret = secretText()
  const hash = hashOf(secret)
  const by = checkName(name)
  store.transaction(() => {
    forgetEnded(store, now)
    appendLog(store, 'console-opened', now, { by, session: hash })
    const row = { hash, proof: new Uint8Array(), name: by, kind }
    insert(store, { ...row, made: now, used: now, ends: now + lifetime })
  })
  return secret
}

/** A session that was just opened: the cookie's value, and the proof that the page sends beside it. */
export interface Opened {
  cookie: string
  proof: string
  access: Access
}

/**
 * Opens a session with a link's token, which it uses up. The entry of the log is written in the same transaction, before anything is shown. `null` for a token that is
 * none, was used or has ended.
 */
export function openSession(store: Store, token: string, now: number): Opened | null {
  const cookie = secretText()
  const proof = secretText()
  return store.transaction(() => {
    const link = store.get<Row>(
      "SELECT * FROM console_access WHERE hash = ? AND kind = 'link' AND ends >= ?",
      hashOf(token),
      now,
    )
    if (link === undefined) return null
    store.run('DELETE FROM console_access WHERE hash = ?', link.hash)
    const hash = hashOf(cookie)
    const { name } = link
    appendLog(store, 'console-opened', now, { by: name, session: hash })
    const times = { made: now, used: now, ends: now + SESSION_TIME }
    insert(store, { hash, kind: 'session', name, proof: hashOf(proof), ...times })
    return { cookie, proof, access: { id: idOf(hash), kind: 'session', name, ...times } }
  })
}

const idOf = (hash: Bytes): string => hex(new Uint8Array(hash)).slice(0, 12)

/** Somebody who is let in now, with the hash that the log calls them by. */
export interface Caller extends Access {
  session: Bytes
}

function callerOf({ hash, kind, name, made, used, ends }: Row): Caller {
  const session = new Uint8Array(hash)
  return { id: idOf(session), kind, name, made, used, ends, session }
}

/** The session of a cookie and the proof beside it; `null` where there is none or it has ended. */
export function sessionOf(store: Store, cookie: string, proof: string, now: number): Caller | null {
  const row = store.get<Row>(
    "SELECT * FROM console_access WHERE hash = ? AND kind = 'session'",
    hashOf(cookie),
  )
  if (row === undefined || row.ends < now || row.used + IDLE_TIME < now) return null
  return timingSafeEqual(row.proof, hashOf(proof)) ? callerOf(row) : null
}

/** Whoever a script's token is of; `null` where it is none or has ended. */
export function tokenOf(store: Store, token: string, now: number): Caller | null {
  const row = store.get<Row>(
    "SELECT * FROM console_access WHERE hash = ? AND kind IN ('token', 'reader') AND ends >= ?",
    hashOf(token),
    now,
  )
  return row === undefined ? null : callerOf(row)
}

/** Writes down what somebody is about to do, and that they are there. Throws `ERR_UNAUTHORIZED` for a session that was ended meanwhile. */
export function noteAction(
  store: Store,
  { session, name }: Caller,
  action: string,
  now: number,
): void {
  store.transaction(() => {
    if (store.get('SELECT 1 FROM console_access WHERE hash = ?', session) === undefined)
      throw new KeyferryError('ERR_UNAUTHORIZED', 'this session was ended')
    appendLog(store, 'console-ordered', now, { action: action.slice(0, 1_000), by: name, session })
    store.run('UPDATE console_access SET used = ? WHERE hash = ?', now, session)
  })
}

/** All that are let in now, oldest first. */
export function listAccess(store: Store, now: number): Access[] {
  return store.transaction(() => {
    forgetEnded(store, now)
    return store.all<Row>('SELECT * FROM console_access ORDER BY made, hash').map((row) => {
      const { session: _, ...access } = callerOf(row)
      return access
    })
  })
}

/** Ends links, sessions and tokens: one by its id, those of a name, or with `null` all. Returns how many. Throws `ERR_NOT_FOUND`. */
export function endAccess(store: Store, which: string | null): number {
  return store.transaction(() => {
    const ended = store
      .all<Row>('SELECT * FROM console_access')
      .filter((row) => which === null || row.name === which || idOf(row.hash) === which)
    for (const { hash } of ended) store.run('DELETE FROM console_access WHERE hash = ?', hash)
    if (ended.length === 0 && which !== null)
      throw new KeyferryError('ERR_NOT_FOUND', `nobody is let in as ${which}`)
    return ended.length
  })
}

/** Ends everything. Call it in a transaction. */
export function dropAccess(store: Store): void {
  store.run('DELETE FROM console_access')
}
