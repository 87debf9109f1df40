/** What becomes of stored rows: migrations from every schema, what is kept for how long, and what memory and limits cost. */
import { env } from 'cloudflare:workers'
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { beforeEach, describe, expect, it } from 'vitest'
import { paths } from '../../shared/api.ts'
import { base64url, type Bytes } from '../../shared/bytes.ts'
import { isKeyferryError } from '../../shared/errors.ts'
import { sha256 } from '../../shared/hash.ts'
import { MAX_CRL, MAX_ENVELOPE, MAX_OBJECT, MAX_REQUEST } from '../../shared/limits.ts'
import { readBody } from '../../worker/body.ts'
import { KEEP } from '../../worker/collect.ts'
import { migrate } from '../../worker/database.ts'
import { MAX_OPEN_EACH } from '../../worker/mailbox.ts'
import { MAX_ROW } from '../../worker/objects.ts'
import { Meter } from '../../worker/settings.ts'
import { migrations } from '../../worker/tenant.ts'
import { makeRequest } from '../lib/documents.ts'
import { enrol, pushAll, pushHead, send, sendCall, upload } from '../lib/calls.ts'
import { makeKeyring, publish, type Keyring, type Publication } from '../lib/publication.ts'
import { makeClient, makeWorld, random, type Client, type World } from '../lib/world.ts'
import { countRows, query, relay, stubOf } from './relay.ts'

let world: World
let alice: Client
let keyrings: Keyring[]
let first: Publication

beforeEach(async () => {
  world = await makeWorld()
  alice = await makeClient(world, 'alice')
  await enrol(relay, world)
  keyrings = [makeKeyring('one', [alice], 10), makeKeyring('two', [alice], 10)]
  first = await publish(world, keyrings)
  await pushAll(relay, world, first, null)
})

const hashes = async (): Promise<Set<string>> =>
  new Set(
    (await query(world.tenant, 'SELECT hash FROM objects')).map((row) =>
      base64url(new Uint8Array(row['hash'] as ArrayBuffer)),
    ),
  )

describe('rows', () => {
  it('a push for M members writes about M / 256 of them', async () => {
    for (const members of [100, 2_600]) {
      const crowd = makeKeyring(`crowd of ${members}`, [alice], members)
      const before = await publish(world, [crowd])
      await upload(relay, world, before.objects)
      crowd.generation++
      const next = await publish(world, [crowd], { version: 2, catalogNumber: 2 })
      const counting = await countRows(world.tenant)
      await upload(relay, world, next.objects)
      const { written } = await counting.stop()
      // Pages and index of members, bundle, manifest, release, a page and an index for releases and for manifests; the head is one more.
      expect(written).toBeLessThanOrEqual(Math.ceil(members / 256) + 9)
    }
  })

  it('a head reads no object that was just pushed: members of ten pages cost as few rows as none', async () => {
    const crowd = makeKeyring('crowd', [alice], 2_600)
    const next = await publish(world, [crowd], { version: 2, catalogNumber: 2 })
    await upload(relay, world, next.objects)
    const counting = await countRows(world.tenant)
    expect((await pushHead(relay, world, next, first.headHash)).status).toBe(204)
    // The welcome, the bundle and what the heads have in rows of their own.
    expect((await counting.stop()).read).toBeLessThan(25)
  })

  it('no body can be larger than a row may be', async () => {
    // Two envelopes share a row; a request is stored as it came.
    for (const most of [MAX_OBJECT, MAX_CRL, 2 * MAX_ENVELOPE + 1_024, MAX_REQUEST])
      expect(most).toBeLessThan(MAX_ROW)
    await runInDurableObject(stubOf(world.tenant), (tenant) => {
      const body = new Uint8Array(MAX_ROW + 1)
      expect(() => tenant.addObjects([{ hash: random(32), body }], world.now)).toThrow()
    })
    expect((await hashes()).size).toBe(
      new Set(first.objects.map((one) => base64url(sha256(one)))).size,
    )
  })

  it('[relay-9] a client at its limit costs no row with each further request', async () => {
    const ask = async (): Promise<number> => {
      const request = await makeRequest(world, alice, [random(16)])
      const call = { call: 'request', package: alice.package, request } as const
      return (await sendCall(relay, world, alice.signer, call)).status
    }
    for (let i = 0; i < MAX_OPEN_EACH; i++) expect(await ask()).toBe(202)
    const counting = await countRows(world.tenant)
    for (let i = 0; i < 5; i++) expect(await ask()).toBe(429)
    expect(await counting.stop()).toEqual({ read: 0, written: 0 })
    await query(world.tenant, 'UPDATE requests SET expires = 5 WHERE seq = 1')
    await evictDurableObject(stubOf(world.tenant))
    expect([await ask(), await ask()]).toEqual([202, 429])
  })

  it('[relay-9] expired requests make room, in the database too, and their numbers do not come again', async () => {
    const ask = async (): Promise<number> => {
      const request = await makeRequest(world, alice, [random(16)])
      const call = { call: 'request', package: alice.package, request } as const
      return (await sendCall(relay, world, alice.signer, call)).status
    }
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < MAX_OPEN_EACH; i++) expect(await ask()).toBe(202)
      await query(world.tenant, 'UPDATE requests SET expires = 5')
      await evictDurableObject(stubOf(world.tenant))
    }
    expect(await ask()).toBe(202)
    // The last one that expired stays for its number.
    expect(await query(world.tenant, 'SELECT seq FROM requests')).toEqual([
      { seq: 3 * MAX_OPEN_EACH },
      { seq: 3 * MAX_OPEN_EACH + 1 },
    ])
  })
})

describe('collection', () => {
  const collectAt = (time: number): Promise<number> => stubOf(world.tenant).collect(time)
  const age = (): Promise<unknown> =>
    query(world.tenant, 'UPDATE objects SET created = ?', world.now - 10 * KEEP)

  it('counts from the last head that named an object, not from when it came', async () => {
    await age()
    const next = await publish(world, [keyrings[0]!], { version: 2, catalogNumber: 2 })
    await pushAll(relay, world, next, first.headHash)
    expect(await collectAt(world.now + KEEP - 60)).toBe(0)
    // So a head that names them again needs no upload.
    const back = await publish(world, keyrings, { version: 3, catalogNumber: 3 })
    await upload(relay, world, back.objects.slice(-4))
    expect((await pushHead(relay, world, back, next.headHash)).status).toBe(204)
    const last = await publish(world, [keyrings[0]!], { version: 4, catalogNumber: 4 })
    await pushAll(relay, world, last, back.headHash)
    await age()
    expect(await collectAt(world.now + KEEP + 60)).toBeGreaterThan(0)
    const left = await hashes()
    expect(last.objects.every((body) => left.has(base64url(sha256(body))))).toBe(true)
    expect(await query(world.tenant, 'SELECT * FROM past')).toEqual([])
  })

  it('leaves a list that has run out and that the head names: what verifies senders is fetched by it', async () => {
    const list = world.cas.client.crl
    await query(world.tenant, 'UPDATE crls SET next_update = 5')
    await query(
      world.tenant,
      'INSERT INTO crls SELECT randomblob(32), number, randomblob(32), 5, 0, 1, der FROM crls LIMIT 1',
    )
    const count = async () => (await query(world.tenant, 'SELECT hash FROM crls')).length
    const before = await count()
    await collectAt(world.now)
    expect(await count()).toBe(before - 1)
    expect(await stubOf(world.tenant).object(sha256(list))).toEqual(list)
  })

  it('takes tickets that have run out', async () => {
    const insert = 'INSERT INTO tickets (hash, expires) VALUES (?, ?)'
    await query(world.tenant, insert, random(32), world.now - 1)
    await query(world.tenant, insert, random(32), world.now + 1)
    await collectAt(world.now)
    expect(await query(world.tenant, 'SELECT expires FROM tickets')).toEqual([
      { expires: world.now + 1 },
    ])
  })

  it('enters a tenant into the list that is not there', async () => {
    const registry = env.REGISTRY.getByName('registry')
    await registry.remove(world.tenant)
    await runDurableObjectAlarm(stubOf(world.tenant))
    const { tenants } = await registry.list('')
    expect(tenants.map(({ tenant }) => tenant)).toContain(world.tenant)
  })

  it('the list goes on where it ended', async () => {
    const registry = env.REGISTRY.getByName('pages')
    for (const one of ['a', 'b', 'c']) await registry.add(one, 1)
    const first2 = await registry.list('', 2)
    expect(first2).toMatchObject({ next: 'b', tenants: [{ tenant: 'a' }, { tenant: 'b' }] })
    expect(await registry.list('b', 2)).toMatchObject({ next: null, tenants: [{ tenant: 'c' }] })
  })
})

describe('migrations', () => {
  const { journal, migrations: sql } = migrations as {
    journal: { entries: { idx: number; when: number; tag: string }[] }
    migrations: Record<string, string>
  }
  /** The SQL of the first so many, as a relay of that time ran it. */
  const statements = (count: number): string[] =>
    journal.entries
      .slice(0, count)
      .flatMap(({ idx }) =>
        sql[`m${String(idx).padStart(4, '0')}`]!.split('--> statement-breakpoint'),
      )

  it.each(journal.entries.map(({ tag }, i) => [i + 1, tag] as const))(
    'a tenant of schema %i (%s) is served, with all that it had',
    async (count) => {
      const rows = {
        objects: await query(world.tenant, 'SELECT * FROM objects'),
        trusts: await query(world.tenant, 'SELECT * FROM trusts'),
        current: await query(world.tenant, 'SELECT * FROM current'),
        crls: await query(world.tenant, 'SELECT * FROM crls'),
      }
      await runInDurableObject(stubOf(world.tenant), (_, state) => {
        const { sql: db } = state.storage
        const tables = db
          .exec<{ name: string }>(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\' AND name NOT LIKE 'sqlite%'",
          )
          .toArray()
        for (const { name } of tables) db.exec(`DROP TABLE "${name}"`)
        for (const statement of statements(count)) db.exec(statement)
        db.exec(
          'CREATE TABLE __drizzle_migrations (id INTEGER PRIMARY KEY, hash text NOT NULL, created_at numeric)',
        )
        for (const { when } of journal.entries.slice(0, count))
          db.exec("INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('', ?)", when)
        for (const [table, list] of Object.entries(rows)) {
          const known = new Set(
            db
              .exec<{ name: string }>(`PRAGMA table_info(${table})`)
              .toArray()
              .map(({ name }) => name),
          )
          for (const row of list) {
            const columns = Object.keys(row).filter((name) => known.has(name))
            db.exec(
              `INSERT INTO ${table} (${columns.join()}) VALUES (${columns.map(() => '?').join()})`,
              ...columns.map((name) => row[name]),
            )
          }
        }
      })
      await evictDurableObject(stubOf(world.tenant))
      const answer = await send(relay, paths.head(world.tenant), world.deriver)
      expect(answer.status).toBe(200)
      const next = await publish(world, [keyrings[0]!], { version: 2, catalogNumber: 2 })
      await pushAll(relay, world, next, first.headHash)
      expect((await hashes()).size).toBeGreaterThanOrEqual(rows.objects.length)
      await runDurableObjectAlarm(stubOf(world.tenant))
    },
  )
})

it('a migration that fails leaves the tables as they were', async () => {
  const { journal, migrations: sql } = migrations as {
    journal: { entries: { idx: number; when: number; tag: string; breakpoints: boolean }[] }
    migrations: Record<string, string>
  }
  const last = journal.entries.at(-1)!
  const next = { ...last, idx: last.idx + 1, when: last.when + 1, tag: 'broken' }
  const broken = {
    journal: { ...journal, entries: [...journal.entries, next] },
    migrations: {
      ...sql,
      [`m${String(next.idx).padStart(4, '0')}`]:
        'CREATE TABLE half (id INTEGER PRIMARY KEY);--> statement-breakpoint\nNO SQL',
    },
  }
  await runInDurableObject(stubOf(world.tenant), async (_, state) => {
    await expect(migrate(state.storage, broken as typeof migrations)).rejects.toThrow()
  })
  expect(await query(world.tenant, "SELECT name FROM sqlite_master WHERE name = 'half'")).toEqual(
    [],
  )
  expect((await send(relay, paths.head(world.tenant), world.deriver)).status).toBe(200)
})

describe('bodies and clocks', () => {
  it('[relay-1] a body that never ends is given up', async () => {
    const slow = (parts: Bytes[]): Request => {
      const stream = new ReadableStream({
        type: 'bytes',
        pull: (controller: ReadableByteStreamController) => {
          const part = parts.shift()
          if (part !== undefined) controller.enqueue(part)
          return part === undefined ? new Promise(() => {}) : undefined
        },
      })
      return new Request('https://relay.example', { method: 'POST', body: stream })
    }
    const outcome = await readBody(slow([random(5), random(6)]), 100, 50).then(
      () => 'read',
      (error: unknown) => (isKeyferryError(error) ? error.code : 'another error'),
    )
    expect(outcome).toBe('ERR_TIMEOUT')
  })

  it('[relay-1] a body of no declared length is read to its last byte, and refused with one more than it may have', async () => {
    const sent = (length: number, step: number): [Bytes, Request] => {
      const body = Uint8Array.from({ length }, (_, i) => i % 251)
      let at = 0
      const stream = new ReadableStream({
        type: 'bytes',
        pull: (controller: ReadableByteStreamController) => {
          if (at < length) controller.enqueue(body.slice(at, (at += step)))
          else {
            controller.close()
            // Somebody waits for room that is filled no more.
            controller.byobRequest?.respond(0)
          }
        },
      })
      return [body, new Request('https://relay.example', { method: 'POST', body: stream })]
    }
    // Around the ends of the rooms that it is read into: 65,536 bytes, then twice as many.
    for (const length of [0, 1, 65_535, 65_536, 65_537, 196_608, 196_609])
      for (const step of [10_000, 65_536, 200_000]) {
        const [body, request] = sent(length, step)
        expect(sha256(await readBody(request, length)), `${length}`).toEqual(sha256(body))
        const [, other] = sent(length + 1, step)
        await expect(readBody(other, length)).rejects.toMatchObject({ code: 'ERR_TOO_LARGE' })
      }
  })

  it.each(['', 'many', '-5', '0', '3', '1e9'])(
    '[relay-1] a body whose length is declared as %j is read whole, or refused',
    async (declared) => {
      const body = new Uint8Array(70_000).fill(7)
      const request = new Request('https://relay.example', { method: 'POST', body })
      request.headers.set('content-length', declared)
      if (declared === '1e9')
        await expect(readBody(request, 100_000)).rejects.toMatchObject({ code: 'ERR_TOO_LARGE' })
      else expect(sha256(await readBody(request, 100_000))).toEqual(sha256(body))
    },
  )

  it('[relay-10] a clock that jumps by years takes nothing that the head names, and what came under it stays', async () => {
    const before = await hashes()
    const years = 10 * 365 * 86_400
    const tenant = stubOf(world.tenant)
    const early = { hash: random(32), body: random(40) }
    await tenant.addObjects([early], world.now + years)
    expect(await tenant.collect(world.now - years)).toBe(0)
    expect(await tenant.collect(world.now + KEEP + 60)).toBe(0)
    expect([...(await hashes())]).toEqual(expect.arrayContaining([...before]))
    // All that nobody names is old now, and nothing else goes.
    expect(await tenant.collect(world.now + 2 * years)).toBe(1)
    expect(await hashes()).toEqual(before)
    expect((await send(relay, paths.head(world.tenant), world.deriver)).status).toBe(200)
    const next = await publish(world, [keyrings[0]!], { version: 2, catalogNumber: 2 })
    await pushAll(relay, world, next, first.headHash)
  })

  it('calls are counted by the minute, and a clock that jumps locks nobody out', () => {
    const meter = new Meter()
    const at = (now: number): boolean => meter.take(2, now)
    expect([at(600), at(601), at(602), at(660), at(661), at(662)]).toEqual([
      true,
      true,
      false,
      true,
      true,
      false,
    ])
    expect([at(60), at(61), at(62), at(1e9)]).toEqual([true, true, false, true])
  })
})
