/** A deriver killed with SIGKILL while it brings its database up to date, from every schema that there was: the next start goes on, and nothing is there by half. */
import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { migrateCa } from '../../deriver/ca-schema.ts'
import { caStorePath, MIGRATIONS, openStore, storePath } from '../../deriver/store.ts'

/** So many that a step over all of them takes a second. */
const KEYRINGS = 300
const DEVICES = 1_000
/** The step that notes for each device which erasable keyrings it may hold: the long one. */
const LONG_STEP = 7
const STORE = new URL('../../deriver/store.ts', import.meta.url).href

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

/** A database as the program left it that knew so many steps. */
function makeOld(format: number): void {
  const path = storePath(directory)
  const db = new DatabaseSync(path)
  db.exec('PRAGMA journal_mode = WAL')
  db.prepare('ATTACH DATABASE ? AS ca').run(caStorePath(directory))
  if (format >= 4) migrateCa(db, 'ca')
  for (const [i, step] of MIGRATIONS.slice(0, format).entries()) {
    db.exec(`BEGIN; ${step} PRAGMA user_version = ${i + 1}; COMMIT;`)
    if (i > 0) continue
    const numbers = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)'
    const id = "CAST(printf('%016d', i) AS BLOB)"
    db.prepare(
      `${numbers} INSERT INTO keyrings SELECT ${id}, 'k' || i, 'erasable', '[]', 0, 0, 0, 0, 1, 1, 1, 1, 0, NULL, NULL, NULL, NULL, NULL, 0 FROM n`,
    ).run(KEYRINGS)
    db.prepare(
      `${numbers} INSERT INTO devices SELECT ${id}, 'u', X'', X'', X'', X'', 's', 0, X'', X'', X'' FROM n`,
    ).run(DEVICES)
    db.exec("INSERT INTO denied VALUES (X'01', 1); INSERT INTO meta VALUES ('change', 7)")
  }
  db.close()
  chmodSync(path, 0o600)
  chmodSync(caStorePath(directory), 0o600)
}

/** Opens it in a process that is killed after so many milliseconds, unless it is done before. */
async function killAfter(milliseconds: number): Promise<void> {
  const code = `import { openStore } from ${JSON.stringify(STORE)}
    process.stdout.write('opens')
    openStore(${JSON.stringify(storePath(directory))})`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code])
  let said = ''
  child.stderr.on('data', (data: Buffer) => (said += data.toString()))
  const ended = new Promise((resolve) => child.once('close', resolve))
  await new Promise((resolve) => child.stdout.once('data', resolve))
  await Promise.race([setTimeout(milliseconds), ended])
  child.kill('SIGKILL')
  await ended
  expect(said.replaceAll(/.*(ExperimentalWarning|--trace-warnings).*\n/g, '')).toBe('')
}

/** What an onlooker finds: a whole number of steps. */
function formatNow(): number {
  const db = new DatabaseSync(storePath(directory))
  try {
    expect(db.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' })
    const { user_version } = db.prepare('PRAGMA user_version').get() as { user_version: number }
    const columns = db.prepare("SELECT 1 FROM pragma_table_info('devices') WHERE name = ?")
    expect(columns.get('public_key') !== undefined).toBe(user_version >= LONG_STEP)
    return user_version
  } finally {
    db.close()
  }
}

it.each(MIGRATIONS.map((_, i) => i + 1))(
  'from schema %i: each kill leaves a whole number of steps, and the next start does the rest',
  async (format) => {
    makeOld(format)
    const found: number[] = []
    // Each a little later, so that none passes over the long step on any machine.
    for (let i = 0; i < 40 && (found.at(-1) ?? format) < LONG_STEP - 1; i++) {
      await killAfter(10 * i)
      found.push(formatNow())
    }
    await killAfter(20)
    found.push(formatNow())
    // Never back, and, where the long step is to be done, cut off in the middle of it.
    expect(found).toEqual(found.toSorted((a, b) => a - b))
    expect(found[0]).toBeGreaterThanOrEqual(format)
    if (format < LONG_STEP) expect(found).toContain(LONG_STEP - 1)
    const store = openStore(storePath(directory))
    try {
      expect(store.get('PRAGMA user_version')).toEqual({ user_version: MIGRATIONS.length })
      const held = store.get<{ n: number }>('SELECT count(*) AS n FROM held')!
      expect(held.n).toBe(KEYRINGS * DEVICES)
      // Copied into the CA's file, and in one place only.
      expect(store.all('SELECT hex(key_id) AS id FROM ca.denied')).toEqual([{ id: '01' }])
      const own = "SELECT 1 FROM main.sqlite_schema WHERE name = 'denied'"
      expect(store.get(own)).toBeUndefined()
      // The step that marks everything as changed was done once.
      expect(store.counter('change')).toBe(8)
    } finally {
      store.close()
    }
  },
)
