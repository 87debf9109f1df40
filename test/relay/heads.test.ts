/** The relay as a witness of the log: which heads it keeps, and who gets them (docs/PROTOCOL.md [relay-11]). */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { paths } from '../../shared/api.ts'
import { headsSchema } from '../../shared/deriver-calls.ts'
import { type Bytes } from '../../shared/bytes.ts'
import { type Envelope } from '../../shared/envelope.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { type HeadBody } from '../../shared/release.ts'
import { enrol, pushAll, send, pushFirst } from '../lib/calls.ts'
import { publish, type Keyring, type Publication } from '../lib/publication.ts'
import { startRelay, type TestRelay } from '../lib/test-relay.ts'
import { makeClient, makeWorld, random, type World } from '../lib/world.ts'
import { type Signer } from '../../shared/http-signature.ts'

let relay: TestRelay
let world: World
let keyring: Keyring
let last: Publication
let version: number

beforeAll(async () => {
  relay = await startRelay()
})
afterAll(() => relay.close())
beforeEach(async () => {
  world = await makeWorld()
  version = 1
  ;({ keyring, first: last } = await pushFirst(relay, world))
})

async function kept(
  after = 0,
  signer: Signer = world.deriver,
): Promise<{ heads: Envelope[]; next: number }> {
  const answer = await send(relay, `${paths.heads(world.tenant)}?after=${after}`, signer)
  expect(answer.status).toBe(200)
  return headsSchema(answer.json, '')
}

/** Pushes the next head; returns its hash. */
async function push(head: Partial<HeadBody> = {}): Promise<Bytes> {
  version++
  const next = await publish(world, [keyring], { version, catalogNumber: version, head })
  await pushAll(relay, world, next, last.headHash)
  last = next
  return next.headHash
}

describe('[relay-11] heads', () => {
  it('are kept where the log has grown or has another root, and not where it is the same', async () => {
    const first = last.headHash
    await push()
    keyring.generation++
    const grown = await push()
    await push()
    const { log } = last.body
    const other = await push({ log: { ...log, root: random(32) } })
    const back = await push()
    const { heads, next } = await kept()
    expect(heads.map(documentHash)).toEqual([first, grown, other, back])
    expect(next).toBe(4)
  })

  it('are given in pages of a hundred, to derivers and to clients', async () => {
    for (let i = 0; i < 100; i++) await push({ log: { root: random(32), size: 1 } })
    const one = await kept()
    expect([one.heads.length, one.next]).toEqual([100, 100])
    const { signer } = await makeClient(world, 'auditor')
    const two = await kept(one.next, signer)
    expect(two.heads.map(documentHash)).toEqual([last.headHash])
    expect(await kept(two.next, signer)).toEqual({ heads: [], next: 101 })
  })

  it('are none before the first push, and the number has a form', async () => {
    const other = await makeWorld()
    await enrol(relay, other)
    const none = await send(relay, paths.heads(other.tenant), other.deriver)
    expect(none).toMatchObject({ status: 200, json: { heads: [], next: 0 } })
    const odd = await send(relay, `${paths.heads(world.tenant)}?after=x`, world.deriver)
    expect(odd).toMatchObject({ status: 400, code: 'ERR_SCHEMA' })
    const foreign = await send(relay, paths.heads(world.tenant), other.deriver)
    expect(foreign).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
  })
})
