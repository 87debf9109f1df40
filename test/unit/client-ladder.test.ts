// Which keys a client makes where WebCrypto is older: X-Wing wherever there is X25519, with an ML-KEM whose seed nobody can read at rest.
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { equal, utf8, type Bytes } from '../../shared/bytes.ts'
import { createHpke, type RecipientKey } from '../../shared/hpke.ts'
import { nobleMlKem } from '../../shared/ml-kem-noble.ts'
import { webMlKem } from '../../shared/ml-kem.ts'
import { subtle } from '../../shared/platform.ts'
import { generateRecipient } from '../../web/package.ts'
import { createMemoryStore } from '../../web/store-memory.ts'
import { ClientRelay } from '../lib/client-relay.ts'
import { expectCode } from '../lib/fixtures-expect.ts'
import { sealWith } from '../lib/fixtures-hpke.ts'
import { hideMlKem, hideX25519 } from '../lib/older-platform.ts'
import { issueSigner, uriOf } from '../lib/world.ts'

const ALL = ['MLKEM768-X25519', 'X25519', 'P-256'] as const
const info = utf8('info')
const secret = utf8('a channel key of some thirty bytes')

const back: (() => void)[] = []
afterEach(() => back.splice(0).forEach((one) => one()))
const without = (...hide: (() => () => void)[]): void => void back.push(...hide.map((one) => one()))

interface Seed {
  seed: Bytes
  wrapping: CryptoKey | null
}
const seedOf = ({ privateKeys }: RecipientKey): Seed => privateKeys[0] as Seed

describe('a key package where WebCrypto lacks ML-KEM', () => {
  it('is X-Wing all the same, of a wrapped seed and an X25519 key that cannot be read', async () => {
    without(hideMlKem)
    const key = await generateRecipient(ALL, false)
    expect([key.suite, key.publicKey.length]).toEqual(['MLKEM768-X25519', 1_216])
    const { seed, wrapping } = seedOf(key)
    // 64 bytes and the tag of AES-GCM.
    expect([seed.length, wrapping!.extractable]).toEqual([80, false])
    expect((key.privateKeys[1] as CryptoKey).extractable).toBe(false)
    await expect(subtle().exportKey('raw', wrapping!)).rejects.toThrow()
  })

  it('opens what others sealed, also after a structured clone and when the browser has learnt ML-KEM', async () => {
    without(hideMlKem)
    const key = await generateRecipient(ALL, false)
    const sealed = sealWith(key.suite, key.publicKey, secret, info, 'seed')
    const open = (recipient: RecipientKey) =>
      createHpke(key.suite).open(recipient, sealed.encapsulated, sealed.ciphertext, info)
    expect(await open(key)).toEqual(secret)
    expect(await open(structuredClone(key))).toEqual(secret)
    back.splice(0).forEach((one) => one())
    expect(await open(key)).toEqual(secret)
  })

  it('seals to keys of a platform that has it', async () => {
    const key = await createHpke('MLKEM768-X25519', webMlKem).generate(false)
    without(hideMlKem)
    const sealed = await createHpke(key.suite).seal(key.publicKey, secret, info)
    back.splice(0).forEach((one) => one())
    const opened = createHpke(key.suite).open(key, sealed.encapsulated, sealed.ciphertext, info)
    expect(await opened).toEqual(secret)
  })

  it('keeps the seed of another wrapping key, and a changed one, closed', async () => {
    const hpke = createHpke('MLKEM768-X25519', nobleMlKem)
    const [key, other] = [await hpke.generate(false), await hpke.generate(false)]
    const { encapsulated, ciphertext } = await hpke.seal(key.publicKey, secret, info)
    const { seed, wrapping } = seedOf(key)
    for (const bad of [
      { seed, wrapping: seedOf(other).wrapping },
      { seed: seed.with(3, seed[3]! ^ 1), wrapping },
    ]) {
      const privateKeys = [bad, key.privateKeys[1]]
      await expectCode(
        hpke.open({ ...key, privateKeys }, encapsulated, ciphertext, info),
        'ERR_OPEN',
      )
    }
  })

  it('leaves the seed in clear only for stores that write keys as text', async () => {
    without(hideMlKem)
    const key = await generateRecipient(ALL, true)
    expect([seedOf(key).seed.length, seedOf(key).wrapping]).toEqual([64, null])
    const sealed = sealWith(key.suite, key.publicKey, secret, info, 'seed')
    const open = createHpke(key.suite).open(key, sealed.encapsulated, sealed.ciphertext, info)
    expect(await open).toEqual(secret)
    // It opens more than once: what it was read out of is left as it was.
    expect(equal(seedOf(key).seed, new Uint8Array(64))).toBe(false)
  })

  it('serves a client from its first key to its next start', async () => {
    without(hideMlKem)
    const relay = await ClientRelay.start()
    const store = createMemoryStore()
    const identity = await issueSigner(
      relay.world.cas.client,
      uriOf('client', 'kim'),
      relay.world.now,
    )
    const load = async () => {
      const client = await relay.connect({ store, identity })
      onTestFinished(() => client.close())
      return client.keyring('notes')
    }
    const message = await (await load()).encrypt('Hello')
    const [stored] = (await store.read())!.packages
    expect([stored!.key.suite, seedOf(stored!.key).seed.length]).toEqual(['MLKEM768-X25519', 80])
    const again = await load()
    expect(await again.decrypt(message, { as: 'text' })).toBe('Hello')
    // A welcome that is opened again.
    const state = (await store.read())!
    const forget = state.packages.map((one) => ({
      ...one,
      channel: one.channel && { ...one.channel, key: null },
    }))
    await store.write({ ...state, packages: forget, revision: state.revision + 1 })
    expect(await (await load()).decrypt(message, { as: 'text' })).toBe('Hello')
  })
})

describe('the ladder', () => {
  it('takes the first suite of the tenant that the platform has', async () => {
    expect((await generateRecipient(['P-256', 'X25519'], false)).suite).toBe('P-256')
    expect((await generateRecipient(ALL, false)).suite).toBe('MLKEM768-X25519')
  })

  it('ends at P-256 without X25519, and only where the tenant allows it', async () => {
    without(hideMlKem, hideX25519)
    expect((await generateRecipient(ALL, false)).suite).toBe('P-256')
    await expectCode(generateRecipient(['MLKEM768-X25519', 'X25519'], false), 'ERR_SUITE')
  })

  it('stays where it is when the stand-in does not load: that is no platform without ML-KEM', async () => {
    without(hideMlKem)
    vi.resetModules()
    vi.doMock('../../shared/ml-kem-noble.ts', () => {
      throw new TypeError('Failed to fetch dynamically imported module')
    })
    onTestFinished(() => {
      vi.doUnmock('../../shared/ml-kem-noble.ts')
      vi.resetModules()
    })
    const { generateRecipient: generate } = await import('../../web/package.ts')
    await expect(generate(ALL, false)).rejects.toMatchObject({ code: 'ERR_IO' })
  })
})
