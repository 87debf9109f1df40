/** Keyrings, versions and generations as rows: what is to be published. Nothing here needs a secret. */
import { base64url, type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { type KeyringKind } from '../shared/manifest.ts'
import { MAX_NAME } from '../shared/bundle.ts'
import { utf8 } from '../shared/bytes.ts'
import { appendLog } from './log.ts'
import { sortedRules } from './policy.ts'
import { random } from './random.ts'
import { findKeyring, type KeyringRow } from './rows.ts'
import { markChanged, type Store } from './store.ts'
import { addVersion } from './versions.ts'

export { findKeyring, type KeyringRow, type VersionRow } from './rows.ts'
export { addVersion, rotateKeyring } from './versions.ts'

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
  /** Requests that no rule covers wait for an administrator instead of being denied. */
  approvals?: boolean
}

const DAY = 86_400
/** Seconds: a hundred years, below what a manifest can hold. */
const MAX_PERIOD = 3_155_760_000

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
  options: Omit<KeyringOptions, 'kind'> & { id?: Bytes },
  kind: KeyringKind,
  now: number,
): { id: Bytes; name: string } {
  const { name, rules } = options
  if (!/\S/.test(name) || utf8(name).length > MAX_NAME)
    throw new KeyferryError('ERR_USAGE', 'a keyring name has 1 to 63 bytes')
  const sorted = sortedRules(rules)
  if (sorted.length === 0) throw new KeyferryError('ERR_USAGE', 'at least one rule is needed')
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
  const id = options.id ?? random(16)
  if (store.get('SELECT 1 FROM keyrings WHERE name = ?', name) !== undefined) {
    throw new KeyferryError('ERR_EXISTS', `keyring ${JSON.stringify(name)} exists already`)
  }
  store.run(
    `INSERT INTO keyrings (id, name, kind, rules, policy, offline, generation_max_age, cryptoperiod, decrypt_period, approvals,
       number, generation, encrypt_incarnation, encrypt_version, dirty, members_size)
     VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7, ?8, ?9, 0, 0, 0, 0, 1, 0)`,
    id,
    name,
    kind,
    JSON.stringify(sorted),
    options.offline ?? DAY,
    options.generationMaxAge ?? 30 * DAY,
    options.cryptoperiod ?? 90 * DAY,
    options.decryptPeriod ?? 5 * 365 * DAY,
    options.approvals === true ? 1 : 0,
  )
  appendLog(store, 'keyring-created', now, { keyring: id, kind, rules: sorted.join(' ') })
  addGeneration(store, id, now)
  return { id, name }
}

/** Names and ids for an app config. Throws `ERR_NOT_FOUND`. */
export function keyringIds(store: Store, names: readonly string[]): { id: string; name: string }[] {
  return names.map((name) => ({ id: base64url(findKeyring(store, name).id), name }))
}
