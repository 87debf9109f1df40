// A client whose store fails at one write of its life, before it took effect or after: nothing is lost that was there, and nothing goes back.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { equal, hex, type Bytes } from '../../shared/bytes.ts'
import { documentHash } from '../../shared/document-hash.ts'
import { compareVersions } from '../../shared/manifest.ts'
import {
  isKeyferryError,
  KeyferryError,
  type Identity,
  type Keyferry,
  type Keyring,
} from '../../web/index.ts'
import { createFileStore } from '../../web/node.ts'
import { emptyState, type StoredState } from '../../web/store.ts'
import { ClientRelay } from '../lib/client-relay.ts'
import { createCrashingStore, type CrashingStore, type Moment } from '../lib/crashing-store.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { issueSigner, random, renewCrl, uriOf } from '../lib/world.ts'

const CONTEXT = { context: 'note/1' }

/** Whether a write takes back what was stored before it. */
function requireForward(before: StoredState | null, after: StoredState): void {
  if (before === null) return
  expect(after.revision).toBe(before.revision + 1)
  expect(after.packageVersion).toBeGreaterThanOrEqual(before.packageVersion)
  if (before.accepted === null) return
  expect(after.accepted).not.toBe(null)
  expect(compareVersions(after.accepted!.head, before.accepted.head)).toBeGreaterThanOrEqual(0)
  for (const part of ['trust', 'catalog'] as const)
    expect(after.accepted![part].body.number).toBeGreaterThanOrEqual(
      before.accepted[part].body.number,
    )
  for (const [id, { view }] of Object.entries(before.keyrings))
    if (view !== null) expect(after.keyrings[id]?.view ?? null).not.toBe(null)
}

/** A life of a client, in steps that are done again when they fail; each begins anew, as after a crash. */
async function live(arm: { writes: number; moment: Moment } | null) {
  const relay = await ClientRelay.start(['notes', 'orders'])
  const { client: ca, deriver } = relay.world.cas
  let writes = 0
  const store: CrashingStore = createCrashingStore((before, after) => {
    writes++
    requireForward(before, after)
  })
  const identity: Identity = await issueSigner(ca, uriOf('client', 'kim'), relay.now)
  await store.write({ ...emptyState(), identity, revision: 1 })
  if (arm !== null) store.arm(arm.writes, arm.moment)
  const codes = new Set<string>()
  const messages: Bytes[] = []
  const packages = new Map<number, string>()

  const step = async (work: (notes: Keyring, client: Keyferry) => Promise<unknown>) => {
    for (let attempt = 0; attempt < 3; attempt++) {
      let client: Keyferry | undefined
      try {
        const { identity: kept } = (await store.read())!
        client = await relay.connect({ store, identity: kept! })
        await work(await client.keyring('notes'), client)
        return
      } catch (error) {
        if (!isKeyferryError(error)) throw error
        codes.add(error.code)
      } finally {
        client?.close()
      }
    }
    throw new Error(`a step failed three times: ${[...codes].join()}`)
  }

  await step(async (notes) => messages.push(await notes.encrypt('first', CONTEXT)))
  relay.keyrings[0]!.versions.push({ version: 3, nonce: random(16), secret: random(32) })
  relay.keyrings[0]!.number++
  await relay.publish()
  await step(async (notes, client) => {
    await client.refresh()
    messages.push(await notes.encrypt('second', CONTEXT))
  })
  await step((_, client) => client.keyring('orders'))
  // The key package rotates: made, asked for, moved to.
  relay.now += 16 * 86_400
  for (const one of [ca, deriver]) await renewCrl(one, relay.now)
  await relay.publish()
  await step(async (_, client) => {
    await client.refresh()
    for (let round = 0; round < 30; round++) {
      await client.refresh()
      if ((await store.read())!.packages.length === 1) return
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    // Its loop rests after the failure: as somebody would, who loads the page again.
    throw new KeyferryError('ERR_TIMEOUT')
  })
  store.disarm()
  await step(async (notes) => {
    const texts = await Promise.all(
      messages.map((message) => notes.decrypt(message, { ...CONTEXT, as: 'text' })),
    )
    expect(texts.filter((text) => text === 'first').length).toBeGreaterThan(0)
    expect(texts.at(-1)).toBe('second')
    await notes.encrypt('third', CONTEXT)
  })
  // No version of a package was ever given to two packages.
  for (const { package: envelope } of relay.requests) {
    const { version } = JSON.parse(new TextDecoder().decode(envelope.payload)) as {
      version: number
    }
    const hash = hex(documentHash(envelope))
    expect(packages.get(version) ?? hash).toBe(hash)
    packages.set(version, hash)
  }
  return { codes: [...codes], writes }
}

describe('a store that fails once', () => {
  it('at any write of a life, before it took effect or after, costs a repetition and no more', async () => {
    const { writes, codes } = await live(null)
    expect(codes).toEqual([])
    expect(writes).toBeGreaterThan(6)
    const faults = Array.from({ length: writes - 1 }, (_, at) => at).flatMap((at) => [
      { writes: at, moment: 'before' as const },
      { writes: at, moment: 'after' as const },
    ])
    const lives = await Promise.all(faults.map(live))
    const outcomes = lives.map(({ codes: met }) => met.join())
    // Nothing but what the store said, where anybody waited for it.
    const known = new Set(['', 'ERR_IO', 'ERR_TIMEOUT'])
    expect(outcomes.filter((met) => !known.has(met))).toEqual([])
    expect(outcomes).toContain('ERR_IO')
  }, 120_000)
})

describe('a file', () => {
  const directory = mkdtempSync(join(tmpdir(), 'keyferry-store-'))
  afterAll(() => rmSync(directory, { recursive: true, force: true }))
  const path = join(directory, 'state.json')
  let relay: ClientRelay
  let identity: Identity
  let message: Bytes
  let whole: Buffer

  beforeAll(async () => {
    relay = await ClientRelay.start()
    identity = await issueSigner(relay.world.cas.client, uriOf('client', 'kim'), relay.now)
    const client = await relay.connect({ store: createFileStore(path), identity })
    message = await (await client.keyring('notes')).encrypt('x')
    client.close()
    whole = readFileSync(path)
  })

  it('in which any byte was changed, or that was cut off anywhere, is ERR_STATE and is not written over', async () => {
    const seen = new Set<string>()
    const step = Math.ceil(whole.length / 400)
    for (let at = 0; at < whole.length - 1; at += step) {
      const flipped = Buffer.from(whole)
      flipped[at]! ^= 1 << (at % 8)
      for (const bytes of [flipped, whole.subarray(0, at)]) {
        writeFileSync(path, bytes)
        const store = createFileStore(path)
        const state = await store.read().catch((error: unknown) => error)
        if (!isKeyferryError(state)) {
          // Only the name of the hash was hit.
          expect(equal((state as StoredState).head, (await createdState()).head)).toBe(true)
          continue
        }
        seen.add(state.code)
        await expectCode(store.write({ ...emptyState(), revision: 1_000 }), 'ERR_STATE')
        expect(readFileSync(path).equals(bytes)).toBe(true)
      }
    }
    expect([...seen]).toEqual(['ERR_STATE'])
    writeFileSync(path, whole)
  })

  async function createdState(): Promise<StoredState> {
    const other = join(directory, 'whole.json')
    writeFileSync(other, whole)
    return (await createFileStore(other).read())!
  }

  it('of an earlier version, without a hash, is read', async () => {
    const text = whole.toString().replace(/,"digest":"[0-9a-f]{64}"/, '')
    const other = join(directory, 'earlier.json')
    writeFileSync(other, text)
    const client = await relay.connect({ store: createFileStore(other), identity })
    expect(await (await client.keyring('notes')).decrypt(message, { as: 'text' })).toBe('x')
    client.close()
  })

  it('that is removed under a running client: it goes on with what it has, and never writes an older state', async () => {
    writeFileSync(path, whole)
    const client = await relay.connect({ store: createFileStore(path), identity })
    const notes = await client.keyring('notes')
    rmSync(path)
    const codes: string[] = []
    client.on('warning', ({ code }) => codes.push(code))
    await notes.encrypt('y')
    expect(await notes.decrypt(message, { as: 'text' })).toBe('x')
    expect(codes).toContain('ERR_STATE')
    await relay.publish()
    await expectCode(client.refresh(), 'ERR_STATE')
    expect(await createFileStore(path).read()).toBe(null)
    client.close()
    // Put back, it is the same client again.
    writeFileSync(path, whole)
    const again = await relay.connect({ store: createFileStore(path), identity })
    await again.refresh()
    expect(await (await again.keyring('notes')).decrypt(message, { as: 'text' })).toBe('x')
    again.close()
  })

  it('that is gone for good: a new certificate key gets the same keys, and what was encrypted is read', async () => {
    rmSync(path, { force: true })
    const store = createFileStore(path)
    const other = await issueSigner(relay.world.cas.client, uriOf('client', 'kim'), relay.now)
    const client = await relay.connect({ store, identity: other })
    const notes = await client.keyring('notes')
    expect(await notes.decrypt(message, { as: 'text' })).toBe('x')
    client.close()
  })
})
