import { customType } from 'drizzle-orm/sqlite-core'
import { type Keyring } from 'keyferry'

/** A column that holds a message. What goes in was sealed before, what comes out is opened afterwards: see {@link sealedFields}. */
export const sealed = customType<{ data: Uint8Array; driverData: Uint8Array }>({
  dataType: () => 'blob',
})

/** A row with its sealed columns as text, as the app has it. */
export type Opened<Row, Name extends keyof Row> = Omit<Row, Name> & {
  [N in Name]: null extends Row[N] ? string | null : string
}

/**
 * Seals and opens columns of a table. Each field is bound to table, column and row: one that is moved elsewhere does not open. So `id` must be
 * known before the row is inserted, and never change.
 */
export function sealedFields<Row extends { id: string }, Name extends keyof Row & string>(
  keyring: Keyring,
  table: string,
  columns: readonly Name[],
) {
  const contextOf = (column: string, id: string) => JSON.stringify([table, column, id])

  async function each<From, To>(
    row: Record<string, unknown> & { id: string },
    change: (value: From, context: string) => Promise<To>,
  ): Promise<Record<string, unknown>> {
    const fields = columns.map(async (column) => {
      const value = row[column] as From | null
      return [column, value === null ? null : await change(value, contextOf(column, row.id))]
    })
    return Object.fromEntries(await Promise.all(fields)) as Record<string, unknown>
  }

  return {
    /** For `insert` and `update`. */
    async seal(row: Opened<Row, Name>): Promise<Row> {
      const fields = await each(
        row as Opened<Row, Name> & { id: string },
        (text: string, context) => keyring.encrypt(text, { context }),
      )
      return { ...row, ...fields } as unknown as Row
    },

    /** After `select`. Throws `ERR_OPEN` for a field that is not this row's. */
    async open(row: Row): Promise<Opened<Row, Name>> {
      const fields = await each(row, (message: Uint8Array, context) =>
        keyring.decrypt(message, { context, as: 'text' }),
      )
      return { ...row, ...fields } as unknown as Opened<Row, Name>
    },

    /** Whether a field of the row is under an old version. Needs no key. */
    isOld: (row: Row): boolean =>
      columns.some((column) => {
        const message = row[column] as Uint8Array | null
        return message !== null && keyring.needsRewrap(message)
      }),
  }
}
