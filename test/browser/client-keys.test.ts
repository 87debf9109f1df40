// What a script in the page gets out of what the client holds and stores: no key. And what no client can keep it from: using them.
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import { afterEach, describe, expect, it } from 'vitest'
import { decodeBundle, decodeWelcome, welcomeInfo } from '../../shared/bundle.ts'
import { concat, fromBase32, hex, utf8, type Bytes } from '../../shared/bytes.ts'
import { createHpke } from '../../shared/hpke.ts'
import { type StoredState } from '../../web/store.ts'
import { enrolled, load } from '../lib/browser-client.ts'
import { ClientRelay } from '../lib/client-relay.ts'
import { reach, secretsIn, waysOut } from '../lib/looking-for-keys.ts'
import { hideMlKem } from '../lib/older-platform.ts'

const back: (() => void)[] = []
afterEach(() => back.splice(0).forEach((one) => one()))

/** A client that has encrypted and decrypted, and all secrets that it was ever sent. */
async function use() {
  const relay = await ClientRelay.start()
  const { name, store } = await enrolled(relay)
  const client = await load(relay, name)
  const notes = await client.keyring('notes')
  const message = await notes.encrypt('Hello')
  expect(await notes.decrypt(message, { as: 'text' })).toBe('Hello')
  const [keyring] = relay.keyrings
  const [member] = keyring!.members
  const secrets = [member!.channel, keyring!.kek, ...keyring!.versions.map(({ secret }) => secret)]
  const state = (await store.read())!
  return { relay, name, store, client, notes, keyring: keyring!, member: member!, secrets, state }
}

/** Everything in a database, as IndexedDB gives it to whoever asks. */
async function dump(name: string): Promise<unknown[]> {
  const settle = <T>(request: IDBRequest<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      request.addEventListener('success', () => resolve(request.result))
      request.addEventListener('error', () => reject(request.error as Error))
    })
  const database = await settle(indexedDB.open(name))
  const out: unknown[] = []
  for (const table of database.objectStoreNames)
    out.push(await settle(database.transaction(table).objectStore(table).getAll()))
  database.close()
  expect(out.flat().length).toBeGreaterThan(0)
  return out
}

/** Gives keys to a page of another origin, which tries to export them. How many it got, and how many bytes out of them. */
async function inAnotherOrigin(keys: CryptoKey[]): Promise<{ got: number; exported: number }> {
  const frame = document.createElement('iframe')
  frame.setAttribute('sandbox', 'allow-scripts')
  frame.srcdoc = `<script>
    addEventListener('message', async ({ data: keys }) => {
      let exported = 0
      for (const key of keys)
        for (const format of ['raw', 'raw-secret', 'raw-seed', 'pkcs8', 'jwk'])
          await crypto.subtle.exportKey(format, key).then(() => exported++, () => {})
      parent.postMessage({ got: keys.length, exported }, '*')
    })
    parent.postMessage('ready', '*')
  </script>`
  const answers: unknown[] = []
  const answer = new Promise<{ got: number; exported: number }>((resolve) => {
    addEventListener('message', ({ data, source, origin }: MessageEvent<unknown>) => {
      if (source !== frame.contentWindow) return
      expect(origin).toBe('null')
      answers.push(data)
      if (data === 'ready') frame.contentWindow!.postMessage(keys, '*')
      else resolve(data as { got: number; exported: number })
    })
  })
  document.body.append(frame)
  try {
    return await answer
  } finally {
    frame.remove()
  }
}

async function seedOf(state: StoredState): Promise<{ seed: Bytes; publicKey: Bytes } | undefined> {
  const { privateKeys, publicKey } = state.packages[0]!.key
  if (privateKeys[0] instanceof CryptoKey) return undefined
  const { seed, wrapping } = privateKeys[0] as { seed: Bytes; wrapping: CryptoKey }
  const algorithm = { name: 'AES-GCM', iv: new Uint8Array(12) }
  const opened = await crypto.subtle.decrypt(algorithm, wrapping, seed)
  return { seed: new Uint8Array(opened), publicKey }
}

describe.each([
  ['with ML-KEM in WebCrypto', () => {}, 'ML-KEM-768'],
  ['without it', () => void back.push(hideMlKem()), 'AES-GCM'],
])('%s', (_name, prepare, algorithm) => {
  it('no raw key comes out of what the client holds and what the browser stores', async () => {
    prepare()
    const { relay, name, store, client, notes, secrets, state } = await use()
    // Whoever looks has to find what is there.
    const planted = { at: [{ deep: new Map([['x', concat(utf8('..'), secrets[0]!)]]) }] }
    expect(secretsIn(reach(planted, hex(secrets[1]!)), secrets)).toEqual(secrets.slice(0, 2))
    const stored = await dump(name)
    const identity = state.identity!
    const reached = reach(
      client,
      notes,
      store,
      identity,
      state,
      stored,
      await import('../../web/index.ts'),
    )
    const names = new Set(reached.keys.map((key) => key.algorithm.name))
    expect([...names]).toEqual(expect.arrayContaining([algorithm, 'X25519', 'Ed25519', 'AES-KW']))
    const seed = await seedOf(state)
    const all = seed === undefined ? secrets : [...secrets, seed.seed]
    expect(secretsIn(reached, all)).toEqual([])
    const text = JSON.stringify([client, notes, store, identity, state, stored])
    expect(secretsIn({ keys: [], bytes: [], texts: [text] }, all)).toEqual([])
    expect(await waysOut(reached.keys)).toEqual([])
    const cloned = reach(structuredClone([identity, state])).keys
    expect(cloned.length).toBeGreaterThanOrEqual(4)
    expect(await waysOut(cloned)).toEqual([])
    const secretKeys = reached.keys.filter(({ type }) => type !== 'public')
    const { got, exported } = await inAnotherOrigin(secretKeys)
    expect([got, exported]).toEqual([secretKeys.length, 0])
    expect(relay.requests.length).toBe(1)
    expect(secretsIn(reach(relay.requests, relay.deliveries), all)).toEqual([])
  })

  it('a script in the page opens with these keys all that the device can open', async () => {
    prepare()
    const { store, keyring, member, relay } = await use()
    const state = (await store.read())!
    const { subtle } = crypto
    const [own] = state.packages
    const { view } = Object.values(state.keyrings)[0]!
    const raw = async (wrapped: Bytes, key: CryptoKey): Promise<Bytes> => {
      const hmac = { name: 'HMAC', hash: 'SHA-256', length: 256 }
      const opened = await subtle.unwrapKey('raw', wrapped, key, 'AES-KW', hmac, true, ['sign'])
      return new Uint8Array(await subtle.exportKey('raw', opened))
    }
    // The channel key out of the welcome.
    const { encapsulated, ciphertext } = decodeWelcome(own!.channel!.welcome)
    const info = welcomeInfo(
      fromBase32(relay.world.tenant),
      own!.fingerprint,
      own!.hash,
      own!.key.suite,
    )
    const channel = createHpke(own!.key.suite).open(own!.key, encapsulated, ciphertext, info)
    expect(await channel).toEqual(member.channel)
    // And with the key that only unwraps, everything below it.
    const kek = await raw(view!.member.cell, own!.channel!.key!)
    expect(kek).toEqual(keyring.kek)
    const unwrapping = await subtle.importKey('raw', kek, 'AES-KW', false, ['unwrapKey'])
    const versions = decodeBundle(view!.bundle).entries.map(({ wrapped }) =>
      raw(wrapped, unwrapping),
    )
    expect(await Promise.all(versions)).toEqual(keyring.versions.map(({ secret }) => secret))
    const seed = await seedOf(state)
    if (seed !== undefined)
      expect(ml_kem768.keygen(seed.seed).publicKey).toEqual(seed.publicKey.slice(0, 1_184))
  })
})

it('keys of a browser without ML-KEM open what comes after a reload, and after it has learnt it', async () => {
  back.push(hideMlKem())
  const { relay, name, store } = await use()
  const forget = async (): Promise<void> => {
    const state = (await store.read())!
    const packages = state.packages.map((one) => ({
      ...one,
      channel: one.channel && { ...one.channel, key: null },
    }))
    await store.write({ ...state, packages, revision: state.revision + 1 })
  }
  for (const newer of [false, true]) {
    if (newer) back.splice(0).forEach((one) => one())
    await forget()
    const notes = await (await load(relay, name)).keyring('notes')
    const message = await notes.encrypt('Hello')
    expect(await notes.decrypt(message, { as: 'text' })).toBe('Hello')
  }
  expect((await store.read())!.packageVersion).toBe(1)
})
