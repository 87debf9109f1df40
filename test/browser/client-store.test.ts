// The store of browsers, in a real one: keys survive a reload and cannot be read.
import { describe, expect, it } from 'vitest'
import { createHpke } from '../../shared/hpke.ts'
import { generateRecipient } from '../../web/package.ts'
import { openIndexedDbStore } from '../../web/store-indexeddb.ts'
import { emptyState } from '../../web/store.ts'
import { describeStore } from '../lib/client-store.ts'

describe('in IndexedDB', () => {
  const run = crypto.randomUUID()
  describeStore((name) => openIndexedDbStore(`${run} ${name}`))

  it('keeps the keys of the best suite that the browser has', async () => {
    const store = await openIndexedDbStore(`${run} suites`)
    const key = await generateRecipient(['MLKEM768-X25519', 'X25519', 'P-256'], false)
    const bytes = Uint8Array.of(1)
    const envelope = { certificates: [], payload: bytes, payloadType: '', signatures: [] }
    const hash = bytes
    const rest = { version: 1, issuedAt: 0, expiresAt: 0, fingerprint: bytes, channel: null }
    await store.write({
      ...emptyState(),
      revision: 1,
      packages: [{ hash, envelope, key, ...rest }],
    })
    const [back] = (await (await openIndexedDbStore(`${run} suites`)).read())!.packages
    const hpke = createHpke(key.suite)
    const { encapsulated, ciphertext } = await hpke.seal(key.publicKey, bytes, bytes)
    expect(await hpke.open(back!.key, encapsulated, ciphertext, bytes)).toEqual(bytes)
    console.log(`suite: ${key.suite}`)
  })
})

describe('a database that the browser or another tab takes away', () => {
  const remove = (name: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const request = indexedDB.deleteDatabase(name)
      request.addEventListener('success', () => resolve())
      request.addEventListener('error', () => reject(request.error!))
      request.addEventListener('blocked', () => reject(new Error('somebody holds on to it')))
    })

  it('can be deleted under an open store, which then is empty and can be used', async () => {
    const name = crypto.randomUUID()
    const store = await openIndexedDbStore(name)
    await store.write({ ...emptyState(), revision: 7 })
    await remove(name)
    expect(await store.read()).toBe(null)
    expect(await store.hasNewer!(0)).toBe(false)
    await store.write({ ...emptyState(), revision: 1 })
    expect((await (await openIndexedDbStore(name)).read())!.revision).toBe(1)
  })

  it('of a newer version of the library is ERR_IO, not an empty one', async () => {
    const name = crypto.randomUUID()
    const store = await openIndexedDbStore(name)
    await store.write({ ...emptyState(), revision: 7 })
    const database = await new Promise<IDBDatabase>((resolve, reject) => {
      const request = indexedDB.open(name, 2)
      request.addEventListener('success', () => resolve(request.result))
      request.addEventListener('blocked', () => reject(new Error('somebody holds on to it')))
    })
    for (const work of [
      store.read(),
      store.write({ ...emptyState(), revision: 8 }),
      openIndexedDbStore(name),
    ])
      await expect(work).rejects.toMatchObject({ code: 'ERR_IO' })
    database.close()
  })
})

it('news that were not told are found all the same', async () => {
  const name = crypto.randomUUID()
  const store = await openIndexedDbStore(name)
  // As by a tab that ended before it could say so.
  await new Promise<void>((resolve) => {
    const request = indexedDB.open(name, 1)
    request.addEventListener('success', () => {
      const transaction = request.result.transaction('state', 'readwrite')
      transaction.objectStore('state').put({ ...emptyState(), revision: 1 }, 'client')
      transaction.objectStore('state').put(1, 'revision')
      transaction.addEventListener('complete', () => resolve())
    })
  })
  await expect.poll(() => store.hasNewer!(0), { timeout: 5_000 }).toBe(true)
})

describe('a turn', () => {
  it('is one after the other, and ends with its signal', async () => {
    const name = crypto.randomUUID()
    const [one, other] = [await openIndexedDbStore(name), await openIndexedDbStore(name)]
    const { signal } = new AbortController()
    const order: string[] = []
    let finish = (): void => {}
    const first = one.turn!(async () => {
      order.push('begins')
      await new Promise<void>((resolve) => (finish = resolve))
      order.push('ends')
    }, signal)
    await expect.poll(() => order).toEqual(['begins'])
    const second = other.turn!(() => Promise.resolve(order.push('second')), signal)
    const stop = new AbortController()
    const third = other.turn!(() => Promise.resolve(order.push('third')), stop.signal)
    stop.abort(new Error('closed'))
    await expect(third).rejects.toThrow('closed')
    // The state can be read and written meanwhile.
    await other.lock(async () => other.write({ ...emptyState(), revision: 1 }))
    finish()
    await Promise.all([first, second])
    expect(order).toEqual(['begins', 'ends', 'second'])
    await expect(one.turn!(() => Promise.reject(new Error('no')), signal)).rejects.toThrow('no')
  })

  it('comes after 10 s where another tab hangs', async () => {
    const name = crypto.randomUUID()
    const [one, other] = [await openIndexedDbStore(name), await openIndexedDbStore(name)]
    const { signal } = new AbortController()
    let finish = (): void => {}
    const hanging = one.turn!(() => new Promise<void>((resolve) => (finish = resolve)), signal)
    expect(await other.turn!(() => Promise.resolve('mine'), signal)).toBe('mine')
    finish()
    await hanging
  })
})
