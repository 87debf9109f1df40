/** Keyrings, versions and generations as rows: what is to be published. Nothing here needs a secret. */
import { base64url, hex, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { ALGORITHM, type KeyringKind } from '../shared/manifest.ts'
import { MAX_NAME } from '../shared/bundle.ts'
import { utf8 } from '../shared/bytes.ts'
import { appendLog } from './log.ts'
import { random } from './random.ts'
import { markChanged, type Store } from './store.ts'

/** A row of `keyrings`. */
export interface KeyringRow {
  id: Bytes
  name: string
  kind: KeyringKind
  rules: string
  offline: number
  generation_max_age: number
  cryptoperiod: number
  decrypt_period: number
  number: number
  generation: number
  encrypt_incarnation: number
  encrypt_version: number
  dirty: number
  manifest: Bytes | null
  bundle: Bytes | null
  release: Bytes | null
  members_index: Bytes | null
  members_root: Bytes | null
  members_size: number
}

/** States of SP 800-57 that a release adds to the manifest's windows; `skipped` is a version that was never used. */
export type VersionState = 'active' | 'deactivated' | 'compromised' | 'skipped'

/** A row of `versions`. */
export interface VersionRow {
  keyring: Bytes
  incarnation: number
  version: number
  algorithm: number
  nonce: Bytes
  salt: Bytes
  key_id: Bytes | null
  encrypt_from: number
  encrypt_until: number
  decrypt_until: number
  state: VersionState
  /** Number of the root that its secret comes from. */
  root: number
  /** Imported bytes, sealed under its secret; where there are none, none were imported. */
  sealed: Bytes | null
}

/** Settings of a new keyring. Times are seconds. */
export interface KeyringOptions {
  name: string
  rules: string[]
  kind?: Exclude<KeyringKind, 'imported'>
  /** How long decryption goes on without a fresh head. Default 1 day. */
  offline?: number
  /** Default 30 days. */
  generationMaxAge?: number
  /** How long a version encrypts. Default 90 days. */
  cryptoperiod?: number
  /** How long a version decrypts after that. Default 5 years. */
  decryptPeriod?: number
}

const DAY = 86_400
/** Versions begin a little earlier than they are made, for clients whose clock is late. Seconds. */
const BACKDATE = 300
/** Seconds: a hundred years, below what a manifest can hold. */
const MAX_PERIOD = 3_155_760_000

/** The keyring of this name. Throws `ERR_NOT_FOUND`. */
export function findKeyring(store: Store, name: string): KeyringRow {
  const row = store.get<KeyringRow>('SELECT * FROM keyrings WHERE name = ?', name)
  if (row === undefined)
    throw new KeyferryError('ERR_NOT_FOUND', `no keyring ${JSON.stringify(name)}`)
  return row
}

/** Adds a version and makes it the one to encrypt with. Call it in a transaction. Returns its number. */
export function addVersion(store: Store, keyring: Bytes, now: number): number {
  const row = store.get<KeyringRow>('SELECT * FROM keyrings WHERE id = ?', keyring)!
  const incarnation = store.counter('incarnation')
  const last =
    store.get<{ v: number | null }>(
      'SELECT max(version) AS v FROM versions WHERE keyring = ?',
      keyring,
    )?.v ?? 0
  // PROTOCOL [deriver-1]
  const version = last + 1
  const salt = row.kind === 'erasable' ? random(32) : new Uint8Array()
  const until = now + row.cryptoperiod
  store.run(
    'INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, NULL, ?, ?, ?, ?, ?, NULL)',
    keyring,
    incarnation,
    version,
    ALGORITHM,
    random(16),
    salt,
    now - BACKDATE,
    until,
    until + row.decrypt_period,
    'active',
    store.counter('root'),
  )
  store.run(
    'UPDATE keyrings SET number = number + 1, encrypt_incarnation = ?, encrypt_version = ? WHERE id = ?',
    incarnation,
    version,
    keyring,
  )
  appendLog(store, 'version-created', now, { keyring, incarnation, version })
  markChanged(store, keyring)
  return version
}

/** Begins a generation with a key-encryption key of its own. Call it in a transaction; members are packed again by the caller. */
export function addGeneration(store: Store, keyring: Bytes, now: number): number {
  const incarnation = store.counter('incarnation')
  store.run('UPDATE keyrings SET generation = generation + 1 WHERE id = ?', keyring)
  const { generation } = store.get<KeyringRow>('SELECT * FROM keyrings WHERE id = ?', keyring)!
  store.run(
    'INSERT INTO generations VALUES (?, ?, ?, ?, ?, ?)',
    keyring,
    incarnation,
    generation,
    random(32),
    now,
    store.counter('root'),
  )
  appendLog(store, 'generation-created', now, { keyring, incarnation, generation })
  markChanged(store, keyring)
  return generation
}

const RULE = /^[a-z][a-z0-9+.-]*:\/\/[A-Za-z0-9._~:/%@!$&'()+,;=-]+\*?$/

/** Makes a keyring with its first version and generation. Throws `ERR_EXISTS`, `ERR_USAGE`. */
export function createKeyring(
  store: Store,
  options: KeyringOptions,
  now: number,
): { id: Bytes; name: string } {
  return store.transaction(() => {
    const made = insertKeyring(store, options, options.kind ?? 'recoverable', now)
    addVersion(store, made.id, now)
    return made
  })
}

/** Makes a keyring with its first generation and without a version. Call it in a transaction. Throws `ERR_EXISTS`, `ERR_USAGE`. */
export function insertKeyring(
  store: Store,
  options: Omit<KeyringOptions, 'kind'>,
  kind: KeyringKind,
  now: number,
): { id: Bytes; name: string } {
  const { name, rules } = options
  if (!/\S/.test(name) || utf8(name).length > MAX_NAME)
    throw new KeyferryError('ERR_USAGE', 'a keyring name has 1 to 63 bytes')
  const bad = rules.find((rule) => !RULE.test(rule) || (rule.endsWith('*') && !rule.endsWith('/*')))
  if (bad !== undefined || rules.length === 0 || rules.length > 256) {
    throw new KeyferryError('ERR_USAGE', `not a SAN rule: ${bad ?? 'at least one is needed'}`)
  }
  for (const [what, value, least] of [
    ['offline', options.offline, 0],
    ['generation-max-age', options.generationMaxAge, 3_600],
    ['cryptoperiod', options.cryptoperiod, 3_600],
    ['decrypt-period', options.decryptPeriod, 0],
  ] as const) {
    if (
      value !== undefined &&
      !(Number.isInteger(value) && value >= least && value <= MAX_PERIOD)
    ) {
      throw new KeyferryError(
        'ERR_USAGE',
        `${what} is a number of seconds from ${least} to ${MAX_PERIOD}`,
      )
    }
  }
  const id = random(16)
  const sorted = [...new Set(rules)].toSorted((a, b) =>
    Buffer.compare(Buffer.from(a), Buffer.from(b)),
  )
  if (store.get('SELECT 1 FROM keyrings WHERE name = ?', name) !== undefined) {
    throw new KeyferryError('ERR_EXISTS', `keyring ${JSON.stringify(name)} exists already`)
  }
  store.run(
    'INSERT INTO keyrings VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 1, NULL, NULL, NULL, NULL, NULL, 0)',
    id,
    name,
    kind,
    JSON.stringify(sorted),
    options.offline ?? DAY,
    options.generationMaxAge ?? 30 * DAY,
    options.cryptoperiod ?? 90 * DAY,
    options.decryptPeriod ?? 5 * 365 * DAY,
  )
  appendLog(store, 'keyring-created', now, { keyring: id, kind, rules: sorted.join(' ') })
  addGeneration(store, id, now)
  return { id, name }
}

/** Makes a new version of a keyring the one to encrypt with; the others go on decrypting. Throws `ERR_NOT_FOUND`. */
export function rotateKeyring(store: Store, name: string, now: number): number {
  return store.transaction(() => addVersion(store, findKeyring(store, name).id, now))
}

/** Keyrings whose version to encrypt with ends within its last tenth get the next one. Call it from time to time. */
export function rotateDue(store: Store, now: number): string[] {
  const due = store.all<{ name: string }>(
    `SELECT k.name FROM keyrings k JOIN versions v ON v.keyring = k.id AND v.incarnation = k.encrypt_incarnation AND v.version = k.encrypt_version
     WHERE v.encrypt_until - k.cryptoperiod / 10 < ?`,
    now,
  )
  for (const { name } of due) rotateKeyring(store, name, now)
  return due.map(({ name }) => name)
}

/** Names and ids for an app config. Throws `ERR_NOT_FOUND`. */
export function keyringIds(store: Store, names: readonly string[]): { id: string; name: string }[] {
  return names.map((name) => ({ id: base64url(findKeyring(store, name).id), name }))
}

/** For messages to people: the first digits of an id. */
export function shortId(id: Bytes): string {
  return hex(id).slice(0, 8)
}
