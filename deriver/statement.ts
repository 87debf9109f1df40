/** Statements of node:sqlite, each prepared once. */
import { type DatabaseSync, type SQLInputValue } from 'node:sqlite'

interface Statement {
  run(...values: SQLInputValue[]): void
  get<T>(...values: SQLInputValue[]): T | undefined
  all<T>(...values: SQLInputValue[]): T[]
}

/** Rows come as lists of values: the objects that node:sqlite makes are dictionaries, which take three times as long to make and to read. */
function prepareStatement(db: DatabaseSync, sql: string): Statement {
  const statement = db.prepare(sql)
  statement.setReturnArrays(true)
  let names: string[] = []
  let blank: Record<string, unknown> = {}
  const rowOf = <T>(listed: unknown): T => {
    const values = listed as unknown[]
    // SQLite prepares a statement again when a process of a later version has added a column.
    if (values.length !== names.length) {
      names = statement.columns().map(({ name }) => name)
      blank = Object.fromEntries(names.map((name) => [name, null]))
    }
    const row = { ...blank }
    for (let i = 0; i < names.length; i++) row[names[i]!] = values[i]
    return row as T
  }
  return {
    run(...values) {
      statement.run(...values)
    },
    get<T>(...values: SQLInputValue[]) {
      const row = statement.get(...values)
      return row && rowOf<T>(row)
    },
    all: <T>(...values: SQLInputValue[]) => statement.all(...values).map((row) => rowOf<T>(row)),
  }
}

/** What gives a database's statements by their text. */
export function preparing(db: DatabaseSync): (sql: string) => Statement {
  const known = new Map<string, Statement>()
  return (sql) => {
    const statement = known.get(sql) ?? prepareStatement(db, sql)
    known.set(sql, statement)
    return statement
  }
}
