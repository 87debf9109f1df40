/** What the relay's storage costs, and that it is all or nothing (docs/PROTOCOL.md [relay-6], [relay-10]). */
import { makeRefusal, makeRequest } from '../lib/documents.ts'
import { env } from 'cloudflare:workers'
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { beforeEach, describe, expect, it } from 'vitest'
import { paths } from '../../shared/api.ts'
import { equal } from '../../shared/bytes.ts'
import { type Envelope } from '../../shared/envelope.ts'
import { sha256 } from '../../shared/hash.ts'
import { MAX_HEADS } from '../../worker/heads.ts'
import { MAX_OPEN } from '../../worker/mailbox.ts'
import {
  askDelivery,
  enrol,
  pushAll,
  pushHead,
  readDelivery,
  send,
  sendCall,
  toJson,
  upload,
  type Answer,
} from '../lib/calls.ts'
import { makeKeyring, publish, type Keyring, type Publication } from '../lib/publication.ts'
import { makeClient, makeWorld, random, renewCrl, type Client, type World } from '../lib/world.ts'
import { countRows, query, relay, stubOf } from './relay.ts'

let world: World
let alice: Client
let keyrings: Keyring[]
let first: Publication

beforeEach(async () => {
  world = await makeWorld()
  alice = await makeClient(world, 'alice')
  await enrol(relay, world)
  keyrings = [makeKeyring('one', [alice], 600), makeKeyring('two', [alice], 10)]
  first = await publish(world, keyrings)
  await pushAll(relay, world, first, null)
})

const count = async (table: string): Promise<number> =>
  Number((await query(world.tenant, `SELECT count(*) AS n FROM ${table}`))[0]?.['n'])

describe('rows', () => {
  it('an object costs one, and nothing when sent again', async () => {
    const objects = Array.from({ length: 50 }, () => random(300))
    const counting = await countRows(world.tenant)
    await upload(relay, world, objects)
    expect(await counting.stop()).toMatchObject({ written: 50 })
    const again = await countRows(world.tenant)
    await upload(relay, world, objects)
    expect(await again.stop()).toMatchObject({ written: 0 })
  })

  it('[relay-6] a replayed push writes nothing', async () => {
    const counting = await countRows(world.tenant)
    await pushAll(relay, world, first, null)
    expect(await counting.stop()).toMatchObject({ written: 0 })
  })

  it('a heartbeat writes one and walks nothing', async () => {
    const next = await publish(world, keyrings, {
      version: 2,
      head: { expiresAt: world.now + 3_000 },
    })
    const counting = await countRows(world.tenant)
    expect(
      (await pushHead(relay, world, { ...next, crls: [], catalog: first.catalog }, first.headHash))
        .status,
    ).toBe(204)
    const rows = await counting.stop()
    expect(rows.written).toBe(1)
    expect(rows.read).toBeLessThan(20)
  })

  it('a push writes one for the head and one for each new CRL', async () => {
    await renewCrl(world.cas.client, world.now)
    const next = await publish(world, keyrings, { version: 2 })
    const counting = await countRows(world.tenant)
    expect((await pushHead(relay, world, next, first.headHash)).status).toBe(204)
    expect(await counting.stop()).toMatchObject({ written: 2 })
  })

  it('a changed keyring is walked, the unchanged ones are not', async () => {
    keyrings[1]!.generation++
    const next = await publish(world, keyrings, { version: 2, catalogNumber: 2 })
    await upload(relay, world, next.objects)
    const counting = await countRows(world.tenant)
    expect((await pushHead(relay, world, next, first.headHash)).status).toBe(204)
    const rows = await counting.stop()
    // The head, the one that is kept since the log has grown, and where the one before stood: its objects are kept for a while.
    expect(rows.written).toBe(3)
    expect(rows.read).toBeLessThan(30)
  })

  it('[relay-11] heads are kept up to a number: the newest', async () => {
    const fill = `WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
      INSERT INTO heads SELECT i, i, x'00', x'00' FROM n`
    await query(world.tenant, fill, MAX_HEADS)
    expect(await count('heads')).toBe(MAX_HEADS)
    keyrings[1]!.generation++
    await pushAll(relay, world, await publish(world, keyrings, { version: 2 }), first.headHash)
    expect(await count('heads')).toBe(MAX_HEADS)
    const ends = await query(world.tenant, 'SELECT min(seq) AS least, max(seq) AS most FROM heads')
    expect(ends).toEqual([{ least: 2, most: MAX_HEADS + 1 }])
  })

  it('a first walk reads each object once, and each welcome once for all keyrings', async () => {
    await evictDurableObject(stubOf(world.tenant))
    const next = await publish(world, keyrings, { version: 2 })
    const counting = await countRows(world.tenant)
    expect((await pushHead(relay, world, next, first.headHash)).status).toBe(204)
    const rows = await counting.stop()
    expect(rows.read).toBeLessThan(first.objects.length + 25)
  })

  it('a request costs one row, a repeated one none', async () => {
    const request = await makeRequest(world, alice, [random(16)])
    const call = { call: 'request', package: alice.package, request } as const
    for (const written of [1, 0]) {
      const counting = await countRows(world.tenant)
      expect((await sendCall(relay, world, alice.signer, call)).status).toBe(202)
      expect(await counting.stop()).toMatchObject({ written })
    }
  })

  it('a delivery reads few rows, and none when it is asked for again', async () => {
    await evictDurableObject(stubOf(world.tenant))
    const ids = keyrings.map(({ id }) => id)
    const counts = []
    const have = { catalog: 0, head: new Uint8Array(), objects: [], trust: 1 }
    for (let i = 0; i < 2; i++) {
      const counting = await countRows(world.tenant)
      const answer = await askDelivery(relay, world, alice, ids, { have })
      expect(readDelivery(answer).keyrings).toHaveLength(2)
      counts.push(await counting.stop())
    }
    expect(counts[0]?.read).toBeLessThan(30)
    expect(counts[1]?.read).toBe(0)
    expect(counts.map(({ written }) => written)).toEqual([0, 0])
  })
})

describe('transactions', () => {
  it('[relay-10] a push that fails in its last statement leaves nothing behind', async () => {
    await renewCrl(world.cas.client, world.now)
    const log = { root: random(32), size: 9 }
    const next = await publish(world, keyrings, { version: 2, head: { log } })
    const before = await query(world.tenant, 'SELECT hash FROM crls ORDER BY issuer')
    await query(
      world.tenant,
      "CREATE TRIGGER fail BEFORE UPDATE ON current BEGIN SELECT raise(ABORT, 'no'); END",
    )
    const failed = await pushHead(relay, world, next, first.headHash)
    expect(await count('heads')).toBe(1)
    expect(failed).toMatchObject({ status: 500, code: 'ERR_INTERNAL' })
    expect(JSON.stringify(failed.json)).not.toContain('ABORT')
    expect((failed.json as { instance: string }).instance).toMatch(/^urn:uuid:/)
    expect(await query(world.tenant, 'SELECT hash FROM crls ORDER BY issuer')).toEqual(before)
    await query(world.tenant, 'DROP TRIGGER fail')
    expect((await pushHead(relay, world, next, first.headHash)).status).toBe(204)
  })

  it('[relay-10] a batch of objects that fails half-way leaves none of them', async () => {
    const before = await count('objects')
    const objects = [random(10), random(11)]
    await query(
      world.tenant,
      "CREATE TRIGGER fail BEFORE INSERT ON objects WHEN length(NEW.body) = 11 BEGIN SELECT raise(ABORT, 'no'); END",
    )
    expect((await upload(relay, world, objects)).status).toBe(500)
    expect(await count('objects')).toBe(before)
  })
})

describe('life', () => {
  it('tables are made once, and their rows outlive the object', async () => {
    const tables = await query(
      world.tenant,
      "SELECT name, sql FROM sqlite_master WHERE type = 'table'",
    )
    const sql = new Map(tables.map((row) => [row['name'], row['sql']]))
    for (const name of ['objects', 'crls', 'refusals'])
      expect(sql.get(name)).toContain('WITHOUT ROWID')
    expect(
      await query(world.tenant, "SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'"),
    ).toEqual([])
    const indexes = "SELECT tbl_name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    expect(await query(world.tenant, indexes)).toEqual([])
    await evictDurableObject(stubOf(world.tenant))
    const answer = await send(relay, paths.head(world.tenant), world.deriver)
    expect(answer.status).toBe(200)
  })

  it('an object without tables refuses what only the gateway could ask', async () => {
    const stub = env.TENANT.getByName('nobody')
    expect(await stub.standing(0, [])).toBeNull()
    await runInDurableObject(stub, (_, state) => {
      expect(
        state.storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'trusts'").toArray(),
      ).toEqual([])
    })
  })
})

describe('quota', () => {
  it('above its bytes a tenant gets no request, refusal or object stored, and goes on dealing with what there is', async () => {
    const ask = async (): Promise<Answer> => {
      const request = await makeRequest(world, alice, [random(16)])
      return sendCall(relay, world, alice.signer, {
        call: 'request',
        package: alice.package,
        request,
      })
    }
    const answer = (done: number, refusals: Envelope[]): Promise<Answer> =>
      send(relay, paths.answers(world.tenant), world.deriver, { body: toJson({ done, refusals }) })
    const refusal = await makeRefusal(world, random(32), random(16))
    expect((await ask()).status).toBe(202)
    expect((await answer(0, [refusal])).status).toBe(204)
    await stubOf(world.tenant).changeSettings({ bytes: 1 })
    const another = await makeRefusal(world, random(32), random(16))
    for (const refused of [
      await ask(),
      await answer(1, [another]),
      await upload(relay, world, [random(9)]),
    ])
      expect(refused).toMatchObject({ status: 429, code: 'ERR_QUOTA' })
    expect([await count('requests'), await count('refusals')]).toEqual([1, 1])
    expect((await answer(1, [])).status).toBe(204)
    expect(await count('requests')).toBe(0)
  })

  it('[relay-9] a full mailbox takes no more', async () => {
    const insert =
      'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) ' +
      "INSERT INTO requests (seq, hash, signer, expires, body) SELECT i, randomblob(32), randomblob(32), ?, x'' FROM n"
    await query(world.tenant, insert, MAX_OPEN, world.now + 500)
    const ask = async (): Promise<number> => {
      const request = await makeRequest(world, alice, [random(16)])
      const call = { call: 'request', package: alice.package, request } as const
      return (await sendCall(relay, world, alice.signer, call)).status
    }
    expect(await ask()).toBe(429)
    await query(world.tenant, 'UPDATE requests SET expires = 1 WHERE seq < 10')
    await evictDurableObject(stubOf(world.tenant))
    expect(await ask()).toBe(202)
  })

  it('a batch of requests has a bounded size', async () => {
    const insert =
      'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) ' +
      'INSERT INTO requests (seq, hash, signer, expires, body) SELECT i, randomblob(32), randomblob(32), ?, zeroblob(?) FROM n'
    await query(world.tenant, insert, world.now + 500, 100_000)
    const stub = stubOf(world.tenant)
    let next = 0
    let total = 0
    for (let bodies = 1; bodies > 0;) {
      const batch = await stub.requests(next, world.now)
      bodies = batch.bodies.length
      expect(bodies).toBeLessThanOrEqual(41)
      total += bodies
      next = batch.next
    }
    expect(total).toBe(200)
  })
})

describe('collection', () => {
  const later = (days: number): number => world.now + days * 86_400

  it('takes what no head reaches and is older than a day', async () => {
    const [old, young] = [random(50), random(51)]
    await upload(relay, world, [old, young])
    await query(
      world.tenant,
      'UPDATE objects SET created = ? WHERE length(body) <> 51',
      world.now - 100_000,
    )
    expect(await stubOf(world.tenant).collect(world.now)).toBe(1)
    const hashes = (await query(world.tenant, 'SELECT hash FROM objects')).map(
      (row) => new Uint8Array(row['hash'] as ArrayBuffer),
    )
    const has = (body: Uint8Array): boolean => hashes.some((hash) => equal(hash, sha256(body)))
    expect([has(old), has(young)]).toEqual([false, true])
    expect(first.objects.every(has)).toBe(true)
  })

  it('leaves an object alone that was sent again before its head', async () => {
    const body = random(50)
    await upload(relay, world, [body])
    await query(world.tenant, 'UPDATE objects SET created = ?', world.now - 100_000)
    await upload(relay, world, [body])
    expect(await stubOf(world.tenant).collect(world.now)).toBe(0)
  })

  it('takes the objects of the head before, and a head that names them again is incomplete', async () => {
    const next = await publish(world, [keyrings[0]!], { version: 2, catalogNumber: 2 })
    await pushAll(relay, world, next, first.headHash)
    expect(await stubOf(world.tenant).collect(later(2))).toBeGreaterThan(3)
    const back = await publish(world, keyrings, { version: 3, catalogNumber: 3 })
    expect(await pushHead(relay, world, back, next.headHash)).toMatchObject({
      status: 422,
      code: 'ERR_INCOMPLETE',
    })
    const ids = [keyrings[0]!.id]
    expect(readDelivery(await askDelivery(relay, world, alice, ids)).keyrings).toHaveLength(1)
  })

  it('deletes nothing when the head is not complete', async () => {
    await upload(relay, world, [random(50)])
    await query(world.tenant, 'DELETE FROM objects WHERE hash = ?', first.body.releases.index)
    const before = await count('objects')
    // Out of memory, too.
    await evictDurableObject(stubOf(world.tenant))
    await runInDurableObject(stubOf(world.tenant), (tenant) => {
      expect(() => tenant.collect(later(2))).toThrow()
    })
    expect(await count('objects')).toBe(before)
  })

  it('takes expired requests and refusals, by the alarm, which sets itself again', async () => {
    const insert =
      "INSERT INTO refusals (recipient, keyring, expires, envelope) VALUES (x'01', x'02', 5, x'')"
    await query(world.tenant, insert)
    for (const seq of [1, 2]) {
      await query(world.tenant, "INSERT INTO requests VALUES (?, x'01', x'02', 5, x'')", seq)
    }
    expect(await runDurableObjectAlarm(stubOf(world.tenant))).toBe(true)
    expect(await count('refusals')).toBe(0)
    // The last one stays, so that no number is given twice.
    expect(await query(world.tenant, 'SELECT seq FROM requests')).toEqual([{ seq: 2 }])
    await runInDurableObject(stubOf(world.tenant), async (_, state) => {
      expect(await state.storage.getAlarm()).toBeGreaterThan(Date.now())
    })
  })
})
