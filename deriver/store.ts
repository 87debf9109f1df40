/**
 * The deriver's database (node:sqlite): the one place where numbers are allocated. Whoever can change it can stop the service and see who
 * has which keyring; keys are not in it, but the salts that derive them are.
 */
import { chmodSync, existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite'
import { type Bytes } from '../shared/bytes.ts'
import { KeyferryError } from '../shared/errors.ts'
import { requireOwn } from './permissions.ts'
import { preparing } from './statement.ts'
import { storeError } from './store-error.ts'
import { CA_FORMAT, caFormat, COPY_TO_CA, migrateCa, MOVE_TO_CA } from './ca-schema.ts'
import { finishRevocations } from './finish-revocations.ts'

/**
 * Steps from an empty database to the present one, each in a transaction of its own; `user_version` counts those that were done. A step that was
 * released never changes: what comes later is a new one at the end.
 */
export const MIGRATIONS: readonly string[] = [
  `
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE trust (number INTEGER PRIMARY KEY, hash BLOB NOT NULL, envelope BLOB NOT NULL) STRICT;
CREATE TABLE catalogs (
  number INTEGER PRIMARY KEY, hash BLOB NOT NULL, envelope BLOB NOT NULL, expires INTEGER NOT NULL, root BLOB NOT NULL, trust INTEGER NOT NULL
) STRICT;
CREATE TABLE heads (
  version INTEGER PRIMARY KEY, incarnation INTEGER NOT NULL, hash BLOB, envelope BLOB, catalog INTEGER NOT NULL, change INTEGER NOT NULL,
  issued INTEGER NOT NULL, expires INTEGER NOT NULL
) STRICT;
CREATE TABLE crls (issuer BLOB PRIMARY KEY, number INTEGER NOT NULL, hash BLOB NOT NULL, der BLOB NOT NULL, next_update INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE issued (
  serial TEXT PRIMARY KEY, role TEXT NOT NULL, uri TEXT NOT NULL, key_id BLOB NOT NULL, not_after INTEGER NOT NULL, revoked INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE keyrings (
  id BLOB PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, rules TEXT NOT NULL, offline INTEGER NOT NULL,
  generation_max_age INTEGER NOT NULL, cryptoperiod INTEGER NOT NULL, decrypt_period INTEGER NOT NULL,
  number INTEGER NOT NULL, generation INTEGER NOT NULL, encrypt_incarnation INTEGER NOT NULL, encrypt_version INTEGER NOT NULL,
  dirty INTEGER NOT NULL, manifest BLOB, bundle BLOB, release BLOB, members_index BLOB, members_root BLOB, members_size INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE versions (
  keyring BLOB NOT NULL, incarnation INTEGER NOT NULL, version INTEGER NOT NULL, algorithm INTEGER NOT NULL, nonce BLOB NOT NULL, salt BLOB NOT NULL,
  key_id BLOB, encrypt_from INTEGER NOT NULL, encrypt_until INTEGER NOT NULL, decrypt_until INTEGER NOT NULL, state TEXT NOT NULL,
  PRIMARY KEY (keyring, incarnation, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE generations (
  keyring BLOB NOT NULL, incarnation INTEGER NOT NULL, generation INTEGER NOT NULL, salt BLOB NOT NULL, made INTEGER NOT NULL,
  PRIMARY KEY (keyring, generation)
) STRICT, WITHOUT ROWID;
CREATE TABLE devices (
  key_id BLOB PRIMARY KEY, uri TEXT NOT NULL, fingerprint BLOB NOT NULL, certificates BLOB NOT NULL, issuers BLOB NOT NULL,
  package_hash BLOB NOT NULL, suite TEXT NOT NULL, expires INTEGER NOT NULL, channel_salt BLOB NOT NULL, channel_id BLOB NOT NULL,
  welcome_hash BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE packages (key_id BLOB PRIMARY KEY, version INTEGER NOT NULL, hash BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE denied (key_id BLOB PRIMARY KEY, since INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE members (
  keyring BLOB NOT NULL, slot INTEGER NOT NULL, device BLOB NOT NULL, leaf BLOB NOT NULL, PRIMARY KEY (keyring, slot)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX members_by_device ON members (device, keyring);
CREATE TABLE pages (
  keyring BLOB NOT NULL, page INTEGER NOT NULL, hash BLOB NOT NULL, root BLOB NOT NULL, PRIMARY KEY (keyring, page)
) STRICT, WITHOUT ROWID;
CREATE TABLE objects (serial INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, body BLOB NOT NULL) STRICT;
CREATE TABLE trees (name TEXT PRIMARY KEY, tree_index BLOB NOT NULL, root BLOB NOT NULL, size INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE relays (url TEXT PRIMARY KEY, head BLOB, head_version INTEGER NOT NULL, uploaded INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE requests (
  signer BLOB NOT NULL, nonce BLOB NOT NULL, hash BLOB NOT NULL, expires INTEGER NOT NULL, refusals TEXT NOT NULL, PRIMARY KEY (signer, nonce)
) STRICT, WITHOUT ROWID;
CREATE TABLE log (seq INTEGER PRIMARY KEY, leaf BLOB NOT NULL) STRICT;
`,
  // The newest trust document that a relay has: number 1 from its enrolment.
  `
ALTER TABLE relays ADD COLUMN trust INTEGER NOT NULL DEFAULT 1;
`,
  `
CREATE TABLE crl_sources (
  place TEXT PRIMARY KEY, issuer BLOB, every INTEGER NOT NULL, added INTEGER NOT NULL, due INTEGER NOT NULL, succeeded INTEGER, error TEXT,
  crl_issuer BLOB
) STRICT, WITHOUT ROWID;
CREATE TABLE own_issuers (key_id BLOB PRIMARY KEY, role TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE revocation_reasons (serial TEXT PRIMARY KEY, reason TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE alarms (what TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`,
  MOVE_TO_CA,
  // Lists by which the signers of heads were judged, for whoever checks these heads later. Every release gets an entry in the log.
  `
CREATE TABLE crl_history (hash BLOB PRIMARY KEY, der BLOB NOT NULL) STRICT, WITHOUT ROWID;
UPDATE keyrings SET dirty = 1, release = NULL, bundle = NULL;
UPDATE meta SET value = value + 1 WHERE name = 'change';
`,
  // Roots by number: every secret names the one that it comes from. Of a version, also the bytes that were imported, sealed under its secret.
  `
CREATE TABLE roots (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, place TEXT NOT NULL, mark BLOB, added INTEGER NOT NULL) STRICT;
INSERT INTO roots VALUES (1, 'main', 'file:master', NULL, 0);
INSERT INTO meta VALUES ('root', 1);
ALTER TABLE versions ADD COLUMN root INTEGER NOT NULL DEFAULT 1;
ALTER TABLE versions ADD COLUMN sealed BLOB;
ALTER TABLE generations ADD COLUMN root INTEGER NOT NULL DEFAULT 1;
ALTER TABLE devices ADD COLUMN root INTEGER NOT NULL DEFAULT 1;
CREATE TABLE imports (name TEXT PRIMARY KEY, mark BLOB NOT NULL, by TEXT NOT NULL, expires INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE exports (hash BLOB PRIMARY KEY, keyring BLOB NOT NULL, envelope BLOB NOT NULL) STRICT, WITHOUT ROWID;
`,
  // Life cycle: what is committed and bundled, who held cells of which generations, and what waits for somebody.
  `
ALTER TABLE keyrings ADD COLUMN policy TEXT NOT NULL DEFAULT '[]';
UPDATE keyrings SET policy = rules;
ALTER TABLE keyrings ADD COLUMN approvals INTEGER NOT NULL DEFAULT 0;
ALTER TABLE keyrings ADD COLUMN rules_checked INTEGER NOT NULL DEFAULT 1;
ALTER TABLE versions ADD COLUMN committed INTEGER NOT NULL DEFAULT 1;
ALTER TABLE versions ADD COLUMN bundled INTEGER NOT NULL DEFAULT 1;
ALTER TABLE versions ADD COLUMN activated INTEGER NOT NULL DEFAULT 0;
UPDATE versions SET activated = encrypt_from;
ALTER TABLE devices ADD COLUMN public_key BLOB;
CREATE TABLE held (device BLOB NOT NULL, keyring BLOB NOT NULL, generation INTEGER NOT NULL, PRIMARY KEY (device, keyring)) STRICT, WITHOUT ROWID;
INSERT INTO held SELECT d.key_id, k.id, 0 FROM devices d, keyrings k WHERE k.kind = 'erasable';
CREATE TABLE destructions (
  keyring BLOB NOT NULL, incarnation INTEGER NOT NULL, version INTEGER NOT NULL, ordered INTEGER NOT NULL, retention INTEGER NOT NULL,
  generation INTEGER NOT NULL, erased INTEGER NOT NULL, scrubbed INTEGER NOT NULL, completes INTEGER NOT NULL, devices INTEGER NOT NULL, record BLOB,
  PRIMARY KEY (keyring, incarnation, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE rekeys (device BLOB PRIMARY KEY, package_hash BLOB NOT NULL, ordered INTEGER NOT NULL, told INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE pending (
  id INTEGER PRIMARY KEY, device BLOB NOT NULL, keyring BLOB NOT NULL, uri TEXT NOT NULL, package BLOB NOT NULL, recipient BLOB NOT NULL,
  nonce BLOB NOT NULL, asked INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, told INTEGER NOT NULL, UNIQUE (device, keyring)
) STRICT;
`,
  // Who may write as the service, what the service says of itself to other processes, planned rotations, and who is let into the console.
  `
CREATE TABLE lease (
  id INTEGER PRIMARY KEY CHECK (id = 1), fence INTEGER NOT NULL, holder TEXT NOT NULL, place TEXT NOT NULL, taken INTEGER NOT NULL, until INTEGER NOT NULL
) STRICT;
CREATE TABLE conditions (what TEXT PRIMARY KEY, code TEXT NOT NULL, message TEXT NOT NULL, since INTEGER NOT NULL) STRICT, WITHOUT ROWID;
ALTER TABLE relays ADD COLUMN reached INTEGER;
ALTER TABLE keyrings ADD COLUMN rotate_at INTEGER;
CREATE TABLE heard (device BLOB PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE console_access (
  hash BLOB PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, proof BLOB NOT NULL, made INTEGER NOT NULL, used INTEGER NOT NULL, ends INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`,
]

/** A row as node:sqlite returns it. */
export type Row = Record<string, SQLOutputValue>
type Value = string | number | Bytes | null

/** The open database. */
export interface Store {
  /**
   * Runs a statement.
   * @internal
   */
  run(sql: string, ...values: Value[]): void
  /**
   * First row, if there is one.
   * @internal
   */
  get<T = Row>(sql: string, ...values: Value[]): T | undefined
  /** @internal */
  all<T = Row>(sql: string, ...values: Value[]): T[]
  /**
   * Runs `work` in one immediate transaction; a throw rolls back. `work` must not wait.
   * @internal
   */
  transaction<T>(work: () => T): T
  /**
   * Reads a counter; 0 if it was never set.
   * @internal
   */
  counter(name: string): number
  /**
   * Raises a counter by one and returns it.
   * @internal
   */
  next(name: string): number
  /** @internal */
  set(name: string, value: number): void
  close(): void
}

/** Path of the database in a deriver's directory. */
export function storePath(directory: string): string {
  return join(directory, 'deriver.db')
}

/** Path of the CA's tables in a directory. */
export function caStorePath(directory: string): string {
  return join(directory, 'ca.db')
}

/** Of a connection. What is written anew goes through memory: a temporary file would be outside of the directory, and keep what is erased. */
const CONNECTION = 'PRAGMA busy_timeout = 10000; PRAGMA temp_store = MEMORY;'
const PRAGMAS = (name: string): string =>
  `PRAGMA ${name}.journal_mode = WAL; PRAGMA ${name}.synchronous = FULL; PRAGMA ${name}.secure_delete = ON;`

/**
 * Attaches the CA's tables, so that plain SQL finds them. Without them the deriver would forget whom it denied: once they were moved there, the
 * file has to be there.
 */
function attachCa(db: DatabaseSync, path: string): void {
  const hasOwn =
    db.prepare("SELECT 1 FROM main.sqlite_schema WHERE name = 'denied'").get() !== undefined
  const isMoved = caFormat(db, 'main') > 0 && !hasOwn
  if (isMoved && !existsSync(path))
    throw new KeyferryError('ERR_IO', `${path} is not there: it holds which keys are denied`)
  db.prepare('ATTACH DATABASE ? AS ca').run(path)
  chmodSync(path, 0o600)
  const format = caFormat(db, 'ca')
  if (format > CA_FORMAT || (isMoved && format === 0))
    throw new KeyferryError('ERR_STATE', `${path} does not hold a CA's tables of this version`)
  db.exec(PRAGMAS('ca'))
  migrateCa(db, 'ca')
  if (hasOwn) db.exec(`BEGIN IMMEDIATE; ${COPY_TO_CA} COMMIT;`)
}

/** Does a step unless it was done, perhaps by another process just now. */
function migrate(db: DatabaseSync, version: number, step: string): void {
  db.exec('BEGIN IMMEDIATE')
  const { user_version } = db.prepare('PRAGMA user_version').get() as { user_version: number }
  if (user_version < version) db.exec(`${step} PRAGMA user_version = ${version};`)
  db.exec('COMMIT')
}

const formatOf = (db: DatabaseSync): number =>
  (db.prepare('PRAGMA user_version').get() as { user_version: number }).user_version

function requireFormat(db: DatabaseSync, what: string, create: boolean): void {
  const format = formatOf(db)
  if ((!create && format === 0) || format > MIGRATIONS.length)
    throw new KeyferryError('ERR_STATE', `${what} is not a deriver's database of this version`)
}

/** Brings a database up to date whose CA's tables are attached. Throws `ERR_STATE` for one of a later version, and for none. */
export function migrateStore(db: DatabaseSync, what: string, create = false): void {
  requireFormat(db, what, create)
  for (const [i, step] of MIGRATIONS.entries()) migrate(db, i + 1, step)
}

function cannotOpen(path: string, cause: unknown): KeyferryError {
  if (cause instanceof KeyferryError) return cause
  const named = storeError(cause)
  if (named === undefined) return new KeyferryError('ERR_IO', `${path} cannot be opened`, { cause })
  const { code, message, hint } = named
  return new KeyferryError(code, `${path}: ${message}`, { cause, hint: hint! })
}

/**
 * Opens the database of a deriver, and completes revocations that were cut off; with `create` it must not have been made before. Throws
 * `ERR_PERMISSIONS` for one that others can read, since the salts are in it, `ERR_IO`, `ERR_EXISTS`.
 */
export function openStore(path: string, create = false): Store {
  let db: DatabaseSync | undefined
  try {
    // SQLite would make the file, and leave it in the wrong place.
    if (!create && !existsSync(path)) throw new KeyferryError('ERR_IO', `${path} is not there`)
    for (const file of create ? [] : [path, `${path}-wal`]) requireOwn(file)
    db = new DatabaseSync(path)
    if (create) chmodSync(path, 0o600)
    db.exec(`${CONNECTION} ${PRAGMAS('main')}`)
    if (create && formatOf(db) !== 0)
      throw new KeyferryError('ERR_EXISTS', `${path} is a deriver's database already`)
    requireFormat(db, path, create)
    attachCa(db, caStorePath(dirname(path)))
    migrateStore(db, path, create)
    const store = storeOver(db)
    finishRevocations(store)
    return store
  } catch (cause) {
    db?.close()
    throw cannotOpen(path, cause)
  }
}

/**
 * Opens the CA's tables alone, for an enrolment service; they are made where there are none. Of a {@link Store} it has statements and
 * transactions, and no counters. Throws `ERR_IO`, `ERR_STATE`.
 */
export function openCaStore(path: string): Store {
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(path)
    chmodSync(path, 0o600)
    db.exec(`${CONNECTION} ${PRAGMAS('main')}`)
    if (caFormat(db, 'main') > CA_FORMAT)
      throw new KeyferryError('ERR_STATE', `${path} is of a later version`)
    migrateCa(db, 'main')
  } catch (cause) {
    db?.close()
    throw cannotOpen(path, cause)
  }
  return storeOver(db)
}

/** Statements and transactions over a database. */
export function storeOver(db: DatabaseSync): Store {
  const prepare = preparing(db)
  const store: Store = {
    run(sql, ...values) {
      prepare(sql).run(...values)
    },
    get: <T>(sql: string, ...values: Value[]) => prepare(sql).get<T>(...values),
    all: <T>(sql: string, ...values: Value[]) => prepare(sql).all<T>(...values),
    transaction(work) {
      db.exec('BEGIN IMMEDIATE')
      try {
        const result = work()
        db.exec('COMMIT')
        return result
      } catch (error) {
        // A failed COMMIT may have rolled back already; the first error is the one to tell.
        if (db.isTransaction) db.exec('ROLLBACK')
        throw error
      }
    },
    counter: (name) =>
      store.get<{ value: number }>('SELECT value FROM meta WHERE name = ?', name)?.value ?? 0,
    next(name) {
      store.run(
        'INSERT INTO meta VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1',
        name,
      )
      return store.counter(name)
    },
    set(name, value) {
      store.run(
        'INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2',
        name,
        value,
      )
    },
    close() {
      db.close()
    },
  }
  return store
}

/** Notes that something changed that the next head must show. Call it inside the transaction that changes it. */
export function markChanged(store: Store, keyring?: Bytes): void {
  store.next('change')
  if (keyring !== undefined) store.run('UPDATE keyrings SET dirty = 1 WHERE id = ?', keyring)
}
