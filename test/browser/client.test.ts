// The client where most of them live: a browser, with IndexedDB, Web Locks and keys that nobody can read.
import { expect, it } from 'vitest'
import { type Bytes } from '../../shared/bytes.ts'
import { openIndexedDbStore } from '../../web/index.ts'
import { enrolled, load } from '../lib/browser-client.ts'
import { ClientRelay } from '../lib/client-relay.ts'
import { random, uriOf } from '../lib/world.ts'

/** Every `CryptoKey` in a value. */
function keysIn(value: unknown): CryptoKey[] {
  if (value instanceof CryptoKey) return [value]
  if (value instanceof Uint8Array || typeof value !== 'object' || value === null) return []
  return Object.values(value).flatMap(keysIn)
}

it('[open-21] gets a key, keeps it through a reload, offline, and leaves nothing that can be read', async () => {
  const relay = await ClientRelay.start()
  const { name, store } = await enrolled(relay)
  const first = await load(relay, name)
  const message = await (await first.keyring('notes')).encrypt('Hello', { context: 'note/1' })
  first.close()
  relay.interfere = () => Promise.reject(new TypeError('no network'))
  const notes = await (await load(relay, name)).keyring('notes')
  expect(await notes.decrypt(message, { context: 'note/1', as: 'text' })).toBe('Hello')
  const keys = keysIn(await store.read())
  // Signing key, two halves of the X-Wing key, channel key.
  expect(keys.map(({ extractable }) => extractable)).toEqual([false, false, false, false])
  for (const key of keys) {
    for (const format of ['raw', 'jwk', 'pkcs8'] as const)
      await expect(crypto.subtle.exportKey(format as 'jwk', key)).rejects.toThrow()
  }
})

it('[sign-8] signs with a key that nobody can read, and verifies who signed, also offline', async () => {
  const relay = await ClientRelay.start()
  const { name } = await enrolled(relay)
  const first = await load(relay, name)
  const notes = await first.keyring('notes')
  const data = new Blob([crypto.getRandomValues(new Uint8Array(50_000))])
  const context = 'contract/7'
  const sender = { uri: uriOf('client', 'kim'), signedAt: relay.now, status: 'current' }
  const signature = await notes.sign(data, { context })
  expect(await notes.verify(signature, data, { context })).toMatchObject(sender)
  const stream = notes.encryptStream(data, { context, sign: true })
  const message = new Uint8Array(await new Response(stream as ReadableStream<Bytes>).arrayBuffer())
  first.close()
  relay.interfere = () => Promise.reject(new TypeError('no network'))
  const offline = await (await load(relay, name)).keyring('notes')
  expect(await offline.verify(signature, data.stream(), { context })).toMatchObject(sender)
  const other = { context, from: uriOf('client', 'lee') }
  await expect(offline.decrypt(message, other)).rejects.toMatchObject({ code: 'ERR_SENDER' })
  const told: unknown[] = []
  const own = { context, from: sender.uri, onSender: (one: unknown) => told.push(one) }
  expect(await offline.decrypt(message, own)).toEqual(new Uint8Array(await data.arrayBuffer()))
  const read = offline.decryptStream(message, own) as ReadableStream<Bytes>
  expect((await new Response(read).arrayBuffer()).byteLength).toBe(50_000)
  expect(told).toMatchObject([sender, sender])
})

it('[open-8] goes on in two tabs that never take each other back', async () => {
  const relay = await ClientRelay.start(['notes', 'orders'])
  const { name, store } = await enrolled(relay)
  const tabs = [await load(relay, name), await load(relay, name)]
  const [notes, orders] = await Promise.all([tabs[0]!.keyring('notes'), tabs[1]!.keyring('orders')])
  const versions: number[] = []
  for (let i = 0; i < 5; i++) {
    await relay.publish()
    await Promise.all(tabs.map((tab) => tab.refresh()))
    versions.push((await store.read())!.accepted!.head.version)
  }
  expect(versions).toEqual(versions.toSorted((a, b) => a - b))
  expect(versions.at(-1)).toBe(relay.version)
  await Promise.all(tabs.map((tab) => tab.load()))
  expect([notes.state, orders.state]).toEqual(['ready', 'ready'])
  expect((await store.read())!.packageVersion).toBe(1)
})

it('after its store was deleted, goes on as long as the page lives, and begins anew with a new identity', async () => {
  const relay = await ClientRelay.start()
  const { name } = await enrolled(relay)
  const client = await load(relay, name)
  const notes = await client.keyring('notes')
  const message = await notes.encrypt('Hello')
  await new Promise<void>((resolve, reject) => {
    const request = indexedDB.deleteDatabase(name)
    request.addEventListener('success', () => resolve())
    request.addEventListener('blocked', () => reject(new Error('somebody holds on to it')))
  })
  const codes = new Set<string>()
  client.on('warning', ({ code }) => codes.add(code))
  await notes.encrypt('x')
  expect(await notes.decrypt(message, { as: 'text' })).toBe('Hello')
  await relay.publish()
  await expect(client.refresh()).rejects.toMatchObject({ code: 'ERR_STATE' })
  expect(await notes.decrypt(message, { as: 'text' })).toBe('Hello')
  client.close()
  // Nothing was written over what is not there.
  const store = await openIndexedDbStore(name)
  expect(await store.read()).toBe(null)
  await expect(relay.connect({ store, identity: undefined as never })).rejects.toMatchObject({
    code: 'ERR_STATE',
  })
  const again = await enrolled(relay)
  const fresh = await (await load(relay, again.name)).keyring('notes')
  expect(await fresh.decrypt(message, { as: 'text' })).toBe('Hello')
})

it('a tab that does not fetch encrypts under what another tab has fetched', async () => {
  const relay = await ClientRelay.start()
  const { name } = await enrolled(relay)
  const tabs = [await load(relay, name), await load(relay, name)]
  const [notes, other] = await Promise.all(tabs.map((tab) => tab.keyring('notes')))
  const [keyring] = relay.keyrings
  keyring!.versions.push({ version: 3, nonce: random(16), secret: random(32) })
  keyring!.number++
  await relay.publish()
  await tabs[0]!.refresh()
  const isNew = async (): Promise<boolean> => !notes!.needsRewrap(await other!.encrypt('x'))
  await expect.poll(isNew).toBe(true)
  expect([notes!.version, other!.version]).toEqual([3, 3])
})
