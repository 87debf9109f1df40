/**
 * What an insider at the relay sees: every row of its SQLite database, opened read-only beside the running relay. Nothing here has a key;
 * what it says of the rows is what anyone with the format's description can say.
 */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { inspect, type Inspection } from '../deriver/index.ts'
import { decodeJson, encodeJson } from '../shared/json.ts'

/** One blob of a row. */
export interface SeenValue {
  column: string
  bytes: number
  /** The first bytes. */
  hex: string
  kind: string
  /** What a signed statement says; absent for ciphertext and hashes. */
  claims?: Record<string, unknown>
}

export interface SeenRow {
  /** Numbers and short texts of the row. */
  plain: Record<string, string | number>
  values: SeenValue[]
}

export interface SeenTable {
  name: string
  rows: number
  bytes: number
  sample: SeenRow[]
}

/** The relay's whole store. */
export interface RelayView {
  /** Bytes of the database files. */
  size: number
  tables: SeenTable[]
  /** Stored values by what they are. */
  kinds: { kind: string; count: number; bytes: number }[]
}

const SAMPLE = 60
const PREVIEW = 48
const LIMIT_CLAIM = 400

function kindByMagic(data: Uint8Array): string {
  const magic = Buffer.from(data.subarray(0, 7)).toString('latin1')
  return /^KF[A-Z]{5}$/.test(magic) ? `binary ${magic}` : 'bytes'
}

function shorten(value: unknown): unknown {
  if (typeof value === 'string' && value.length > LIMIT_CLAIM)
    return `${value.slice(0, LIMIT_CLAIM)}…`
  if (Array.isArray(value)) return value.slice(0, 8).map(shorten)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, shorten(one)]))
}

/** A mailbox entry: a key package and a request, two signed documents in one JSON object. */
function mailboxEntry(data: Uint8Array): Inspection {
  const parts = decodeJson(new Uint8Array(data), 1_000_000) as Record<string, unknown>
  const claims = Object.entries(parts).map(([name, part]) => [
    name,
    inspect(encodeJson(part)).claims,
  ])
  return { kind: 'key request', claims: Object.fromEntries(claims) as Record<string, unknown> }
}

function look(column: string, data: Uint8Array): SeenValue {
  const hex = Buffer.from(data.subarray(0, PREVIEW)).toString('hex')
  const seen = { column, bytes: data.length, hex }
  if (data.length === 32) return { ...seen, kind: 'hash' }
  for (const read of [inspect, mailboxEntry]) {
    try {
      const { kind, claims } = read(new Uint8Array(data))
      return { ...seen, kind, claims: shorten(claims) as Record<string, unknown> }
    } catch {
      // Not that: the next one, or bytes.
    }
  }
  return { ...seen, kind: kindByMagic(data) }
}

function lookAtTable(database: DatabaseSync, name: string): SeenTable {
  const rows = database.prepare(`SELECT * FROM "${name}"`).all() as Record<string, unknown>[]
  const seen = rows.map((row): SeenRow => {
    const plain: Record<string, string | number> = {}
    const values: SeenValue[] = []
    for (const [column, value] of Object.entries(row)) {
      if (value instanceof Uint8Array) values.push(look(column, value))
      else if (typeof value === 'string') plain[column] = value.slice(0, LIMIT_CLAIM)
      else if (typeof value === 'number') plain[column] = value
    }
    return { plain, values }
  })
  const bytes = seen.flatMap((row) => row.values).reduce((sum, value) => sum + value.bytes, 0)
  return { name, rows: rows.length, bytes, sample: seen }
}

/** The tables of a tenant; null for a database that holds none. */
function lookAtDatabase(path: string): SeenTable[] | null {
  const database = new DatabaseSync(path, { readOnly: true, timeout: 2_000 })
  try {
    const names = database
      .prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
      .all()
      .map(({ name }) => String(name))
      .filter((name) => !name.startsWith('_') && !name.startsWith('sqlite_'))
    if (!names.includes('objects')) return null
    return names.map((name) => lookAtTable(database, name))
  } finally {
    database.close()
  }
}

/** Every file of the databases, the write-ahead logs too. */
function filesOf(databases: readonly string[]): string[] {
  return databases.flatMap((path) => [path, `${path}-wal`]).filter((path) => existsSync(path))
}

/** Looks at the relay's databases. */
export function viewRelay(databases: readonly string[]): RelayView {
  const tables = databases.flatMap((path) => lookAtDatabase(path) ?? [])
  const kinds = new Map<string, { kind: string; count: number; bytes: number }>()
  for (const { kind, bytes } of tables.flatMap(({ sample }) => sample.flatMap((r) => r.values))) {
    if (kind === 'hash') continue
    const total = kinds.get(kind) ?? { kind, count: 0, bytes: 0 }
    kinds.set(kind, { kind, count: total.count + 1, bytes: total.bytes + bytes })
  }
  return {
    size: filesOf(databases).reduce((sum, path) => sum + statSync(path).size, 0),
    tables: tables.map((table) => ({ ...table, sample: table.sample.slice(-SAMPLE) })),
    kinds: [...kinds.values()].toSorted((a, b) => b.bytes - a.bytes),
  }
}

/** The databases byte for byte, for a search. */
export function dumpRelay(databases: readonly string[]): Buffer {
  return Buffer.concat(filesOf(databases).map((path) => readFileSync(path)))
}
