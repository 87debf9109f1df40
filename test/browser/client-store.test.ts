// The store of browsers, in a real one: keys survive a reload and cannot be read.
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createHpke } from '../../shared/hpke.ts'
import { generateRecipient } from '../../web/package.ts'
import { openIndexedDbStore } from '../../web/store-indexeddb.ts'
import { emptyState, type StoredState } from '../../web/store.ts'
import { enrolled, load } from '../lib/browser-client.ts'
import { ClientRelay } from '../lib/client-relay.ts'
import { describeStore } from '../lib/client-store.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { reach } from '../lib/looking-for-keys.ts'

const run = crypto.randomUUID()

describe('in IndexedDB', () => {
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

  it('that somebody fills again up to the same revision is read anew', async () => {
    const name = crypto.randomUUID()
    const store = await openIndexedDbStore(name)
    await store.write({ ...emptyState(), revision: 7, tenant: 'before' })
    expect((await store.read())!.tenant).toBe('before')
    await remove(name)
    await (await openIndexedDbStore(name)).write({ ...emptyState(), revision: 7, tenant: 'after' })
    expect((await store.read())!.tenant).toBe('after')
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

it('what was read or written last is not read again', async () => {
  const name = crypto.randomUUID()
  const [one, other] = [await openIndexedDbStore(name), await openIndexedDbStore(name)]
  const get = vi.spyOn(IDBObjectStore.prototype, 'get')
  onTestFinished(() => get.mockRestore())
  const reads = async (): Promise<number> => {
    get.mockClear()
    await one.read()
    return get.mock.calls.filter(([key]) => key === 'client').length
  }
  await one.write({ ...emptyState(), revision: 1 })
  expect(await reads()).toBe(0)
  await other.write({ ...emptyState(), revision: 2 })
  expect([await reads(), await reads()]).toEqual([1, 0])
  expect((await one.read())!.revision).toBe(2)
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

describe('where the browser keeps no keys', () => {
  const back: (() => void)[] = []
  afterEach(() => back.splice(0).forEach((one) => one()))

  /** Replaces a property of the platform until the test is over. */
  const replace = (target: object, name: string, value: unknown): void => {
    const before = Object.getOwnPropertyDescriptor(target, name)!
    Object.defineProperty(target, name, { configurable: true, writable: true, value })
    back.push(() => void Object.defineProperty(target, name, before))
  }
  const before = Object.getOwnPropertyDescriptor(IDBObjectStore.prototype, 'put')!
  const put = before.value as (this: IDBObjectStore, ...all: [unknown]) => IDBRequest
  const hasKey = (value: unknown): boolean => reach(value).keys.length > 0
  const refusesKeys = (): void =>
    replace(IDBObjectStore.prototype, 'put', function (this: IDBObjectStore, ...all: [unknown]) {
      if (hasKey(all[0])) throw new DOMException('not cloneable', 'DataCloneError')
      return put.apply(this, all)
    })

  it.each([
    ['it refuses CryptoKeys', refusesKeys],
    ['there is no IndexedDB', () => replace(globalThis, 'indexedDB', undefined)],
    [
      'IndexedDB is blocked',
      () =>
        replace(IDBFactory.prototype, 'open', () => {
          throw new DOMException('denied', 'SecurityError')
        }),
    ],
  ])('%s: the client lasts for the session, and says so', async (_why, prepare) => {
    prepare()
    const name = `${run} ${crypto.randomUUID()}`
    const store = await openIndexedDbStore(name)
    expect(store.sessionOnly?.code).toBe('ERR_IO')
    const relay = await ClientRelay.start()
    await enrolled(relay, store)
    const client = await load(relay, store)
    const told: string[] = []
    client.on('session', ({ code }) => told.push(`early ${code}`))
    client.on('warning', ({ code }) => told.push(`warning ${code}`))
    client.on('session', () => told.push('never'))()
    const notes = await client.keyring('notes')
    await client.keyring('notes')
    const message = await notes.encrypt('Hello')
    expect(await notes.decrypt(message, { as: 'text' })).toBe('Hello')
    client.on('session', () => told.push('late'))
    await Promise.resolve()
    expect(told.toSorted()).toEqual(['early ERR_IO', 'late', 'warning ERR_IO'])
    back.splice(0).forEach((one) => one())
    const again = await openIndexedDbStore(name)
    expect([again.sessionOnly, await again.read()]).toEqual([undefined, null])
  })

  it('a database that is broken or full is no such place: nobody starts over beside a state', async () => {
    for (const error of ['UnknownError', 'QuotaExceededError']) {
      replace(IDBFactory.prototype, 'open', () => {
        throw new DOMException('broken', error)
      })
      await expectCode(openIndexedDbStore(`${run} broken`), 'ERR_IO')
      back.splice(0).forEach((one) => one())
    }
    replace(IDBObjectStore.prototype, 'put', () => {
      throw new DOMException('full', 'QuotaExceededError')
    })
    await expectCode(openIndexedDbStore(`${run} full`), 'ERR_IO')
  })

  it('one that has a state keeps it, whatever it says to new keys', async () => {
    const store = await openIndexedDbStore(`${run} older`)
    await store.write({ ...emptyState(), revision: 1 })
    refusesKeys()
    const again = await openIndexedDbStore(`${run} older`)
    expect([again.sessionOnly, (await again.read())!.revision]).toEqual([undefined, 1])
    const pair = await crypto.subtle.generateKey('Ed25519', false, ['sign'])
    const key = pair.publicKey
    const identity = { key: { alg: 'Ed25519', key, spki: new Uint8Array() }, certificates: [] }
    const state = { ...emptyState(), identity, revision: 2 } as StoredState
    await expectCode(again.write(state), 'ERR_IO')
  })

  it('an ordinary store is not one, and nothing is left of the question', async () => {
    const name = `${run} ordinary`
    const store = await openIndexedDbStore(name)
    expect([store.sessionOnly, await store.read()]).toEqual([undefined, null])
    const request = indexedDB.open(name)
    await new Promise((resolve) => request.addEventListener('success', resolve))
    const keys = request.result.transaction('state').objectStore('state').getAllKeys()
    await new Promise((resolve) => keys.addEventListener('success', resolve))
    expect(keys.result).toEqual([])
    request.result.close()
  })
})
