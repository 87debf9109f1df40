/** Statements of a process while another one, of a later version, changes the tables. */
import { DatabaseSync } from 'node:sqlite'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { preparing } from '../../deriver/statement.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
})
afterEach(() => {
  rmSync(directory, { recursive: true })
})

it('a column that another process adds moves no value of a prepared statement to another name', () => {
  const path = join(directory, 'ca.db')
  const [db, other] = [new DatabaseSync(path), new DatabaseSync(path)]
  db.exec(`PRAGMA journal_mode = WAL; CREATE TABLE issued (serial TEXT); CREATE TABLE reasons (serial TEXT, reason INTEGER);
    INSERT INTO issued VALUES ('01'), ('02'); INSERT INTO reasons VALUES ('01', 5)`)
  const prepare = preparing(db)
  const joined = `SELECT i.*, r.reason FROM issued i LEFT JOIN reasons r ON r.serial = i.serial ORDER BY serial`
  const rows = [
    { serial: '01', reason: 5 },
    { serial: '02', reason: null },
  ]
  expect(prepare(joined).all()).toEqual(rows)
  expect(prepare(joined).get()).toEqual(rows[0])
  other.exec("ALTER TABLE issued ADD COLUMN place TEXT NOT NULL DEFAULT 'here'")
  const wider = rows.map((row) => ({ ...row, place: 'here' }))
  expect(prepare(joined).get()).toEqual(wider[0])
  expect(prepare(joined).all()).toEqual(wider)
  other.close()
  db.close()
})
