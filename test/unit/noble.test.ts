// The stand-in for WebCrypto against WebCrypto: the same bytes, verdicts and refusals, for any input.
import * as fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { concat, fromHex, type Bytes } from '../../shared/bytes.ts'
import { generateSigningKey } from '../../shared/signature.ts'
import { installNoble } from '../../web/noble/index.ts'
import { nobleSubtle } from '../../web/noble/subtle.ts'
import { installSubtle } from '../../shared/platform.ts'
import { expectCode } from '../lib/fixtures-expect.ts'

const web = crypto.subtle
const noble = nobleSubtle
const both = [web, noble] as const
const runs = { numRuns: 20 }
const anyBytes = (max = 300) =>
  fc.uint8Array({ maxLength: max }).map((bytes): Bytes => Uint8Array.from(bytes))
const exactly = (length: number) =>
  fc
    .uint8Array({ minLength: length, maxLength: length })
    .map((bytes): Bytes => Uint8Array.from(bytes))
const bytes = async (made: Promise<ArrayBuffer>): Promise<Bytes> => new Uint8Array(await made)

/** What both make of it; the name of the error where it fails. */
async function same(work: (subtle: SubtleCrypto) => Promise<unknown>): Promise<unknown> {
  const outcome = (subtle: SubtleCrypto): Promise<unknown> =>
    work(subtle).then(
      (value) => (value instanceof ArrayBuffer ? new Uint8Array(value) : value),
      (error: Error) => error.name,
    )
  const [one, other] = [await outcome(web), await outcome(noble)]
  expect(other).toEqual(one)
  return one
}

const HMAC = { name: 'HMAC', hash: 'SHA-256' }
const KW = 'AES-KW'
const P256 = { name: 'ECDSA', namedCurve: 'P-256' }
const SIGN_P256 = { name: 'ECDSA', hash: 'SHA-256' }

describe('secrets', () => {
  it.each(['SHA-256', 'SHA-384', 'SHA-512'])('digest %s', async (hash) => {
    await fc.assert(
      fc.asyncProperty(anyBytes(), async (data) => void (await same((s) => s.digest(hash, data)))),
      runs,
    )
  })

  it.each(['SHA-256', 'SHA-512'])('HMAC and HKDF with %s', async (hash) => {
    const property = fc.asyncProperty(
      fc.uint8Array({ minLength: 1, maxLength: 200 }).map((key) => Uint8Array.from(key)),
      anyBytes(),
      anyBytes(),
      fc.integer({ min: 1, max: 200 }),
      async (raw, salt, info, length) => {
        const mac = { name: 'HMAC', hash }
        await same(async (s) =>
          s.sign('HMAC', await s.importKey('raw', raw, mac, false, ['sign']), info),
        )
        const hkdf = { name: 'HKDF', hash, salt, info }
        await same(async (s) =>
          s.deriveBits(
            hkdf,
            await s.importKey('raw', raw, 'HKDF', false, ['deriveBits']),
            8 * length,
          ),
        )
      },
    )
    await fc.assert(property, runs)
  })

  it('AES-GCM, each opening what the other sealed, and neither what was changed', async () => {
    const property = fc.asyncProperty(
      exactly(32),
      exactly(12),
      anyBytes(),
      anyBytes(),
      fc.nat(),
      async (raw, iv, additionalData, plaintext, at) => {
        const options = { name: 'AES-GCM', iv, additionalData }
        const key = (s: SubtleCrypto) =>
          s.importKey('raw', raw, 'AES-GCM', false, ['encrypt', 'decrypt'])
        const sealed = await same(async (s) => s.encrypt(options, await key(s), plaintext))
        const ciphertext = sealed as Bytes
        expect(await same(async (s) => s.decrypt(options, await key(s), ciphertext))).toEqual(
          plaintext,
        )
        const bad = ciphertext.with(at % ciphertext.length, ciphertext[at % ciphertext.length]! ^ 4)
        expect(await same(async (s) => s.decrypt(options, await key(s), bad))).toBe(
          'OperationError',
        )
      },
    )
    await fc.assert(property, runs)
  })

  it('AES-KW, there and back, and not when it was changed', async () => {
    const property = fc.asyncProperty(
      exactly(32),
      exactly(32),
      fc.nat(39),
      async (kek, raw, at) => {
        const wrapping = (s: SubtleCrypto) =>
          s.importKey('raw', kek, KW, false, ['wrapKey', 'unwrapKey'])
        const wrapped = (await same(async (s) => {
          const key = await s.importKey('raw', raw, HMAC, true, ['sign'])
          return s.wrapKey('raw', key, await wrapping(s), KW)
        })) as Bytes
        const unwrap = (data: Bytes) =>
          same(async (s) => {
            const key = await s.unwrapKey('raw', data, await wrapping(s), KW, HMAC, true, ['sign'])
            return s.exportKey('raw', key)
          })
        expect(await unwrap(wrapped)).toEqual(raw)
        expect(await unwrap(wrapped.with(at, wrapped[at]! ^ 1))).toBe('OperationError')
      },
    )
    await fc.assert(property, runs)
  })
})

describe('curves', () => {
  it.each(['Ed25519', P256])(
    '%o: each verifies what the other signed, and imports what it exported',
    async (algorithm) => {
      const signing = algorithm === 'Ed25519' ? algorithm : SIGN_P256
      for (const [signer, verifier] of [both, both.toReversed()] as [
        SubtleCrypto,
        SubtleCrypto,
      ][]) {
        const pair = (await signer.generateKey(algorithm, true, [
          'sign',
          'verify',
        ])) as CryptoKeyPair
        const spki = await bytes(signer.exportKey('spki', pair.publicKey))
        const pkcs8 = await bytes(signer.exportKey('pkcs8', pair.privateKey))
        const publicKey = await verifier.importKey('spki', spki, algorithm, true, ['verify'])
        const privateKey = await verifier.importKey('pkcs8', pkcs8, algorithm, true, ['sign'])
        expect(await bytes(verifier.exportKey('spki', publicKey))).toEqual(spki)
        expect(await bytes(verifier.exportKey('pkcs8', privateKey))).toEqual(pkcs8)
        const property = fc.asyncProperty(anyBytes(), fc.nat(63), async (data, at) => {
          const signature = await bytes(signer.sign(signing, pair.privateKey, data))
          expect(await verifier.verify(signing, publicKey, signature, data)).toBe(true)
          const bad = signature.with(at, signature[at]! ^ 1)
          expect(await verifier.verify(signing, publicKey, bad, data)).toBe(false)
          const other = await bytes(verifier.sign(signing, privateKey, data))
          expect(await signer.verify(signing, pair.publicKey, other, data)).toBe(true)
          if (algorithm === 'Ed25519') expect(other).toEqual(signature)
        })
        await fc.assert(property, { numRuns: 8 })
      }
    },
  )

  it.each(['X25519', { name: 'ECDH', namedCurve: 'P-256' }])(
    '%o: both agree on the same',
    async (algorithm) => {
      const name = typeof algorithm === 'string' ? algorithm : algorithm.name
      const make = async (s: SubtleCrypto) => {
        const pair = (await s.generateKey(algorithm, true, ['deriveBits'])) as CryptoKeyPair
        return { s, ...pair, raw: await bytes(s.exportKey('raw', pair.publicKey)) }
      }
      for (let i = 0; i < 5; i++) {
        const [one, other] = [await make(web), await make(noble)]
        const agree = async (own: typeof one, peer: typeof one) => {
          const key = await own.s.importKey('raw', peer.raw, algorithm, true, [])
          return bytes(own.s.deriveBits({ name, public: key }, own.privateKey, 256))
        }
        expect(await agree(one, other)).toEqual(await agree(other, one))
        const pkcs8 = await bytes(other.s.exportKey('pkcs8', other.privateKey))
        const moved = await web.importKey('pkcs8', pkcs8, algorithm, true, ['deriveBits'])
        expect(await bytes(web.exportKey('pkcs8', moved))).toEqual(pkcs8)
      }
    },
  )

  it('takes RSA signatures that are good, and no others', async () => {
    const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
    const size = { modulusLength: 2_048, publicExponent: Uint8Array.of(1, 0, 1) }
    const pair = await web.generateKey({ ...algorithm, ...size }, true, ['sign', 'verify'])
    const spki = await bytes(web.exportKey('spki', pair.publicKey))
    const key = await noble.importKey('spki', spki, algorithm, false, ['verify'])
    const property = fc.asyncProperty(anyBytes(), fc.nat(255), async (data, at) => {
      const signature = await bytes(web.sign(algorithm.name, pair.privateKey, data))
      const verify = (one: Bytes, of = data) => noble.verify(algorithm.name, key, one, of)
      expect(await verify(signature)).toBe(true)
      expect(await verify(signature.with(at, signature[at]! ^ 1))).toBe(false)
      expect(await verify(signature.slice(1))).toBe(false)
      expect(await verify(signature, concat(data, Uint8Array.of(0)))).toBe(false)
    })
    await fc.assert(property, { numRuns: 5 })
  })
})

it('refuses what WebCrypto refuses, by the same names', async () => {
  const raw = new Uint8Array(32).fill(7)
  const hmacKey = (s: SubtleCrypto, extractable = false) =>
    s.importKey('raw', raw, HMAC, extractable, ['sign'])
  const wrapped = fromHex('00'.repeat(40))
  const bad = new Uint8Array(65).fill(4)
  const point = { name: 'ECDH', namedCurve: 'P-256' }
  for (const work of [
    async (s: SubtleCrypto) => s.exportKey('raw', await hmacKey(s)),
    async (s: SubtleCrypto) => s.verify('HMAC', await hmacKey(s), raw, raw),
    async (s: SubtleCrypto) => s.sign('Ed25519', await hmacKey(s), raw),
    (s: SubtleCrypto) => s.digest('SHA-3', raw),
    (s: SubtleCrypto) => s.importKey('raw', raw, HMAC, false, []),
    (s: SubtleCrypto) => s.importKey('raw', new Uint8Array(), HMAC, false, ['sign']),
    (s: SubtleCrypto) => s.importKey('raw', raw, { ...HMAC, length: 128 }, false, ['sign']),
    (s: SubtleCrypto) => s.importKey('raw', raw.slice(1), KW, false, ['unwrapKey']),
    (s: SubtleCrypto) => s.importKey('raw', bad, point, false, []),
    (s: SubtleCrypto) => s.importKey('raw', raw.slice(1), 'X25519', false, []),
    (s: SubtleCrypto) => s.importKey('spki', bad, 'Ed25519', false, ['verify']),
    (s: SubtleCrypto) => s.importKey('pkcs8', bad, 'Ed25519', false, ['sign']),
    async (s: SubtleCrypto) => {
      const key = await s.importKey('raw', raw, KW, false, ['unwrapKey'])
      return s.unwrapKey('raw', wrapped, key, KW, HMAC, false, ['sign'])
    },
    async (s: SubtleCrypto) => {
      const { privateKey } = await s.generateKey('X25519', false, ['deriveBits'])
      const zero = await s.importKey('raw', new Uint8Array(32), 'X25519', false, [])
      return s.deriveBits({ name: 'X25519', public: zero }, privateKey, 256)
    },
  ])
    expect(await same(work)).toMatch(/Error$/)
})

it('keys show what WebCrypto shows, and no byte of themselves', async () => {
  const raw = new Uint8Array(32).fill(0xa7)
  for (const s of both) {
    const key = await s.importKey('raw', raw, HMAC, false, ['sign'])
    expect([key.type, key.extractable, key.usages, key.algorithm]).toEqual([
      'secret',
      false,
      ['sign'],
      { name: 'HMAC', hash: { name: 'SHA-256' }, length: 256 },
    ])
    const seen = JSON.stringify([key, Object.getOwnPropertyDescriptors(key), Reflect.ownKeys(key)])
    expect(seen).not.toMatch(/167|a7a7|p6en/)
  }
  const key = await noble.importKey('raw', raw, HMAC, false, ['sign'])
  expect(() => Object.assign(key, { extractable: true })).toThrow(TypeError)
  await expect(
    noble.exportKey('raw', Object.create(key, { extractable: { value: true } }) as CryptoKey),
  ).rejects.toThrow()
})

describe('without WebCrypto', () => {
  afterEach(() => {
    installSubtle(undefined)
    vi.unstubAllGlobals()
  })

  it('nothing runs until noble is installed, and that is said', async () => {
    vi.stubGlobal('crypto', { getRandomValues: crypto.getRandomValues.bind(crypto) })
    await expectCode(generateSigningKey('Ed25519', false), 'ERR_UNSUPPORTED')
    installNoble()
    expect((await generateSigningKey('Ed25519', false)).spki.length).toBe(44)
  })
})
