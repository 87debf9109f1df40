/** The relay is killed with SIGKILL while a tenant's database migrates from the first schema there was, and while it is collected. SLOW=1 does it 16 times. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createKeyring, openDeriver, rotateKeyring } from '../../deriver/index.ts'
import { LIMIT, SLOW } from '../lib/commands.ts'
import { initAcme } from '../lib/init-acme.ts'
import { spawnRelay, until, type RelayProcess } from '../lib/processes.ts'

const INVITE = 'invite'
const ROUNDS = SLOW ? 16 : 1
/** Objects that no head names. */
const GARBAGE = 40_000
/** Milliseconds that a relay takes to start, at most: the alarm comes after that. */
const START = 4_000
const COUNT = "SELECT count(*) FROM objects WHERE body = x'00'"
/** What later schemas have more than the first one. */
const LATER = ['heads', 'past', 'settings', 'tickets']

let directory: string
let relay: RelayProcess | undefined
const now = (): number => Math.floor(Date.now() / 1000)
const wait = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, Math.max(0, milliseconds)))

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyferry-test-'))
})
afterAll(async () => {
  await relay?.stop()
  rmSync(directory, { recursive: true, force: true })
})

/** The one tenant's database, and that of the alarms. */
function files(): { tenant: string; alarms: string } {
  const folder = join(directory, 'relay', 'do', '-Tenant')
  const sizes = new Map<string, number>()
  for (const file of readdirSync(folder)) {
    const [, name] = /^([0-9a-f]{64}\.sqlite)(-wal)?$/.exec(file) ?? []
    if (name !== undefined)
      sizes.set(name, (sizes.get(name) ?? 0) + statSync(join(folder, file)).size)
  }
  // The one that is pinged for its health is empty.
  const [[name]] = [...sizes].toSorted((a, b) => b[1] - a[1]) as [[string, number]]
  return { tenant: join(folder, name), alarms: join(folder, 'metadata.sqlite') }
}

function open<T>(file: string, work: (db: DatabaseSync) => T): T {
  const db = new DatabaseSync(file, { timeout: 5_000 })
  try {
    return work(db)
  } finally {
    db.close()
  }
}

interface Found {
  tables: string[]
  migrations: number
  garbage: number
  hashes: string[]
}

/** While no relay runs. */
function look(): Found {
  return open(files().tenant, (db) => {
    expect(db.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' })
    const list = (sql: string): string[] =>
      db
        .prepare(sql)
        .all()
        .map((row) => String(Object.values(row)[0]))
    return {
      tables: list("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"),
      migrations: list('SELECT created_at FROM __drizzle_migrations').length,
      garbage: Number(list(COUNT)[0]),
      hashes: list("SELECT hex(hash) FROM objects WHERE body <> x'00'"),
    }
  })
}

/** The database as the first schema had it, full of what nobody needs, with an alarm at a time (milliseconds). */
function setBack(alarm: number): void {
  const { tenant, alarms } = files()
  open(tenant, (db) => {
    db.exec('BEGIN')
    for (const table of LATER) db.exec(`DROP TABLE IF EXISTS ${table}`)
    const columns = db.prepare('PRAGMA table_info(crls)').all()
    if (columns.some(({ name }) => name === 'is_verified'))
      db.exec('ALTER TABLE crls DROP COLUMN is_verified')
    db.exec(
      'DELETE FROM __drizzle_migrations WHERE created_at > (SELECT min(created_at) FROM __drizzle_migrations)',
    )
    db.exec("DELETE FROM objects WHERE body = x'00'")
    const insert = db.prepare("INSERT INTO objects (hash, created, body) VALUES (?, 0, x'00')")
    for (let i = 0; i < GARBAGE; i++) insert.run(randomBytes(32))
    db.exec('COMMIT')
  })
  // Nanoseconds, in the two places where workerd looks.
  const time = BigInt(alarm) * 1_000_000n
  open(alarms, (db) => {
    expect(db.prepare('UPDATE _cf_ALARM SET scheduled_time = ?').run(time).changes).toBe(1)
  })
  open(tenant, (db) => {
    const sql = 'UPDATE _cf_METADATA SET value = ? WHERE key = 1'
    expect(db.prepare(sql).run(time).changes).toBe(1)
  })
}

it(
  '[relay-10] a relay killed while it migrates and collects did all of either or nothing, and goes on',
  async () => {
    relay = await spawnRelay(join(directory, 'relay'), INVITE)
    const tenant = join(directory, 'tenant')
    await initAcme(tenant, [relay.url])
    const codes: string[] = []
    const deriver = await openDeriver({
      directory: tenant,
      passphrase: null,
      invite: INVITE,
      report: (event) => event.type === 'relay-error' && codes.push(event.code),
    })
    createKeyring(
      deriver.store,
      { name: 'notes', rules: ['keyferry://client.acme.example/*'] },
      now(),
    )
    await deriver.step()
    codes.length = 0
    await relay.kill()
    const whole = look()
    expect(whole.tables).toEqual(expect.arrayContaining(LATER))
    // Nearer and nearer to where it is all done.
    let [early, late] = [0, 400]
    for (let round = 0; round < ROUNDS; round++) {
      const alarm = Date.now() + START
      setBack(alarm)
      expect(look().migrations).toBe(1)
      relay = await spawnRelay(join(directory, 'relay'), INVITE, relay.port)
      const delay = (early + late) / 2
      await wait(alarm + delay - Date.now())
      await relay.kill()
      const found = look()
      expect([0, GARBAGE]).toContain(found.garbage)
      expect([1, whole.migrations]).toContain(found.migrations)
      const isMigrated = found.migrations > 1
      for (const table of LATER) expect(found.tables.includes(table)).toBe(isMigrated)
      // Nothing is collected under a schema of before.
      expect(found.garbage === 0 && !isMigrated).toBe(false)
      expect(found.hashes).toEqual(expect.arrayContaining(whole.hashes))
      if (found.garbage === 0) late = delay
      else early = delay
      if (late - early < 2) [early, late] = [early - 20, late + 20]
    }
    setBack(Date.now())
    relay = await spawnRelay(join(directory, 'relay'), INVITE, relay.port)
    const garbage = (): number =>
      open(files().tenant, (db) => Number(Object.values(db.prepare(COUNT).get()!)[0]))
    await until(() => garbage() === 0, 'a collection')
    rotateKeyring(deriver.store, 'notes', now())
    await deriver.step()
    expect((await deriver.check(relay.url)).problems).toEqual([])
    // It had to bring nothing again.
    expect(codes).toEqual([])
    deriver.close()
  },
  LIMIT,
)
