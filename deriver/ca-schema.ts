/**
 * Tables of the built-in CAs, in a file of their own beside the deriver's database: what was issued and which keys are denied. An enrolment
 * service opens this file alone, and so never holds a salt or a keyring. What a stop between the commits of the two files leaves is completed by finish-revocations.ts.
 */
import { type DatabaseSync } from 'node:sqlite'

/** Steps as in store.ts. `@` stands for the name under which the file is open. */
const MIGRATIONS = [
  `
CREATE TABLE IF NOT EXISTS @.issued (
  serial TEXT PRIMARY KEY, role TEXT NOT NULL, uri TEXT NOT NULL, key_id BLOB NOT NULL, not_after INTEGER NOT NULL, revoked INTEGER,
  made INTEGER NOT NULL, spki BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS @.issued_by_uri ON issued (uri);
CREATE TABLE IF NOT EXISTS @.denied (key_id BLOB PRIMARY KEY, since INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`,
]

/** Version of the tables that this program knows. */
export const CA_FORMAT: number = MIGRATIONS.length

/** Version of the tables in a file; 0 for a new one. */
export function caFormat(db: DatabaseSync, name: 'main' | 'ca'): number {
  return (db.prepare(`PRAGMA ${name}.user_version`).get() as { user_version: number }).user_version
}

/** Brings the tables up to date. */
export function migrateCa(db: DatabaseSync, name: 'main' | 'ca'): void {
  for (const [i, step] of MIGRATIONS.entries()) {
    db.exec('BEGIN IMMEDIATE')
    const sql = `${step.replaceAll('@', name)} PRAGMA ${name}.user_version = ${i + 1};`
    if (caFormat(db, name) <= i) db.exec(sql)
    db.exec('COMMIT')
  }
}

/** Copies what an earlier version kept in the deriver's own tables; their keys were not kept, which an empty `spki` says. */
export const COPY_TO_CA = `
INSERT OR IGNORE INTO ca.issued SELECT serial, role, uri, key_id, not_after, revoked, 0, X'' FROM main.issued;
INSERT OR IGNORE INTO ca.denied SELECT key_id, since FROM main.denied;
`
/**
 * The step that moves them. Two files do not commit as one, the deriver's first: so openStore has copied, and committed, before this step
 * copies what came in between and drops.
 */
export const MOVE_TO_CA = `${COPY_TO_CA}
DROP TABLE main.issued;
DROP TABLE main.denied;
`
