/**
 * drizzle over the object's storage. Its query builders are used by themselves: drizzle's own database class for Durable Objects brings relational queries, a cache and
 * transactions that nothing here uses, a twentieth of the bundle. Selections are of one table, and every call is synchronous, as the storage is.
 */
import { Column, type SQL } from 'drizzle-orm'
import { type DrizzleSqliteDODatabase } from 'drizzle-orm/durable-sqlite'
import { migrate as migrateDrizzle } from 'drizzle-orm/durable-sqlite/migrator'
import {
  SQLiteDeleteBase,
  SQLiteInsertBuilder,
  SQLiteSelectBuilder,
  SQLiteSyncDialect,
  SQLiteUpdateBuilder,
} from 'drizzle-orm/sqlite-core'
import type migrations from './migrations/migrations.js'

export type Database = Pick<DrizzleSqliteDODatabase, 'select' | 'insert' | 'update' | 'delete'>

/** What drizzle makes of a query. */
interface Query {
  sql: string
  params: unknown[]
}
/** Where a value of a row goes: columns and expressions know how to read it. */
interface Field {
  path: string[]
  field: Column | { decoder: { mapFromDriverValue: (value: unknown) => unknown } }
}
type Row = Record<string, unknown>

type Session = ConstructorParameters<typeof SQLiteInsertBuilder>[1]

const dialect = new SQLiteSyncDialect()

function readRow(fields: readonly Field[], values: readonly unknown[]): Row {
  const row: Row = {}
  for (const [i, { path, field }] of fields.entries()) {
    const decoder = field instanceof Column ? field : field.decoder
    const value = values[i] ?? null
    row[path[0]!] = value === null ? null : decoder.mapFromDriverValue(value)
  }
  return row
}

function prepare(sql: SqlStorage, query: Query, fields: readonly Field[] = []) {
  const values = (): unknown[][] => [...sql.exec(query.sql, ...query.params).raw()]
  const all = (): Row[] => values().map((row) => readRow(fields, row))
  return { values, all, get: () => all()[0], run: () => void values() }
}

function sessionOf(sql: SqlStorage): Session {
  const prepareOneTimeQuery = (query: Query, fields?: Field[]) => prepare(sql, query, fields)
  return { prepareOneTimeQuery } as unknown as Session
}

export function openDatabase({ sql }: DurableObjectStorage): Database {
  const session = sessionOf(sql)
  const database = {
    select: (fields?: undefined) => new SQLiteSelectBuilder({ fields, session, dialect }),
    insert: (table: never) => new SQLiteInsertBuilder(table, session, dialect),
    update: (table: never) => new SQLiteUpdateBuilder(table, session, dialect),
    delete: (table: never) => new SQLiteDeleteBase(table, session, dialect),
  }
  return database as unknown as Database
}

/** Brings the tables to the newest schema, in one transaction. */
export function migrate(storage: DurableObjectStorage, steps: typeof migrations): Promise<void> {
  const values = (query: SQL): unknown[][] =>
    prepare(storage.sql, dialect.sqlToQuery(query)).values()
  const database = {
    run: values,
    values,
    // What a callback throws rolls back by itself.
    transaction: (change: (tx: { rollback: () => void }) => void) =>
      storage.transactionSync(() => change({ rollback: () => {} })),
  }
  return migrateDrizzle(database as unknown as DrizzleSqliteDODatabase, steps)
}
