import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { and, asc, eq, gt, isNull } from 'drizzle-orm'
import { sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { drizzle } from 'drizzle-orm/sqlite-proxy'
import { type Keyring } from 'keyferry'
import { sealed, sealedFields } from './sealed.ts'

/** drizzle-kit reads the tables that are exported. @public */
export const notes = sqliteTable('notes', {
  id: text('id').primaryKey(),
  author: text('author').notNull(),
  title: sealed('title').notNull(),
  body: sealed('body'),
})

/** The notes of a database file, with title and body sealed in it. */
export function openNotes(path: string, keyring: Keyring) {
  const sqlite = new DatabaseSync(path)
  sqlite.exec(
    'CREATE TABLE IF NOT EXISTS notes (id TEXT PRIMARY KEY, author TEXT NOT NULL, title BLOB NOT NULL, body BLOB) STRICT',
  )
  const db = drizzle((query, values, method) => {
    const statement = sqlite.prepare(query)
    statement.setReturnArrays(true)
    const found = statement.all(...(values as SQLInputValue[])) as unknown[]
    return Promise.resolve({ rows: method === 'get' ? (found[0] as never) : found })
  })
  const fields = sealedFields<typeof notes.$inferSelect, 'title' | 'body'>(keyring, 'notes', [
    'title',
    'body',
  ])

  return {
    db,

    async add(note: { author: string; title: string; body: string | null }): Promise<string> {
      const id = crypto.randomUUID()
      await db.insert(notes).values(await fields.seal({ id, ...note }))
      return id
    },

    async by(author: string) {
      const rows = await db.select().from(notes).where(eq(notes.author, author))
      return Promise.all(rows.map((row) => fields.open(row)))
    },

    /** Encrypts again what is under an old version, in small batches. Returns how many rows. May be stopped and run again. */
    async rewrap(batch = 100): Promise<number> {
      let done = 0
      for (let after = ''; ;) {
        const page = db.select().from(notes).where(gt(notes.id, after))
        const rows = await page.orderBy(asc(notes.id)).limit(batch)
        if (rows.length === 0) return done
        after = rows.at(-1)!.id
        for (const row of rows.filter((one) => fields.isOld(one))) {
          const { title, body } = await fields.seal(await fields.open(row))
          // Not over what somebody else wrote meanwhile: that is new anyway.
          const isUnchanged = and(
            eq(notes.id, row.id),
            eq(notes.title, row.title),
            row.body === null ? isNull(notes.body) : eq(notes.body, row.body),
          )
          const update = db.update(notes).set({ title, body }).where(isUnchanged)
          const { length } = await update.returning({ id: notes.id })
          done += length
        }
      }
    },

    close: () => sqlite.close(),
  }
}
